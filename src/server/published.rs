//! What the server publishes of itself: its schema, for those who may see it, and the page of error codes, for everybody.
//! Both are made once; a client that has the newest gets 304.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Extension, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    error::reference,
    graphql::{
        RequestId,
        roots::sdl,
        transport::{Transport, negotiation::Acceptable},
    },
};

/// Path of the schema in its definition language.
const SCHEMA_PATH: &str = "/graphql/schema.graphql";

/// No media type is registered for schemas, and every client can read this one.
const SCHEMA_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PAGE_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Both change with the version of the server alone; a client asks whether it still has the newest.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

struct Published {
    transport: Arc<Transport>,
    schema: Document,
    errors: Document,
    errors_policy: HeaderValue,
}

/// A text with the tag of its content.
struct Document {
    content_type: HeaderValue,
    content: Bytes,
    tag: HeaderValue,
}

pub(super) fn router(transport: Arc<Transport>) -> Router {
    Router::new().route(SCHEMA_PATH, get(schema)).route(reference::PATH, get(errors)).with_state(Arc::new(
        Published {
            transport,
            schema: Document::new(SCHEMA_TYPE, sdl()),
            errors: Document::new(PAGE_TYPE, reference::html()),
            errors_policy: errors_policy(),
        },
    ))
}

async fn schema(
    State(published): State<Arc<Published>>,
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
    headers: HeaderMap,
) -> Response {
    match published.transport.require_schema_reader(&headers).await {
        Ok(()) => ([(VARY, "authorization")], published.schema.respond(&headers)).into_response(),
        Err(refusal) => refusal.into_response(&request_id, acceptable.for_refusal()),
    }
}

async fn errors(State(published): State<Arc<Published>>, headers: HeaderMap) -> Response {
    let policy = (CONTENT_SECURITY_POLICY, published.errors_policy.clone());
    ([policy], published.errors.respond(&headers)).into_response()
}

/// Lets the page have its own style, known by its hash, and nothing else.
fn errors_policy() -> HeaderValue {
    let hash = STANDARD.encode(Sha256::digest(reference::STYLE));
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-{hash}'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

impl Document {
    fn new(content_type: HeaderValue, content: String) -> Self {
        let hash: String = Sha256::digest(&content)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        // Weak, because one tag stands for every encoding.
        let tag =
            HeaderValue::try_from(format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { content_type, content: content.into(), tag }
    }

    fn respond(&self, headers: &HeaderMap) -> Response {
        let described = [(CACHE_CONTROL, REVALIDATE), (ETAG, self.tag.clone())];
        if self.is_known(headers) {
            return (StatusCode::NOT_MODIFIED, described).into_response();
        }
        (described, [(CONTENT_TYPE, self.content_type.clone())], self.content.clone()).into_response()
    }

    /// True when the client names the tag among those it has.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        known.map(<[u8]>::trim_ascii).any(|tag| tag == self.tag.as_bytes() || tag == b"*")
    }
}
