//! The checker turns red on every kind of fault, each planted into a copy of a healthy database, and says where it is.

mod faults;

use std::collections::BTreeSet;

use loquent::{
    domains::credits,
    platform::postgres::{Db, pool::PoolSettings},
};
use serde_json::json;

use self::faults::{FAULTS, Fault};
use super::books::{answer_id, rows, run, wait_until_settled};
use crate::support::{
    app::new_key,
    binary::{Binary, Launch, command},
    catalog::Offer,
    db::TestDb,
    provider::{Gate, Script, ScriptedProvider},
};

/// Limits that every call of the healthy database counts in.
const LIMITS: &str = "\
    [[plans.default.limits]]\nmeter = \"messages\"\nwindow = \"day\"\namount = 100\n\
    [[plans.default.limits]]\nmeter = \"tokens\"\nwindow = \"month\"\namount = 100000\n\
    [[plans.default.limits]]\nmeter = \"conversations\"\nwindow = \"day\"\namount = 100\n";

/// A database that a process has left in the middle of its work: three answers are paid for, one failed, one is open,
/// and an empty conversation is counted. Beside the person there is the one of `--dev`, who has done nothing.
async fn healthy() -> TestDb {
    let db = TestDb::create().await;
    Offer::of_credits("10").plan(LIMITS).apply(&db.url).await;
    let provider = ScriptedProvider::start().await;
    let binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings: "" });
    let person = binary.client.sign_up().await;
    for _ in 0..3 {
        provider.then(Script::text("Yes.", 1).usage(5, 5));
        person.wait_for_end(answer_id(&person.send_text("Hi", json!({})).await)).await;
    }
    provider.then(Script::status(400));
    person.wait_for_end(answer_id(&person.send_text("Hi", json!({})).await)).await;
    wait_until_settled(&db.url).await;
    let create = "mutation($key: String!) { createConversation(input: { idempotencyKey: $key }) { conversation { id } } }";
    person.gql(create, json!({ "key": new_key() })).await.data();
    let gate = Gate::default();
    provider.then(Script::text("Never.", 1).gate(&gate));
    person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await;
    provider.called(5).await;
    binary.kill();
    // Its lease outlasts the test; the process itself must not come back.
    run(&db.url, "UPDATE replicas SET lease_until = loquent_now() + interval '1 hour'").await;
    db
}

/// Runs `loquent ledger check`: its exit code and what it printed.
async fn check_by_command(url: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::from(command(home.path(), url));
    let output = command.args(["ledger", "check"]).kill_on_drop(true).output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Plants one fault into a copy and asserts all that the checker says.
async fn assert_found(healthy: &TestDb, fault: &Fault) {
    let db = healthy.copy().await;
    run(&db.url, "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only").await;
    run(&db.url, fault.plant).await;
    let subject = rows(&db.url, fault.subject).await.remove(0)["id"].as_str().unwrap().to_owned();
    let pool = Db::try_new(
        &db.url,
        PoolSettings { name: "test", size: 1, wait: std::time::Duration::from_secs(10) },
    )
    .unwrap();
    let (_, differences) = credits::check(&pool).await.unwrap();
    pool.close();
    let broken: BTreeSet<&str> = differences.iter().map(|difference| difference.problem.as_str()).collect();
    let expected: BTreeSet<&str> = fault.also.iter().copied().chain([fault.problem]).collect();
    assert_eq!(broken, expected, "{}", fault.plant);
    let is_named = |difference: &credits::Difference| {
        difference.problem == fault.problem && difference.subject.to_string() == subject
    };
    assert!(differences.iter().any(is_named), "{}: {differences:?}", fault.plant);

    let (code, printed) = check_by_command(&db.url).await;
    assert_eq!(code, Some(1), "{}: {printed}", fault.plant);
    assert!(printed.contains(&format!("{}  {subject}\n", fault.problem)), "{printed}");
    let verdict = "ledger check FAILED: wallets n=2 ";
    assert!(printed.lines().last().unwrap().starts_with(verdict), "{printed}");
    assert!(printed.ends_with(&format!("differences n={}\n", differences.len())), "{printed}");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_and_named_and_a_healthy_database_is_not_accused() {
    let healthy = healthy().await;
    let (code, printed) = check_by_command(&healthy.url).await;
    assert_eq!(printed, "ledger check ok: wallets n=2 entries n=11 holds n=6 open n=1 differences n=0\n");
    assert_eq!(code, Some(0));
    for fault in FAULTS {
        assert_found(&healthy, fault).await;
    }
    assert_eq!(
        rules_of_the_view(&healthy.url).await,
        FAULTS.iter().map(|fault| fault.problem.to_owned()).collect()
    );
    println!("checker n={} faults found, all rules of the view reached ok", FAULTS.len());
    healthy.close().await;
}

/// The names of all rules, from the definition of the view.
async fn rules_of_the_view(url: &str) -> BTreeSet<String> {
    let sql = "SELECT DISTINCT m[1] AS rule FROM regexp_matches(pg_get_viewdef('ledger_differences'::regclass), \
               'SELECT ''([a-z_]+)''::text', 'g') AS m";
    rows(url, sql).await.iter().map(|row| row["rule"].as_str().unwrap().to_owned()).collect()
}
