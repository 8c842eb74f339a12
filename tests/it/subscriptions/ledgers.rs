//! A story over virtual time, and the ledger that it must leave: entry by entry.

use chrono::{DateTime, Utc};
use loquent::domains::subscriptions::When;
use serde_json::Value;

use super::{
    cases::CASES,
    stage::{OFFER, Stage},
};
use crate::support::rows::execute;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Do {
    /// Somebody looks at the account.
    Look,
    /// The job of the hour.
    Job,
    /// So many credits are used.
    Spend(i64),
    /// So many tokens are used.
    Use(i64),
    /// So many credits are held, and by [`Do::Settle`] a part of them is used.
    Hold(i64),
    Settle(i64),
    /// So many credits are bought.
    Buy(i64),
    Change(&'static str),
    Later(&'static str),
    /// An administrator puts a plan in force.
    Set(&'static str),
    /// The same until an instant.
    Lend(&'static str, &'static str),
    /// The catalogue with some words replaced by others.
    Offer(&'static str, &'static str),
}

/// What happens when, and what the ledger says afterwards.
pub struct Case {
    pub name: &'static str,
    /// When the account was made.
    pub start: &'static str,
    pub steps: &'static [(&'static str, Do)],
    /// When, kind, source, amount, balance of the meter; what a grant is for.
    pub ledger: &'static str,
    /// Plan in the end, its version, and the end of the period.
    pub last: &'static str,
}

const ENTRIES: &str = "\
    SELECT to_char(e.created_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS at, w.meter, e.kind, g.source, e.amount, e.balance_after, e.spent,
           to_char(g.starts_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS starts,
           CASE WHEN g.expires_at < 'infinity' THEN to_char(g.expires_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') ELSE 'ever' END AS ends
      FROM ledger_entries e JOIN wallets w ON w.id = e.wallet_id JOIN grants g ON g.id = e.grant_id
     ORDER BY e.created_at, w.meter, e.revision";

/// One entry as the table writes it.
fn line(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap().to_owned();
    let unit = if entry["meter"] == "tokens" { 1 } else { 1_000_000 };
    let number = |name: &str| {
        let amount = entry[name].as_i64().unwrap();
        assert_eq!(amount % unit, 0, "{entry}");
        amount / unit
    };
    let mut line = format!(
        "{} {} {} {:+} ={}",
        text("at"),
        text("kind"),
        text("source"),
        number("amount"),
        number("balance_after")
    );
    if entry["meter"] == "tokens" {
        line += " tokens";
    }
    match entry["kind"].as_str() {
        Some("grant") => line += &format!(" for {} to {}", text("starts"), text("ends")),
        Some("settle") => line += &format!(" spent {}", number("spent")),
        _ => {}
    }
    line
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|_| panic!("{text} is no instant"))
}

impl Stage {
    async fn play(&mut self, what: Do, now: &str) {
        match what {
            Do::Look => drop(self.look().await),
            Do::Job => {
                let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
                assert!(self.house.subscriptions.renew_due(deadline).await.unwrap().is_complete);
            }
            Do::Spend(credits) => self.spend("credits", credits * 1_000_000).await,
            Do::Use(tokens) => self.spend("tokens", tokens).await,
            Do::Hold(credits) => self.hold("credits", credits * 1_000_000).await,
            Do::Settle(credits) => self.settle("credits", credits * 1_000_000).await,
            Do::Buy(credits) => {
                let sql = format!(
                    "SELECT ledger_grant(gen_random_uuid(), '{}', 'credits', 'purchase', '{now}', {credits} * 1000000, 100::smallint, \
                     loquent_now(), 'infinity', NULL, 'Bought')",
                    self.account
                );
                execute(&self.world.db.url, &sql).await;
            }
            Do::Change(plan) => drop(self.change(plan, When::Now).await),
            Do::Later(plan) => drop(self.change(plan, When::PeriodEnd).await),
            Do::Set(plan) => drop(self.set_plan(plan, None).await),
            Do::Lend(plan, until) => drop(self.set_plan(plan, Some(instant(until))).await),
            Do::Offer(old, new) => {
                assert!(OFFER.contains(old), "{old}");
                self.house.offer(&OFFER.replace(old, new)).await;
            }
        }
    }

    /// A call that costs this, paid by whatever is due by then.
    async fn spend(&self, meter: &str, amount: i64) {
        self.look().await;
        self.hold(meter, amount).await;
        self.settle(meter, amount).await;
    }

    async fn hold(&self, meter: &str, amount: i64) {
        let sql = format!(
            "SELECT ledger_hold(uuid_v7(), '{}', 'generation', 1, 1, \
             '[{{\"kind\":\"wallet\",\"meter\":\"{meter}\",\"fixed\":{amount},\"rate\":0}}]', NULL, 'Work')",
            self.account
        );
        execute(&self.world.db.url, &sql).await;
    }

    async fn settle(&self, meter: &str, amount: i64) {
        let sql = format!(
            "SELECT ledger_settle(id, 'settled', '{{\"{meter}\":{amount}}}', NULL, 'Work') FROM holds WHERE state = 'open'"
        );
        execute(&self.world.db.url, &sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_story_leaves_exactly_the_ledger_that_is_expected() {
    let mut wrong = Vec::new();
    let mut entries = 0;
    for case in CASES {
        let mut stage = Stage::begin(instant(case.start)).await;
        for (at, what) in case.steps {
            stage.set(instant(at)).await;
            stage.play(*what, at).await;
        }
        let found: Vec<String> = stage.rows(ENTRIES).await.iter().map(line).collect();
        let expected: Vec<&str> =
            case.ledger.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let state = stage.look().await;
        let last = format!(
            "{} {} {}",
            state.plan.key,
            state.plan.version,
            state.subscription.period_ends_at.format("%Y-%m-%d %H:%M")
        );
        if found != expected || last != case.last {
            wrong.push(format!(
                "{}:\n  {}\n  last: {last}, expected {}",
                case.name,
                found.join("\n  "),
                case.last
            ));
        }
        entries += found.len();
        stage.close().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    println!("expected_ledgers n={} entries={entries} ok", CASES.len());
}
