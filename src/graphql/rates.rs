//! How much of the API one caller may use: requests by address, and points of operations by person.
//!
//! A request counts before anything of it is read, an operation after it was found to be valid and before any of it is
//! executed: for all that it asks for. What its answer did not hold is given back then. Whoever waits for a model pays for
//! that with credits and quotas; neither is counted here.
//!
//! With the database away requests and operations are let through and counted as such: then the API does little anyway,
//! and the bounds of connections hold.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_graphql::{SimpleObject, Value, value};
use chrono::Utc;
use moka::future::Cache;
use uuid::Uuid;

use super::{Caller, scalars::DateTime};
use crate::{
    domains::{accounts::Viewer, catalog::Catalog, subscriptions::Subscriptions},
    error::{AppError, Result},
    platform::{
        clock::Clock,
        metrics::names,
        places::network_of,
        postgres::rate_limits::{Key, Limit, Outcome, RateLimiter, Reserved, Standing},
    },
};

const MINUTE: Duration = Duration::from_secs(60);

/// How long the points of a person are believed, so that a change of plan shows after it at the latest.
const BELIEVED: Duration = Duration::from_secs(60);
const MAX_KNOWN: u64 = 10_000;

/// Numbers instead of those of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests and new sockets of one address, an IPv6 network of 64 bits being one.
    pub requests: Limit,
    /// Points of operations of one person, or of one address for who is not signed in.
    pub points: Limit,
}

/// Where the numbers come from.
pub enum Numbers {
    Fixed(Rates),
    Offered(Box<Offered>),
}

/// The catalogue, and the plan of who asks.
pub struct Offered {
    catalog: Catalog,
    subscriptions: Subscriptions,
    /// Points a minute by person.
    known: Cache<Uuid, u32>,
}

impl Numbers {
    pub fn offered(catalog: Catalog, subscriptions: Subscriptions) -> Self {
        let known = Cache::builder().max_capacity(MAX_KNOWN).time_to_live(BELIEVED).build();
        Self::Offered(Box::new(Offered { catalog, subscriptions, known }))
    }

    fn requests(&self) -> Limit {
        match self {
            Self::Fixed(rates) => rates.requests,
            Self::Offered(offered) => {
                Limit::sliding(offered.catalog.rates().requests_per_minute_by_address, MINUTE)
            }
        }
    }

    /// Of a person by the plan of the personal account; of everybody else by the catalogue.
    async fn points(&self, viewer: Option<Viewer>) -> Limit {
        let amount = match (self, viewer) {
            (Self::Fixed(rates), _) => return rates.points,
            (Self::Offered(offered), None) => offered.catalog.rates().anonymous_points_per_minute,
            (Self::Offered(offered), Some(viewer)) => offered.points_of(viewer).await,
        };
        Limit::bucket(amount, MINUTE)
    }
}

impl Offered {
    async fn points_of(&self, viewer: Viewer) -> u32 {
        let look = async {
            let account = viewer.personal_account_id();
            let in_force = self.subscriptions.of_account(viewer.user_id, account).await?;
            Ok::<_, AppError>(self.catalog.points_per_minute(&in_force.plan))
        };
        // Who cannot be looked up now is given what everybody has.
        let known = self.known.try_get_with(viewer.user_id, look).await;
        known.unwrap_or_else(|_| self.catalog.rates().points_per_minute)
    }
}

/// Counts what callers use; clones share it.
#[derive(Clone)]
pub struct Allowances(Arc<Inner>);

struct Inner {
    limiter: RateLimiter,
    numbers: Numbers,
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
    points: u32,
    /// `None` when the operation was let through uncounted.
    reserved: Option<Reserved>,
    limit: Limit,
    /// What was given back, once that is known.
    back: OnceLock<u32>,
    /// When it was counted.
    at: chrono::DateTime<Utc>,
}

impl Allowances {
    pub fn new(limiter: RateLimiter, numbers: Numbers, clock: Clock) -> Self {
        Self(Arc::new(Inner { limiter, numbers, clock }))
    }

    /// Counts a request from this address; `None` when it is let through uncounted.
    pub async fn request(&self, address: IpAddr) -> Option<Outcome> {
        if self.0.limiter.spares(address) {
            return None;
        }
        let key = Key::new("requests", network_of(address));
        self.take(&key, &self.0.numbers.requests(), 1).await
    }

    /// Takes the points of an operation. Whatever it costs, it is one at least.
    ///
    /// # Errors
    /// `RATE_LIMITED`: nothing was taken, and nothing may be executed.
    pub async fn spend(&self, caller: &Caller, points: u64) -> Result<()> {
        let Inner { limiter, numbers, clock } = &*self.0;
        let points = u32::try_from(points).unwrap_or(u32::MAX).max(1);
        let address = caller.origin.address;
        let viewer = caller.credential.viewer();
        let limit = numbers.points(viewer).await;
        let reserved = match viewer {
            _ if limiter.spares(address) => None,
            Some(viewer) => self.reserve(&Key::new("points", viewer.user_id), &limit, points).await,
            None => self.reserve(&Key::new("points", network_of(address)), &limit, points).await,
        };
        let outcome = reserved.as_ref().map(|reserved| reserved.outcome);
        // An operation is counted once.
        let _ =
            caller.spending.0.set(Spent { points, reserved, limit, back: OnceLock::new(), at: clock.now() });
        match outcome {
            Some(Outcome::Refused { retry_after, .. }) => {
                let message = format!(
                    "Your operations cost more points than the {} that are given a minute. Please wait.",
                    limit.amount()
                );
                Err(AppError::rate_limited(message, retry_after))
            }
            Some(Outcome::Admitted(_)) | None => Ok(()),
        }
    }

    async fn reserve(&self, key: &Key, limit: &Limit, cost: u32) -> Option<Reserved> {
        counted(key, self.0.limiter.reserve(key, limit, cost).await)
    }

    async fn take(&self, key: &Key, limit: &Limit, cost: u32) -> Option<Outcome> {
        counted(key, self.0.limiter.take(key, limit, cost).await)
    }
}

/// What cannot be counted is let through, and that is counted.
fn counted<T>(key: &Key, answer: Result<T>) -> Option<T> {
    if answer.is_err() {
        names::RATE_BYPASSES.add([key.limit().into()], 1);
    }
    answer.ok()
}

impl Spent {
    /// Gives back what the operation was counted for and did not cost. It costs one point at least, and is settled once.
    pub fn settle(&self, actual: u64) {
        let actual = u32::try_from(actual).unwrap_or(u32::MAX).max(1);
        self.back.get_or_init(|| match &self.reserved {
            Some(reserved) => reserved.settle(actual),
            None => self.points.min(self.limit.amount()).saturating_sub(actual),
        });
    }

    /// What was decided, and what is left after it; `None` when the operation was let through uncounted.
    pub fn outcome(&self) -> Option<Outcome> {
        let outcome = self.reserved.as_ref()?.outcome;
        Some(outcome.with_back(self.back()))
    }

    fn standing(&self) -> Standing {
        let uncounted = || self.limit.unused(self.points).with_back(self.back());
        self.outcome().map_or_else(uncounted, |outcome| outcome.standing())
    }

    fn back(&self) -> u32 {
        self.back.get().copied().unwrap_or(0)
    }

    /// `extensions.cost.throttle` of the answer, in the shape that tools for other APIs know; points and points a second.
    pub fn throttle(&self) -> Value {
        let rate = f64::from(self.limit.amount()) / self.limit.window().as_secs_f64();
        value!({
            "maximum": self.limit.amount(),
            "available": self.standing().remaining,
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
        let standing = spent.standing();
        Self {
            limit: shown(spent.limit.amount()),
            cost: shown(spent.points),
            remaining: shown(standing.remaining),
            resets_at: (spent.at + standing.reset).into(),
        }
    }
}
