//! What is written while people talk is a ring: it holds the newest, and is emptied ahead of time, a slot at once.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    app::TestApp,
    rows::{row, row_when},
};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_of_the_stream_log_turns_and_empties_its_oldest_slot() {
    let app = TestApp::start().await;
    let fill = "INSERT INTO stream_events (slot, message_id, sequence, part_index, kind, text)
        SELECT slot, uuid_v7(), n, 0, 'text', 'x' FROM generate_series(0, 3) slot, generate_series(1, 1000) n";
    app.db.execute(fill).await;
    // The writer is in slot 2, for longer than an answer can be resumed.
    let age = "UPDATE stream_rotations SET slot = 2, rotated_at = loquent_now() - interval '1 day'";
    app.db.execute(age).await;
    row_when(&app.db.url, LIMIT, "SELECT FROM stream_rotations WHERE slot = 3").await;
    let slots =
        "SELECT (SELECT count(*) FROM stream_events_0) AS a, (SELECT count(*) FROM stream_events_1) AS b,
        (SELECT count(*) FROM stream_events_2) AS c, (SELECT count(*) FROM stream_events_3) AS d,
        pg_relation_size('stream_events_3') AS bytes";
    let expected = json!({ "a": 1000, "b": 1000, "c": 1000, "d": 0, "bytes": 0 });
    assert_eq!(row(&app.db.url, slots).await, expected);
    println!("stream ring n=1000 ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_of_the_logs_of_conversations_is_emptied_by_the_clock() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let sent = person.send_text("Hi", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let fill = "INSERT INTO conversation_events (slot, conversation_id, sequence, kind)
        SELECT slot, uuid_v7(), n, 'conversation' FROM generate_series(0, 3) slot, generate_series(1, 1000) n";
    app.db.execute(fill).await;
    let slots = "SELECT count(*) FILTER (WHERE slot = (conversation_event_slot(loquent_now()) + 1) % 4) AS next,
        count(*) FILTER (WHERE slot <> (conversation_event_slot(loquent_now()) + 1) % 4) AS others FROM conversation_events";
    // Two messages, the answer once more at its end, and the conversation.
    assert_eq!(row(&app.db.url, slots).await, json!({ "next": 1000, "others": 3004 }));
    let tick = "UPDATE cron_entries SET is_enabled = true, next_tick_at = loquent_now() WHERE name = 'prune.conversation_events'";
    app.db.execute(tick).await;
    let ended = "SELECT FROM jobs WHERE name = 'upkeep.prune' AND payload::text LIKE '%conversation_events%' AND state = 'done'";
    row_when(&app.db.url, LIMIT, ended).await;
    assert_eq!(row(&app.db.url, slots).await, json!({ "next": 0, "others": 3004 }));
    println!("conversation ring n=1000 ok");
    app.close().await;
}

/// Entries have no foreign key, so that the log of what is gone can tell that it is; they leave with their slot.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_conversation_takes_everything_along_but_its_money() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let sent = person.send_text("Hi", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let remove =
        "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId userErrors { code } } }";
    let id = &sent["conversation"]["id"];
    assert_eq!(person.gql(remove, json!({ "id": id })).await.data()["deleteConversation"]["deletedId"], *id);
    let left = "SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages,
        (SELECT count(*) FROM generations WHERE message_id IS NULL AND conversation_id IS NULL) AS runs";
    assert_eq!(row(&app.db.url, left).await, json!({ "conversations": 0, "messages": 0, "runs": 1 }));
    app.close().await;
}
