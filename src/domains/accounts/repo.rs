//! Queries of people, accounts and sessions.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{IntoBoxed, Select, exists},
    pg::Pg,
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::model::{AccountRow, Membership, NewRefreshToken, RefreshTokenRow, SessionRow, UserRole, UserRow};
use crate::{
    platform::postgres::now,
    schema::{accounts, members, refresh_tokens, sessions, users},
};

/// Person with this address; only sign-in asks.
pub async fn find_user_by_email_unscoped(
    conn: &mut AsyncPgConnection,
    email: &str,
) -> QueryResult<Option<UserRow>> {
    users::table.filter(users::email.eq(email)).select(UserRow::as_select()).first(conn).await.optional()
}

/// The id, if there is such an account.
pub async fn find_account_unscoped(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Uuid>> {
    accounts::table.find(id).select(accounts::id).first(conn).await.optional()
}

/// Who owns an account.
pub async fn find_owner_unscoped(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Uuid>> {
    let owners = members::table.filter(members::account_id.eq(id)).filter(members::role.eq("owner"));
    owners.order(members::user_id).select(members::user_id).first(conn).await.optional()
}

/// Accounts whose money a viewer sees: those to which the viewer belongs, and all of them for an administrator.
pub fn seen_by(viewer: Uuid) -> IntoBoxed<'static, Select<accounts::table, accounts::id>, Pg> {
    let is_member =
        members::table.filter(members::account_id.eq(accounts::id)).filter(members::user_id.eq(viewer));
    accounts::table.select(accounts::id).into_boxed().filter(exists(is_member).or(exists(admin(viewer))))
}

/// The viewer, as an administrator in good standing.
#[diesel::dsl::auto_type]
fn admin(viewer: Uuid) -> _ {
    let role: &'static str = UserRole::Admin.as_str();
    users::table.filter(users::id.eq(viewer)).filter(users::role.eq(role)).filter(users::status.eq("active"))
}

pub async fn is_admin(conn: &mut AsyncPgConnection, viewer: Uuid) -> QueryResult<bool> {
    diesel::select(exists(admin(viewer))).get_result(conn).await
}

/// An account, if its money is the viewer's to see.
pub async fn find_seen_account(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    id: Uuid,
) -> QueryResult<Option<AccountRow>> {
    accounts::table
        .filter(accounts::id.eq(id))
        .filter(accounts::id.eq_any(seen_by(viewer)))
        .select(AccountRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// False when nobody has the address.
pub async fn update_role_unscoped(
    conn: &mut AsyncPgConnection,
    email: &str,
    role: UserRole,
) -> QueryResult<bool> {
    let person = diesel::update(users::table.filter(users::email.eq(email)));
    Ok(person.set(users::role.eq(role.as_str())).execute(conn).await? == 1)
}

pub async fn count_users_unscoped(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    users::table.count().get_result(conn).await
}

/// The people among `ids` whom the viewer may see: everybody who shares an account with the viewer.
pub async fn list_users(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<UserRow>> {
    let (mine, theirs) = diesel::alias!(members as mine, members as theirs);
    let shared = mine
        .inner_join(theirs.on(theirs.field(members::account_id).eq(mine.field(members::account_id))))
        .filter(mine.field(members::user_id).eq(viewer))
        .select(theirs.field(members::user_id));
    users::table
        .filter(users::id.eq_any(ids))
        .filter(users::id.eq_any(shared))
        .select(UserRow::as_select())
        .load(conn)
        .await
}

/// Accounts the viewer belongs to with the role there, personal ones first: those in `ids`, or all of them.
pub async fn list_accounts(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: Option<&[Uuid]>,
) -> QueryResult<Vec<(AccountRow, Membership)>> {
    let mut query = accounts::table
        .inner_join(members::table)
        .filter(members::user_id.eq(viewer))
        .order((accounts::kind.asc(), accounts::id.asc()))
        .limit(100)
        .select((AccountRow::as_select(), Membership::as_select()))
        .into_boxed();
    if let Some(ids) = ids {
        query = query.filter(accounts::id.eq_any(ids));
    }
    query.load(conn).await
}

/// The viewer's own sessions among `ids`.
pub async fn list_sessions(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<SessionRow>> {
    sessions::table
        .filter(sessions::user_id.eq(viewer))
        .filter(sessions::id.eq_any(ids))
        .select(SessionRow::as_select())
        .load(conn)
        .await
}

/// False when somebody has the address already.
pub async fn insert_user(conn: &mut AsyncPgConnection, user: &UserRow) -> QueryResult<bool> {
    let inserted = diesel::insert_into(users::table)
        .values(user)
        .on_conflict(users::email)
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

pub async fn insert_account(
    conn: &mut AsyncPgConnection,
    account: &AccountRow,
    owner: &Membership,
) -> QueryResult<()> {
    diesel::insert_into(accounts::table).values(account).execute(conn).await?;
    diesel::insert_into(members::table).values(owner).execute(conn).await.map(drop)
}

pub async fn insert_session(
    conn: &mut AsyncPgConnection,
    session: &SessionRow,
    token: &NewRefreshToken,
) -> QueryResult<()> {
    diesel::insert_into(sessions::table).values(session).execute(conn).await?;
    diesel::insert_into(refresh_tokens::table).values(token).execute(conn).await.map(drop)
}

/// A session with the status of its person, for checking an access token.
pub async fn find_session_unscoped(
    conn: &mut AsyncPgConnection,
    id: Uuid,
) -> QueryResult<Option<(SessionRow, String)>> {
    sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq(id))
        .select((SessionRow::as_select(), users::status))
        .first(conn)
        .await
        .optional()
}

/// Session of a refresh token, locked: whoever refreshes or revokes it next waits here.
pub async fn lock_session_of_token_unscoped(
    conn: &mut AsyncPgConnection,
    token_hash: &[u8],
) -> QueryResult<Option<SessionRow>> {
    let session = refresh_tokens::table
        .filter(refresh_tokens::token_hash.eq(token_hash))
        .select(refresh_tokens::session_id);
    sessions::table
        .filter(sessions::id.eq_any(session))
        .for_update()
        .select(SessionRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// A refresh token and whether its successor was used; read under the lock of its session.
pub async fn find_refresh_token_unscoped(
    conn: &mut AsyncPgConnection,
    token_hash: &[u8],
) -> QueryResult<(RefreshTokenRow, bool)> {
    let token =
        refresh_tokens::table.find(token_hash).select(RefreshTokenRow::as_select()).first(conn).await?;
    let is_successor_used = match &token.successor_hash {
        None => false,
        Some(hash) => {
            diesel::select(diesel::dsl::exists(
                refresh_tokens::table.find(hash).filter(refresh_tokens::used_at.is_not_null()),
            ))
            .get_result(conn)
            .await?
        }
    };
    Ok((token, is_successor_used))
}

/// Marks a refresh token as used and adds its one successor.
pub async fn rotate_refresh_token_unscoped(
    conn: &mut AsyncPgConnection,
    token_hash: &[u8],
    sealed: &[u8],
    successor: &NewRefreshToken,
) -> QueryResult<()> {
    diesel::update(refresh_tokens::table.find(token_hash))
        .set((
            refresh_tokens::used_at.eq(now().nullable()),
            refresh_tokens::successor_hash.eq(&successor.token_hash),
            refresh_tokens::successor_sealed.eq(sealed),
        ))
        .execute(conn)
        .await?;
    diesel::insert_into(refresh_tokens::table).values(successor).execute(conn).await?;
    diesel::update(sessions::table.find(successor.session_id))
        .set(sessions::last_used_at.eq(now()))
        .execute(conn)
        .await
        .map(drop)
}

/// Ends one live session of the person, or all of them when `session` is `None`; returns those it ended.
pub async fn revoke_sessions(
    conn: &mut AsyncPgConnection,
    user_id: Uuid,
    session: Option<Uuid>,
    reason: &str,
) -> QueryResult<Vec<Uuid>> {
    let changes = (sessions::revoked_at.eq(now().nullable()), sessions::revoke_reason.eq(reason));
    let live = sessions::user_id.eq(user_id).and(sessions::revoked_at.is_null());
    match session {
        Some(id) => {
            diesel::update(sessions::table.filter(live.and(sessions::id.eq(id))))
                .set(changes)
                .returning(sessions::id)
                .get_results(conn)
                .await
        }
        None => {
            diesel::update(sessions::table.filter(live))
                .set(changes)
                .returning(sessions::id)
                .get_results(conn)
                .await
        }
    }
}

/// Forgets the sealed successors of tokens that were used before `before`.
pub async fn wipe_successors_unscoped(
    conn: &mut AsyncPgConnection,
    before: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(refresh_tokens::table)
        .filter(refresh_tokens::used_at.lt(before))
        .filter(refresh_tokens::successor_sealed.is_not_null())
        .set(refresh_tokens::successor_sealed.eq(None::<Vec<u8>>))
        .execute(conn)
        .await
}

/// Removes sessions, with their tokens, that ended before `before`.
pub async fn delete_sessions_unscoped(
    conn: &mut AsyncPgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> QueryResult<usize> {
    let over: Vec<Uuid> = sessions::table
        .filter(sessions::expires_at.lt(before).or(sessions::revoked_at.lt(before)))
        .limit(limit)
        .select(sessions::id)
        .load(conn)
        .await?;
    diesel::delete(sessions::table.filter(sessions::id.eq_any(over))).execute(conn).await
}

/// The database's clock.
pub async fn current_time(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(conn).await
}
