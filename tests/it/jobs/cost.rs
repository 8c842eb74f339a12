//! What a claim costs: the same whatever waits.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use loquent::{
    jobs::CLAIM,
    platform::postgres::{Db, pool::PoolSettings},
};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{
    db::TestDb,
    rows::{connect, execute, rows},
};

/// Pages that are enough for any claim; ten thousand jobs in any order have many times as many.
const MOST_PAGES: i64 = 700;

/// Prepares the claim, to be planned anew or once for all values, as the server chooses between.
async fn prepare(conn: &mut AsyncPgConnection, mode: &str) {
    let mut pieces = CLAIM.split('?');
    let mut sql = pieces.next().unwrap().to_owned();
    for (index, piece) in pieces.enumerate() {
        sql = format!("{sql}${}{piece}", index + 1);
    }
    let sql = format!("DEALLOCATE ALL; SET plan_cache_mode = {mode}; PREPARE claim AS {sql}");
    conn.batch_execute(&sql).await.unwrap();
}

#[derive(diesel::QueryableByName)]
struct Plan {
    #[diesel(sql_type = diesel::sql_types::Json, column_name = "QUERY PLAN")]
    plan: Value,
}

/// What a claim read, which is undone.
struct Cost {
    claimed: i64,
    pages: i64,
    /// Rows that scans of the table gave, and those they read for nothing.
    rows: i64,
    has_seq_scan: bool,
}

async fn measure(conn: &mut AsyncPgConnection) -> Cost {
    conn.batch_execute("BEGIN").await.unwrap();
    // 8 free slots, a share of 2, a pivot in the middle of the lanes, two kinds.
    let me = rows(conn, "SELECT id FROM replicas").await[0]["id"].clone();
    let sql = format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim \
         ('default', 8, 2, 2000000000000000000, '{}', '{{tests.play,tests.other}}', '{{1000,1000}}')",
        me.as_str().unwrap()
    );
    let found: Plan = diesel::sql_query(sql).get_result(conn).await.unwrap();
    conn.batch_execute("ROLLBACK").await.unwrap();
    let root = &found.plan[0]["Plan"];
    let pages = root["Shared Hit Blocks"].as_i64().unwrap() + root["Shared Read Blocks"].as_i64().unwrap();
    let mut cost =
        Cost { claimed: root["Actual Rows"].as_f64().unwrap() as i64, pages, rows: 0, has_seq_scan: false };
    add(root, &mut cost);
    cost
}

fn add(node: &Value, cost: &mut Cost) {
    if node["Relation Name"] == json!("jobs") && node["Node Type"] != json!("ModifyTable") {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        cost.rows +=
            ((number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")) as i64;
        cost.has_seq_scan |= node["Node Type"] == json!("Seq Scan");
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        add(child, cost);
    }
}

/// Jobs of a kind and priority: in `lanes` accounts, of this state.
async fn fill(stage: &Stage, jobs: i64, lanes: i64, name: &str, state: &str) {
    let (jobs, run_at) =
        (jobs - 1, if state == "scheduled" { "loquent_now() + interval '1 day'" } else { "loquent_now()" });
    let sql = format!(
        "INSERT INTO jobs (queue, name, lane, account_id, payload, state, max_attempts, run_at) \
         SELECT 'default', '{name}', 1 + (n % {lanes}) * (4000000000000000000 / {lanes}), uuid_v7(), '{{}}', '{state}', 3, {run_at} \
           FROM generate_series(0, {jobs}) n"
    );
    execute(&stage.app.db.url, &sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_waiting_jobs_cost_a_claim_no_more_than_ten() {
    let cases: [(&str, i64, &str, &str); 5] = [
        ("one account", 1, "tests.play", "ready"),
        ("an account each", i64::MAX, "tests.play", "ready"),
        ("one account with its share", 1, "tests.play", "ready"),
        ("not due yet", i64::MAX, "tests.play", "scheduled"),
        ("of a kind that nobody here knows", 1, "tests.unknown", "ready"),
    ];
    for (what, lanes, name, state) in cases {
        let mut rows_read = Vec::new();
        for jobs in [10, 10_000] {
            let stage = Stage::open_with("[jobs]\nconcurrency = 0").await;
            fill(&stage, jobs, lanes.min(jobs), name, state).await;
            // Work of others behind it, which is what a claim wants.
            fill(&stage, 5, 1, "tests.other", "ready").await;
            let sql =
                "UPDATE jobs SET lane = 99, run_at = run_at + interval '1 second' WHERE name = 'tests.other'";
            execute(&stage.app.db.url, sql).await;
            if what.ends_with("its share") {
                let sql = "UPDATE jobs SET state = 'running', owner_id = (SELECT id FROM replicas) \
                            WHERE id IN (SELECT id FROM jobs WHERE lane = 1 LIMIT 2)";
                execute(&stage.app.db.url, sql).await;
            }
            let mut conn = connect(&stage.app.db.url).await;
            for (is_analyzed, mode) in
                [(false, "force_custom_plan"), (true, "force_custom_plan"), (true, "force_generic_plan")]
            {
                if is_analyzed {
                    execute(&stage.app.db.url, "VACUUM ANALYZE jobs").await;
                }
                prepare(&mut conn, mode).await;
                let cost = measure(&mut conn).await;
                let is_out_of_reach = state == "scheduled" || name == "tests.unknown";
                assert_eq!(cost.claimed, if is_out_of_reach { 5 } else { 8 }, "{what} {jobs}");
                assert!(cost.pages <= MOST_PAGES, "{what} {jobs} {mode}: {} pages", cost.pages);
                assert!(!cost.has_seq_scan || jobs == 10, "{what} {mode}: all of the table is read");
                println!(
                    "claim_cost {what:?} waiting={jobs} analyzed={is_analyzed} {mode} rows={} pages={}",
                    cost.rows, cost.pages
                );
                rows_read.push(cost.rows);
            }
            drop(conn);
            let sql = "UPDATE jobs SET state = 'ready', owner_id = NULL WHERE state = 'running'";
            execute(&stage.app.db.url, sql).await;
            stage.close().await;
        }
        // By the same index, ten thousand jobs are read as ten are; of ten thousand accounts, 32 come into view.
        let (few, many) = (rows_read[0], *rows_read[3..].iter().max().unwrap());
        let most = if lanes == 1 || state == "scheduled" { few + 16 } else { 4 * few };
        assert!(many <= most, "{what}: {rows_read:?}");
    }
    println!("claim_cost n=10000 ok");
}

/// The planner's guess for a claim is high enough to have it compiled, which takes most of a second each time.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_the_product_is_compiled() {
    #[derive(diesel::QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        jit: String,
    }
    let test = TestDb::create().await;
    let settings = PoolSettings { name: "test", size: 1, wait: Duration::from_secs(2) };
    let db = Db::try_new(&test.url, settings).unwrap();
    let query = diesel::sql_query("SELECT current_setting('jit') AS jit");
    let setting: Setting = query.get_result(&mut *db.conn().await.unwrap()).await.unwrap();
    assert_eq!(setting.jit, "off");
    db.close();
    test.close().await;
}
