//! A database that stands still: nothing is said that is not stored, and nothing is lost.

use std::{fs, path::Path, time::Duration};

use futures_util::future::{join_all, select_all};
use loquent::platform::postgres::{
    embedded::{self, Options, Profile},
    migrate,
};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use super::fed::{Fed, ROOMY};
use crate::{
    embedded::owner::{options, scratch},
    support::{
        app::TestApp,
        db::TestDb,
        feed::Dice,
        processes::pid_in,
        reader::Got,
        rows::{connect, message_uuid, rows, stored},
        ws::Socket,
    },
};

const STREAMS: usize = 10;
const PIECES: usize = 20;
/// How long everybody is watched while nothing may arrive: many times the pace of the log, and two leases.
const SILENCE: Duration = Duration::from_secs(2);

/// A server with all its processes stopped. Dropping it lets them go on.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    pub fn new(data_dir: &Path) -> Self {
        let postmaster = pid_in(&data_dir.join("postmaster.pid")).expect("a running server");
        let mut frozen = Self(Vec::new());
        // The postmaster first: from then on nothing is added.
        frozen.stop(postmaster);
        for child in children(postmaster) {
            frozen.stop(child);
        }
        frozen
    }

    fn stop(&mut self, pid: i32) {
        let pid = Pid::from_raw(pid).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        self.0.push(pid);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in self.0.iter().rev() {
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

fn children(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        fields.split_whitespace().nth(1).and_then(|ppid| ppid.parse().ok()) == Some(parent)
    };
    pids.filter(is_child).collect()
}

/// Reads half of an answer; each event is in the table by the time it arrives.
async fn read_half(fed: &mut Fed, url: &str) {
    let mut conn = connect(url).await;
    let message = message_uuid(&fed.message_id);
    while fed.reader.text.len() < fed.feed.text.len() / 2 {
        fed.feed.give_after(fed.reader.text.len());
        if fed.reader.next().await == Got::Delta {
            let sequence = fed.reader.sequence.unwrap();
            let query = format!(
                "SELECT text FROM stream_events WHERE message_id = '{message}' AND sequence = {sequence}"
            );
            let found = rows(&mut conn, &query).await;
            assert_eq!(found.len(), 1, "event {sequence} was delivered and is not stored");
            assert!(fed.reader.text.ends_with(found[0]["text"].as_str().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_delivered_while_the_database_stands_still_and_all_of_it_afterwards() {
    let mut dice = Dice::throw("outage");
    let home = scratch();
    let private = Options { profile: Profile::Disposable, ..options(home.path()) };
    let cluster = embedded::start(&private).await.unwrap();
    cluster.ensure_database("loquent").await.unwrap();
    let url = cluster.url("loquent");
    migrate::up(&url).await.unwrap();
    let db = TestDb::create().await;
    let app = TestApp::builder()
        .credits("100")
        .settings(&format!("{ROOMY}[streams]\nlease_ms = 1000"))
        .database_through(|_| url.clone(), &db)
        .start_over(db)
        .await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let answers: Vec<_> = (0..STREAMS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(&app.provider, &person, &answers).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
    }
    join_all(streams.iter_mut().map(|fed| read_half(fed, &url))).await;

    let frozen = Frozen::new(cluster.data_dir());
    for fed in &mut streams {
        fed.feed.give_all();
    }
    // The providers have said everything now.
    app.provider.idle().await;
    let anything = select_all(streams.iter_mut().map(|fed| Box::pin(fed.reader.next())));
    if let Ok((got, ..)) = tokio::time::timeout(SILENCE, anything).await {
        panic!("{got:?} arrived while the database stood still");
    }
    let ready = app.client.send(app.client.request(Method::GET, "/readyz")).await;
    assert_eq!(ready.status, 503, "ready without a database");
    let stopped = frozen.0.len();
    drop(frozen);

    let mut conn = connect(&url).await;
    for fed in &mut streams {
        assert_eq!(fed.reader.read_to_end().await["__typename"], "MessageFinished");
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&stored.text, Some(stored.sequence)), (&fed.feed.text, fed.reader.sequence));
        assert_eq!((&fed.reader.text, fed.reader.snapshots), (&stored.text, 1));
    }
    drop(conn);
    app.close().await;
    cluster.stop().await;
    println!("outage n={STREAMS} processes_stopped={stopped} ok");
}
