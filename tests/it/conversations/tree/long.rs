//! A conversation of thousands of messages costs what a short one does.

use serde_json::json;
use uuid::Uuid;

use super::{branch, send};
use crate::support::{app::TestApp, client::Client, db::TestDb};

const LIST: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
        nodes { id text } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } }";

/// Rows of messages that were fetched so far, through indexes or not.
async fn fetched(db: &TestDb) -> i64 {
    // The statistics of other connections arrive when those are idle for a moment, or are asked to.
    let sql = "SELECT (SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) FROM pg_stat_user_tables \
                WHERE relname LIKE 'messages%')::text AS line";
    db.lines(sql).await[0].parse().unwrap()
}

async fn conversation_of(person: &Client, db: &TestDb, count: usize) -> String {
    let id = super::super::created(person, "Long").await;
    let raw = db.lines("SELECT id::text AS line FROM conversations ORDER BY id DESC LIMIT 1").await[0]
        .parse::<Uuid>()
        .unwrap();
    db.fill_conversation(raw, count).await;
    // What the connection that filled it fetched is known once it has ended.
    let inserted =
        "SELECT sum(n_tup_ins)::text AS line FROM pg_stat_user_tables WHERE relname LIKE 'messages%'";
    while db.lines(inserted).await[0].parse::<usize>().unwrap() < count {
        tokio::task::yield_now().await;
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_five_thousand_messages_are_all_of_them_in_order() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = conversation_of(&person, &app.db, 5_000).await;
    let (_, ids) = branch(&person, &id, None, 100).await;
    assert_eq!(ids.len(), 5_000);
    let sorted = {
        let mut sorted = ids.clone();
        sorted.sort();
        sorted
    };
    assert_eq!(ids, sorted);
    // Backwards from the end, and from the middle both ways.
    let last =
        person.gql(LIST, json!({ "id": id, "last": 2 })).await.data()["conversation"]["messages"].clone();
    assert_eq!(last["nodes"][1]["id"], ids[4_999].as_str());
    assert_eq!(last["pageInfo"]["hasPreviousPage"], true);
    let before = &last["pageInfo"]["startCursor"];
    let more = person.gql(LIST, json!({ "id": id, "last": 3, "before": before })).await.data()["conversation"]
        ["messages"]
        .clone();
    assert_eq!(more["nodes"][2]["id"], ids[4_997].as_str());
    let after = &more["pageInfo"]["startCursor"];
    let on = person.gql(LIST, json!({ "id": id, "first": 1, "after": after })).await;
    assert_eq!(on.data()["conversation"]["messages"]["nodes"][0]["id"], ids[4_996].as_str());
    app.close().await;
}

/// Ends the connections of the application, which tell the statistics what they fetched when they end.
async fn end_connections(db: &TestDb) {
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    db.execute(&format!("SELECT pg_terminate_backend(pid, 5000) {others}")).await;
}

/// Rows of messages that some calls fetch in a conversation of so many messages.
async fn rows_of(count: usize, calls: impl AsyncFn(&Client, &str)) -> i64 {
    // A model that takes few messages: what is sent to it does not grow with the conversation.
    let app = TestApp::builder().offer(|offer| offer.ceilings("input_tokens = 100")).start().await;
    let person = app.client.sign_up().await;
    let id = conversation_of(&person, &app.db, count).await;
    let before = fetched(&app.db).await;
    calls(&person, &id).await;
    end_connections(&app.db).await;
    let rows = fetched(&app.db).await - before;
    app.close().await;
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_messages_cost_as_many_rows_as_five() {
    let list = async |person: &Client, id: &str, page: serde_json::Value| {
        let mut variables = page;
        variables["id"] = json!(id);
        let found = person.gql(LIST, variables).await.data()["conversation"]["messages"]["nodes"].clone();
        assert_eq!(found.as_array().unwrap().len(), 4);
    };
    let mut verdict = String::new();
    for what in ["first", "last", "turn"] {
        let mut rows = Vec::new();
        for count in [6, 5_000] {
            let fetched = rows_of(count, async |person, id| match what {
                "turn" => {
                    let turn = send(person, id, None, "One more").await;
                    person.wait_for_end(turn["assistantMessage"]["id"].as_str().unwrap()).await;
                }
                page => list(person, id, json!({ page: 4 })).await,
            });
            rows.push(fetched.await);
        }
        // A climb to the first page takes up to two steps more for each doubling of the length; nothing else grows.
        let climb = if what == "first" { 2 * 13 + 4 } else { 4 };
        // Less is no fault: a table of six rows may be read whole.
        assert!(rows[1] <= rows[0] + climb, "{what}: {rows:?}");
        verdict += &format!(" {what}={rows:?}");
    }
    println!("long conversations messages=[6, 5000] rows of{verdict} ok");
}
