//! Three processes that look by themselves, and one of them is killed again and again.

use std::{
    io::Read,
    process::{Child, Stdio},
    time::Duration,
};

use chrono::TimeDelta;
use rand::RngExt;
use uuid::Uuid;

use super::{
    calendar::PLAN,
    season::Season,
    world::{Process, World},
};
use crate::support::{
    cluster::variable,
    role::Role,
    rows::{execute, row_when},
};

const DATABASE: &str = "LOQUENT_TEST_DATABASE";
const REPLICA: &str = "LOQUENT_TEST_REPLICA";
const PROCESSES: usize = 3;

/// Role `scheduler`: looks without a rest until standard input ends.
pub async fn look_on() {
    let (url, id) = (variable(DATABASE).unwrap(), variable(REPLICA).unwrap().parse().unwrap());
    let declared: Vec<_> = PLAN.iter().map(|planned| planned.declared).collect();
    let process = Process::start_as(id, &url, &declared).await;
    process.scheduler.declare().await.unwrap();
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        loop {
            looks.tick().await;
            process.scheduler.look().await.unwrap();
        }
    };
    tokio::select! {
        _ = end => {}
        () = looking => {}
    }
    process.stop().await;
}

/// A process of the test's own; dropped, it is killed.
struct Looker {
    id: Uuid,
    child: Child,
}

impl Looker {
    async fn start(world: &World) -> Self {
        let id = Uuid::now_v7();
        let mut command = Role::Scheduler.command();
        command.env(DATABASE, &world.db.url).env(REPLICA, id.to_string()).stdin(Stdio::piped());
        let child = command.spawn().expect("the helper starts");
        let query = format!("SELECT FROM replicas WHERE id = '{id}'");
        row_when(&world.db.url, Duration::from_secs(30), &query).await;
        Self { id, child }
    }

    /// SIGKILL. Its row is fenced as a sweep would do it, so that its jobs are taken over.
    async fn kill(mut self, world: &World) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let fence = format!("UPDATE replicas SET fenced_at = loquent_now() WHERE id = '{}'", self.id);
        execute(&world.db.url, &fence).await;
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_no_tick_and_repeat_none() {
    let is_full = variable("TEST_SCALE").is_some();
    let (seasons, asked) = match is_full {
        true => (vec![Season::spring(&PLAN), Season::autumn(&PLAN)], 25),
        false => (vec![Season::spring(&PLAN)], 6),
    };
    let (mut ticks, mut kills) = (0, 0);
    for season in seasons {
        let mut world = World::begin(season.from).await;
        let mut lookers = Vec::new();
        for _ in 0..PROCESSES {
            lookers.push(Looker::start(&world).await);
        }
        row_when(&world.db.url, Duration::from_secs(30), "SELECT FROM cron_entries").await;
        let instants = season.instants();
        let pace = instants.len() / asked;
        for (step, instant) in instants.into_iter().enumerate() {
            world.set(instant + TimeDelta::seconds(rand::rng().random_range(0..59))).await;
            if step % pace == pace - 1 {
                // At any point of what it does now.
                tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..15_000))).await;
                lookers.remove(rand::rng().random_range(0..PROCESSES)).kill(&world).await;
                lookers.push(Looker::start(&world).await);
                kills += 1;
            }
            nothing_due(&mut world).await;
        }
        world.set(season.to).await;
        ticks += season.judge(&mut world).await.0;
    }
    assert!(kills >= asked, "{kills} kills");
    println!("cron_kills n={kills} ticks={ticks} processes={PROCESSES} ok");
}

async fn nothing_due(world: &mut World) {
    let mut polls = tokio::time::interval(Duration::from_millis(2));
    let done = async {
        while world.due().await > 0 {
            polls.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), done).await.expect("what is due is done");
}
