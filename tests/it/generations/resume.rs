//! Where a reader may begin: every number that it can give, before, during and after the answer.

use serde_json::{Value, json};

use super::fed::Fed;
use crate::support::{
    app::{TestApp, WATCH},
    client::Client,
    provider::Script,
    reader::{Got, Reader},
    rows::{connect, stored},
    ws::{Event, RawSocket, Received, Socket},
};

fn pieces() -> Vec<String> {
    ["Grüße, ", "世界", " und 👩‍🚀", ".", " Ende"].map(str::to_owned).to_vec()
}

/// A person with an answer of which three pieces were said, and read one by one by the reader of it.
async fn half_read(app: &TestApp) -> (Client, Socket, Fed) {
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let mut fed = Fed::start(&app.provider, &person, &pieces()).await;
    fed.watch(&socket).await;
    let three: usize = pieces()[..3].iter().map(String::len).sum();
    fed.read_until(three).await;
    (person, socket, fed)
}

/// A reader that has got as far as `sequence`, with `text`.
async fn reader_at(socket: &Socket, message_id: &str, sequence: i64, text: &str) -> Reader {
    let mut reader = Reader::new(message_id);
    reader.sequence = Some(sequence);
    reader.text = text.to_owned();
    reader.watch(socket).await;
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn every_watcher_of_a_message_gets_all_of_it_and_a_late_one_begins_with_a_snapshot() {
    let app = TestApp::start().await;
    let (person, socket, mut fed) = half_read(&app).await;
    let other_socket = Socket::connect(&person).await;
    let mut late = Reader::open(&other_socket, &fed.message_id).await;
    assert_eq!(late.next().await, Got::Snapshot);
    assert_eq!((&late.text, late.sequence), (&fed.reader.text, fed.reader.sequence));
    let mut from_zero = reader_at(&socket, &fed.message_id, 0, "").await;
    for _ in 0..3 {
        assert_eq!(from_zero.next().await, Got::Delta);
    }
    fed.read_to_end().await;
    for reader in [&mut late, &mut from_zero] {
        assert_eq!(reader.read_to_end().await, fed.reader.end.as_ref().unwrap());
        assert_eq!((&reader.text, reader.sequence), (&fed.feed.text, fed.reader.sequence));
    }
    assert_eq!((late.snapshots, from_zero.snapshots), (1, 0));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_beyond_the_newest_event_brings_a_snapshot() {
    let app = TestApp::start().await;
    let (_person, socket, mut fed) = half_read(&app).await;
    let mut confused = Reader::new(&fed.message_id);
    let variables = json!({ "id": fed.message_id, "after": 4000 });
    let mut watch = socket.subscribe(WATCH, variables.clone()).await;
    let Event::Next(event) = watch.next().await else { panic!("no event") };
    let event = &event["data"]["messageStream"];
    assert_eq!(event["__typename"], "MessageSnapshot");
    assert_eq!(event["message"]["text"], json!(fed.reader.text));
    confused.sequence = event["sequence"].as_i64();
    confused.text = fed.reader.text.clone();
    confused.watch(&socket).await;
    fed.read_to_end().await;
    confused.read_to_end().await;
    assert_eq!(confused.text, fed.feed.text);

    // The same after the end.
    let names = type_names(&socket, variables).await;
    assert_eq!(names, ["MessageSnapshot", "MessageFinished"]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_message_is_a_snapshot_and_its_end_or_exactly_what_is_missing() {
    let app = TestApp::start().await;
    let (_person, socket, mut fed) = half_read(&app).await;
    fed.read_to_end().await;
    let last = fed.reader.sequence.unwrap();
    let id = fed.message_id.clone();
    assert_eq!(type_names(&socket, json!({ "id": id })).await, ["MessageSnapshot", "MessageFinished"]);
    let mut whole = Reader::open(&socket, &id).await;
    whole.read_to_end().await;
    assert_eq!((&whole.text, whole.sequence), (&fed.feed.text, Some(last)));

    // From each event on there is exactly the rest, and after the last one nothing.
    for after in 0..last {
        let mut reader = Reader::new(&id);
        reader.sequence = Some(after);
        reader.watch(&socket).await;
        reader.read_to_end().await;
        assert!(fed.feed.text.ends_with(&reader.text), "{}", reader.text);
        assert_eq!((reader.snapshots, reader.deltas), (0, usize::try_from(last - 1 - after).unwrap()));
    }
    assert!(type_names(&socket, json!({ "id": id, "after": last })).await.is_empty());
    let stored = stored(&mut connect(&app.db.url).await, &id).await;
    assert_eq!((stored.sequence, stored.text), (last, fed.feed.text));
    app.close().await;
}

/// Names of the events of a stream until it is complete.
async fn type_names(socket: &Socket, variables: Value) -> Vec<String> {
    let mut watch = socket.subscribe(WATCH, variables).await;
    let mut names = Vec::new();
    loop {
        match watch.next().await {
            Event::Next(event) => {
                names.push(event["data"]["messageStream"]["__typename"].as_str().unwrap().to_owned())
            }
            Event::Complete => return names,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_number_a_stranger_and_an_unknown_message_are_refused() {
    let app = TestApp::start().await;
    let (_person, socket, mut fed) = half_read(&app).await;
    let refusal = async |socket: &Socket, variables: Value| {
        let mut watch = socket.subscribe(WATCH, variables).await;
        match watch.next().await {
            Event::Next(answer) => answer["errors"][0]["extensions"]["code"].clone(),
            Event::Error(errors) => errors[0]["extensions"]["code"].clone(),
            other => panic!("{other:?}"),
        }
    };
    let id = &fed.message_id;
    assert_eq!(refusal(&socket, json!({ "id": id, "after": -1 })).await, "BAD_USER_INPUT");
    assert_eq!(refusal(&socket, json!({ "id": "msg_01h455vb4pex5vsknk084sn02q" })).await, "BAD_USER_INPUT");
    let stranger = Socket::connect(&app.client.sign_up().await).await;
    assert_eq!(refusal(&stranger, json!({ "id": id })).await, "BAD_USER_INPUT");
    fed.read_to_end().await;
    app.close().await;
}

/// An answer in which text and thoughts change places: nothing of it is joined into fewer events.
fn alternating(pairs: usize, text: &str) -> Script {
    let chunk = |delta: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    let thought = chunk(json!({ "reasoning_content": "hm " }));
    let words: String =
        (0..pairs).map(|n| chunk(json!({ "content": format!("{n} {text}") })) + &thought).collect();
    let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    Script::raw(format!("{words}data: {end}\n\ndata: [DONE]\n\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_gets_a_snapshot_in_the_same_subscription_and_slows_nobody() {
    const PAIRS: usize = 600;
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = crate::support::provider::Gate::default();
    app.provider.always(alternating(PAIRS, &"語".repeat(250)).gate(&gate));
    let sent = person.send_text("Think aloud.", json!({})).await;
    let id = sent["assistantMessage"]["id"].as_str().unwrap().to_owned();

    let mut slow = RawSocket::open(&person).await;
    slow.init(person.token.as_deref()).await;
    let payload = json!({ "query": WATCH, "variables": { "id": id } });
    slow.send(json!({ "id": "slow", "type": "subscribe", "payload": payload })).await;
    let mut names = vec![name_of(slow.receive().await)];
    gate.open();
    // Meanwhile the answer comes to its end for everybody else.
    let mut fast = Reader::open(&Socket::connect(&person).await, &id).await;
    fast.read_to_end().await;
    let stored = stored(&mut connect(&app.db.url).await, &id).await;
    assert!(fast.text == stored.text, "the fast reader has something else");
    assert_eq!(stored.reasoning, "hm ".repeat(PAIRS));
    assert_eq!(stored.sequence, i64::try_from(2 * PAIRS + 1).unwrap());

    let mut reader = Reader::new(&id);
    while names.last().is_none_or(|name| name.0 != "complete") {
        names.push(name_of(slow.receive().await));
    }
    for (_, event) in &names {
        reader.replay(event);
    }
    assert!(reader.text == stored.text, "the slow reader has something else");
    assert_eq!(reader.sequence, Some(stored.sequence));
    assert!(reader.snapshots >= 2, "it never fell back: {} deltas", reader.deltas);
    assert!(reader.deltas < 2 * PAIRS, "it got every single event");
    assert_eq!(reader.end.unwrap()["__typename"], "MessageFinished");
    app.close().await;
}

/// Kind of a message of the socket, and the event it brings.
fn name_of(received: Received) -> (String, Value) {
    match received {
        Received::Json(message) => {
            let kind = message["type"].as_str().unwrap().to_owned();
            (kind, message["payload"]["data"]["messageStream"].clone())
        }
        other => panic!("{other:?}"),
    }
}
