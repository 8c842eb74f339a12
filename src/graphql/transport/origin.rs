//! Where a request comes from, as far as it can be trusted.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use super::answer::Refusal;
use crate::{domains::accounts::Origin, error::AppError, graphql::RequestId};

/// What the transports know of a request besides its body.
pub struct Peer {
    /// Address of the socket; headers of proxies are not read, because anybody can write them.
    pub address: IpAddr,
    pub origin: Origin,
    pub request_id: RequestId,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = axum::response::Response;

    /// Fails only when the server around the route forgot to say who is connected, or the id of the request.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let request_id = parts.extensions.get::<RequestId>().cloned();
        match (address, request_id) {
            (Some(address), Some(request_id)) => {
                let user_agent = parts.headers.get(header::USER_AGENT);
                let user_agent =
                    user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
                let origin = Origin { ip_address: address.to_string(), user_agent };
                Ok(Self { address, origin, request_id })
            }
            (_, request_id) => {
                let error = AppError::internal(anyhow::anyhow!("a layer around the API is missing"));
                error.log();
                let request_id = request_id.unwrap_or_else(|| RequestId("unknown".into()));
                Err(Refusal::from(error)
                    .into_response(&request_id, super::negotiation::Format::of_refusal(&parts.headers)))
            }
        }
    }
}

/// True unless a page of another site asks: a browser sends `Origin` with every WebSocket and never forges it. Callers
/// without it are no browsers. `public` is the name by which browsers know this server when a proxy changes `Host`.
pub fn is_same_site(headers: &HeaderMap, public: Option<&str>) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_match = authority.is_some_and(|authority| {
        [host, public].into_iter().flatten().any(|name| authority.eq_ignore_ascii_case(name))
    });
    is_match && origins.next().is_none()
}

/// True when `Host` is a name of this machine alone, or missing.
pub fn is_loopback_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let name = name.to_ascii_lowercase();
    is_address || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_same_host_and_callers_without_origin_pass() {
        let is_allowed = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "api.example.com:3000".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_same_site(&headers, Some("chat.example.com"))
        };
        assert!(is_allowed(None));
        assert!(is_allowed(Some("https://API.example.com:3000")));
        assert!(is_allowed(Some("https://chat.example.com")));
        for origin in [
            "null",
            "",
            "https://api.example.com",
            "https://evil.example",
            "https://api.example.com:3000.evil.example",
            "https://api.example.com:3000/",
            "file://api.example.com:3000",
        ] {
            assert!(!is_allowed(Some(origin)), "{origin}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback_names() {
        let is_loopback = |host: &'static str| {
            is_loopback_name(&[(header::HOST, host.parse().unwrap())].into_iter().collect())
        };
        for host in
            ["localhost:3000", "127.0.0.1:3000", "127.0.0.1", "[::1]:3000", "app.localhost:80", "LOCALHOST"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example:3000", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(is_loopback_name(&HeaderMap::new()));
    }
}
