//! Turns of every length, and conversations of every length.

use std::time::{Duration, Instant};

use loquent::{domains::conversations::ConversationRow, platform::ids::Id};
use serde_json::json;
use uuid::Uuid;

use super::{Stage, burst, event};
use crate::support::{
    app::WATCH,
    processes::eventually,
    provider::{Gate, Script},
    traffic::{QUIET, is_flush, is_news, is_rate, is_session_check, of_requests, show},
    ws::Socket,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_costs_five_flights_however_long_the_answer_and_the_conversation() {
    /// The longest there is, so that a debug build reads 2,000 tokens within it.
    const WINDOW_MS: u128 = 100;
    let stage = Stage::start(&format!("{QUIET}\nflush_ms = {WINDOW_MS}")).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    for messages in [0, 10, 1000] {
        let conversation = conversation(&stage, messages).await;
        for tokens in [20, 2000] {
            let turn = stage.best_turn(&socket, Some(&conversation), tokens).await;
            let (sent, all) = (turn.until_call.len(), turn.all.len());
            println!(
                "a turn at {messages} messages with {tokens} tokens: {sent} flights until the call, {all} in all"
            );
            assert!((1..=2).contains(&sent), "{sent} flights until the call:\n{}", show(&turn.until_call));
            // One flush, and one more for each window that a busy machine needed to read the answer.
            let windows = usize::try_from(turn.lasted.as_millis() / WINDOW_MS).unwrap();
            assert!((3..=5 + windows).contains(&all), "{all} flights:\n{}", show(&turn.all));
        }
    }
    println!("a_turn_costs_five_flights n=6 ok");
    drop(socket);
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_after_a_silence_costs_five_flights_with_every_flush_counted() {
    const TURNS: usize = 8;
    let stage = Stage::start(QUIET).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    let mut costs = Vec::new();
    for _ in 0..TURNS {
        // The window of the last flush is closed: the first token finds nobody waiting for more.
        let end = Instant::now() + Duration::from_millis(30);
        assert!(eventually(Duration::from_secs(5), || Instant::now() > end).await);
        let mark = stage.proxy.count();
        stage.turn(&socket, None, burst(20)).await;
        let mut flights = stage.proxy.since(mark);
        flights.retain(|flight| !is_session_check(flight) && !is_rate(flight) && !is_news(flight));
        println!("a turn after a silence: {} flights, the pulse included", flights.len());
        costs.push(flights);
    }
    // The pulse beats four times a second while a run is open, so it falls into a few of the turns only.
    let least = costs.iter().min_by_key(|flights| flights.len()).unwrap();
    assert!((3..=5).contains(&least.len()), "{} flights:\n{}", least.len(), show(least));
    println!("a_turn_after_a_silence n={TURNS} ok");
    drop(socket);
    stage.app.close().await;
}

/// A conversation that has so many messages.
async fn conversation(stage: &Stage, messages: usize) -> String {
    let created = stage
        .person
        .gql(
            "mutation($key: String!) { createConversation(input: { model: \"scripted\", idempotencyKey: $key }) {
                conversation { id } } }",
            json!({ "key": crate::support::app::new_key() }),
        )
        .await;
    let id = created.data()["createConversation"]["conversation"]["id"].as_str().unwrap().to_owned();
    if messages > 0 {
        stage.app.db.fill_conversation(uuid_of(&id), messages).await;
    }
    id
}

fn uuid_of(conversation: &str) -> Uuid {
    Id::<ConversationRow>::parse(conversation).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_answer_is_flushed_by_time_and_not_by_token() {
    const STEPS: usize = 40;
    const TOKENS_A_STEP: usize = 50;
    let stage = Stage::start(QUIET).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    let gates: Vec<Gate> = (0..STEPS).map(|_| Gate::default()).collect();
    let text = "sea ".repeat(STEPS * TOKENS_A_STEP);
    let answer = gates
        .iter()
        .enumerate()
        .fold(Script::text(&text, STEPS * TOKENS_A_STEP).usage(5, 9), |answer, (step, gate)| {
            answer.gate_after(step * TOKENS_A_STEP, gate)
        });
    stage.app.provider.then(answer);
    let mark = stage.proxy.count();
    let sent = stage.person.send_text("Hello", json!({})).await;
    let mut watch = socket.subscribe(WATCH, json!({ "id": sent["assistantMessage"]["id"] })).await;
    assert_eq!(event(&mut watch).await["__typename"], "MessageSnapshot");
    let begun = Instant::now();
    let mut read = 0;
    for (step, gate) in gates.iter().enumerate() {
        gate.open();
        while read < (step + 1) * TOKENS_A_STEP * 4 {
            let event = event(&mut watch).await;
            assert_eq!(event["__typename"], "TextDelta");
            read += event["text"].as_str().unwrap().len();
        }
    }
    while event(&mut watch).await["__typename"] != "MessageFinished" {}
    let windows = usize::try_from(begun.elapsed().as_millis()).unwrap() / 10 + 1;
    let all = of_requests(stage.proxy.since(mark));
    let flushes = all.iter().filter(|flight| is_flush(flight)).count();
    println!("{} tokens: {flushes} flushes in {windows} windows of 10 ms", STEPS * TOKENS_A_STEP);
    assert!(flushes >= STEPS, "nothing is delivered before its flush, and {STEPS} pieces were waited for");
    assert!(flushes <= windows + 1, "{flushes} flushes in {windows} windows");
    // A sweep that takes the warm connection for a moment leaves the flush a cold one, which prepares once.
    let others = all.iter().filter(|flight| !is_flush(flight) && !flight.is_preparation).count();
    assert_eq!(others, 4, "a token costs more than its flush:\n{}", show(&all));
    println!("a_paced_answer_is_flushed_by_time n={} ok", STEPS * TOKENS_A_STEP);
    drop((watch, socket));
    stage.app.close().await;
}
