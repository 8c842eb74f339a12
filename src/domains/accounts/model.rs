//! Rows of people, accounts and sessions.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use uuid::Uuid;

use crate::{
    platform::ids::Entity,
    schema::{accounts, members, refresh_tokens, sessions, users},
};

/// A person.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users, check_for_backend(Pg))]
pub struct UserRow {
    pub id: Uuid,
    pub email: String,
    pub name: String,
    pub password_hash: String,
    pub role: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
}

impl Entity for UserRow {
    const PREFIX: &'static str = "usr";
}

/// Owner and payer of everything else.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts, check_for_backend(Pg))]
pub struct AccountRow {
    pub id: Uuid,
    pub kind: String,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

impl Entity for AccountRow {
    const PREFIX: &'static str = "acc";
}

/// Rights of a person in an account.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = members, check_for_backend(Pg))]
pub struct Membership {
    pub account_id: Uuid,
    pub user_id: Uuid,
    pub role: String,
}

/// Rights of a member, each including those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberRole {
    Reader,
    Member,
    Admin,
    Owner,
}

impl MemberRole {
    /// Role of a stored name; an unknown one has the fewest rights.
    pub fn parse(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "member" => Self::Member,
            _ => Self::Reader,
        }
    }
}

/// Rights of a person on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRole {
    User,
    /// Changes what accounts have.
    Admin,
}

impl UserRole {
    /// Name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// One signed-in device.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, check_for_backend(Pg))]
pub struct SessionRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub user_agent: Option<String>,
    pub ip_address: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Entity for SessionRow {
    const PREFIX: &'static str = "ses";
}

/// A refresh token: used once, then it has a successor.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = refresh_tokens, check_for_backend(Pg))]
pub struct RefreshTokenRow {
    pub generation: i32,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    pub successor_hash: Option<Vec<u8>>,
    pub successor_sealed: Option<Vec<u8>>,
}

/// The next token of a family.
#[derive(Insertable)]
#[diesel(table_name = refresh_tokens)]
pub struct NewRefreshToken {
    pub token_hash: Vec<u8>,
    pub session_id: Uuid,
    pub generation: i32,
    pub expires_at: DateTime<Utc>,
}
