//! Who watches which thing in this process, and how they learn that it has changed.
//!
//! Things of a kind are watched together: one statement asks for the revisions of all that are watched here, once a
//! second, and as soon as another process says by a hint that something has changed. While nobody watches, nothing is
//! asked. A change of this process is told at once. Watchers hear that something changed, never what: they read it, so
//! nothing queues up, and who is slow reads what is the newest then.

mod follow;

use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use diesel::{QueryResult, QueryableByName, sql_types};
use diesel_async::AsyncPgConnection;
use futures_util::future::OptionFuture;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use uuid::Uuid;

pub use follow::{Reader, Step, Then, follow};

use super::{
    Db,
    listen::{Channel, Hints, Looks},
};
use crate::{
    error::{AppError, Result},
    platform::{metrics::names, tasks::every},
};

const PACE: Duration = Duration::from_secs(1);
/// However many hints come, looks begin no sooner after each other, and take no more than a fifth of the time.
const SHORTEST: Duration = Duration::from_millis(50);
const SHARE: u32 = 5;
/// A look that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);
/// Things of a kind that are watched in one process; more are refused.
const MAX_WATCHED: usize = 10_000;

/// A kind of thing that can be watched.
pub trait Watched: Send + Sync + 'static {
    /// What they are called, in the plural.
    const NAME: &'static str;
    /// What tells other processes of a change; without one they see it when they look.
    const CHANNEL: Option<Channel>;

    /// Those of the things that there are. For whom they are, each watcher asks by itself.
    fn list_revisions_unscoped(
        conn: &mut AsyncPgConnection,
        ids: &[Uuid],
    ) -> impl Future<Output = QueryResult<Vec<Revision>>> + Send;
}

/// How far a thing has come.
#[derive(Debug, Clone, QueryableByName)]
pub struct Revision {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: Uuid,
    /// Grows with every change.
    #[diesel(sql_type = sql_types::BigInt)]
    pub revision: i64,
    /// Reading it changes it.
    #[diesel(sql_type = sql_types::Bool)]
    pub is_due: bool,
}

/// The things of a kind that are watched here; clones share them.
pub struct RevisionWatch<W>(Arc<Shared>, PhantomData<fn() -> W>);

impl<W> Clone for RevisionWatch<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

struct Shared {
    hints: Hints,
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

impl<W: Watched> RevisionWatch<W> {
    /// Nothing is watched yet.
    pub fn new(hints: Hints) -> Self {
        let shared = Shared { hints, topics: Mutex::default(), wake: Notify::new() };
        Self(Arc::new(shared), PhantomData)
    }

    /// Begins to watch. What changes from now on is heard of, so read after this.
    ///
    /// # Errors
    /// The process watches as many as it can take.
    pub fn watch(&self, id: Uuid) -> Result<Watcher> {
        let mut topics = self.0.lock();
        if topics.len() >= MAX_WATCHED && !topics.contains_key(&id) {
            let full = format!("this process watches as many {} as it can", W::NAME);
            return Err(AppError::unavailable(anyhow::Error::msg(full)));
        }
        let topic = topics.entry(id).or_insert_with(|| Topic {
            watchers: 0,
            signal: watch::Sender::new(()),
            seen: None,
        });
        topic.watchers += 1;
        let signal = topic.signal.subscribe();
        self.0.wake.notify_one();
        Ok(Watcher { shared: Arc::clone(&self.0), id, signal })
    }

    /// After the commit of a change by this process: its watchers need not wait for a look, and those of others look now.
    pub fn hint(&self, id: Uuid) {
        if let Some(topic) = self.0.lock().get(&id) {
            topic.signal.send_replace(());
        }
        if let Some(channel) = W::CHANNEL {
            self.0.hints.send_to_others(channel);
        }
    }

    /// Looks until it is dropped.
    pub async fn follow(self, db: Db) {
        let mut hints = W::CHANNEL.map(|channel| self.0.hints.subscribe(channel));
        let mut ticks = every(PACE);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(()) = OptionFuture::from(hints.as_mut().map(Looks::next)) => {}
            }
            let ids: Vec<Uuid> = self.0.lock().keys().copied().collect();
            if ids.is_empty() {
                self.0.wake.notified().await;
                continue;
            }
            let begun = Instant::now();
            match look::<W>(&db, &ids).await {
                Ok(rows) => {
                    names::REVISION_LOOKS.add([W::NAME.into(), "ok".into()], 1);
                    self.0.compare(&ids, rows);
                }
                Err(error) => {
                    names::REVISION_LOOKS.add([W::NAME.into(), "failed".into()], 1);
                    tracing::debug!(
                        error = error.chain(),
                        "no news of {}; looking again in a second",
                        W::NAME
                    );
                }
            }
            let taken = begun.elapsed();
            let pause = (taken * (SHARE - 1)).min(PACE);
            sleep(pause.max(SHORTEST.saturating_sub(taken))).await;
        }
    }
}

impl Shared {
    /// Tells the watchers of what has changed, of what is due, because reading does it, and of what is gone.
    fn compare(&self, asked: &[Uuid], rows: Vec<Revision>) {
        let rows: HashMap<Uuid, Revision> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut topics = self.lock();
        for id in asked {
            let Some(topic) = topics.get_mut(id) else { continue };
            let row = rows.get(id);
            let revision = row.map(|row| row.revision);
            let is_due = row.is_none_or(|row| row.is_due);
            if std::mem::replace(&mut topic.seen, revision) != revision || is_due {
                topic.signal.send_replace(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look<W: Watched>(db: &Db, ids: &[Uuid]) -> Result<Vec<Revision>> {
    db.within(LIMIT, async |conn| Ok(W::list_revisions_unscoped(conn, ids).await?)).await
}

/// Somebody who watches one thing; the last one who goes ends the asking for it.
pub struct Watcher {
    shared: Arc<Shared>,
    id: Uuid,
    signal: watch::Receiver<()>,
}

impl Watcher {
    /// Completes when the thing may have changed since the last time, or since the beginning.
    pub async fn changed(&mut self) {
        // The sender stays as long as there is a watcher.
        if self.signal.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut topics = self.shared.lock();
        let Some(topic) = topics.get_mut(&self.id) else { return };
        topic.watchers -= 1;
        if topic.watchers == 0 {
            topics.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    struct Things;

    impl Watched for Things {
        const NAME: &'static str = "things";
        const CHANNEL: Option<Channel> = None;

        async fn list_revisions_unscoped(
            _: &mut AsyncPgConnection,
            _: &[Uuid],
        ) -> QueryResult<Vec<Revision>> {
            Ok(Vec::new())
        }
    }

    fn row(id: Uuid, revision: i64) -> Revision {
        Revision { id, revision, is_due: false }
    }

    #[test]
    fn watchers_hear_of_their_own_and_the_last_one_ends_the_asking() {
        let watch = RevisionWatch::<Things>::new(Hints::off());
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut first, mut second) = (watch.watch(one).unwrap(), watch.watch(one).unwrap());
        let mut stranger = watch.watch(other).unwrap();
        let both = [one, other];
        watch.0.compare(&both, vec![row(one, 7), row(other, 1)]);
        for watcher in [&mut first, &mut second, &mut stranger] {
            assert!(
                watcher.changed().now_or_never().is_some(),
                "what changed between reading and the first look is not missed"
            );
        }
        watch.0.compare(&both, vec![row(one, 8), row(other, 1)]);
        assert!(first.changed().now_or_never().is_some() && second.changed().now_or_never().is_some());
        assert!(stranger.changed().now_or_never().is_none());
        watch.hint(one);
        watch.hint(one);
        assert!(first.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none(), "two changes are one look");
        watch.0.compare(&both, vec![row(one, 8)]);
        assert!(stranger.changed().now_or_never().is_some(), "what is gone is told too");
        drop((first, stranger));
        assert_eq!(watch.0.lock().len(), 1);
        drop(second);
        assert_eq!(watch.0.lock().len(), 0);
    }

    #[test]
    fn what_is_watched_is_bounded_and_more_watchers_of_it_are_not_refused() {
        let watch = RevisionWatch::<Things>::new(Hints::off());
        let watchers: Vec<_> =
            (0..10_001_u128).filter_map(|id| watch.watch(Uuid::from_u128(id)).ok()).collect();
        assert_eq!(watchers.len(), MAX_WATCHED);
        assert!(watch.watch(Uuid::from_u128(1)).is_ok());
    }
}
