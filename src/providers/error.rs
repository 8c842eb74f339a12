//! What can go wrong with a provider, apart into what anybody may read and what only the log may hold.
//!
//! `Display` is the public message and never contains a word of the provider. Those words are the
//! [`source`](std::error::Error::source): at most [`MAX_DETAIL`] bytes, on one line, without the API key.

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret, SecretString};

/// Bound of the private detail in bytes.
pub const MAX_DETAIL: usize = 1024;

/// Longest wait that we believe a provider.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A failed call, or an answer that broke off.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .kind.message())]
pub struct ProviderError {
    kind: ProviderErrorKind,
    #[source]
    detail: Detail,
}

/// What the caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderErrorKind {
    /// The provider did not begin to answer in time.
    Timeout,
    /// It wants us to slow down, and for how long if it said so (at most an hour).
    RateLimited { retry_after: Option<Duration> },
    /// It will not do this, however often it is asked: bad request, unknown model, bad key, empty account.
    Refused,
    /// It is broken or out of reach.
    Fault,
    /// The answer began but did not end: connection lost, silence, garbage, or too much of it.
    CutOff,
}

impl ProviderError {
    /// `detail` is for the log. It is bounded and put on one line here; the caller has taken secrets out of it
    /// ([`redact`]).
    pub fn new(kind: ProviderErrorKind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: Detail::new(&detail.to_string()) }
    }

    pub fn kind(&self) -> ProviderErrorKind {
        self.kind
    }

    /// What a stranger may read: nothing of it comes from the provider.
    pub fn message(&self) -> &'static str {
        self.kind.message()
    }

    /// True when the same request may succeed on another attempt. The caller must still not repeat it once a part of the
    /// answer was passed on. An answer that was cut off is not for a silent repetition: the provider has accepted and
    /// probably billed it.
    pub fn is_retryable(&self) -> bool {
        use ProviderErrorKind::*;
        match self.kind {
            Timeout | RateLimited { .. } | Fault => true,
            Refused | CutOff => false,
        }
    }
}

impl ProviderErrorKind {
    /// What an HTTP status other than success says. `retry_after` is believed up to an hour.
    pub fn from_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            408 | 504 => Self::Timeout,
            429 => Self::RateLimited { retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)) },
            500.. => Self::Fault,
            _ => Self::Refused,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Timeout => "The model provider did not answer in time.",
            Self::RateLimited { .. } => "The model provider is busy. Please try again in a moment.",
            Self::Refused => "The model provider refused the request.",
            Self::Fault => "The model provider is not available at the moment.",
            Self::CutOff => "The answer of the model provider broke off.",
        }
    }
}

/// A provider that cannot be built from its settings. No variant shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "provider {key}: the base address must be http or https, without user, password, query and fragment"
    )]
    BaseUrl { key: String },
    #[error("provider {key}: the API key has characters that cannot be sent, such as a line break")]
    ApiKey { key: String },
    #[error("provider {key} is configured twice")]
    Duplicate { key: String },
    #[error("provider {key}: no HTTP client; are CA certificates installed (package ca-certificates)?")]
    Client { key: String, source: reqwest::Error },
}

/// `text` without `secret`. With `is_cut`, the text is the beginning of a longer one, so its end may hold the beginning
/// of the secret and is dropped as well.
pub(super) fn redact(text: &str, secret: Option<&SecretString>, is_cut: bool) -> String {
    let secret = secret.map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty());
    let Some(secret) = secret else { return text.to_owned() };
    let text = text.replace(secret, "[key]");
    let kept = if is_cut { text.len().saturating_sub(secret.len()) } else { text.len() };
    prefix(&text, kept).to_owned()
}

/// The longest beginning of `text` that has at most `max` bytes and whole characters.
fn prefix(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Words of the provider or of the network, for the log only.
#[derive(Debug, Clone)]
struct Detail(String);

impl Detail {
    /// Control characters become spaces: a provider must not be able to forge lines of our log.
    fn new(text: &str) -> Self {
        // A space is the shortest character, so the replacement never grows the text.
        Self(prefix(text, MAX_DETAIL).replace(char::is_control, " ").trim().to_owned())
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Detail {}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_public_message_holds_nothing_of_the_provider() {
        let error = ProviderError::new(ProviderErrorKind::Refused, "model gpt-9 is not yours");
        assert_eq!(error.to_string(), "The model provider refused the request.");
        assert_eq!(error.source().unwrap().to_string(), "model gpt-9 is not yours");
    }

    #[test]
    fn a_detail_is_short_and_on_one_line() {
        let error =
            ProviderError::new(ProviderErrorKind::Fault, format!("a\r\nb\u{1b}[31m{}", "é".repeat(2000)));
        let detail = error.source().unwrap().to_string();
        assert!(detail.starts_with("a  b [31mé") && detail.len() <= MAX_DETAIL);
    }

    #[test]
    fn each_status_has_its_kind() {
        use ProviderErrorKind::*;
        let wait = Some(Duration::from_secs(7));
        let table = [
            (301, Refused),
            (400, Refused),
            (401, Refused),
            (404, Refused),
            (408, Timeout),
            (429, RateLimited { retry_after: wait }),
            (500, Fault),
            (503, Fault),
            (504, Timeout),
            (529, Fault),
        ];
        for (status, kind) in table {
            assert_eq!(ProviderErrorKind::from_status(status, wait), kind, "{status}");
        }
        let forever = ProviderErrorKind::from_status(429, Some(Duration::MAX));
        assert_eq!(forever, RateLimited { retry_after: Some(MAX_RETRY_AFTER) });
    }

    proptest! {
        /// Wherever a body is cut, not even the beginning of the key shows.
        #[test]
        fn no_cut_of_a_body_gives_the_key_away(repeats in 0_usize..40, cut in 0_usize..2000, filler in "[ -~é]{0,20}") {
            let key = "Q0Z1X2W3V4";
            let body = format!("{filler}{key}").repeat(repeats);
            let read = prefix(&body, cut);
            let shown = redact(read, Some(&SecretString::from(key)), read.len() < body.len());
            prop_assert!(!shown.contains("Q0Z"), "{shown}");
        }
    }
}
