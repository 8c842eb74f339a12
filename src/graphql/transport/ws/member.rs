//! Who introduced themselves on a socket, and what ends their right to stay.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Transport, credentials::Bearer, liveness::Liveness},
    admission::Seat,
    ending::{End, Step},
    frames::CloseCode,
};
use crate::{
    error::{AppError, ErrorCode},
    graphql::Credential,
};

/// A client that has introduced itself.
pub enum Member {
    Anonymous,
    Signed { liveness: Box<Liveness>, seat: Seat },
}

impl Member {
    /// Finds out who the client is. A credential in the payload comes before that of the handshake.
    pub async fn introduce(
        transport: &Arc<Transport>,
        payload: Option<&Value>,
        of_handshake: Option<Bearer>,
    ) -> Result<Self, CloseCode> {
        let of_payload = Bearer::from_payload(payload).map_err(|error| close_code(&error))?;
        let Some(bearer) = of_payload.or(of_handshake) else { return Ok(Self::Anonymous) };
        let liveness = Liveness::begin(transport, bearer).await.map_err(|error| close_code(&error))?;
        let seat = transport.sockets.of_user(liveness.viewer.user_id).ok_or(CloseCode::TooManySockets)?;
        Ok(Self::Signed { liveness: Box::new(liveness), seat })
    }

    /// Notes a sign of life.
    pub fn note(&self, now: Instant) {
        if let Self::Signed { seat, .. } = self {
            seat.note(now);
        }
    }

    /// As whom an operation runs, while the credential holds.
    pub fn credential(&self) -> Result<Credential, End> {
        match self {
            Self::Anonymous => Ok(Credential::Anonymous),
            Self::Signed { liveness, .. } => match liveness.require_valid() {
                Ok(()) => Ok(Credential::Signed(liveness.viewer)),
                Err(error) => Err(lapse(&error)),
            },
        }
    }

    /// Asks whether the session still lives.
    pub async fn require_session(&self) -> Step {
        match self {
            Self::Anonymous => Ok(()),
            Self::Signed { liveness, .. } => liveness.require_session().await.map_err(|error| lapse(&error)),
        }
    }
}

/// Completes when a socket may stay no longer: the credential is no good any more, another socket has the seat, or the
/// process stops. Can be dropped and called again.
pub async fn over(closing: &CancellationToken, member: Option<&mut Member>) -> End {
    let lapsed = async {
        match member {
            Some(Member::Signed { liveness, seat }) => tokio::select! {
                biased;
                error = liveness.lapsed() => lapse(&error),
                () = seat.lost() => End::Gone,
            },
            Some(Member::Anonymous) | None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        end = lapsed => end,
        () = closing.cancelled() => End::Close(CloseCode::Restart),
    }
}

/// A credential that was good: the client shall come back with a new one.
fn lapse(error: &AppError) -> End {
    End::Close(match error.code() {
        ErrorCode::Unauthenticated => CloseCode::Forbidden,
        _ => close_code(error),
    })
}

fn close_code(error: &AppError) -> CloseCode {
    match error.code() {
        ErrorCode::Unauthenticated => CloseCode::Unauthorized,
        ErrorCode::TokenExpired => CloseCode::Forbidden,
        ErrorCode::ServiceUnavailable => CloseCode::TryLater,
        _ => CloseCode::Internal,
    }
}
