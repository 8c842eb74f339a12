//! One reader of a byte a second among many of the same answer: the others do not notice, memory does not either, and
//! the slow one has the whole text in the end, in the subscription that it has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{is_full, subscribe};
use crate::{
    generations::fed::Fed,
    ops::metrics::scrape,
    support::{
        binary::{Binary, Launch},
        client::Client,
        db::TestDb,
        provider::ScriptedProvider,
        ws::{RawSocket, Received},
    },
    transport::flood::{address_of, connect, loopback},
};

/// More than a watcher may lag behind and its network takes.
const PIECES: usize = 330;
const PIECE_BYTES: usize = 3000;
/// How often more the slow reader asks for every piece, so that it has more to read than the network takes.
const ECHOES: usize = 14;
/// What memory may grow by: the answer itself in some places, what waits for the slow reader, and noise.
const MOST_BYTES: f64 = 24.0 * 1024.0 * 1024.0;

/// Room for a crowd at one address. The kernel tells the sender of free room by segments and not by bytes, so at this pace
/// the connection seems to stand still, and would be ended for that after ten seconds.
const SETTINGS: &str = "[limits]\nsockets_per_user = 1000\nsockets_per_address = 1000\nidle_seconds = 3600\nwrite_stall_seconds = 300\n";

/// How long the kernel waits for room, whatever we do. The run of a large crowd takes longer.
const KERNEL_PATIENCE: Duration = Duration::from_secs(60);

const FOLLOW: &str = "subscription($id: ID!) { messageStream(messageId: $id) {
    __typename sequence ... on MessageSnapshot { message { text } } ... on TextDelta { text } } }";

/// The same with every piece many times over.
fn follow_much() -> String {
    let echoes: String = (0..ECHOES).map(|n| format!("t{n}: text ")).collect();
    FOLLOW.replace("{ text } } }", &format!("{{ text {echoes} }} }} }}"))
}

/// What a client has put together.
#[derive(Default)]
struct Copy {
    text: String,
    sequence: i64,
    snapshots: usize,
    is_complete: bool,
}

impl Copy {
    /// Takes the next frame, and insists that nothing is missing before it.
    async fn take(&mut self, socket: &mut RawSocket) {
        let received = socket.receive().await;
        let Received::Json(frame) = received else {
            panic!("it ended after event {}: {received:?}", self.sequence)
        };
        self.read(&frame);
    }

    /// Reads to the end of the subscription; false when the connection ends before.
    async fn is_read_to_end(&mut self, socket: &mut RawSocket) -> bool {
        while !self.is_complete {
            let Received::Json(frame) = socket.receive().await else { return false };
            self.read(&frame);
        }
        true
    }

    fn read(&mut self, frame: &Value) {
        if frame["type"] == "complete" {
            self.is_complete = true;
            return;
        }
        let event = &frame["payload"]["data"]["messageStream"];
        let sequence = event["sequence"].as_i64().unwrap_or_else(|| panic!("{frame}"));
        match event["__typename"].as_str().unwrap() {
            "MessageSnapshot" => {
                self.snapshots += 1;
                self.text = event["message"]["text"].as_str().unwrap().to_owned();
            }
            kind => {
                assert_eq!(sequence, self.sequence + 1, "a hole before {kind}");
                self.text.push_str(event["text"].as_str().unwrap_or_default());
            }
        }
        self.sequence = sequence;
    }
}

/// One of the crowd: says `heard` when it listens, and again for every piece that it has.
async fn follow(client: Client, message_id: String, heard: Arc<Semaphore>) -> Copy {
    let mut socket = RawSocket::open(&client).await;
    socket.init(client.token.as_deref()).await;
    socket.send(subscribe(FOLLOW, json!({ "id": message_id }))).await;
    let mut copy = Copy::default();
    copy.take(&mut socket).await;
    heard.add_permits(1);
    while !copy.is_complete {
        let before = copy.text.len() / PIECE_BYTES;
        copy.take(&mut socket).await;
        heard.add_permits(copy.text.len() / PIECE_BYTES - before);
    }
    copy
}

/// Reads a byte a second until it is told that it may read as it likes. Returns the bytes so far too.
async fn crawl(mut stream: TcpStream, enough: CancellationToken) -> (TcpStream, Vec<u8>) {
    let mut seen = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = enough.cancelled() => return (stream, seen),
            _ = ticks.tick() => match stream.read_u8().await {
                Ok(byte) => seen.push(byte),
                Err(_) => enough.cancelled().await,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_byte_a_second_disturbs_nobody_and_has_it_all_in_the_end() {
    let watchers: u32 = if is_full() { 500 } else { 50 };
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: SETTINGS };
    let binary = Binary::start(&launch);
    let person = binary.client.sign_up().await;
    let pieces: Vec<String> = (0..PIECES).map(|n| format!("{n:\"<PIECE_BYTES$}")).collect();
    let mut fed = Fed::start(&provider, &person, &pieces).await;

    let heard = Arc::new(Semaphore::new(0));
    let mut crowd = JoinSet::new();
    for _ in 1..watchers {
        crowd.spawn(follow(person.clone(), fed.message_id.clone(), heard.clone()));
    }
    let stream = connect(address_of(&person), loopback(1)).await.unwrap();
    let mut slow = RawSocket::open_over(&person, stream).await.unwrap();
    slow.init(person.token.as_deref()).await;
    slow.send(subscribe(&follow_much(), json!({ "id": fed.message_id }))).await;
    let mut copy = Copy::default();
    copy.take(&mut slow).await;
    let enough = CancellationToken::new();
    let crawling = crawl(slow.into_stream(), enough.clone());

    let feeding = async {
        heard.acquire_many(watchers - 1).await.unwrap().forget();
        let rss = "process_resident_memory_bytes";
        let before = scrape(&binary.client).await[rss];
        let (mut most, mut longest, begun) = (before, Duration::ZERO, Instant::now());
        for n in 0..PIECES {
            // The next one is said when everybody else has this one, so each is an event of its own.
            let since = Instant::now();
            fed.feed.give(1);
            heard.acquire_many(watchers - 1).await.unwrap().forget();
            longest = longest.max(since.elapsed());
            if n % 10 == 0 {
                most = scrape(&binary.client).await[rss].max(most);
            }
        }
        while let Some(copy) = crowd.join_next().await {
            let copy = copy.unwrap();
            assert!(copy.text == fed.feed.text && copy.snapshots == 1, "somebody else was disturbed");
        }
        most = scrape(&binary.client).await[rss].max(most);
        enough.cancel();
        (most - before, longest, begun.elapsed())
    };
    let ((stream, seen), (grown, longest, lasted)) = tokio::join!(crawling, feeding);
    let crawled = seen.len();
    let is_kept = copy.is_read_to_end(&mut RawSocket::over(stream, seen).await).await;
    if !is_kept {
        // Whoever is cut off comes back.
        assert!(lasted >= KERNEL_PATIENCE, "it was cut off after {lasted:?}");
        let mut slow = RawSocket::open(&person).await;
        slow.init(person.token.as_deref()).await;
        slow.send(subscribe(FOLLOW, json!({ "id": fed.message_id }))).await;
        assert!(copy.is_read_to_end(&mut slow).await);
    }
    println!(
        "slow_reader n={watchers} pieces={PIECES} lasted={lasted:?} crawled={crawled} bytes kept={is_kept} snapshots={} \
         slowest_piece={longest:?} grown_kib={:.0}",
        copy.snapshots,
        grown / 1024.0
    );
    assert!(
        copy.text == fed.feed.text,
        "the slow one has {} bytes of {}",
        copy.text.len(),
        fed.feed.text.len()
    );
    assert_eq!(copy.snapshots, 2, "one at its beginning, and one when it had fallen behind or came back");
    assert!(grown <= MOST_BYTES, "{grown} bytes more");
    println!("slow_reader n={watchers} ok");
}
