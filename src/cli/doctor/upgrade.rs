//! The WebSocket as a client meets it: through the public address, with every proxy on the way. What goes wrong there
//! shows in the answer to the handshake.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{
    Response, StatusCode,
    header::{CONNECTION, HeaderMap, HeaderName, LOCATION, ORIGIN, UPGRADE},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};
use url::Url;

use super::Finding;
use crate::{config::Config, graphql::transport, platform::http_client};

const WHAT: &str = "WebSocket";
const PROTOCOL: &str = "graphql-transport-ws";
/// For all of it.
const LIMIT: Duration = Duration::from_secs(10);
const WS_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WS_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const WS_PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
const WS_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

/// Opens a socket at `url`, else at the public address, else at the local one, and waits for the acknowledgement.
pub(super) async fn check(config: &Config, url: Option<&Url>) -> Finding {
    let given = url.or(config.server.public_url.as_ref());
    let Some(base) = given.cloned().or_else(|| local(config)) else {
        return Finding::fail(WHAT, "there is no address to try", "give one with --url");
    };
    let finding = tokio::time::timeout(LIMIT, shake_hands(&base, given.is_some())).await;
    finding.unwrap_or_else(|_| {
        let reason = format!("{base} opens no socket within {} s", LIMIT.as_secs());
        Finding::fail(WHAT, reason, "look whether a proxy buffers or holds back what is sent over it")
    })
}

fn local(config: &Config) -> Option<Url> {
    let host = match config.server.host {
        host if host.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(host) => format!("[{host}]"),
        host => host.to_string(),
    };
    Url::parse(&format!("http://{host}:{}", config.server.port)).ok()
}

/// The address of the API below a base, which may be that of the API already.
fn endpoint(base: &Url) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    if !path.ends_with(transport::PATH) {
        url.set_path(&format!("{path}{}", transport::PATH));
    }
    url
}

async fn shake_hands(base: &Url, is_given: bool) -> Finding {
    let url = endpoint(base);
    let key = generate_key();
    let client = match http_client::for_upgrades() {
        Ok(client) => client,
        Err(error) => return Finding::fail(WHAT, error.to_string(), "install CA certificates"),
    };
    let request = client
        .get(url.clone())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(ORIGIN, base.origin().ascii_serialization())
        .header(WS_VERSION, "13")
        .header(WS_KEY, &key)
        .header(WS_PROTOCOL, PROTOCOL);
    match request.send().await {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            introduce(response, &key, &url).await
        }
        Ok(response) => refused(response, &url).await,
        Err(error) => unreachable(error, &url, is_given),
    }
}

/// Nothing answered.
fn unreachable(error: reqwest::Error, url: &Url, is_given: bool) -> Finding {
    let is_connect = error.is_connect();
    let words = format!("{:#}", anyhow::Error::from(error.without_url()));
    if words.contains("certificate") {
        let fix = "give the proxy a certificate for this name, with its whole chain";
        return Finding::fail(WHAT, format!("{url}: {words}"), fix);
    }
    if is_connect && !is_given {
        let reason = format!("no server answers at {url}, so no socket was tried");
        return Finding::warn(WHAT, reason, "start it, or name another address with --url");
    }
    Finding::fail(WHAT, format!("{url}: {words}"), "check the address, and that the server runs")
}

/// Something answered, and opened no socket.
async fn refused(mut response: Response, url: &Url) -> Finding {
    let status = response.status();
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The first piece is enough for the message of an error.
    let body = response.chunk().await.ok().flatten().unwrap_or_default();
    let message = message_of(&body).map(|message| format!(" ({message})")).unwrap_or_default();
    let reason = format!("{url} answers HTTP {} instead of 101{message}", status.as_u16());
    let fix = match status.as_u16() {
        300..=399 => format!("name the address it redirects to: {}", target.unwrap_or_default()),
        403 => "set server.public_url to the address that browsers use, or name their origin in server.allowed_origins".to_owned(),
        429 => "too many sockets are open from this address: close some, or raise limits.sockets_per_address".to_owned(),
        502..=504 => "the proxy answers, the server behind it does not: check that it runs and where the proxy sends to".to_owned(),
        _ => "a proxy on the way strips the headers Upgrade and Connection, or sends this path elsewhere: let it pass \
              them on over HTTP/1.1"
            .to_owned(),
    };
    Finding::fail(WHAT, reason, fix)
}

/// The message of the first GraphQL error, if that is what it is.
fn message_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let message = body.get("errors")?.get(0)?.get("message")?.as_str()?;
    Some(message.chars().take(200).collect())
}

/// Says hello on the open socket.
async fn introduce(response: Response, key: &str, url: &Url) -> Finding {
    let header = |headers: &HeaderMap, name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let broken = |reason: &str| {
        let fix = "look what stands between: it answers in the place of the server";
        Finding::fail(WHAT, format!("{url}: {reason}"), fix)
    };
    if header(response.headers(), &WS_ACCEPT).as_deref() != Some(&derive_accept_key(key.as_bytes())) {
        return broken("the answer to the handshake does not fit the question");
    }
    if header(response.headers(), &WS_PROTOCOL).as_deref() != Some(PROTOCOL) {
        return broken("the subprotocol graphql-transport-ws got lost");
    }
    let Ok(stream) = response.upgrade().await else { return broken("the socket breaks off at once") };
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    if socket.send(Message::text(r#"{"type":"connection_init"}"#)).await.is_err() {
        return broken("the socket breaks off before a word is said");
    }
    let finding = match wait_for_ack(&mut socket).await {
        Ok(()) => Finding::ok(WHAT, format!("{url} opens a socket and acknowledges it")),
        Err(reason) => broken(&reason),
    };
    // The server sees the end of the connection as well.
    let _ = socket.close(None).await;
    finding
}

async fn wait_for_ack<S>(socket: &mut WebSocketStream<S>) -> Result<(), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("\"connection_ack\"") => return Ok(()),
            Some(Ok(Message::Close(Some(frame)))) => {
                return Err(format!("the server closes with {} {}", frame.code, frame.reason));
            }
            Some(Ok(Message::Close(None))) | None => return Err("the socket ends without a word".to_owned()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_below_the_public_address() {
        for (base, expected) in [
            ("https://a.test", "https://a.test/graphql"),
            ("https://a.test/foo", "https://a.test/foo/graphql"),
            ("https://a.test/foo/", "https://a.test/foo/graphql"),
            ("https://a.test/foo/graphql", "https://a.test/foo/graphql"),
        ] {
            assert_eq!(endpoint(&Url::parse(base).unwrap()).as_str(), expected);
        }
    }
}
