//! Where a request comes from, as far as it can be trusted.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header, request::Parts},
};

use super::{Transport, answer::Refusal, negotiation::Acceptable};
use crate::{
    domains::accounts::Origin,
    error::AppError,
    graphql::{RequestId, rates::Spending},
};

/// What the transports know of a request besides its body.
pub struct Peer {
    /// Address of the client, as far as trusted proxies say it; else of the other end of the connection.
    pub address: IpAddr,
    pub origin: Origin,
    pub request_id: RequestId,
    /// What the answer may be written in.
    pub acceptable: Acceptable,
    /// What its operation will have cost.
    pub spending: Spending,
}

impl FromRequestParts<Arc<Transport>> for Peer {
    type Rejection = axum::response::Response;

    /// Fails only when the server around the route forgot to say who is connected, or the id of the request.
    async fn from_request_parts(
        parts: &mut Parts,
        transport: &Arc<Transport>,
    ) -> Result<Self, Self::Rejection> {
        let proxies = &transport.settings.proxies;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|info| {
            let peer = info.0.ip();
            if proxies.is_first_stranger(peer, &parts.headers) {
                tracing::warn!(
                    %peer,
                    "X-Forwarded-For came from an address that is not in server.trusted_proxies, so it is not believed; \
                     if a proxy is there, all its clients count as one address"
                );
            }
            proxies.client(peer, &parts.headers)
        });
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let acceptable = parts.extensions.get::<Acceptable>().copied();
        match (address, request_id, acceptable) {
            (Some(address), Some(request_id), Some(acceptable)) => {
                let user_agent = parts.headers.get(header::USER_AGENT);
                let user_agent =
                    user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
                let origin = Origin { address, user_agent };
                Ok(Self { address, origin, request_id, acceptable, spending: Spending::default() })
            }
            (_, request_id, _) => {
                let error = AppError::internal(anyhow::anyhow!("a layer around the API is missing"));
                error.log();
                let request_id = request_id.unwrap_or_else(|| RequestId("unknown".into()));
                let format = Acceptable::of(&parts.headers).for_refusal();
                Err(Refusal::from(error).into_response(&request_id, format))
            }
        }
    }
}
