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
                    .into_response(&request_id, super::answer::Format::of(&parts.headers)))
            }
        }
    }
}

/// True unless a page of another site asks: a browser sends `Origin` with every WebSocket and never forges it.
/// Callers without it are no browsers.
pub fn is_same_site(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_match = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    is_match && origins.next().is_none()
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
            is_same_site(&headers)
        };
        assert!(is_allowed(None));
        assert!(is_allowed(Some("https://API.example.com:3000")));
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
}
