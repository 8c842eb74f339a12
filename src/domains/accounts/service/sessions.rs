//! Sessions: beginning, renewing and ending them.

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use uuid::Uuid;

use super::{Accounts, Origin, Viewer};
use crate::{
    domains::accounts::{
        model::{NewRefreshToken, SessionRow},
        repo,
        tokens::RefreshToken,
    },
    error::{AppError, ErrorCode, Result},
    platform::{
        ids::new_uuid,
        postgres::revocations::{self, Subject},
    },
};

/// Tokens as they are handed out, once.
pub struct NewSession {
    pub access_token: String,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_token: String,
    pub refresh_expires_at: DateTime<Utc>,
}

/// Somebody who is signed in now, with the tokens to stay so.
pub struct SignedIn {
    pub viewer: Viewer,
    pub session: NewSession,
}

impl Accounts {
    /// Begins a session of a person who has proved to be one.
    pub(super) async fn create_session(&self, user_id: Uuid, origin: Origin) -> Result<SignedIn> {
        let (session, token) = self.draw_session(user_id, origin);
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            repo::insert_session(
                conn,
                &session,
                &new_refresh_token(&session, &token, 0, self.refresh_end(&session)),
            )
            .await
        })
        .await?;
        self.hand_out(&session, &token, self.refresh_end(&session))
    }

    /// Trades a refresh token for new tokens. Within the grace a repeat gets the same child; any later use of a spent token
    /// ends the whole session, because one of its two holders is a thief.
    pub async fn refresh_session(&self, token: String, origin: &Origin) -> Result<SignedIn> {
        self.tasks.require_running()?;
        self.attempts.refresh(origin).await?;
        let this = self.clone();
        self.tasks.run(async move { this.rotate(RefreshToken::from_client(token)).await }).await
    }

    async fn rotate(&self, token: RefreshToken) -> Result<SignedIn> {
        let child = RefreshToken::random();
        let mut conn = self.db.conn().await?;
        let verdict = conn
            .transaction(async |conn| {
                let hash = token.hash();
                let Some(session) = repo::lock_session_of_token_unscoped(conn, &hash).await? else {
                    return Ok(Verdict::Dead);
                };
                let now = repo::current_time(conn).await?;
                let (row, is_successor_used) = repo::find_refresh_token_unscoped(conn, &hash).await?;
                if session.revoked_at.is_some() || session.expires_at <= now {
                    return Ok(Verdict::Dead);
                }
                let grace = TimeDelta::from_std(self.tokens.settings.grace).unwrap_or_default();
                match (row.used_at, &row.successor_sealed) {
                    (None, _) if row.expires_at <= now => Ok(Verdict::Dead),
                    (None, _) => {
                        let ends = self.refresh_end(&session);
                        let next = new_refresh_token(&session, &child, row.generation + 1, ends);
                        repo::rotate_refresh_token_unscoped(conn, &hash, &token.seal(&child)?, &next).await?;
                        Ok(Verdict::Renewed(session, child.clone(), ends))
                    }
                    (Some(used), Some(sealed)) if now < used + grace && !is_successor_used => {
                        let child = token.open(sealed).ok_or_else(|| {
                            AppError::internal(anyhow::anyhow!("a sealed refresh token does not open"))
                        })?;
                        let ends = self.refresh_end(&session);
                        Ok(Verdict::Renewed(session, child, ends))
                    }
                    (Some(_), _) => {
                        repo::revoke_sessions(conn, session.user_id, Some(session.id), "reuse").await?;
                        revocations::insert_in_tx(conn, Subject::Session(session.id)).await?;
                        Ok::<_, AppError>(Verdict::Reused(session.id))
                    }
                }
            })
            .await?;
        let refused = || {
            AppError::new(ErrorCode::InvalidCode, "This refresh token cannot be used. Please sign in again.")
        };
        match verdict {
            Verdict::Renewed(session, token, ends) => self.hand_out(&session, &token, ends),
            Verdict::Dead => Err(refused()),
            Verdict::Reused(session) => {
                tracing::warn!(session.id = %session, "a spent refresh token was used again; the session was ended");
                self.forget(&[session]).await;
                Err(refused())
            }
        }
    }

    /// Ends the session of the caller, or all of that person, and closes its sockets: here at once, on every process within
    /// two seconds.
    pub async fn sign_out(&self, viewer: Viewer, everywhere: bool) -> Result<()> {
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let session = (!everywhere).then_some(viewer.session_id);
            let ended = conn
                .transaction(async |conn| {
                    let ended = repo::revoke_sessions(conn, viewer.user_id, session, "sign_out").await?;
                    let subject = session.map_or(Subject::User(viewer.user_id), Subject::Session);
                    if !ended.is_empty() {
                        revocations::insert_in_tx(conn, subject).await?;
                    }
                    Ok::<_, AppError>(ended)
                })
                .await?;
            drop(conn);
            this.forget(&ended).await;
            Ok(())
        };
        self.tasks.run(work).await
    }

    /// Wipes successors that nobody may ask for any more, and removes sessions that ended more than a day ago; so many at
    /// most. Returns how many sessions.
    pub async fn prune(&self, conn: &mut AsyncPgConnection, limit: i64) -> Result<usize> {
        let now = repo::current_time(conn).await?;
        let grace = TimeDelta::from_std(self.tokens.settings.grace).unwrap_or_default();
        repo::wipe_successors_unscoped(conn, now - grace).await?;
        Ok(repo::delete_sessions_unscoped(conn, now - TimeDelta::days(1), limit).await?)
    }

    fn draw_session(&self, user_id: Uuid, origin: Origin) -> (SessionRow, RefreshToken) {
        let now = self.clock.now();
        let session = SessionRow {
            id: new_uuid(&self.clock),
            user_id,
            user_agent: origin.user_agent.map(|agent| agent.chars().take(255).collect()),
            ip_address: origin.address.to_string(),
            created_at: now,
            last_used_at: now,
            expires_at: now + self.tokens.settings.session,
            revoked_at: None,
        };
        (session, RefreshToken::random())
    }

    fn refresh_end(&self, session: &SessionRow) -> DateTime<Utc> {
        (self.clock.now() + self.tokens.settings.refresh).min(session.expires_at)
    }

    fn hand_out(
        &self,
        session: &SessionRow,
        refresh: &RefreshToken,
        ends: DateTime<Utc>,
    ) -> Result<SignedIn> {
        let (access_token, access_expires_at) =
            self.tokens.sign(session.user_id, session.id, session.expires_at)?;
        Ok(SignedIn {
            viewer: Viewer {
                user_id: session.user_id,
                session_id: session.id,
                expires_at: access_expires_at,
            },
            session: NewSession {
                access_token,
                access_expires_at,
                refresh_token: refresh.expose().to_owned(),
                refresh_expires_at: ends,
            },
        })
    }
}

/// What becomes of a refresh token that was presented.
enum Verdict {
    Renewed(SessionRow, RefreshToken, DateTime<Utc>),
    Dead,
    Reused(Uuid),
}

fn new_refresh_token(
    session: &SessionRow,
    token: &RefreshToken,
    generation: i32,
    expires_at: DateTime<Utc>,
) -> NewRefreshToken {
    NewRefreshToken { token_hash: token.hash(), session_id: session.id, generation, expires_at }
}
