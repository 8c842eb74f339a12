//! `/metrics`: what the process counts, for Prometheus; and the count of responses.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
    routing::get,
};

use super::operator::Operators;
use crate::platform::metrics::{self, names};

/// Sets what is measured only when somebody looks.
pub type Sample = Arc<dyn Fn() + Send + Sync>;

pub(super) fn router(operators: Operators, sample: Sample) -> Router {
    Router::new().route("/metrics", get(answer)).with_state((operators, sample))
}

async fn answer(State((operators, sample)): State<(Operators, Sample)>, headers: HeaderMap) -> Response {
    if operators.admit(&headers) {
        sample();
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        return ([(CONTENT_TYPE, kind)], metrics::render()).into_response();
    }
    match operators {
        Operators::Holders(_) => {
            let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (StatusCode::UNAUTHORIZED, challenge).into_response()
        }
        // Nobody is told what there would be.
        Operators::Everybody | Operators::Nobody => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Counts a response by its route, never by what a client wrote as a path.
pub(super) fn count(route: Option<&MatchedPath>, status: StatusCode) {
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    names::HTTP_RESPONSES.add([route.into(), status.as_str().to_owned().into()], 1);
}
