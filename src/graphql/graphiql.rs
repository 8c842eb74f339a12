//! The explorer at `/graphiql`: GraphiQL, built from `web/graphiql` and committed in `assets/graphiql`.
//!
//! Owns the files, how they are encoded and cached, and their own content security policy, which lets the
//! page reach this server and no other host. Files are stored brotli-compressed; a client that does not
//! accept that gets them unpacked, each at most once in the life of the process. The page holds no secret:
//! it may be served to anybody who may reach the API.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Serialize;

/// What the page is told about the server, as `/graphiql/config.json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    /// Account to try things with, offered as one click; only under `--dev`.
    pub demo: Option<DemoUser>,
}

/// Sign-in of the demo account. Its password is public by design: every visitor of the page may read it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoUser {
    /// Address to sign in with.
    pub email: String,
    /// Password to sign in with.
    pub password: String,
}

/// Routes of the explorer: `/graphiql`, its files, its licences and its settings.
pub fn router<S>(settings: Settings) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/graphiql", get(page))
        .route("/graphiql/", get(|| async { Redirect::permanent("/graphiql") }))
        .route("/graphiql/config.json", get(config))
        .route("/graphiql/LICENSES.txt", get(licences))
        .route("/graphiql/assets/{name}", get(asset))
        .layer(map_response(protect))
        .with_state(Arc::new(Site::new(settings)))
}

/// Names change with every build and do not tell; the browser asks whether it still has the newest.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// Names carry a hash of the content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Credentials are in it.
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// `'self'` in `connect-src` covers the WebSocket of the same host. Monaco writes style attributes, hence
/// the inline styles; scripts and workers come from files only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'none'; \
     frame-ancestors 'none'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     worker-src 'self'",
);

async fn page(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    site.respond("index.html", REVALIDATE, headers).await
}

async fn licences(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    site.respond("LICENSES.txt", REVALIDATE, headers).await
}

async fn asset(State(site): State<Arc<Site>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    site.respond(&format!("assets/{name}"), FOREVER, headers).await
}

async fn config(State(site): State<Arc<Site>>) -> Response {
    ([(CACHE_CONTROL, NEVER)], Json(&site.settings)).into_response()
}

async fn protect(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    response.headers_mut().extend(HEADERS);
    response
}

#[derive(RustEmbed)]
#[folder = "assets/graphiql/"]
struct Embedded;

/// Every file by its public name, found once when the router is built.
struct Site {
    settings: Settings,
    files: BTreeMap<String, Arc<File>>,
}

impl Site {
    fn new(settings: Settings) -> Self {
        let files = Embedded::iter()
            .filter_map(|path| Some((path.clone(), Embedded::get(&path)?)))
            .map(|(path, file)| File::new(&path, file))
            .collect();
        Self { settings, files }
    }

    async fn respond(&self, name: &str, cache: HeaderValue, headers: HeaderMap) -> Response {
        let Some(file) = self.files.get(name) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let described = [(CACHE_CONTROL, cache), (VARY, HeaderValue::from_static("accept-encoding"))];
        let tag = (ETAG, file.tag.clone());
        if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == file.tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, described, [tag]).into_response();
        }
        let kind = (CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        if file.is_packed && accepts_brotli(&headers) {
            let encoding = (CONTENT_ENCODING, HeaderValue::from_static("br"));
            return (described, [tag, kind, encoding], file.stored.clone()).into_response();
        }
        match plain(Arc::clone(file)).await {
            Some(content) => (described, [tag, kind], content).into_response(),
            None => {
                tracing::error!(file = name, "an embedded file cannot be unpacked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

struct File {
    /// As embedded.
    stored: Bytes,
    /// True when `stored` is brotli.
    is_packed: bool,
    /// Unpacked for the first client that asked; `None` inside when that failed.
    unpacked: OnceLock<Option<Bytes>>,
    /// Weak, because one tag stands for both encodings.
    tag: HeaderValue,
}

impl File {
    /// The public name of an embedded path, and the file.
    fn new(path: &str, file: EmbeddedFile) -> (String, Arc<Self>) {
        let packed_name = path.strip_suffix(".br");
        let hash: String =
            file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let file = Self {
            stored: Bytes::from_owner(file.data),
            is_packed: packed_name.is_some(),
            unpacked: OnceLock::new(),
            tag: HeaderValue::try_from(format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"\"")),
        };
        (packed_name.unwrap_or(path).to_owned(), Arc::new(file))
    }

    fn unpack(&self) -> Option<Bytes> {
        if !self.is_packed {
            return Some(self.stored.clone());
        }
        self.unpacked.get_or_init(|| decompress(&self.stored).ok().map(Bytes::from)).clone()
    }
}

/// The content without compression. The largest file takes tens of milliseconds, too long for a thread
/// that serves others.
async fn plain(file: Arc<File>) -> Option<Bytes> {
    tokio::task::spawn_blocking(move || file.unpack()).await.ok().flatten()
}

fn decompress(mut packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    brotli_decompressor::BrotliDecompress(&mut packed, &mut content)?;
    Ok(content)
}

/// True when a list of encodings names `br` without forbidding it by `q=0`.
fn accepts_brotli(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let quality = quality.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case("br") && quality.is_some_and(|quality| quality > 0.0)
        })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(
        settings: Settings,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(Method::GET).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router::<()>(settings).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }

    async fn get_path(path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        ask(Settings::default(), path, headers).await
    }

    fn assets() -> Vec<String> {
        Embedded::iter()
            .filter_map(|path| path.strip_suffix(".br").map(|name| format!("/graphiql/{name}")))
            .collect()
    }

    #[tokio::test]
    async fn the_page_is_revalidated_and_protected() {
        let (status, headers, body) = get_path("/graphiql", &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(std::str::from_utf8(&body).unwrap().contains("<title>Loquent"));

        let tag = headers[ETAG].to_str().unwrap();
        let (status, _, body) = get_path("/graphiql", &[(IF_NONE_MATCH, tag)]).await;
        assert_eq!(status, StatusCode::NOT_MODIFIED);
        assert!(body.is_empty());
    }

    #[tokio::test]
    async fn every_asset_the_page_names_exists_and_is_immutable() {
        let (_, _, page) = get_path("/graphiql", &[]).await;
        let page = String::from_utf8(page.to_vec()).unwrap();
        let named: Vec<_> = page.split('"').filter(|text| text.starts_with("/graphiql/assets/")).collect();
        assert!(named.len() >= 3, "{page}");
        for path in named {
            let (status, headers, _) = get_path(path, &[(ACCEPT_ENCODING, "gzip, br")]).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert!(headers[CACHE_CONTROL].to_str().unwrap().contains("immutable"), "{path}");
        }
    }

    #[tokio::test]
    async fn every_file_is_the_same_packed_and_unpacked() {
        let assets = assets();
        assert!(assets.len() > 10);
        for path in assets.iter().filter(|path| path.starts_with("/graphiql/assets/")) {
            let (_, headers, packed) = get_path(path, &[(ACCEPT_ENCODING, "br;q=0.5")]).await;
            assert_eq!(headers[CONTENT_ENCODING], "br", "{path}");
            assert_eq!(headers[VARY], "accept-encoding", "{path}");
            let (_, headers, plain) = get_path(path, &[(ACCEPT_ENCODING, "gzip, br;q=0")]).await;
            assert!(!headers.contains_key(CONTENT_ENCODING), "{path}");
            assert_ne!(headers[CONTENT_TYPE], "application/octet-stream", "{path}");
            assert_eq!(decompress(&packed).unwrap(), plain, "{path}");
        }
    }

    #[tokio::test]
    async fn unknown_names_are_not_found_and_protected() {
        for path in ["/graphiql/assets/none.js", "/graphiql/assets/..%2findex.html"] {
            let (status, headers, _) = get_path(path, &[]).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(headers.contains_key(CONTENT_SECURITY_POLICY), "{path}");
        }
    }

    #[tokio::test]
    async fn the_demo_user_is_told_only_when_there_is_one() {
        let (_, headers, body) = get_path("/graphiql/config.json", &[]).await;
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(body, r#"{"demo":null}"#);

        let demo = DemoUser { email: "demo@loquent.local".into(), password: "secret".into() };
        let (_, _, body) = ask(Settings { demo: Some(demo) }, "/graphiql/config.json", &[]).await;
        assert_eq!(body, r#"{"demo":{"email":"demo@loquent.local","password":"secret"}}"#);
    }

    #[tokio::test]
    async fn licences_of_the_bundled_packages_can_be_read() {
        let (_, headers, body) = get_path("/graphiql/LICENSES.txt", &[(ACCEPT_ENCODING, "br")]).await;
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert!(std::str::from_utf8(&body).unwrap().contains("\ngraphiql 5."));
    }
}
