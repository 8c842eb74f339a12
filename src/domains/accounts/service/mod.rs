//! Telling who calls; signing up, in and out; renewing.

mod attempts;
mod ends;
mod people;
mod sessions;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use moka::future::Cache;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{
    model::{AccountRow, Membership},
    passwords::Passwords,
    repo,
    tokens::{Claims, Tokens},
};
use crate::{
    domains::settings::Settings,
    error::{AppError, ErrorCode, Result},
    platform::{
        clock::Clock,
        postgres::{Db, listen::Hints, rate_limits::RateLimiter},
        tasks::Tasks,
    },
};

use attempts::Attempts;
pub use ends::Ended;
pub use people::{NewUser, find_account, find_owner, set_role};
pub use sessions::{NewSession, SignedIn};

/// A session that was checked is believed for so long. A sign-out elsewhere ends that within two seconds; this is what is
/// left of the trust when a process cannot learn of it.
const SESSION_MEMORY: Duration = Duration::from_secs(5);

/// The caller: who it is and by which session. Made only by [`Accounts::authenticate`] and by signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    pub user_id: Uuid,
    pub session_id: Uuid,
    /// When the credential ends; sockets opened with it close then.
    pub expires_at: DateTime<Utc>,
}

impl Viewer {
    /// A viewer who may see nothing.
    pub fn nobody() -> Self {
        Self { user_id: Uuid::nil(), session_id: Uuid::nil(), expires_at: DateTime::<Utc>::MIN_UTC }
    }

    /// The personal account has the id of its person.
    pub fn personal_account_id(&self) -> Uuid {
        self.user_id
    }
}

/// Where a sign-in comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// That of the client, as far as trusted proxies say it.
    pub address: IpAddr,
    pub user_agent: Option<String>,
}

/// What happens to an account in the transaction that creates it, such as the credits of its plan.
#[async_trait]
pub trait NewAccountEffect: Send + Sync {
    async fn account_created_in_tx(
        &self,
        conn: &mut AsyncPgConnection,
        account_id: Uuid,
        user_id: Uuid,
    ) -> Result<()>;
}

/// What accounts are made of.
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub tasks: Tasks,
    pub hints: Hints,
    pub settings: Settings,
    pub tokens: Tokens,
    pub passwords: Passwords,
    pub on_new_account: Arc<dyn NewAccountEffect>,
    pub limiter: RateLimiter,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Accounts {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    hints: Hints,
    settings: Settings,
    tokens: Tokens,
    passwords: Passwords,
    on_new_account: Arc<dyn NewAccountEffect>,
    attempts: Attempts,
    live_sessions: Cache<Uuid, Uuid>,
    ended_sessions: broadcast::Sender<Ended>,
}

impl Accounts {
    pub fn new(parts: Parts) -> Self {
        let Parts { db, clock, tasks, hints, settings, tokens, passwords, on_new_account, limiter } = parts;
        let live_sessions = Cache::builder().max_capacity(100_000).time_to_live(SESSION_MEMORY).build();
        let ended_sessions = broadcast::Sender::new(1024);
        Self {
            db,
            clock,
            tasks,
            hints,
            settings,
            tokens,
            passwords,
            on_new_account,
            attempts: Attempts::new(limiter),
            live_sessions,
            ended_sessions,
        }
    }

    /// Who an access token belongs to, if its session still lives.
    pub async fn authenticate(&self, access_token: &str) -> Result<Viewer> {
        let claims = self.tokens.verify(access_token)?;
        let user_id = match self.live_sessions.get(&claims.sid).await {
            Some(user_id) => user_id,
            // In a box: it is large, and rare.
            None => Box::pin(self.remember_live_session(claims.sid)).await?,
        };
        viewer(&claims, user_id)
    }

    /// As [`Self::authenticate`], past what is remembered: a look-up that began before a session ended may have brought it
    /// back to memory after.
    pub async fn authenticate_anew(&self, access_token: &str) -> Result<Viewer> {
        let claims = self.tokens.verify(access_token)?;
        let found = self.find_live_session(claims.sid).await;
        if found.is_err() {
            self.live_sessions.invalidate(&claims.sid).await;
        }
        viewer(&claims, found?)
    }

    /// Whose session it is, if it lives. Failures are not remembered, and concurrent first requests of a session ask once.
    async fn remember_live_session(&self, session_id: Uuid) -> Result<Uuid> {
        let look = self.find_live_session(session_id);
        let found = self.live_sessions.try_get_with(session_id, look).await;
        found.map_err(|error: Arc<AppError>| (*error).clone())
    }

    /// Whose session it is, if it lives in the database.
    async fn find_live_session(&self, session_id: Uuid) -> Result<Uuid> {
        let mut conn = self.db.conn().await?;
        let found = repo::find_session_unscoped(&mut conn, session_id).await?;
        let (session, status) = found.ok_or_else(session_ended)?;
        if session.revoked_at.is_some() || session.expires_at <= self.clock.now() || status != "active" {
            return Err(session_ended());
        }
        Ok(session.user_id)
    }

    /// Lets administrators pass, as the database has them at this moment.
    ///
    /// # Errors
    /// `FORBIDDEN` for everybody else.
    pub async fn require_admin(&self, viewer: Viewer) -> Result<()> {
        let is_admin = repo::is_admin(&mut *self.db.conn().await?, viewer.user_id).await?;
        let refusal = || AppError::new(ErrorCode::Forbidden, "This is for administrators.");
        is_admin.then_some(()).ok_or_else(refusal)
    }

    /// An account to which the viewer belongs, or any for an administrator.
    pub async fn find_seen_account(&self, viewer: Viewer, id: Uuid) -> Result<Option<AccountRow>> {
        Ok(repo::find_seen_account(&mut *self.db.conn().await?, viewer.user_id, id).await?)
    }

    /// Accounts of the viewer with the role there, personal ones first, at most 100.
    pub async fn accounts_of(&self, viewer: Viewer) -> Result<Vec<(AccountRow, Membership)>> {
        let mut conn = self.db.conn().await?;
        Ok(repo::list_accounts(&mut conn, viewer.user_id, None).await?)
    }
}

/// Who it is, if the token belongs to whose session this is.
fn viewer(claims: &Claims, user_id: Uuid) -> Result<Viewer> {
    if user_id != claims.sub {
        return Err(session_ended());
    }
    let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
    Ok(Viewer { user_id, session_id: claims.sid, expires_at })
}

fn session_ended() -> AppError {
    AppError::new(ErrorCode::Unauthenticated, "This session has ended. Please sign in again.")
}
