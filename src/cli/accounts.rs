//! `loquent accounts set-plan`

use anyhow::Context;

use super::{Verdict, args::Accounts as Action, database::Database, say};
use crate::{
    app,
    config::Config,
    domains::{
        accounts,
        catalog::Catalog,
        settings::Settings,
        subscriptions::{Parts, Request, Subscriptions},
    },
    platform::{clock::Clock, tasks::Tasks},
};

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = set_plan(config, &database, action).await;
    database.close().await;
    result
}

async fn set_plan(config: &Config, database: &Database, action: Action) -> anyhow::Result<Verdict> {
    let Action::SetPlan { account, plan: key, until, reason } = action;
    let db = database.pool("accounts").await?;
    let account_id = accounts::find_account(&mut *db.conn().await?, &account).await?;
    let clock = Clock::default();
    let settings = Settings::new(db.clone(), app::built_in_settings(config, Vec::new()));
    let catalog = Catalog::start(&db, &clock, config.providers.keys().cloned(), settings).await?;
    let plan = catalog.plan_by_key(&key);
    let plan = plan
        .with_context(|| format!("there is no plan {key:?} on offer; `loquent catalog show` names them"))?;
    let subscriptions = Subscriptions::new(Parts { db, clock, tasks: Tasks::default(), catalog });
    let request = Request { reason, by: None };
    let in_force = subscriptions.set_plan(account_id, plan.id, until, request).await?;
    let name = &in_force.plan.content.name;
    match in_force.subscription.reverts_at {
        Some(until) => say(format_args!("{account} has {name} until {until}")),
        None => say(format_args!("{account} has {name}")),
    }
    Ok(Verdict::Passed)
}
