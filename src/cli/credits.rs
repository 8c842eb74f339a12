//! `loquent credits adjust`

use uuid::Uuid;

use super::{Verdict, args::Credits as Action, database::Database, say};
use crate::{
    app,
    config::Config,
    domains::{
        accounts,
        credits::{Adjusted, Adjustment, Adjustments, Credits},
        settings::Settings,
    },
    platform::{clock::Clock, tasks::Tasks},
};

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = adjust(config, &database, action).await;
    database.close().await;
    result
}

async fn adjust(config: &Config, database: &Database, action: Action) -> anyhow::Result<Verdict> {
    let Action::Adjust { account, amount, expires, reason, key } = action;
    let db = database.pool("credits").await?;
    let account_id = accounts::find_account(&mut *db.conn().await?, &account).await?;
    let settings = Settings::new(db.clone(), app::built_in_settings(config, Vec::new()));
    let adjustments = Adjustments::new(db, Clock::default(), Tasks::default(), settings);
    let is_taking = amount.0 < 0;
    let asked = Adjustment {
        account_id,
        amount,
        expires_at: expires,
        reason,
        requested_by: None,
        key: key.unwrap_or_else(|| Uuid::now_v7().to_string()),
    };
    let Adjusted { booked, balance, .. } = adjustments.adjust(asked).await?;
    let verb = if is_taking { "taken" } else { "given" };
    let (amount, available) = (Credits(booked.0.saturating_abs()), Credits(balance.available));
    say(format_args!("{amount} credits are {verb}; {account} has {available} to spend"));
    Ok(Verdict::Passed)
}
