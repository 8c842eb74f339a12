//! Batches of people, sessions and accounts, in the name of one viewer.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    graphql::{AccountRef, AccountView},
    model::{MemberRole, SessionRow, UserRow},
    repo,
};
use crate::{error::AppError, platform::postgres::Db};

/// People by id, of those who share an account with the viewer.
pub struct UserLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for UserLoader {
    type Value = Arc<UserRow>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_users(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}

/// The viewer's own sessions by id.
pub struct SessionLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for SessionLoader {
    type Value = Arc<SessionRow>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_sessions(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}

/// Accounts by id, of those the viewer belongs to.
pub struct AccountLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for AccountLoader {
    type Value = AccountRef;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_accounts(&mut conn, self.viewer, Some(ids)).await?;
        let account = |(row, member): (super::AccountRow, super::Membership)| {
            (row.id, Arc::new(AccountView { row, role: Some(MemberRole::parse(&member.role)) }))
        };
        Ok(rows.into_iter().map(account).collect())
    }
}
