//! Who calls over HTTP, and what the headers of the request wish for.

use axum::http::HeaderMap;

use super::{credentials::Bearer, origin::Peer, prefer};
use crate::{
    domains::accounts::Accounts,
    error::{ErrorCode, Result},
    graphql::{Caller, Credential},
};

/// `1` asks for the cost of each field in the answer.
const COST_DEBUG: &str = "graphql-cost-debug";

/// The caller of a request. A credential that is no good is part of who calls, because what is public stays open to
/// its bearer.
///
/// # Errors
/// When it could not be found out, such as with the database away.
pub async fn identify(accounts: &Accounts, headers: &HeaderMap, peer: Peer) -> Result<Caller> {
    let credential = credential(accounts, headers).await?;
    let is_cost_itemized = headers.get(COST_DEBUG).is_some_and(|value| value == "1");
    let Peer { origin, request_id, spending, .. } = peer;
    let patience = prefer::patience(headers);
    Ok(Caller { credential, origin, request_id, is_cost_itemized, patience, spending })
}

/// What the credential of a request is worth.
///
/// # Errors
/// As [`identify`].
pub async fn credential(accounts: &Accounts, headers: &HeaderMap) -> Result<Credential> {
    let viewer = match Bearer::from_headers(headers) {
        Ok(Some(bearer)) => bearer.authenticate(accounts).await,
        Ok(None) => return Ok(Credential::Anonymous),
        Err(error) => Err(error),
    };
    match viewer {
        Ok(viewer) => Ok(Credential::Signed(viewer)),
        Err(error) if matches!(error.code(), ErrorCode::Unauthenticated | ErrorCode::TokenExpired) => {
            Ok(Credential::Refused(error))
        }
        Err(error) => Err(error),
    }
}
