//! Signing up, in and out, renewing, and telling who calls.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use email_address::EmailAddress;
use moka::future::Cache;
use secrecy::SecretString;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{
    model::{AccountRow, Membership, NewRefreshToken, SessionRow, UserRow},
    passwords::Passwords,
    repo,
    tokens::{RefreshToken, Tokens},
};
use crate::{
    error::{AppError, ErrorCode, Result},
    platform::{clock::Clock, ids::new_uuid, postgres::Db, tasks::Tasks},
};

/// A session that was checked is believed for so long; a sign-in elsewhere ends it after that at the latest.
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
    pub ip_address: String,
    pub user_agent: Option<String>,
}

/// What a person gives to join.
pub struct NewUser {
    pub email: String,
    pub password: SecretString,
    pub name: Option<String>,
}

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

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Accounts {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    tokens: Tokens,
    passwords: Passwords,
    on_new_account: Arc<dyn NewAccountEffect>,
    live_sessions: Cache<Uuid, Uuid>,
    ended_sessions: broadcast::Sender<Uuid>,
}

impl Accounts {
    pub fn new(
        db: Db,
        clock: Clock,
        tasks: Tasks,
        tokens: Tokens,
        passwords: Passwords,
        on_new_account: Arc<dyn NewAccountEffect>,
    ) -> Self {
        let live_sessions = Cache::builder().max_capacity(100_000).time_to_live(SESSION_MEMORY).build();
        let ended_sessions = broadcast::Sender::new(1024);
        Self { db, clock, tasks, tokens, passwords, on_new_account, live_sessions, ended_sessions }
    }

    /// Who an access token belongs to, if its session still lives.
    pub async fn authenticate(&self, access_token: &str) -> Result<Viewer> {
        let claims = self.tokens.verify(access_token)?;
        let ended =
            || AppError::new(ErrorCode::Unauthenticated, "This session has ended. Please sign in again.");
        // Failures are not remembered, and concurrent first requests of a session ask once.
        let user_id = self
            .live_sessions
            .try_get_with(claims.sid, async {
                let mut conn = self.db.conn().await?;
                let (session, status) =
                    repo::find_session_unscoped(&mut conn, claims.sid).await?.ok_or_else(ended)?;
                if session.revoked_at.is_some()
                    || session.expires_at <= self.clock.now()
                    || status != "active"
                {
                    return Err(ended());
                }
                Ok(session.user_id)
            })
            .await
            .map_err(|error: Arc<AppError>| (*error).clone())?;
        if user_id != claims.sub {
            return Err(ended());
        }
        let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
        Ok(Viewer { user_id, session_id: claims.sid, expires_at })
    }

    /// Ids of sessions of this process's callers as they end.
    pub fn ended_sessions(&self) -> broadcast::Receiver<Uuid> {
        self.ended_sessions.subscribe()
    }

    /// Creates a person with a personal account and signs in. `CONFLICT` for a known address: without verification by
    /// mail, signing up cannot hide that it exists.
    pub async fn sign_up(&self, new: NewUser, origin: Origin) -> Result<SignedIn> {
        let user_id = self.create_user(new).await?;
        let this = self.clone();
        self.tasks.run(async move { this.create_session(user_id, origin).await }).await
    }

    /// Creates a person with a personal account, without a session; returns the id.
    pub async fn create_user(&self, new: NewUser) -> Result<Uuid> {
        self.tasks.require_running()?;
        let email = normalize_email(&new.email)?;
        let name = match &new.name {
            Some(name) => require_name(name)?,
            None => email.split('@').next().unwrap_or_default().chars().take(80).collect(),
        };
        Passwords::require_strong(&new.password, &[&email, &name])?;
        let password_hash = self.passwords.hash(new.password).await?;
        let this = self.clone();
        self.tasks.run(async move { this.insert_user(email, name, password_hash).await }).await
    }

    async fn insert_user(&self, email: String, name: String, password_hash: String) -> Result<Uuid> {
        let now = self.clock.now();
        let id = new_uuid(&self.clock);
        let user = UserRow {
            id,
            email,
            name: name.clone(),
            password_hash,
            role: "user".to_owned(),
            status: "active".to_owned(),
            created_at: now,
        };
        let account = AccountRow { id, kind: "personal".to_owned(), name, created_at: now };
        let owner = Membership { account_id: id, user_id: id, role: "owner".to_owned() };
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            if !repo::insert_user(conn, &user).await? {
                return Err(AppError::new(
                    ErrorCode::Conflict,
                    "Somebody has already joined with this address.",
                )
                .at("email"));
            }
            repo::insert_account(conn, &account, &owner).await?;
            self.on_new_account.account_created_in_tx(conn, id, id).await
        })
        .await?;
        Ok(id)
    }

    /// Signs in with a password. `INVALID_CREDENTIALS` whether the address or the password is wrong.
    pub async fn sign_in(&self, email: &str, password: SecretString, origin: Origin) -> Result<SignedIn> {
        self.tasks.require_running()?;
        let Some(user) = self.find_by_password(email, password).await? else {
            return Err(AppError::new(ErrorCode::InvalidCredentials, "E-mail or password is wrong."));
        };
        if user.status != "active" {
            return Err(AppError::new(
                ErrorCode::Suspended,
                "This person may not use the platform at the moment.",
            ));
        }
        let this = self.clone();
        self.tasks.run(async move { this.create_session(user.id, origin).await }).await
    }

    /// Takes as long for an unknown address as for a wrong password.
    async fn find_by_password(&self, email: &str, password: SecretString) -> Result<Option<UserRow>> {
        let user = match normalize_email(email) {
            Ok(email) => {
                let mut conn = self.db.conn().await?;
                repo::find_user_by_email_unscoped(&mut conn, &email).await?
            }
            Err(_) => None,
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await?;
        Ok(user.filter(|_| fits))
    }

    async fn create_session(&self, user_id: Uuid, origin: Origin) -> Result<SignedIn> {
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
    pub async fn refresh_session(&self, token: String) -> Result<SignedIn> {
        self.tasks.require_running()?;
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

    /// Ends the session of the caller, or all of that person, and closes its sockets.
    pub async fn sign_out(&self, viewer: Viewer, everywhere: bool) -> Result<()> {
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let session = (!everywhere).then_some(viewer.session_id);
            let ended = repo::revoke_sessions(&mut conn, viewer.user_id, session, "sign_out").await?;
            drop(conn);
            this.forget(&ended).await;
            Ok(())
        };
        self.tasks.run(work).await
    }

    /// Accounts of the viewer with the role there, personal ones first, at most 100.
    pub async fn accounts_of(&self, viewer: Viewer) -> Result<Vec<(AccountRow, Membership)>> {
        let mut conn = self.db.conn().await?;
        Ok(repo::list_accounts(&mut conn, viewer.user_id, None).await?)
    }

    /// True when somebody has this address and this password.
    pub async fn is_password_of(&self, email: &str, password: SecretString) -> Result<bool> {
        Ok(self.find_by_password(email, password).await?.is_some())
    }

    /// True when nobody has joined yet.
    pub async fn is_empty(&self) -> Result<bool> {
        let mut conn = self.db.conn().await?;
        Ok(repo::count_users_unscoped(&mut conn).await? == 0)
    }

    async fn forget(&self, sessions: &[Uuid]) {
        for session in sessions {
            self.live_sessions.invalidate(session).await;
            // No receiver means no socket to close.
            let _ = self.ended_sessions.send(*session);
        }
    }

    fn draw_session(&self, user_id: Uuid, origin: Origin) -> (SessionRow, RefreshToken) {
        let now = self.clock.now();
        let session = SessionRow {
            id: new_uuid(&self.clock),
            user_id,
            user_agent: origin.user_agent.map(|agent| agent.chars().take(255).collect()),
            ip_address: origin.ip_address,
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

/// Addresses are compared without regard to case (RFC 5321 allows a difference that no mail host makes).
fn normalize_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let is_valid = EmailAddress::is_valid(&email) && email.len() <= 254 && !email.contains('\0');
    is_valid.then_some(email).ok_or_else(|| AppError::invalid("email", "This is not an e-mail address."))
}

fn require_name(name: &str) -> Result<String> {
    let name = name.trim();
    if !(1..=80).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AppError::invalid("name", "A name has 1 to 80 characters."));
    }
    Ok(name.to_owned())
}
