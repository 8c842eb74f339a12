//! Sessions that end on one process end on every other: no request, socket or stream of theirs goes on there.

use std::time::{Duration, Instant};

use loquent::platform::postgres::news::OnRevocation;
use serde_json::json;

use super::{PROMISE, processes};
use crate::{
    accounts::{Person, refresh},
    support::{
        app::{TestApp, WATCH},
        binary::Binary,
        client::Client,
        db::TestDb,
        provider::{Gate, Script, ScriptedProvider},
        rows::row,
        sse::Frame,
        ws::{RawSocket, Received},
    },
};

const SOCKETS: usize = 3;

/// A person's client at another process.
fn at(process: &Binary, person: &Person) -> Client {
    process.client.with_token(person.client.token.clone().unwrap())
}

async fn sockets(client: &Client, count: usize) -> Vec<RawSocket> {
    let mut opened = Vec::new();
    for _ in 0..count {
        let mut socket = RawSocket::open(client).await;
        socket.init(client.token.as_deref()).await;
        opened.push(socket);
    }
    opened
}

async fn is_open(socket: &mut RawSocket) -> bool {
    socket.send(json!({ "type": "ping" })).await;
    socket.receive().await == Received::Json(json!({ "type": "pong" }))
}

/// Reads every socket to its close; how long after `since` the last one closed.
async fn all_close_with_4403(sockets: Vec<RawSocket>, since: Instant) -> Duration {
    for mut socket in sockets {
        assert_eq!(socket.close_code().await, 4403);
    }
    since.elapsed()
}

/// How long after `since` the process refuses the token.
async fn refused_after(client: &Client, since: Instant) -> Duration {
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    loop {
        polls.tick().await;
        let answer = client.gql("{ viewer { user { email } } }", json!({})).await;
        if !answer.errors().is_empty() {
            assert_eq!(answer.code(), "UNAUTHENTICATED");
            return since.elapsed();
        }
    }
}

async fn a_sign_out_there_is_an_end_here(is_notifying: bool) {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let [there, here] = processes(&db, provider.base_url(), is_notifying, "").await;
    let leaving = Person::join(&there.client).await;
    let (device, stranger) = (leaving.sign_in().await, Person::join(&there.client).await);
    let mut leavers = sockets(&at(&here, &leaving), SOCKETS).await;
    let mut stayers = sockets(&at(&here, &device), 1).await;
    stayers.extend(sockets(&at(&here, &stranger), 1).await);
    for socket in leavers.iter_mut().chain(&mut stayers) {
        assert!(is_open(socket).await);
    }
    // A stream of events that has something to wait for.
    let gate = Gate::default();
    provider.then(Script::text("one two", 2).gate_after(1, &gate));
    let sent = at(&here, &leaving).send_text("Hello", json!({})).await;
    let variables = json!({ "id": sent["assistantMessage"]["id"] });
    let mut stream = at(&here, &leaving).stream(WATCH, variables).await;
    assert!(matches!(stream.next().await, Frame::Next(_)));

    leaving.sign_out(false).await;
    let (signed_out, guest) = (Instant::now(), at(&here, &leaving));
    let (closed, refused, ()) =
        tokio::join!(all_close_with_4403(leavers, signed_out), refused_after(&guest, signed_out), async {
            while let Frame::Next(_) = stream.next().await {}
            assert_eq!(stream.next().await, Frame::Ended, "an early end is not a completion");
        },);
    let streamed = signed_out.elapsed();
    println!("notify={is_notifying}: sockets {closed:?}, requests {refused:?}, stream {streamed:?}");
    assert!([closed, refused].iter().all(|took| *took <= PROMISE));
    for socket in &mut stayers {
        assert!(is_open(socket).await, "somebody else's socket was closed");
    }
    let kept = row(&db.url, "SELECT count(*) AS n FROM revocations WHERE subject_kind = 'session'").await;
    assert_eq!(kept["n"], 1);
    gate.open();
    println!("sign_out_elsewhere n={SOCKETS} notify={is_notifying} ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_on_one_process_ends_the_session_on_another_within_two_seconds() {
    a_sign_out_there_is_an_end_here(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_on_one_process_ends_the_session_on_another_without_hints_too() {
    a_sign_out_there_is_an_end_here(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_spares_the_session_that_begins_next() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let [there, here] = processes(&db, provider.base_url(), false, "").await;
    let person = Person::join(&there.client).await;
    let (device, stranger) = (person.sign_in().await, Person::join(&there.client).await);
    let mut leavers = sockets(&at(&here, &person), SOCKETS).await;
    leavers.extend(sockets(&at(&here, &device), SOCKETS).await);
    let mut stayers = sockets(&at(&here, &stranger), 1).await;
    person.sign_out(true).await;
    let signed_out = Instant::now();
    // It begins before the other process has learned of the end of its elders.
    stayers.extend(sockets(&at(&here, &person.sign_in().await), 1).await);
    let closed = all_close_with_4403(leavers, signed_out).await;
    assert!(closed <= PROMISE, "{closed:?}");
    for socket in &mut stayers {
        assert!(is_open(socket).await);
    }
    let kept = row(&db.url, "SELECT subject_kind, count(*) AS n FROM revocations GROUP BY 1").await;
    assert_eq!(kept, json!({ "subject_kind": "user", "n": 1 }));
    println!("sign_out_everywhere_elsewhere n={} ok", 2 * SOCKETS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_used_twice_ends_the_session_on_every_process() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let [there, here] = processes(&db, provider.base_url(), true, "refresh_grace_seconds = 0").await;
    let person = Person::join(&there.client).await;
    let leavers = sockets(&at(&here, &person), SOCKETS).await;
    assert_eq!(refresh(&there.client, &person.refresh_token).await["userErrors"], json!([]));
    let again = refresh(&there.client, &person.refresh_token).await;
    assert_eq!(again["userErrors"][0]["code"], "INVALID_CODE");
    let closed = all_close_with_4403(leavers, Instant::now()).await;
    assert!(closed <= PROMISE, "{closed:?}");
    println!("reuse_elsewhere n={SOCKETS} ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_news_for_long_sends_everybody_who_is_signed_in_away_for_a_while() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let mut signed_in = sockets(&person, 1).await;
    let mut anonymous = sockets(&app.client, 1).await;
    app.app.accounts.lost_sight().await;
    assert_eq!(signed_in[0].close_code().await, 1013);
    assert!(is_open(&mut anonymous[0]).await);
    assert!(is_open(&mut sockets(&person, 1).await[0]).await, "nobody may come back");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_doubt_asks_and_stays() {
    let app = TestApp::start().await;
    let (staying, leaving) = (app.client.sign_up().await, app.client.sign_up().await);
    let (mut stayers, leavers) = (sockets(&staying, 1).await, sockets(&leaving, 1).await);
    let out = "mutation { signOut(input: { everywhere: true }) { isAccepted } }";
    // Without the words of this process: only who asks learns of it.
    let end = format!(
        "UPDATE sessions SET revoked_at = loquent_now(), revoke_reason = 'sign_out' WHERE user_id = '{}'",
        user_of(&app, &leaving).await
    );
    crate::support::rows::execute(&app.db.url, &end).await;
    app.app.accounts.doubted().await;
    all_close_with_4403(leavers, Instant::now()).await;
    assert!(is_open(&mut stayers[0]).await);
    assert!(staying.gql(out, json!({})).await.errors().is_empty());
    app.close().await;
}

/// The person's id in the database.
async fn user_of(app: &TestApp, client: &Client) -> String {
    let answer = client.gql("{ viewer { user { email } } }", json!({})).await;
    let email = answer.data()["viewer"]["user"]["email"].as_str().unwrap().to_owned();
    let found = row(&app.db.url, &format!("SELECT id FROM users WHERE email = '{email}'")).await;
    found["id"].as_str().unwrap().to_owned()
}
