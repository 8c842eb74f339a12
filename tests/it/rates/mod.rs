//! Rate limits: that they are exact on any number of processes and cost next to nothing, and what callers are told.

mod attempts;
mod costs;
mod functions;
mod points;
mod refunds;
mod requests;
pub mod window;

use std::time::Duration;

use loquent::{
    graphql::rates::Rates,
    platform::{
        postgres::{
            Db,
            pool::PoolSettings,
            rate_limits::{Key, Limit, Outcome, RateLimiter},
        },
        tasks::Tasks,
    },
};

/// Everything is counted, and nothing that a test does is too much.
pub fn plenty() -> Rates {
    let minute = Duration::from_secs(60);
    Rates { requests: Limit::sliding(100_000, minute), points: Limit::bucket(10_000_000, minute) }
}

/// As a process of its own would have it, with nobody spared.
pub fn limiter(url: &str) -> RateLimiter {
    let settings = PoolSettings { name: "requests", size: 4, wait: Duration::from_secs(5) };
    RateLimiter::new(Db::try_new(url, settings).unwrap(), Tasks::default(), false)
}

/// Asks for one permit.
pub async fn ask(limiter: &RateLimiter, limit: &Limit) -> Outcome {
    limiter.take(&Key::new("test", "somebody"), limit, 1).await.unwrap()
}
