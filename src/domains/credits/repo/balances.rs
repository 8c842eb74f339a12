//! Queries of balances.

use diesel::{dsl::exists, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::{
        accounts::seen_by,
        credits::model::{Balance, Standing},
    },
    platform::postgres::now,
    schema::{grants, subscriptions, wallets},
};

/// Balances of those of the accounts whose money the viewer sees; an account that never had credits has the empty one.
pub async fn list_balances(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
) -> QueryResult<Vec<(Uuid, Standing)>> {
    let own = wallets::account_id.eq(subscriptions::account_id).and(wallets::meter.eq("credits"));
    let expired = grants::table
        .filter(grants::wallet_id.nullable().eq(wallets::id.nullable()))
        .filter(grants::available.gt(0))
        .filter(grants::expires_at.le(now()));
    let rows: Vec<(Uuid, Option<Balance>, bool)> = subscriptions::table
        .left_join(wallets::table.on(own))
        .filter(subscriptions::account_id.eq_any(accounts))
        .filter(subscriptions::account_id.eq_any(seen_by(viewer)))
        .filter(subscriptions::ended_at.is_null())
        .select((
            subscriptions::account_id,
            Option::<Balance>::as_select(),
            subscriptions::due_at.le(now()).or(exists(expired)),
        ))
        .load(conn)
        .await?;
    let standing = |(account, balance, is_due): (_, Option<Balance>, _)| {
        (account, Standing { balance: balance.unwrap_or_default(), is_due })
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// What an account has, for whoever may change it; nothing was ever granted to one without a wallet.
pub async fn find_balance_unscoped(conn: &mut AsyncPgConnection, account_id: Uuid) -> QueryResult<Balance> {
    let found = wallets::table
        .filter(wallets::account_id.eq(account_id))
        .filter(wallets::meter.eq("credits"))
        .select(Balance::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(found.unwrap_or_default())
}
