//! How long a credential holds on a connection that stays: until it expires, or its session ends. The same for sockets
//! and for streams of events.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, Sleep, sleep},
};

use super::{Transport, credentials::Bearer};
use crate::{
    domains::accounts::{Ended, Viewer},
    error::{AppError, ErrorCode, Result},
    platform::clock::Clock,
};

/// Beyond any credential: no timer of ours waits that long.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

/// A credential that is watched.
pub struct Liveness {
    pub viewer: Viewer,
    bearer: Bearer,
    transport: Arc<Transport>,
    expiry: Pin<Box<Sleep>>,
    ended_sessions: Receiver<Ended>,
}

impl Liveness {
    /// Finds out whose the credential is, and misses no end of its session from then on.
    pub async fn begin(transport: &Arc<Transport>, bearer: Bearer) -> Result<Self> {
        let ended_sessions = transport.api.accounts.ended_sessions();
        let viewer = bearer.authenticate(&transport.api.accounts).await?;
        let expiry = Box::pin(sleep(time_left(&viewer, &transport.clock)));
        Ok(Self { viewer, bearer, transport: Arc::clone(transport), expiry, ended_sessions })
    }

    /// Fails once the credential has expired.
    pub fn require_valid(&self) -> Result<()> {
        if self.viewer.expires_at <= self.transport.clock.now() {
            return Err(AppError::new(ErrorCode::TokenExpired, "The access token has expired."));
        }
        Ok(())
    }

    /// Asks whether the session still lives; an end that was said on another process is noticed here.
    pub async fn require_session(&self) -> Result<()> {
        unless_ended(self.bearer.authenticate(&self.transport.api.accounts).await)
    }

    /// Asks the database itself, after word that it may have ended.
    async fn require_session_anew(&self) -> Result<()> {
        unless_ended(self.bearer.authenticate_anew(&self.transport.api.accounts).await)
    }

    /// Completes when the credential is no good any more, and says why. Can be dropped and called again.
    pub async fn lapsed(&mut self) -> AppError {
        loop {
            let step = tokio::select! {
                () = &mut self.expiry => {
                    // The clock of tests runs differently from that of timers.
                    self.expiry.as_mut().reset(Instant::now() + time_left(&self.viewer, &self.transport.clock));
                    self.require_valid()
                }
                ended = self.ended_sessions.recv() => self.hear(ended).await,
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    /// A session somewhere has ended; is it this one? Who missed some asks.
    async fn hear(&self, ended: std::result::Result<Ended, RecvError>) -> Result<()> {
        match ended {
            Ok(Ended::Session(id)) if id == self.viewer.session_id => {
                Err(AppError::new(ErrorCode::Unauthenticated, "This session has ended."))
            }
            Ok(Ended::SomeOf(user_id)) if user_id == self.viewer.user_id => {
                Box::pin(self.require_session_anew()).await
            }
            Ok(Ended::Session(_) | Ended::SomeOf(_)) => Ok(()),
            Ok(Ended::Perhaps) | Err(RecvError::Lagged(_)) => Box::pin(self.require_session_anew()).await,
            Ok(Ended::OutOfSight) => Err(AppError::unavailable(anyhow::anyhow!("no news of sessions"))),
            Err(RecvError::Closed) => Err(AppError::unavailable(anyhow::anyhow!("shutting down"))),
        }
    }
}

/// Nobody is sent away because the database is, for a moment.
fn unless_ended(found: Result<Viewer>) -> Result<()> {
    match found {
        Err(error) if error.code() != ErrorCode::ServiceUnavailable => Err(error),
        _ => Ok(()),
    }
}

/// Until the credential ends, or far.
fn time_left(viewer: &Viewer, clock: &Clock) -> Duration {
    (viewer.expires_at - clock.now()).to_std().unwrap_or(Duration::ZERO).min(FAR)
}
