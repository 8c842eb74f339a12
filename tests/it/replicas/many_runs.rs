//! A process that died with very many answers: all of them end in the seconds that are left after its lease.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::{
    generations::fed::ROOMY,
    support::{
        app::TestApp,
        cluster::variable,
        provider::Script,
        rows::{execute, message_uuid, row, row_when},
    },
};

/// What is left of fifteen seconds after a lease of eight.
const LIMIT: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn all_answers_of_a_dead_process_end_at_once_however_many_it_had() {
    // More than are read at a time.
    let runs = if variable("TEST_SCALE").is_some() { 2000 } else { 450 };
    let settings = format!("{ROOMY}[streams]\nlease_ms = 1000");
    let app = TestApp::builder().settings(&settings).credits("1000").start().await;
    let url = &app.db.url;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Hello.", 1).usage(3, 1));
    let sent = person.send_text("Hi", json!({})).await;
    let answered = sent["assistantMessage"]["id"].as_str().unwrap();
    person.wait_for_end(answered).await;

    // As `accept_turn` writes it, for a process that is gone; every second answer has begun to speak.
    let (first, dead) = (message_uuid(answered), Uuid::now_v7());
    let left = format!(
        "BEGIN;
         CREATE TEMPORARY TABLE n AS SELECT i, uuid_v7() AS message, uuid_v7() AS run FROM generate_series(1, {runs}) i;
         CREATE TEMPORARY TABLE old AS SELECT * FROM generations WHERE message_id = '{first}';
         INSERT INTO messages (id, account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, status)
         SELECT n.message, account_id, conversation_id, message_id, 2, message_id, 1, 'assistant', 'queued' FROM old, n;
         INSERT INTO generations (id, account_id, user_id, conversation_id, message_id, replica_id, requested_model,
                                  model_key, terms, credits_held)
         SELECT n.run, account_id, user_id, conversation_id, n.message, '{dead}', requested_model, model_key, terms, 100000
           FROM old, n;
         INSERT INTO stream_events (slot, message_id, sequence, part_index, kind, text)
         SELECT slot, message, 1, 0, 'text', 'Half a' FROM stream_rotations, n WHERE i % 2 = 0;
         COMMIT"
    );
    // Each hold in a transaction of its own, as in life: thousands in one would leave the wallet in pieces.
    let holds = format!(
        "DO $$ DECLARE g generations; BEGIN
           FOR g IN SELECT * FROM generations WHERE replica_id = '{dead}' LOOP
             PERFORM ledger_hold(g.id, g.account_id, 'generation', 1, 1,
                                 '[{{\"kind\": \"wallet\", \"meter\": \"credits\", \"fixed\": 100000, \"rate\": 0}}]', g.user_id, 'Left');
             COMMIT;
           END LOOP;
         END $$"
    );
    execute(url, &left).await;
    execute(url, &holds).await;
    // What the server does by itself, except for tests.
    execute(url, "VACUUM ANALYZE").await;
    let gone =
        format!("INSERT INTO replicas (id, lease_until, version) VALUES ('{dead}', loquent_now(), '0')");
    execute(url, &gone).await;

    let all_ended = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
    row_when(url, LIMIT * 6, all_ended).await;
    let ends = format!(
        "SELECT count(*) AS n, count(*) FILTER (WHERE g.credits_charged > 0) AS charged, \
                (extract(epoch FROM max(g.finished_at) - max(r.fenced_at)) * 1000)::int AS took_ms \
           FROM generations g JOIN replicas r ON r.id = g.replica_id WHERE r.id = '{dead}' AND g.status = 'interrupted'"
    );
    let ends = row(url, &ends).await;
    assert_eq!((&ends["n"], &ends["charged"]), (&json!(runs), &json!(runs / 2)));
    let took = Duration::from_millis(ends["took_ms"].as_u64().unwrap());
    app.close().await;
    println!("many_runs n={runs} took={took:?} ok");
    assert!(took <= LIMIT, "the last answer ended {took:?} after the fence");
}
