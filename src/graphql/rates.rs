//! How much of the API one caller may use: requests by address, and points of operations by person.
//!
//! A request counts before anything of it is read, an operation after it was found to be valid and before any of it is
//! executed. Whoever waits for a model pays for that with credits and quotas; neither is counted here.
//!
//! With the database away requests and operations are let through and counted as such: then the API does little anyway,
//! and the bounds of connections hold.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_graphql::{SimpleObject, Value, value};

use super::{Caller, scalars::DateTime};
use crate::{
    error::{AppError, Result},
    platform::{
        clock::Clock,
        metrics::names,
        places::network_of,
        postgres::rate_limits::{Key, Limit, Outcome, RateLimiter, Standing},
    },
};

const MINUTE: Duration = Duration::from_secs(60);

/// The numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests and new sockets of one address, an IPv6 network of 64 bits being one.
    pub requests: Limit,
    /// Points of operations of one person, or of one address for who is not signed in.
    pub points: Limit,
}

impl Default for Rates {
    /// 100 requests a minute, and 10,000 points: five of the most expensive operations, or some hundred screens.
    fn default() -> Self {
        Self { requests: Limit::sliding(100, MINUTE), points: Limit::bucket(10_000, MINUTE) }
    }
}

/// Counts what callers use; clones share it.
#[derive(Clone)]
pub struct Allowances(Arc<Inner>);

struct Inner {
    limiter: RateLimiter,
    rates: Rates,
    clock: Clock,
}

/// What the operation of a request has used, known once it was counted; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Spending(Arc<OnceLock<Spent>>);

impl Spending {
    /// `None` before the operation was counted, and when it never is because it is not valid.
    pub fn get(&self) -> Option<&Spent> {
        self.0.get()
    }
}

/// The points of one operation, and what is left after it.
#[derive(Debug)]
pub struct Spent {
    pub points: u32,
    /// `None` when the operation was let through uncounted.
    pub outcome: Option<Outcome>,
    standing: Standing,
    resets_at: DateTime,
}

impl Allowances {
    pub fn new(limiter: RateLimiter, rates: Rates, clock: Clock) -> Self {
        Self(Arc::new(Inner { limiter, rates, clock }))
    }

    /// Counts a request from this address; `None` when it is let through uncounted.
    pub async fn request(&self, address: IpAddr) -> Option<Outcome> {
        if self.0.limiter.spares(address) {
            return None;
        }
        let key = Key::new("requests", network_of(address));
        self.take(&key, &self.0.rates.requests, 1).await
    }

    /// Takes the points of an operation. Whatever it costs, it is one at least.
    ///
    /// # Errors
    /// `RATE_LIMITED`: nothing was taken, and nothing may be executed.
    pub async fn spend(&self, caller: &Caller, points: u64) -> Result<()> {
        let Inner { limiter, rates, clock } = &*self.0;
        let points = u32::try_from(points).unwrap_or(u32::MAX).max(1);
        let address = caller.origin.address;
        let outcome = match caller.credential.viewer() {
            _ if limiter.spares(address) => None,
            Some(viewer) => self.take(&Key::new("points", viewer.user_id), &rates.points, points).await,
            None => self.take(&Key::new("points", network_of(address)), &rates.points, points).await,
        };
        let standing = outcome.map_or(rates.points.unused(points), |outcome| outcome.standing());
        let resets_at = (clock.now() + standing.reset).into();
        // An operation is counted once.
        let _ = caller.spending.0.set(Spent { points, outcome, standing, resets_at });
        match outcome {
            Some(Outcome::Refused { retry_after, .. }) => {
                let message = format!(
                    "Your operations cost more points than the {} that are given a minute. Please wait.",
                    rates.points.amount()
                );
                Err(AppError::rate_limited(message, retry_after))
            }
            Some(Outcome::Admitted(_)) | None => Ok(()),
        }
    }

    async fn take(&self, key: &Key, limit: &Limit, cost: u32) -> Option<Outcome> {
        let outcome = self.0.limiter.take(key, limit, cost).await;
        if outcome.is_err() {
            names::RATE_BYPASSES.add([key.limit().into()], 1);
        }
        outcome.ok()
    }
}

impl Spent {
    /// `extensions.cost.throttle` of the answer, in the shape that tools for other APIs know; points and points a second.
    pub fn throttle(&self) -> Value {
        let limit = &self.standing.limit;
        let rate = f64::from(limit.amount()) / limit.window().as_secs_f64();
        value!({
            "maximum": limit.amount(),
            "available": self.standing.remaining,
            "restoreRate": (rate * 100.0).round() / 100.0,
        })
    }
}

/// Budget of API cost points of the caller.
#[derive(Debug, SimpleObject)]
pub struct RateLimit {
    /// Points the budget holds when full.
    limit: i32,
    /// Points this operation costs.
    cost: i32,
    /// Points left after it.
    remaining: i32,
    /// When the budget is full again.
    resets_at: DateTime,
}

impl From<&Spent> for RateLimit {
    fn from(spent: &Spent) -> Self {
        let shown = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            limit: shown(spent.standing.limit.amount()),
            cost: shown(spent.points),
            remaining: shown(spent.standing.remaining),
            resets_at: spent.resets_at,
        }
    }
}
