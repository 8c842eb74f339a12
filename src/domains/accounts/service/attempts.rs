//! How often somebody may try to be somebody. Counted where a field is executed, whatever the document around it looks
//! like; that one document tries no more than once is the document guard's. Nothing here depends on whether an address is known, so neither does the answer.
//!
//! With the database away nobody gets in, limit or not: `SERVICE_UNAVAILABLE`.

use std::{net::IpAddr, time::Duration};

use sha2::{Digest, Sha256};

use super::Origin;
use crate::{
    error::{AppError, Result},
    platform::{
        places::neighbourhood_of,
        postgres::rate_limits::{Key, Limit, Outcome, RateLimiter},
    },
};

const MINUTE: u64 = 60;

/// Attempts of a network, right or wrong. An office behind one address signs in within it; who tries stolen passwords
/// against many addresses gets 8,640 tries a day.
const OF_NETWORK: Limit = Limit::sliding(30, Duration::from_secs(5 * MINUTE)).one_by_one();

/// Attempts of all together: fifty passwords a second are what a few cores check. It is far beyond what people do, because
/// who exhausts it keeps everybody out.
const OF_ALL: Limit = Limit::sliding(3_000, Duration::from_secs(MINUTE));

/// Wrong passwords for one address from one network: more than anybody mistypes, and 960 a day.
const OF_PAIR: Limit = Limit::bucket(10, Duration::from_secs(15 * MINUTE)).one_by_one();

/// Wrong passwords for one address from everywhere: what many networks together may try. It must be looser, because it
/// keeps the owner out as well; a new attempt comes every 36 seconds, so never for long.
const OF_ADDRESS: Limit = Limit::bucket(100, Duration::from_secs(60 * MINUTE)).one_by_one();

/// New people of a network: a class joins within an hour, and a machine makes 720 a day.
const JOINING: Limit = Limit::sliding(30, Duration::from_secs(60 * MINUTE)).one_by_one();

/// Renewals of a network. A client renews a few times an hour, and a refresh token cannot be guessed: the limit is for
/// the statements of a flood.
const RENEWING: Limit = Limit::sliding(300, Duration::from_secs(5 * MINUTE));

/// Counts attempts; clones share it.
#[derive(Clone)]
pub struct Attempts {
    limiter: RateLimiter,
}

/// An attempt that may be made. It counts as wrong until it is said to be right.
pub struct Attempt<'a> {
    limiter: &'a RateLimiter,
    counted: Vec<(Key, Limit)>,
}

impl Attempts {
    pub fn new(limiter: RateLimiter) -> Self {
        Self { limiter }
    }

    /// Counts a password for this e-mail address, which may be anything.
    ///
    /// # Errors
    /// `RATE_LIMITED` and `SERVICE_UNAVAILABLE`: the password may not be looked at.
    pub async fn sign_in(&self, origin: &Origin, email: &str) -> Result<Attempt<'_>> {
        let mut attempt = Attempt { limiter: &self.limiter, counted: Vec::new() };
        let Some(network) = self.network(origin) else { return Ok(attempt) };
        // The narrowest first: what one network does beyond its own limit does not count for the others.
        self.take(&Key::new("sign_in_network", network), &OF_NETWORK).await?;
        let email = hash(email);
        let pair = Key::new("sign_in_pair", format!("{email}:{network}"));
        for (key, limit) in [(pair, OF_PAIR), (Key::new("sign_in_address", &email), OF_ADDRESS)] {
            if let Err(error) = self.take(&key, &limit).await {
                return Err(attempt.refused(error).await);
            }
            attempt.counted.push((key, limit));
        }
        match self.take(&Key::new("sign_in", "all"), &OF_ALL).await {
            Ok(()) => Ok(attempt),
            Err(error) => Err(attempt.refused(error).await),
        }
    }

    /// Counts somebody who wants to join.
    ///
    /// # Errors
    /// `RATE_LIMITED` and `SERVICE_UNAVAILABLE`.
    pub async fn sign_up(&self, origin: &Origin) -> Result<()> {
        let Some(network) = self.network(origin) else { return Ok(()) };
        self.take(&Key::new("sign_up_network", network), &JOINING).await
    }

    /// Counts a refresh token.
    ///
    /// # Errors
    /// `RATE_LIMITED` and `SERVICE_UNAVAILABLE`.
    pub async fn refresh(&self, origin: &Origin) -> Result<()> {
        let Some(network) = self.network(origin) else { return Ok(()) };
        self.take(&Key::new("refresh_network", network), &RENEWING).await
    }

    /// `None` for who is not counted.
    fn network(&self, origin: &Origin) -> Option<IpAddr> {
        (!self.limiter.spares(origin.address)).then(|| neighbourhood_of(origin.address))
    }

    async fn take(&self, key: &Key, limit: &Limit) -> Result<()> {
        match self.limiter.take(key, limit, 1).await {
            Ok(Outcome::Admitted(_)) => Ok(()),
            Ok(Outcome::Refused { retry_after, .. }) => Err(AppError::rate_limited(
                "Too many attempts. Please wait before the next one.",
                retry_after,
            )),
            Err(error) => Err(AppError::unavailable(error)),
        }
    }
}

impl Attempt<'_> {
    /// It does not count among the wrong ones.
    pub async fn was_right(self) {
        for (key, limit) in &self.counted {
            self.limiter.give_back(key, limit, 1).await;
        }
    }

    /// It was not made.
    async fn refused(self, error: AppError) -> AppError {
        self.was_right().await;
        error
    }
}

/// Addresses are compared without regard to case, and are not written down here.
fn hash(email: &str) -> String {
    let digest = Sha256::digest(email.trim().to_lowercase());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
