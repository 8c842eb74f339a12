//! Watching what an account has: the current state first, then each newer one. Reading does what is due, so a watcher sees
//! a new period when it begins. Who is slow reads the newest state only.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Subscriptions;
use crate::{
    domains::{
        catalog::{Meter, Scope, Window},
        credits::{AccountWatch, Balance, Quota, Watcher},
    },
    error::{AppError, ErrorCode, Result},
};

/// How long a watcher waits for a database that is away, and its pause between two questions.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(30);
const OUTAGE_PACE: Duration = Duration::from_secs(1);
/// A limit that changes by time alone is looked at no more often than this, and no later than that. The latter is also
/// how long a watcher may not hear of another ceiling.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(3600);

/// What a watcher was told last.
type Known = BTreeMap<(Meter, Window, Scope), Quota>;

/// How a state is read; `None` when it is not the viewer's to see any more.
type Read<S> = Box<dyn Fn() -> BoxFuture<'static, Result<Option<S>>> + Send + Sync>;

/// What of a state is new, and when to look again although nobody has changed anything.
trait News<S, E>: FnMut(S) -> (Vec<E>, Option<Duration>) + Send + 'static {}
impl<S, E, F: FnMut(S) -> (Vec<E>, Option<Duration>) + Send + 'static> News<S, E> for F {}

impl Subscriptions {
    /// The balance of an account, and each newer one; `None` when it is not the viewer's.
    pub async fn watch_balance(
        &self,
        watch: &AccountWatch,
        viewer: Uuid,
        account_id: Uuid,
    ) -> Result<Option<BoxStream<'static, Result<Balance>>>> {
        let this = self.clone();
        let read: Read<Balance> = Box::new(move || {
            let this = this.clone();
            async move { this.balance(viewer, account_id).await }.boxed()
        });
        let mut newest = None;
        let news = move |balance: Balance| {
            let is_new = newest.is_none_or(|revision| balance.revision > revision);
            newest = newest.max(Some(balance.revision));
            (is_new.then_some(balance).into_iter().collect(), None)
        };
        follow(begin(watch, account_id)?, read, news).await
    }

    /// Every limit of an account as it stands for the viewer, and each that changes; `None` when it is not the viewer's.
    pub async fn watch_quotas(
        &self,
        watch: &AccountWatch,
        viewer: Uuid,
        account_id: Uuid,
    ) -> Result<Option<BoxStream<'static, Result<Quota>>>> {
        let this = self.clone();
        let clock = self.clock.clone();
        let read: Read<Vec<Quota>> = Box::new(move || {
            let this = this.clone();
            async move { this.quotas(viewer, account_id).await }.boxed()
        });
        let mut known = Known::default();
        let news = move |quotas: Vec<Quota>| {
            let turns_in = next_turn(&quotas, clock.now());
            (changed(&mut known, quotas), Some(turns_in))
        };
        follow(begin(watch, account_id)?, read, news).await
    }
}

fn begin(watch: &AccountWatch, account_id: Uuid) -> Result<Watcher> {
    let full = || AppError::unavailable(anyhow::anyhow!("this process watches as many accounts as it can"));
    watch.watch(account_id).ok_or_else(full)
}

/// What has changed since the last look, those that are gone included: without a limit, as people read it.
fn changed(known: &mut Known, quotas: Vec<Quota>) -> Vec<Quota> {
    let place = |quota: &Quota| (quota.meter, quota.window, quota.scope);
    let mut gone = std::mem::take(known);
    let is_new = |quota: &Quota| {
        known.insert(place(quota), quota.clone());
        gone.remove(&place(quota)).as_ref() != Some(quota)
    };
    let mut events: Vec<Quota> = quotas.into_iter().filter(is_new).collect();
    events.extend(gone.into_values().map(Quota::without_limit));
    events
}

/// When a count falls or a window turns although nobody calls, from now on, or when to look for another ceiling.
fn next_turn(quotas: &[Quota], now: DateTime<Utc>) -> Duration {
    let next = quotas.iter().filter_map(|quota| quota.resets_at).min();
    let turns_in = next.map_or(LATEST, |next| (next - now).to_std().unwrap_or_default());
    turns_in.clamp(SOONEST, LATEST)
}

/// Reads after it has begun to listen, and again after every change.
async fn follow<S: Send + 'static, E: Send + 'static>(
    mut watcher: Watcher,
    read: Read<S>,
    mut news: impl News<S, E>,
) -> Result<Option<BoxStream<'static, Result<E>>>> {
    let Some(first) = read().await? else { return Ok(None) };
    let events = async_stream::try_stream! {
        let mut next = Some(first);
        while let Some(state) = next {
            let (events, look_again) = news(state);
            for event in events {
                yield event;
            }
            tokio::select! {
                () = watcher.changed() => {}
                () = sleep(look_again.unwrap_or_default()), if look_again.is_some() => {}
            }
            next = read_patiently(&read).await?;
        }
    };
    Ok(Some(events.boxed()))
}

/// Reads, after an outage of the database too.
async fn read_patiently<S>(read: &Read<S>) -> Result<Option<S>> {
    let deadline = Instant::now() + OUTAGE_PATIENCE;
    loop {
        match read().await {
            Err(error) if error.code() == ErrorCode::ServiceUnavailable && Instant::now() < deadline => {
                sleep(OUTAGE_PACE).await;
            }
            outcome => return outcome,
        }
    }
}
