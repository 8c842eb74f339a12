//! Epochs of what is cached in processes. Who changes the truth raises the epoch of its scope in the same transaction;
//! every process compares all epochs once a second ([`super::news`]) and reads again what has changed.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::schema::cache_epochs;

/// What is cached together. `ALL` has every scope at the place of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The settings of the platform.
    Settings,
    /// Plans, features, models and prices.
    Catalog,
}

impl Scope {
    pub(super) const ALL: [Self; 2] = [Self::Settings, Self::Catalog];

    /// Name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Catalog => "catalog",
        }
    }
}

/// Raises the epoch; whoever else does so for this scope waits until the transaction ends.
pub async fn raise_in_tx(conn: &mut AsyncPgConnection, scope: Scope) -> QueryResult<()> {
    diesel::insert_into(cache_epochs::table)
        .values(cache_epochs::scope.eq(scope.name()))
        .on_conflict(cache_epochs::scope)
        .do_update()
        .set(cache_epochs::epoch.eq(cache_epochs::epoch + 1))
        .execute(conn)
        .await
        .map(drop)
}
