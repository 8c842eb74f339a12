//! Queries of movements.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::{
        accounts::seen_by,
        credits::model::{EntryKind, LedgerEntryRow},
    },
    platform::postgres::statement::statement,
    schema::{ledger_entries, wallets},
};

/// A page of a ledger, newest movement first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPage {
    pub limit: i64,
    /// Only entries with a smaller revision.
    pub before_revision: Option<i64>,
    /// Only these kinds; all when empty.
    pub kinds: Vec<EntryKind>,
}

/// A movement with the account that it is of.
#[derive(QueryableByName)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct EntryOfAccount {
    #[diesel(sql_type = sql_types::Uuid)]
    pub account_id: Uuid,
    #[diesel(embed)]
    pub entry: LedgerEntryRow,
}

/// The same page of the ledgers of those of the accounts whose money the viewer sees.
pub async fn list_entry_pages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
    page: &EntryPage,
) -> QueryResult<Vec<EntryOfAccount>> {
    const ALL: &str = "\
        SELECT e.* FROM wallets w, LATERAL (
          SELECT * FROM ledger_entries WHERE wallet_id = w.id AND revision < ? ORDER BY revision DESC LIMIT ?) e
         WHERE w.meter = 'credits' AND w.account_id = ANY(?) AND w.account_id IN (?) ORDER BY e.revision DESC";
    // So many of each kind, then so many of those: kinds that are rare are found without reading the others.
    const OF_KINDS: &str = "\
        SELECT e.* FROM (SELECT ?::text[] AS kinds, ?::bigint AS before, ?::bigint AS size) p, wallets w, LATERAL (
          SELECT each.* FROM unnest(p.kinds) AS k (kind), LATERAL (
            SELECT * FROM ledger_entries WHERE wallet_id = w.id AND kind = k.kind AND revision < p.before
             ORDER BY revision DESC LIMIT p.size) each
           ORDER BY each.revision DESC LIMIT p.size) e
         WHERE w.meter = 'credits' AND w.account_id = ANY(?) AND w.account_id IN (?) ORDER BY e.revision DESC";
    let before = page.before_revision.unwrap_or(i64::MAX);
    let query = if page.kinds.is_empty() {
        statement(ALL)
    } else {
        let kinds: Vec<&str> = page.kinds.iter().map(|kind| kind.as_str()).collect();
        statement(OF_KINDS).bind::<sql_types::Array<sql_types::Text>, _>(kinds)
    };
    query
        .bind::<sql_types::BigInt, _>(before)
        .bind::<sql_types::BigInt, _>(page.limit)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(accounts)
        .query(seen_by(viewer))
        .load(conn)
        .await
}

/// Those of the movements that are in accounts the viewer sees.
pub async fn list_entries(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<LedgerEntryRow>> {
    ledger_entries::table
        .inner_join(wallets::table)
        .filter(ledger_entries::id.eq_any(ids))
        .filter(wallets::account_id.eq_any(seen_by(viewer)))
        .filter(wallets::meter.eq("credits"))
        .select(LedgerEntryRow::as_select())
        .load(conn)
        .await
}
