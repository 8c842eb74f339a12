//! What the callers of a crowd send: the least that the plan admits, so that lowering the cap cannot help whom there is no
//! room for.

use serde_json::{Value, json};

use crate::support::{
    app::{MODEL, SEND, new_key},
    client::{Answer, Client},
    provider::{Gate, Script},
};

/// What one message takes: two letters, and 64 tokens of output.
pub const TOKENS: usize = 69;
/// In micro-credits, at 1,000 a token.
pub const COST: usize = 1_000 * TOKENS;

/// Sends one message, paid by the account; `Value::Null` is the person's own.
pub async fn send_least(person: &Client, account: &Value) -> Answer {
    let input = json!({
        "accountId": account, "parts": [{ "text": "Hi" }], "model": MODEL,
        "options": { "maxOutputTokens": 64 }, "idempotencyKey": new_key(),
    });
    person.gql(SEND, json!({ "input": input })).await
}

/// Its answer, which takes its place until the gate opens, and then less than was held.
pub fn gated_answer(gate: &Gate) -> Script {
    Script::text("Yes.", 1).usage(5, 10).gate(gate)
}
