//! Watching what an account has: the current state first, then each newer one. Reading does what is due, so a watcher sees
//! a new period when it begins. Who is slow reads the newest state only.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::Subscriptions;
use crate::{
    domains::{
        catalog::{Meter, Scope, Window},
        credits::{AccountWatch, Balance, Quota},
    },
    error::Result,
    platform::postgres::revisions::{Reader, Step, Then, follow},
};

/// A limit that changes by time alone is looked at no more often than this, and no later than that. The latter is also
/// how long a watcher may not hear of another ceiling.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(3600);

/// What a watcher was told last.
type Known = BTreeMap<(Meter, Window, Scope), Quota>;

impl Subscriptions {
    /// The balance of an account, and each newer one; `None` when it is not the viewer's.
    pub async fn watch_balance(
        &self,
        watch: &AccountWatch,
        viewer: Uuid,
        account_id: Uuid,
    ) -> Result<Option<BoxStream<'static, Result<Balance>>>> {
        let watcher = watch.watch(account_id)?;
        follow(watcher, BalanceReader { subscriptions: self.clone(), viewer, account_id, newest: None }).await
    }

    /// Every limit of an account as it stands for the viewer, and each that changes; `None` when it is not the viewer's.
    pub async fn watch_quotas(
        &self,
        watch: &AccountWatch,
        viewer: Uuid,
        account_id: Uuid,
    ) -> Result<Option<BoxStream<'static, Result<Quota>>>> {
        let watcher = watch.watch(account_id)?;
        let known = Known::default();
        follow(watcher, QuotaReader { subscriptions: self.clone(), viewer, account_id, known }).await
    }
}

struct BalanceReader {
    subscriptions: Subscriptions,
    viewer: Uuid,
    account_id: Uuid,
    /// Revision that was told last.
    newest: Option<i64>,
}

#[async_trait]
impl Reader for BalanceReader {
    type Event = Balance;

    async fn read(&mut self) -> Result<Option<Step<Balance>>> {
        let Some(balance) = self.subscriptions.balance(self.viewer, self.account_id).await? else {
            return Ok(None);
        };
        let is_new = self.newest.is_none_or(|revision| balance.revision > revision);
        self.newest = self.newest.max(Some(balance.revision));
        Ok(Some(Step { events: is_new.then_some(balance).into_iter().collect(), then: Then::Wait }))
    }
}

struct QuotaReader {
    subscriptions: Subscriptions,
    viewer: Uuid,
    account_id: Uuid,
    known: Known,
}

#[async_trait]
impl Reader for QuotaReader {
    type Event = Quota;

    async fn read(&mut self) -> Result<Option<Step<Quota>>> {
        let Some(quotas) = self.subscriptions.quotas(self.viewer, self.account_id).await? else {
            return Ok(None);
        };
        let then = Then::WaitAtMost(next_turn(&quotas, self.subscriptions.clock.now()));
        Ok(Some(Step { events: changed(&mut self.known, quotas), then }))
    }
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
