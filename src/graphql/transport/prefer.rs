//! `Prefer: wait=<seconds>` (RFC 7240): a caller without a socket would rather wait for an answer than ask for it again
//! and again. A preference that cannot be read, or asks for nothing, is ignored, as the RFC wants.

use std::time::Duration;

use async_graphql::Response;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::graphql::Patience;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longest wait; who asks for more gets this. Proxies cut requests that take much longer.
const LONGEST: u64 = 60;

/// The patience that begins with this request.
pub fn patience(headers: &HeaderMap) -> Option<Patience> {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| line.split(','));
    // Of a preference that is named twice, the first counts.
    let wait = preferences.map(name_and_value).find(|(name, _)| name.eq_ignore_ascii_case("wait"));
    let seconds = wait.and_then(|(_, value)| seconds(value))?;
    Some(Patience::new(Duration::from_secs(seconds.min(LONGEST))))
}

/// A preference without its parameters.
fn name_and_value(preference: &str) -> (&str, &str) {
    let preference = preference.split(';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    (name.trim(), value.trim())
}

fn seconds(value: &str) -> Option<u64> {
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_number = unquoted.bytes().all(|byte| byte.is_ascii_digit());
    unquoted.parse().ok().filter(|seconds| is_number && *seconds > 0)
}

/// Says in the answer that the caller's wish was granted.
pub fn acknowledge(response: &mut Response, patience: &Patience) {
    let value = format!("wait={}", patience.limit.as_secs());
    if let (true, Ok(value)) = (patience.is_used(), HeaderValue::from_str(&value)) {
        response.http_headers.insert(PREFERENCE_APPLIED, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(lines: &[&'static str]) -> Option<u64> {
        let lines = lines.iter().map(|line| (PREFER, HeaderValue::from_static(line)));
        let headers: HeaderMap = lines.collect();
        patience(&headers).map(|patience| patience.limit.as_secs())
    }

    #[tokio::test]
    async fn a_wait_is_read_wherever_it_stands() {
        for line in [
            "wait=10",
            "WAIT = 10",
            "wait=\"10\"",
            "respond-async, wait=10",
            "return=minimal; x=\"y\" , wait=10;strict",
            "wait=10, wait=20",
        ] {
            assert_eq!(wait(&[line]), Some(10), "{line}");
        }
        assert_eq!(wait(&["respond-async", "wait=10", "wait=20"]), Some(10));
        assert_eq!(wait(&["wait=61"]), Some(60));
    }

    #[tokio::test]
    async fn what_is_no_wait_is_ignored() {
        for line in [
            "",
            "wait",
            "wait=",
            "wait=0",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=ten",
            "wait=\"10",
            "wait=99999999999999999999999",
            "await=10",
            "x=\"a, wait=10\"",
            "wait=0, wait=10",
        ] {
            assert_eq!(wait(&[line]), None, "{line}");
        }
        assert_eq!(wait(&[]), None);
    }
}
