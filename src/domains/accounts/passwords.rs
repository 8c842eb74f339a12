//! Passwords: argon2id on a bounded number of threads beside the async ones. One hash takes 19 MiB and tens of
//! milliseconds, so without the bound a flood of sign-ins would take the whole machine.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::error::{AppError, Result};

const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 128;
/// Callers that may wait for a thread; more are turned away at once.
const QUEUE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(2);

/// The hashing threads; clones share them.
#[derive(Clone)]
pub struct Passwords {
    threads: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Compared against when nobody has the address, so that the answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub fn try_new() -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Ok(Self {
            threads: Arc::new(Semaphore::new(threads)),
            queue: Arc::new(Semaphore::new(threads + QUEUE)),
            nobody: hash("a password that nobody has")?.into(),
        })
    }

    /// Refuses what is too short, too long or easy to guess; `about` are words an attacker would try first.
    pub fn require_strong(password: &SecretString, about: &[&str]) -> Result<()> {
        let password = password.expose_secret();
        let chars = password.chars().count();
        if !(MIN_CHARS..=MAX_CHARS).contains(&chars) {
            return Err(AppError::invalid("password", "A password has 8 to 128 characters."));
        }
        // Score 0 and 1 of 4: found within a million guesses, which covers the lists of common passwords.
        if u8::from(zxcvbn::zxcvbn(password, about).score()) < 2 {
            return Err(AppError::invalid(
                "password",
                "This password is too easy to guess. Try a few unusual words.",
            ));
        }
        Ok(())
    }

    /// Hash in PHC form, parameters and salt included.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        self.run(move || hash(password.expose_secret())).await
    }

    /// True when the password fits; takes as long when there is no hash to compare with.
    pub async fn verify(&self, password: SecretString, phc: Option<String>) -> Result<bool> {
        let nobody = self.nobody.clone();
        self.run(move || {
            let is_known = phc.is_some();
            let phc = phc.as_deref().unwrap_or(&nobody);
            let parsed =
                PasswordHash::new(phc).map_err(|error| AppError::internal(anyhow::anyhow!("{error}")))?;
            // Longer input is refused before hashing: no password that long was ever accepted.
            let fits = password.expose_secret().chars().count() <= MAX_CHARS
                && Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
            Ok(is_known && fits)
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let _place = self.queue.clone().try_acquire_owned().map_err(AppError::unavailable)?;
        let thread = tokio::time::timeout(PATIENCE, self.threads.clone().acquire_owned())
            .await
            .map_err(AppError::unavailable)?
            .map_err(AppError::internal)?;
        let joined = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work()
        });
        joined.await.map_err(AppError::internal)?
    }
}

/// The minimum of the OWASP password storage sheet: 19 MiB, two passes, one lane.
fn hash(password: &str) -> Result<String> {
    let failed = |error: String| AppError::internal(anyhow::anyhow!("argon2: {error}"));
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| failed(error.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused() {
        for weak in ["short", "password1", "12345678", "qwertyuiop", "ada@example.com"] {
            let refused = Passwords::require_strong(&weak.into(), &["ada@example.com"]);
            assert!(refused.is_err(), "{weak} was accepted");
        }
        let long = "x".repeat(129);
        assert!(Passwords::require_strong(&long.as_str().into(), &[]).is_err());
        assert!(Passwords::require_strong(&"violet-tractor-lantern".into(), &[]).is_ok());
    }

    #[tokio::test]
    async fn a_password_fits_only_its_own_hash() {
        let passwords = Passwords::try_new().unwrap();
        let phc = passwords.hash("violet-tractor-lantern".into()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify("violet-tractor-lantern".into(), Some(phc.clone())).await.unwrap());
        assert!(!passwords.verify("violet-tractor-lanterns".into(), Some(phc)).await.unwrap());
        assert!(!passwords.verify("violet-tractor-lantern".into(), None).await.unwrap());
    }
}
