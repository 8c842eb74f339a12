//! What leaves with an account is found by an index, however much there is of everybody else's.

use std::collections::BTreeSet;

use crate::support::db::TestDb;

/// Every foreign key of a table whose rows leave with an account, directly or with others that do, and whether an index
/// finds the rows of one key: it begins with a column of the key, and has no condition but that this is not null.
const KEYS: &str = "
    WITH RECURSIVE leaving (id) AS (
      SELECT 'accounts'::regclass::oid
      UNION
      SELECT f.conrelid FROM leaving l JOIN pg_constraint f
        ON f.contype = 'f' AND f.confrelid = l.id AND f.confdeltype = 'c' AND f.conparentid = 0)
    SELECT f.conname || ' ' || EXISTS (
             SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
              WHERE i.indrelid = f.conrelid AND i.indisvalid AND a.attnum = ANY(f.conkey)
                AND (i.indpred IS NULL
                  OR pg_get_expr(i.indpred, i.indrelid) = '(' || quote_ident(a.attname) || ' IS NOT NULL)')) AS line
      FROM pg_constraint f JOIN leaving l ON l.id = f.confrelid
     WHERE f.contype = 'f' AND f.conparentid = 0";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_deleted_without_reading_what_is_not_its_own() {
    let db = TestDb::create().await;
    let lines: BTreeSet<String> = db.lines(KEYS).await.into_iter().collect();
    assert!(lines.iter().any(|line| line.starts_with("hold_draws_counter_id_fkey")), "{lines:?}");
    let scanned: Vec<&String> = lines.iter().filter(|line| line.ends_with(" false")).collect();
    assert!(scanned.is_empty(), "a foreign key without an index: {scanned:?}");
    println!("foreign_keys_of_accounts n={} ok", lines.len());
    db.close().await;
}
