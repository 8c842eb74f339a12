//! The log writer alone: how long a piece takes from the run that says it, through the commit, to who listens.

use std::time::Duration;

use loquent::{
    domains::generations::{GenerationWatch, Hub, LogSettings, LogWriter, PartKind, Signal},
    platform::{
        clock::Clock,
        ids::new_uuid,
        postgres::{Db, listen::Hints, pool::PoolSettings},
        tasks::Tasks,
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stamps::{ages, token};

const STREAMS: u32 = 500;
const PER_SECOND: u32 = 50;

/// What a round measured.
pub struct Written {
    /// Age of every event when it was delivered.
    pub ages: Vec<Duration>,
    pub events_per_second: f64,
}

/// Says 25,000 events a second, for so long, in 500 streams.
pub async fn measure(url: &str, lasting: Duration) -> Written {
    let pool = PoolSettings { name: "bench", size: 4, wait: Duration::from_secs(10) };
    let (db, tasks, stop) = (Db::try_new(url, pool).unwrap(), Tasks::default(), CancellationToken::new());
    let (clock, hub) = (Clock::default(), Hub::default());
    let watch = GenerationWatch::new(Hints::off());
    // As they come.
    let settings = LogSettings { flush: Duration::from_millis(10), lease: Duration::from_secs(8) };
    let writing =
        LogWriter::start(db.clone(), clock.clone(), hub.clone(), watch, &tasks, settings, stop.clone());
    let log = writing.await.unwrap();
    let (mut runs, mut watchers) = (JoinSet::new(), JoinSet::new());
    let begun = tokio::time::Instant::now() + Duration::from_millis(200);
    for stream in 0..STREAMS {
        let message_id = new_uuid(&clock);
        let place = hub.open(message_id, new_uuid(&clock)).unwrap();
        let mut signals = hub.subscribe(message_id).unwrap();
        watchers.spawn(async move {
            let mut heard = Vec::new();
            while let Ok(Signal::Delta(delta)) = signals.recv().await {
                heard.extend(ages(delta.text.as_bytes()));
            }
            heard
        });
        let (log, gap) = (log.clone(), Duration::from_secs(1) / PER_SECOND);
        runs.spawn(async move {
            let replica = log.identity().replica_id;
            let mut at = begun + gap * stream / STREAMS;
            while at < begun + lasting {
                tokio::time::sleep_until(at).await;
                log.reserve().await.unwrap().say(replica, message_id, 0, PartKind::Text, token());
                at += gap;
            }
            log.close(replica, message_id).await.unwrap();
            drop(place);
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
    let lasted = begun.elapsed();
    let mut written = Vec::new();
    while let Some(heard) = watchers.join_next().await {
        written.extend(heard.unwrap());
    }
    stop.cancel();
    assert!(tasks.wait(Duration::from_secs(10)).await);
    db.close();
    Written { events_per_second: written.len() as f64 / lasted.as_secs_f64(), ages: written }
}
