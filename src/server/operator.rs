//! Who may read what is for operators. In development everybody; else who has the token, and nobody without one set.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The rule of this process.
#[derive(Clone)]
pub enum Operators {
    /// `--dev`.
    Everybody,
    /// Who sends this token.
    Holders(Arc<SecretString>),
    Nobody,
}

impl Operators {
    /// `token` is that of the configuration.
    pub fn new(is_dev: bool, token: Option<&SecretString>) -> Self {
        match token {
            _ if is_dev => Self::Everybody,
            Some(token) => Self::Holders(Arc::new(token.clone())),
            None => Self::Nobody,
        }
    }

    /// True when the request comes from an operator.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Everybody => true,
            Self::Holders(token) => {
                let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
                given.is_some_and(|given| is_equal(given, token.expose_secret()))
            }
            Self::Nobody => false,
        }
    }
}

/// The token of a header `Bearer <token>`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Digests are compared, so that not even the length of the token shows in the time it takes.
fn is_equal(given: &str, token: &str) -> bool {
    verify_slices_are_equal(&Sha256::digest(given), &Sha256::digest(token)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = SecretString::from("a-token-of-16-by");
        let admit = |operators: &Operators, value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            operators.admit(&headers)
        };
        let holders = Operators::new(false, Some(&token));
        assert!(admit(&holders, Some("Bearer a-token-of-16-by")));
        assert!(admit(&holders, Some("bearer a-token-of-16-by")));
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a-token-of-16-b",
            "Bearer a-token-of-16-byy",
            "Basic a-token-of-16-by",
        ];
        for value in wrong.map(Some).into_iter().chain([None]) {
            assert!(!admit(&holders, value), "{value:?}");
        }
        assert!(!admit(&Operators::new(false, None), Some("Bearer ")));
        assert!(admit(&Operators::new(true, Some(&token)), None));
    }
}
