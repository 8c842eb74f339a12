//! `loquent accounts`

mod show;

use anyhow::Context;
use chrono::{DateTime, Utc};

use super::{Verdict, args::Accounts as Action, database::Database, instant, say};
use crate::{
    app,
    config::Config,
    domains::{
        accounts,
        catalog::Catalog,
        credits::{Credits, GrantRow, list_left_grants},
        settings::Settings,
        subscriptions::{Parts, Request, Subscriptions},
    },
    platform::{clock::Clock, postgres::Db, tasks::Tasks},
};

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = match action {
        Action::Show { account, is_json } => show::run(config, &database, &account, is_json).await,
        Action::SetPlan { account, plan, until, reason } => {
            set_plan(config, &database, (&account, &plan), until, reason).await
        }
    };
    database.close().await;
    result.map(|()| Verdict::Passed)
}

/// What accounts have is read through the catalogue, as servers do it.
async fn subscriptions(config: &Config, db: &Db) -> anyhow::Result<(Subscriptions, Catalog)> {
    let clock = Clock::default();
    let settings = Settings::new(db.clone(), app::built_in_settings(config, Vec::new()));
    let catalog = Catalog::start(db, &clock, config.providers.keys().cloned(), settings).await?;
    let parts = Parts { db: db.clone(), clock, tasks: Tasks::default(), catalog: catalog.clone() };
    Ok((Subscriptions::new(parts), catalog))
}

async fn set_plan(
    config: &Config,
    database: &Database,
    (account, key): (&str, &str),
    until: Option<DateTime<Utc>>,
    reason: String,
) -> anyhow::Result<()> {
    let db = database.pool("accounts").await?;
    let account_id = accounts::find_account(&mut *db.conn().await?, account).await?;
    let owner = accounts::find_owner(&mut *db.conn().await?, account_id).await?;
    let (subscriptions, catalog) = subscriptions(config, &db).await?;
    let plan = catalog.plan_by_key(key);
    let plan = plan
        .with_context(|| format!("there is no plan {key:?} on offer; `loquent catalog show` names them"))?;
    // What is due is not granted by this change.
    subscriptions.bring_up_to_date(account_id).await?;
    let before = list_left_grants(&mut *db.conn().await?, owner, account_id).await?;
    let in_force = subscriptions.set_plan(account_id, plan.id, until, Request { reason, by: None }).await?;
    let after = list_left_grants(&mut *db.conn().await?, owner, account_id).await?;
    let name = &in_force.plan.content.name;
    match in_force.subscription.reverts_at {
        Some(until) => say(format_args!("{account} has {name} until {}", instant(until))),
        None => say(format_args!("{account} has {name}")),
    }
    let is_new = |grant: &&GrantRow| !before.iter().any(|known| known.id == grant.id);
    for grant in after.iter().filter(is_new) {
        say(format_args!("{} credits are granted {}", Credits(grant.amount), lifetime(grant)));
    }
    Ok(())
}

fn lifetime(grant: &GrantRow) -> String {
    grant.expires_at.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", instant(at)))
}
