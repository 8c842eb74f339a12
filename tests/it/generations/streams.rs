//! Many answers at once: every reader gets every byte once, in order, however often it comes and goes.

use futures_util::future::join_all;

use super::fed::{Fed, ROOMY};
use crate::support::{
    app::TestApp,
    client::Client,
    cluster::variable,
    feed::Dice,
    rows::{connect, stored},
    ws::Socket,
};

const PERSONS: usize = 5;
const PIECES: usize = 20;
const BREAKS: usize = 3;

/// Where a reader goes away, in bytes read, what is said meanwhile, and whether its connection goes too.
struct Break {
    at: usize,
    missed: usize,
    is_new_socket: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_are_dropped_and_resumed_without_losing_or_repeating_a_byte() {
    let streams = if variable("TEST_SCALE").is_some() { 400 } else { 100 };
    let mut dice = Dice::throw("streams_resume");
    let app = TestApp::builder()
        .settings(&format!("{ROOMY}operations_per_socket = 1000"))
        .credits("100000")
        .start()
        .await;
    let persons = join_all((0..PERSONS).map(|_| app.client.sign_up())).await;
    let mut readings = Vec::new();
    for index in 0..streams {
        let person = persons[index % PERSONS].clone();
        let fed = Fed::start(&app.provider, &person, &dice.pieces(PIECES)).await;
        let breaks = breaks(&mut dice, fed.feed.text.len());
        readings.push(read_with_breaks(person, fed, breaks));
    }
    let read = join_all(readings).await;
    let mut conn = connect(&app.db.url).await;
    for fed in &read {
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&*stored.status, &stored.text), ("succeeded", &fed.feed.text));
        assert_eq!(fed.reader.text, stored.text, "a reader has something else than the table");
        assert_eq!(fed.reader.sequence, Some(stored.sequence));
        assert_eq!(fed.reader.snapshots, 1, "a reader that resumed was sent a snapshot");
    }
    let deltas: usize = read.iter().map(|fed| fed.reader.deltas).sum();
    assert!(deltas > streams * PIECES / 2, "too little was streamed to prove anything: {deltas}");
    app.close().await;
    println!("streams_resume n={streams} breaks={} deltas={deltas} ok", streams * BREAKS);
}

fn breaks(dice: &mut Dice, bytes: usize) -> Vec<Break> {
    let mut breaks: Vec<Break> = (0..BREAKS)
        .map(|_| Break { at: dice.below(bytes), missed: dice.below(5), is_new_socket: dice.below(2) == 1 })
        .collect();
    breaks.sort_by_key(|pause| pause.at);
    breaks
}

async fn read_with_breaks(person: Client, mut fed: Fed, breaks: Vec<Break>) -> Fed {
    let mut socket = Socket::connect(&person).await;
    fed.watch(&socket).await;
    for pause in breaks {
        fed.read_until(pause.at).await;
        fed.reader.leave();
        fed.feed.give(pause.missed);
        if pause.is_new_socket {
            socket = Socket::connect(&person).await;
        }
        fed.watch(&socket).await;
    }
    assert_eq!(fed.read_to_end().await["__typename"], "MessageFinished");
    fed
}
