//! A turn that was accepted while nobody took it up, as when the answer of the database is lost on its way.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::support::{
    app::TestApp,
    provider::Script,
    rows::{message_uuid, row_when},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_in_nobodys_hands_is_ended_and_its_credits_return() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Hello.", 1).usage(3, 1));
    let sent = person.send_text("Hi", json!({})).await;
    let answered = sent["assistantMessage"]["id"].as_str().unwrap();
    person.wait_for_end(answered).await;

    // Everything that `accept_turn` writes, a minute ago, for this very process, which has never heard of it.
    let (message, run) = (Uuid::now_v7(), Uuid::now_v7());
    let first = message_uuid(answered);
    let accept = format!(
        "WITH old AS (SELECT * FROM generations WHERE message_id = '{first}'),
         m AS (INSERT INTO messages (id, account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, status)
               SELECT '{message}', account_id, conversation_id, message_id, 2, message_id, 1, 'assistant', 'queued' FROM old)
         INSERT INTO generations (id, account_id, user_id, conversation_id, message_id, replica_id, requested_model,
                                  model_key, terms, credits_held, created_at)
         SELECT '{run}', account_id, user_id, conversation_id, '{message}', replica_id, requested_model, model_key, terms,
                1000, loquent_now() - interval '1 minute' FROM old;
         SELECT ledger_hold('{run}', account_id, 'generation', 1, 1, '[{{\"kind\": \"wallet\", \"meter\": \"credits\", \"fixed\": 1000, \"rate\": 0}}]',
                            user_id, 'Abandoned') FROM generations WHERE id = '{run}'"
    );
    app.db.execute(&format!("BEGIN; {accept}; COMMIT")).await;
    assert_eq!(person.balance().await.1, "0.001000");

    let ended = format!("SELECT * FROM generations WHERE id = '{run}' AND finished_at IS NOT NULL");
    let ended = row_when(&app.db.url, Duration::from_secs(15), &ended).await;
    assert_eq!((&ended["status"], &ended["credits_charged"]), (&json!("interrupted"), &json!(0)));
    assert_eq!(person.balance().await.1, "0.000000");
    app.close().await;
}
