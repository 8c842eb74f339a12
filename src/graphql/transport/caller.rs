//! Who calls over HTTP: the credential in the header of a request, looked up.

use axum::http::HeaderMap;

use super::{credentials::Bearer, origin::Peer};
use crate::{
    domains::accounts::Accounts,
    error::{AppError, ErrorCode, Result},
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
    let credential = match Bearer::from_headers(headers) {
        Ok(Some(bearer)) => judged(bearer.authenticate(accounts).await)?,
        Ok(None) => Credential::Anonymous,
        Err(error) => Credential::Refused(error),
    };
    let is_cost_itemized = headers.get(COST_DEBUG).is_some_and(|value| value == "1");
    Ok(Caller { credential, origin: peer.origin, request_id: peer.request_id, is_cost_itemized })
}

fn judged(result: Result<crate::domains::accounts::Viewer>) -> Result<Credential> {
    match result {
        Ok(viewer) => Ok(Credential::Signed(viewer)),
        Err(error) if is_about_credential(&error) => Ok(Credential::Refused(error)),
        Err(error) => Err(error),
    }
}

fn is_about_credential(error: &AppError) -> bool {
    matches!(error.code(), ErrorCode::Unauthenticated | ErrorCode::TokenExpired)
}
