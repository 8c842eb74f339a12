//! Who watches which account in this process, and how they learn that it has changed.
//!
//! Once a second, one statement asks for the revisions of all accounts that are watched here, whoever changed them on
//! whichever process; while nobody watches, nothing is asked. A change of this process is told at once. Watchers hear
//! that something changed, never what: they read it, so that who is slow reads the newest only.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::repo::revisions::{self as repo, RevisionRow};
use crate::{
    error::Result,
    platform::{metrics::names, postgres::Db, tasks::every},
};

const PACE: Duration = Duration::from_secs(1);
/// A look that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);
/// Accounts that are watched in one process; more are refused.
const MAX_ACCOUNTS: usize = 10_000;

/// The accounts that are watched here; clones share them.
#[derive(Clone, Default)]
pub struct AccountWatch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    topics: Mutex<HashMap<Uuid, Topic>>,
    /// Somebody watches who did not before.
    wake: Notify,
}

struct Topic {
    /// The last of them takes the topic along.
    watchers: usize,
    signal: watch::Sender<()>,
    /// Of the last look; `None` before the first.
    seen: Option<i64>,
}

impl AccountWatch {
    /// Begins to watch an account. What changes from now on is heard of, so read after this. `None` when the process has
    /// as many as it can take.
    pub fn watch(&self, account_id: Uuid) -> Option<Watcher> {
        let mut topics = self.lock();
        if topics.len() >= MAX_ACCOUNTS && !topics.contains_key(&account_id) {
            return None;
        }
        let topic = topics.entry(account_id).or_insert_with(|| Topic {
            watchers: 0,
            signal: watch::Sender::new(()),
            seen: None,
        });
        topic.watchers += 1;
        let signal = topic.signal.subscribe();
        self.0.wake.notify_one();
        Some(Watcher { watch: self.clone(), account_id, signal })
    }

    /// After a change by this process: its watchers need not wait for the next look.
    pub fn hint(&self, account_id: Uuid) {
        if let Some(topic) = self.lock().get(&account_id) {
            topic.signal.send_replace(());
        }
    }

    /// Looks until it is dropped.
    pub async fn follow(self, db: Db) {
        let mut ticks = every(PACE);
        loop {
            ticks.tick().await;
            let accounts: Vec<Uuid> = self.lock().keys().copied().collect();
            if accounts.is_empty() {
                self.0.wake.notified().await;
                continue;
            }
            match look(&db, &accounts).await {
                Ok(rows) => {
                    names::ACCOUNT_LOOKS.add(["ok".into()], 1);
                    self.compare(&accounts, rows);
                }
                Err(error) => {
                    names::ACCOUNT_LOOKS.add(["failed".into()], 1);
                    tracing::debug!(error = error.chain(), "no news of accounts; looking again in a second");
                }
            }
        }
    }

    /// Tells the watchers of what has changed, of what is due, because reading does it, and of what is gone.
    fn compare(&self, asked: &[Uuid], rows: Vec<RevisionRow>) {
        let rows: HashMap<Uuid, RevisionRow> = rows.into_iter().map(|row| (row.account_id, row)).collect();
        let mut topics = self.lock();
        for account_id in asked {
            let Some(topic) = topics.get_mut(account_id) else { continue };
            let row = rows.get(account_id);
            let revision = row.map(|row| row.revision);
            let is_due = row.is_none_or(|row| row.is_due);
            if std::mem::replace(&mut topic.seen, revision) != revision || is_due {
                topic.signal.send_replace(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Topic>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(db: &Db, accounts: &[Uuid]) -> Result<Vec<RevisionRow>> {
    db.within(LIMIT, async |conn| Ok(repo::list_revisions_unscoped(conn, accounts).await?)).await
}

/// Somebody who watches one account; the last one who goes ends the asking for it.
pub struct Watcher {
    watch: AccountWatch,
    account_id: Uuid,
    signal: watch::Receiver<()>,
}

impl Watcher {
    /// Completes when the account may have changed since the last time, or since the beginning.
    pub async fn changed(&mut self) {
        // The sender stays as long as there is a watcher.
        if self.signal.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut topics = self.watch.lock();
        let Some(topic) = topics.get_mut(&self.account_id) else { return };
        topic.watchers -= 1;
        if topic.watchers == 0 {
            topics.remove(&self.account_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn row(account_id: Uuid, revision: i64) -> RevisionRow {
        RevisionRow { account_id, revision, is_due: false }
    }

    #[test]
    fn watchers_hear_of_their_account_and_the_last_one_ends_the_asking() {
        let watch = AccountWatch::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut first, mut second) = (watch.watch(one).unwrap(), watch.watch(one).unwrap());
        let mut stranger = watch.watch(other).unwrap();
        let both = [one, other];
        watch.compare(&both, vec![row(one, 7), row(other, 1)]);
        for watcher in [&mut first, &mut second, &mut stranger] {
            assert!(
                watcher.changed().now_or_never().is_some(),
                "what changed between reading and the first look is not missed"
            );
        }
        watch.compare(&both, vec![row(one, 8), row(other, 1)]);
        assert!(first.changed().now_or_never().is_some() && second.changed().now_or_never().is_some());
        assert!(stranger.changed().now_or_never().is_none());
        watch.hint(one);
        watch.hint(one);
        assert!(first.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none(), "two changes are one look");
        watch.compare(&both, vec![row(one, 8)]);
        assert!(stranger.changed().now_or_never().is_some(), "what is gone is told too");
        drop((first, stranger));
        assert_eq!(watch.lock().len(), 1);
        drop(second);
        assert_eq!(watch.lock().len(), 0);
    }

    #[test]
    fn accounts_are_bounded_and_their_watchers_are_not_refused() {
        let watch = AccountWatch::default();
        let watchers: Vec<_> = (0..10_001_u128).filter_map(|id| watch.watch(Uuid::from_u128(id))).collect();
        assert_eq!(watchers.len(), MAX_ACCOUNTS);
        assert!(watch.watch(Uuid::from_u128(1)).is_some());
    }
}
