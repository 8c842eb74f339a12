//! Cron: jobs by the clock. It owns the tables `cron_entries` and `cron_ticks`.
//!
//! - Entries are declared in code ([`Entry`]); at its start a process takes over what it declares, and leaves alone what
//!   it does not. From then on the *row* decides when an entry ticks, so processes of two versions agree: the last start
//!   has decided.
//! - Each tick is enqueued once a cluster, however many processes look and die: the job, the row of the tick and the next
//!   tick of the entry are one commit under the lock of the entry, and the job has a unique key of its tick.
//! - What is missed is caught up by the rule of the entry ([`CatchUp`]).
//! - All time is the database's.

mod entry;
mod repo;
mod schedule;
mod scheduler;

pub use entry::{Declaration, Entry};
pub use repo::{EntryRow, LastTick, Listed, list, prune_ticks};
pub use schedule::{BadSchedule, CatchUp, ON_TIME};
pub use scheduler::Scheduler;
