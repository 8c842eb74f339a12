//! How an answer says what is left of the limits: `RateLimit` and `RateLimit-Policy` of
//! draft-ietf-httpapi-ratelimit-headers-11. The draft has changed its syntax more than once, so this is the only place that
//! knows it. `Retry-After` is written with the refusal itself, from what its error says.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::platform::postgres::rate_limits::{Outcome, whole_seconds};

/// What is left, by policy.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What the policies are.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Writes both for what was counted: a request, and the points of its operation.
pub fn describe(headers: &mut HeaderMap, request: Option<Outcome>, points: Option<Outcome>) {
    let (mut limits, mut policies) = (String::new(), String::new());
    let counted = [("requests", "requests", request), ("points", "points", points)];
    for (name, unit, outcome) in counted {
        let Some(outcome) = outcome else { continue };
        let standing = outcome.standing();
        // With nothing left the time is that until something is there, as in `Retry-After`.
        let time = match outcome {
            Outcome::Refused { retry_after, .. } => whole_seconds(retry_after),
            // A window is a little longer inside than its policy says, so that permits in advance stay within it.
            Outcome::Admitted(_) => whole_seconds(standing.reset.min(standing.limit.window())),
        };
        let separator = if limits.is_empty() { "" } else { ", " };
        let (amount, window) = (standing.limit.amount(), standing.limit.window().as_secs());
        // Writing to a string does not fail.
        let _ = write!(limits, "{separator}\"{name}\";r={};t={time}", standing.remaining);
        let _ = write!(policies, "{separator}\"{name}\";q={amount};w={window};qu=\"{unit}\"");
    }
    if limits.is_empty() {
        return;
    }
    for (name, text) in [(RATE_LIMIT, limits), (RATE_LIMIT_POLICY, policies)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::postgres::rate_limits::{Limit, Standing};

    fn written(request: Option<Outcome>, points: Option<Outcome>) -> [String; 2] {
        let mut headers = HeaderMap::new();
        describe(&mut headers, request, points);
        [RATE_LIMIT, RATE_LIMIT_POLICY]
            .map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned())
    }

    #[test]
    fn both_fields_are_lists_of_the_policies_that_counted() {
        let minute = Duration::from_secs(60);
        let requests = Limit::sliding(100, minute);
        let reset = Duration::from_millis(59_001);
        let one = Outcome::Admitted(Standing { limit: requests, remaining: 99, reset });
        let points = Outcome::Refused {
            retry_after: Duration::from_millis(1200),
            standing: Standing { limit: Limit::bucket(10_000, minute), remaining: 0, reset },
        };
        assert_eq!(
            written(Some(one), None),
            [r#""requests";r=99;t=60"#, r#""requests";q=100;w=60;qu="requests""#]
        );
        assert_eq!(
            written(Some(one), Some(points)),
            [
                r#""requests";r=99;t=60, "points";r=0;t=2"#,
                r#""requests";q=100;w=60;qu="requests", "points";q=10000;w=60;qu="points""#
            ]
        );
        assert_eq!(written(None, None), ["", ""]);
        // The window is as long as the policy says, and a wait as long as it is.
        let (reset, remaining) = (Duration::from_millis(61_250), 0);
        let standing = Standing { limit: requests, remaining, reset };
        assert_eq!(written(Some(Outcome::Admitted(standing)), None)[0], r#""requests";r=0;t=60"#);
        let refused = Outcome::Refused { retry_after: reset, standing };
        assert_eq!(written(Some(refused), None)[0], r#""requests";r=0;t=62"#);
    }
}
