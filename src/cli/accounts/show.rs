//! `loquent accounts show`: what the owner of an account sees of it, for those who have the database. Reading does what is
//! due, as every read does.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    super::{instant, printable, say},
    lifetime, subscriptions,
};
use crate::{
    cli::database::Database,
    config::Config,
    domains::{
        accounts::{self, AccountRow},
        catalog::{Meter, Scope, Window},
        credits::{Balance, Credits, GrantRow, LedgerEntryRow, Quota, list_last_entries, list_left_grants},
        subscriptions::InForce,
    },
    platform::ids::Id,
};

/// Movements that are shown.
const ENTRIES: i64 = 10;

#[derive(Serialize)]
struct Shown {
    id: String,
    plan: Plan,
    credits: Available,
    limits: Vec<Limit>,
    grants: Vec<Grant>,
    /// Newest first.
    ledger: Vec<Entry>,
}

#[derive(Serialize)]
struct Plan {
    key: String,
    name: String,
    version: i32,
    period_started_at: DateTime<Utc>,
    period_ends_at: DateTime<Utc>,
    /// When the plan that the customer has comes back.
    reverts_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Available {
    available: String,
    held: String,
}

#[derive(Serialize)]
struct Limit {
    meter: Meter,
    window: Window,
    scope: Scope,
    used: String,
    held: String,
    /// `None` is unlimited.
    limit: Option<String>,
    resets_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Grant {
    id: String,
    source: String,
    granted: String,
    remaining: String,
    expires_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    lifetime: String,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    at: DateTime<Utc>,
    kind: String,
    amount: String,
    balance_after: String,
    description: String,
}

pub async fn run(config: &Config, database: &Database, account: &str, is_json: bool) -> anyhow::Result<()> {
    let db = database.pool("accounts").await?;
    let account_id = accounts::find_account(&mut *db.conn().await?, account).await?;
    let owner = accounts::find_owner(&mut *db.conn().await?, account_id).await?;
    let (subscriptions, _) = subscriptions(config, &db).await?;
    let in_force = subscriptions.of_account(owner, account_id).await?;
    let balance = subscriptions.balance(owner, account_id).await?.unwrap_or_default();
    let quotas = subscriptions.quotas(owner, account_id).await?.unwrap_or_default();
    let grants = list_left_grants(&mut *db.conn().await?, owner, account_id).await?;
    let entries = list_last_entries(&mut *db.conn().await?, owner, account_id, ENTRIES).await?;
    let shown = Shown {
        id: Id::<AccountRow>::new(account_id).to_string(),
        plan: plan(&in_force),
        credits: available(balance),
        limits: quotas.iter().map(limit).collect(),
        grants: grants.iter().map(grant).collect(),
        ledger: entries.iter().map(entry).collect(),
    };
    if is_json {
        say(serde_json::to_string_pretty(&shown)?);
    } else {
        shown.lines().iter().for_each(say);
    }
    Ok(())
}

fn plan(in_force: &InForce) -> Plan {
    let (plan, subscription) = (&in_force.plan, &in_force.subscription);
    Plan {
        key: plan.key.clone(),
        name: plan.content.name.clone(),
        version: plan.version,
        period_started_at: subscription.period_started_at,
        period_ends_at: subscription.period_ends_at,
        reverts_at: subscription.reverts_at,
    }
}

fn available(balance: Balance) -> Available {
    let text = |amount| Credits(amount).to_string();
    Available { available: text(balance.available), held: text(balance.held) }
}

fn limit(quota: &Quota) -> Limit {
    let text =
        |amount: i64| if quota.meter.is_micro() { Credits(amount).to_string() } else { amount.to_string() };
    Limit {
        meter: quota.meter,
        window: quota.window,
        scope: quota.scope,
        used: text(quota.used),
        held: text(quota.held),
        limit: quota.limit.map(text),
        resets_at: quota.resets_at,
    }
}

fn grant(row: &GrantRow) -> Grant {
    Grant {
        id: Id::<GrantRow>::new(row.id).to_string(),
        source: row.source.clone(),
        granted: Credits(row.amount).to_string(),
        remaining: Credits(row.available).to_string(),
        expires_at: row.expires_at,
        lifetime: lifetime(row),
    }
}

fn entry(row: &LedgerEntryRow) -> Entry {
    Entry {
        id: Id::<LedgerEntryRow>::new(row.id).to_string(),
        at: row.created_at,
        kind: row.kind.clone(),
        amount: Credits(row.amount).to_string(),
        balance_after: Credits(row.balance_after).to_string(),
        description: row.description.clone(),
    }
}

impl Shown {
    fn lines(&self) -> Vec<String> {
        let Plan { key, name, version, period_started_at, period_ends_at, reverts_at } = &self.plan;
        let (from, to) = (instant(*period_started_at), instant(*period_ends_at));
        let until = reverts_at.map(|at| format!(", until {}", instant(at))).unwrap_or_default();
        let mut lines = vec![
            format!("account  {}", self.id),
            format!("plan     {} ({key}, version {version}){until}", printable(name)),
            format!("period   {from} to {to}"),
            format!("credits  {} available, {} held", self.credits.available, self.credits.held),
        ];
        lines.extend(self.limits.iter().map(Limit::line));
        lines.extend(self.grants.iter().map(|grant| {
            let Grant { id, source, granted, remaining, lifetime, .. } = grant;
            format!("grant    {id}  {source}  {remaining} of {granted} left  {lifetime}")
        }));
        lines.extend(self.ledger.iter().map(|entry| {
            let Entry { id, at, kind, amount, balance_after, description } = entry;
            let (at, description) = (instant(*at), printable(description));
            format!("entry    {id}  {at}  {kind}  {amount}  then {balance_after}  {description}")
        }));
        lines
    }
}

impl Limit {
    fn line(&self) -> String {
        let Self { meter, window, scope, used, held, limit, resets_at } = self;
        let scope = if *scope == Scope::Member { "member" } else { "account" };
        let (meter, window) = (meter.as_str(), window.as_str());
        let most = limit.as_deref().unwrap_or("unlimited");
        let resets = resets_at.map(|at| format!("  resets {}", instant(at))).unwrap_or_default();
        format!("limit    {meter} {window} {scope}  used {used}  held {held}  of {most}{resets}")
    }
}
