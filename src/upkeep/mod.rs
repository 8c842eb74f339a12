//! What the house does for itself by the clock: it clears what is over, makes partitions ahead, begins periods, and checks its books.
//!
//! [`entries`] is the whole timetable. Each entry is one job in the whole cluster, so what a process shows of their
//! results it reads from the database ([`observe`]).

mod books;
mod observed;
mod partitions;
mod prune;
mod renewals;

pub use observed::observe;

use crate::{
    domains::{accounts::Accounts, subscriptions::Subscriptions},
    jobs::{
        Registry,
        cron::{BadSchedule, CatchUp, Declaration, Entry},
    },
    platform::postgres::Db,
};
use books::CheckBooks;
use partitions::MakePartitions;
use prune::Prune;
use renewals::RenewSubscriptions;

/// Most of them every ten minutes, not all at the same time. Jobs end and addresses come by the thousand in a second, so
/// they go every minute.
const CLEARED: [(&str, &str, Prune); 9] = [
    ("prune.idempotency_keys", "1-59/10 * * * *", Prune::IdempotencyKeys),
    ("prune.sessions", "3-59/10 * * * *", Prune::Sessions),
    ("prune.revocations", "4-59/10 * * * *", Prune::Revocations),
    ("prune.one_shots", "6-59/10 * * * *", Prune::OneShots),
    ("prune.conversation_events", "27 * * * *", Prune::ConversationEvents),
    ("prune.jobs", "* * * * *", Prune::Jobs),
    ("prune.rate_limits", "* * * * *", Prune::RateLimits),
    ("prune.replicas", "37 * * * *", Prune::Replicas),
    ("prune.cron_ticks", "47 * * * *", Prune::CronTicks),
];

/// The timetable. A round that was missed is not made up for where the next one does its work.
///
/// # Errors
/// When a schedule is none.
pub fn entries() -> Result<Vec<Entry>, BadSchedule> {
    let house = |name, schedule, catch_up| Declaration { name, schedule, zone: "UTC", catch_up };
    let mut entries = vec![
        Entry::try_new(house("messages.partitions", "15 4 * * *", CatchUp::Once), |_| MakePartitions)?,
        Entry::try_new(house("credits.check_books", "7 * * * *", CatchUp::Once), |_| CheckBooks)?,
        Entry::try_new(house("subscriptions.renew", "23 * * * *", CatchUp::Once), |_| RenewSubscriptions)?,
    ];
    for (name, schedule, prune) in CLEARED {
        entries.push(Entry::try_new(house(name, schedule, CatchUp::Skip), move |_| prune)?);
    }
    Ok(entries)
}

/// Adds the jobs of the timetable.
///
/// # Errors
/// Those of [`Registry::register`].
pub fn register(
    registry: &mut Registry,
    background: &Db,
    accounts: &Accounts,
    subscriptions: Subscriptions,
) -> anyhow::Result<()> {
    registry.register::<Prune>(accounts.clone())?;
    registry.register::<MakePartitions>(())?;
    registry.register::<RenewSubscriptions>(subscriptions)?;
    registry.register::<CheckBooks>(background.clone())
}
