//! Objects of people, accounts and sessions.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use uuid::Uuid;

use crate::{
    domains::accounts::{self, AccountRow, Accounts, MemberRole as Role, NewSession, SessionRow, UserRow},
    error::{AppError, ErrorCode},
    graphql::{
        Account, ContextExt,
        errors::{UserError, raise},
        rates::RateLimit,
        scalars::{DateTime, EmailAddress},
    },
    platform::ids::Id,
};

/// Person. Name and picture are shown to people who share an account or campaign; fields marked private are null for them.
#[derive(Clone)]
pub struct User(pub Arc<UserRow>);

/// Person. Name and picture are shown to people who share an account or campaign; fields marked private are null for them.
#[Object]
impl User {
    /// Id with the prefix `usr_`.
    pub async fn id(&self) -> Id<UserRow> {
        self.0.id.into()
    }

    /// Name shown to others.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Address used to sign in; private to the person and administrators.
    async fn email(&self, ctx: &Context<'_>) -> Option<EmailAddress> {
        (ctx.viewer().user_id == self.0.id).then(|| EmailAddress(self.0.email.clone()))
    }

    /// When the person joined.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

/// An account with the rights of the viewer in it.
#[derive(Debug)]
pub struct AccountView {
    pub row: AccountRow,
    /// `None` for an administrator who does not belong to it.
    pub role: Option<Role>,
}

/// Shared by the parts of the object `Account`.
pub type AccountRef = Arc<AccountView>;

/// Fields of an account that accounts themselves have.
#[derive(Clone)]
pub struct AccountCore(pub AccountRef);

#[Object]
impl AccountCore {
    /// Id with the prefix `acc_`.
    pub async fn id(&self) -> Id<AccountRow> {
        self.0.row.id.into()
    }

    /// Whether one person or a team owns it.
    async fn kind(&self) -> AccountKind {
        if self.0.row.kind == "team" { AccountKind::Team } else { AccountKind::Personal }
    }

    /// Name of the person or the team.
    async fn name(&self) -> &str {
        &self.0.row.name
    }

    /// Rights of the caller in this account; null for an administrator who is not a member.
    async fn viewer_role(&self) -> Option<MemberRole> {
        self.0.role.map(Into::into)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        self.0.row.created_at.into()
    }
}

/// Whether one person or a team owns an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum AccountKind {
    /// Belongs to exactly one person and cannot be shared.
    Personal,
    /// Shared by its members.
    Team,
}

/// Rights of a member in an account; each includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Role")]
pub enum MemberRole {
    /// Everything, including closing the account and naming other owners.
    Owner,
    /// Members, API keys, billing and everything below.
    Admin,
    /// Creates and spends within the limits of the account.
    Member,
    /// Reads what is shared and spends nothing.
    Reader,
}

/// One signed-in device.
#[derive(Clone)]
pub struct Session(pub Arc<SessionRow>);

/// One signed-in device.
#[Object]
impl Session {
    /// Id with the prefix `ses_`.
    pub async fn id(&self) -> Id<SessionRow> {
        self.0.id.into()
    }

    /// True for the session that made this request.
    async fn is_current(&self, ctx: &Context<'_>) -> bool {
        ctx.viewer().session_id == self.0.id
    }

    /// Browser or app as it named itself, or null when it did not.
    async fn user_agent(&self) -> Option<&str> {
        self.0.user_agent.as_deref()
    }

    /// When the person signed in.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When the person must sign in again at the latest.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }
}

/// Caller of this request: a person, the credential in use and everything only that person may see.
pub struct Viewer(pub accounts::Viewer);

/// Caller of this request: a person, the credential in use and everything only that person may see.
#[Object]
impl Viewer {
    /// The person who signed in, or who created the API key in use.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        let row = ctx.loaders().users.load_one(self.0.user_id).await.map_err(raise)?;
        row.map(User).ok_or_else(missing)
    }

    /// Account used when an `accountId` is left out: that of the API key, otherwise the personal one.
    async fn account(&self, ctx: &Context<'_>) -> Result<Account> {
        let account = ctx.loaders().accounts.load_one(self.0.personal_account_id()).await.map_err(raise)?;
        account.map(Account::from).ok_or_else(missing)
    }

    /// Accounts the caller belongs to, personal first, at most 100.
    async fn accounts(&self, ctx: &Context<'_>) -> Result<Vec<Account>> {
        // In a box, because every field of an object is as large as its largest.
        let rows = Box::pin(ctx.handle::<Accounts>().accounts_of(self.0)).await.map_err(raise)?;
        let account = |(row, member): (AccountRow, accounts::Membership)| {
            Account::from(Arc::new(AccountView { row, role: Some(Role::parse(&member.role)) }))
        };
        Ok(rows.into_iter().map(account).collect())
    }

    /// Sign-in session in use, or null when an API key is.
    async fn session(&self, ctx: &Context<'_>) -> Result<Option<Session>> {
        let row = ctx.loaders().sessions.load_one(self.0.session_id).await.map_err(raise)?;
        Ok(row.map(Session))
    }

    /// Points of API cost left; model calls are counted by credits and quotas instead.
    async fn rate_limit(&self, ctx: &Context<'_>) -> Result<RateLimit> {
        let spent = ctx.caller().spending.get().ok_or_else(uncounted)?;
        Ok(spent.into())
    }
}

/// A person who is signed in has these rows, unless they were removed a moment ago.
fn missing() -> async_graphql::Error {
    raise(AppError::new(ErrorCode::Unauthenticated, "This person was removed."))
}

/// Whatever is executed was counted before.
fn uncounted() -> async_graphql::Error {
    raise(AppError::internal(anyhow::anyhow!("an operation was executed without being counted")))
}

/// Freshly issued tokens; shown once and never readable again.
#[derive(SimpleObject)]
pub struct AuthTokens {
    /// Bearer token for requests.
    access_token: String,
    /// When the access token expires; sockets opened with it close then.
    access_token_expires_at: DateTime,
    /// Single-use token for `refreshSession`, or null when it was set as a cookie.
    refresh_token: Option<String>,
    /// When the refresh token expires if it is not used.
    refresh_token_expires_at: DateTime,
}

impl From<NewSession> for AuthTokens {
    fn from(session: NewSession) -> Self {
        Self {
            access_token: session.access_token,
            access_token_expires_at: session.access_expires_at.into(),
            refresh_token: Some(session.refresh_token),
            refresh_token_expires_at: session.refresh_expires_at.into(),
        }
    }
}

/// Result of a change to an account.
#[derive(SimpleObject)]
pub struct AccountPayload {
    /// The account after the change, or null when nothing changed.
    pub account: Option<Account>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}

/// An account as the viewer sees it, or any for an administrator.
pub async fn seen_account(ctx: &Context<'_>, id: Uuid) -> Result<Option<Account>> {
    if let Some(account) = ctx.loaders().accounts.load_one(id).await.map_err(raise)? {
        return Ok(Some(account.into()));
    }
    let row = ctx.handle::<Accounts>().find_seen_account(ctx.viewer(), id).await.map_err(raise)?;
    Ok(row.map(|row| Account::from(Arc::new(AccountView { row, role: None }))))
}

/// Result of signing up, signing in or refreshing.
#[derive(SimpleObject)]
pub struct AuthPayload {
    /// The signed-in caller, or null when tokens were not issued.
    pub viewer: Option<Viewer>,
    /// Tokens, or null while a verification or second factor is missing; those of a suspended person open only `viewer` and `createAppeal`.
    pub tokens: Option<AuthTokens>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}
