//! A database that stands still and then loses all its connections, under answers that are watched in the process that
//! runs them and in another: nothing is seen that is not stored, and every watcher gets an end.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use loquent::platform::postgres::{
    embedded::{self, Options, Profile},
    migrate,
};

use crate::{
    embedded::owner::{options, scratch},
    generations::{
        fed::{Fed, ROOMY},
        outage::Frozen,
    },
    support::{
        binary::{Binary, Launch},
        catalog::Offer,
        cluster::variable,
        feed::Dice,
        provider::ScriptedProvider,
        reader::Reader,
        restart::{SIGNING_KEY, check_ledger},
        rows::{connect, row, stored},
        ws::Socket,
    },
};

const AT_ONCE: usize = 10;
const PIECES: usize = 30;
const SILENCE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_elsewhere_waits_for_a_database_that_stands_still_and_survives_its_cuts() {
    let streams = if variable("TEST_SCALE").is_some() { 100 } else { 10 };
    let mut dice = Dice::throw("outage_elsewhere");
    let home = scratch();
    let private = Options { profile: Profile::Disposable, ..options(home.path()) };
    let cluster = embedded::start(&private).await.unwrap();
    cluster.ensure_database("loquent").await.unwrap();
    let url = cluster.url("loquent");
    migrate::up(&url).await.unwrap();
    Offer::of_credits("1000").apply(&url).await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}operations_per_socket = 1000\n{SIGNING_KEY}[streams]\nlease_ms = 1000");
    let launch = Launch { database_url: &url, provider: provider.base_url(), settings: &settings };
    let (near, far) = (Binary::start(&launch), Binary::start(&launch));
    assert_ne!(near.replica_id().await, far.replica_id().await);
    let mut running = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..streams / AT_ONCE {
        let person = near.client.sign_up().await;
        let socket = Socket::connect(&person).await;
        let elsewhere = Socket::connect(&far.client.with_token(person.token.clone().unwrap())).await;
        let answers: Vec<_> = (0..AT_ONCE).map(|_| dice.pieces(PIECES)).collect();
        for mut fed in Fed::start_all(&provider, &person, &answers).await {
            fed.watch(&socket).await;
            let reader = Reader::open(&elsewhere, &fed.message_id).await;
            running.push((fed, reader));
        }
        sockets.push((socket, elsewhere));
    }
    join_all(running.iter_mut().map(|pair| read_to(pair, 1, 3))).await;

    let frozen = Frozen::new(cluster.data_dir());
    running.iter_mut().for_each(|(fed, _)| fed.feed.give(PIECES / 3));
    let both = running.iter_mut().flat_map(|(fed, reader)| [&mut fed.reader, reader]);
    let anything = select_all(both.map(|reader| Box::pin(reader.next())));
    if let Ok((got, ..)) = tokio::time::timeout(SILENCE, anything).await {
        panic!("{got:?} arrived while the database stood still");
    }
    drop(frozen);
    join_all(running.iter_mut().map(|pair| read_to(pair, 2, 3))).await;

    let mut cut = 0;
    for _ in 0..3 {
        running.iter_mut().for_each(|(fed, _)| fed.feed.give(1));
        let kill = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
        cut += row(&url, kill).await["n"].as_u64().unwrap();
        running.iter_mut().for_each(|(fed, _)| fed.feed.give(1));
    }
    let mut conn = connect(&url).await;
    let (mut whole, mut done) = (0, 0);
    for (fed, reader) in &mut running {
        let end = fed.read_to_end().await["__typename"].clone();
        assert_eq!(reader.read_to_end().await["__typename"], end);
        let stored = stored(&mut conn, &fed.message_id).await;
        assert!(["succeeded", "interrupted"].contains(&&*stored.status), "{stored:?}");
        assert_eq!((&fed.reader.text, fed.reader.sequence), (&stored.text, Some(stored.sequence)));
        assert_eq!((&reader.text, reader.sequence), (&stored.text, Some(stored.sequence)));
        assert!(fed.feed.text.starts_with(&stored.text), "{stored:?}");
        whole += usize::from(stored.text == fed.feed.text);
        done += 1;
    }
    assert_eq!(done, streams);
    drop((conn, sockets));
    println!("outage_elsewhere n={done} whole={whole} cut={cut} {} ok", check_ledger(&url));
    drop((near, far));
    cluster.stop().await;
}

/// Lets so much of the answer be said that both readers have that share of it.
async fn read_to((fed, reader): &mut (Fed, Reader), share: usize, of: usize) {
    let bytes = fed.feed.text.len() * share / of;
    fed.read_until(bytes).await;
    while reader.sequence.is_none() || reader.text.len() < bytes {
        reader.next().await;
    }
}
