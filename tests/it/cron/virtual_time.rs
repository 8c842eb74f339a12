//! Three months in which the clocks of two zones change, months end, and nobody looks for two days.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use loquent::jobs::cron::CatchUp;
use rand::RngExt;

use super::{
    calendar::{DENSE, PLAN, Planned, at},
    world::{Process, Tick, World, difference, look},
};
use crate::support::cluster::variable;

const SCHEDULERS: usize = 3;

/// Three months and when the two days without a process begin.
struct Season {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    down: DateTime<Utc>,
    up: DateTime<Utc>,
}

impl Season {
    fn new(from: &str, down: &str) -> Self {
        let (from, down) = (at(from), at(down));
        Self { from, to: from + TimeDelta::days(91), down, up: down + TimeDelta::days(2) }
    }
}

/// What has come of a season.
#[derive(Default)]
struct Outcome {
    ticks: usize,
    caught_up: usize,
    cuts: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tick_runs_once_through_clock_changes_ends_of_months_and_two_days_down() {
    let mut plan = PLAN.to_vec();
    if variable("TEST_SCALE").is_some() {
        plan.push(DENSE);
    }
    // Berlin in March and Sydney in April; Sydney in early October, Berlin at its end.
    let spring = Season::new("2026-02-15T00:05:00Z", "2026-03-30T12:10:00Z");
    let autumn = Season::new("2026-09-15T00:05:00Z", "2026-10-30T12:10:00Z");
    let mut sum = Outcome::default();
    for season in [spring, autumn] {
        let outcome = live_through(&season, &plan).await;
        sum.ticks += outcome.ticks;
        sum.caught_up += outcome.caught_up;
        sum.cuts += outcome.cuts;
    }
    let Outcome { ticks, caught_up, cuts } = sum;
    assert!(ticks > 1000 && caught_up > 20 && cuts > 20, "{ticks} ticks, {caught_up} caught up, {cuts} cuts");
    println!(
        "cron_ticks n={ticks} entries={} schedulers={SCHEDULERS} caught_up={caught_up} cuts={cuts} ok",
        plan.len()
    );
}

async fn live_through(season: &Season, plan: &[Planned]) -> Outcome {
    let mut world = World::begin(season.from).await;
    let declared: Vec<_> = plan.iter().map(|planned| planned.declared).collect();
    let mut processes = Vec::new();
    for _ in 0..SCHEDULERS {
        processes.push(Process::start(&world, &declared).await);
    }
    let declarations = processes.iter().map(|process| process.scheduler.declare());
    futures_util::future::try_join_all(declarations).await.unwrap();

    let ticks: Vec<_> = plan.iter().map(|planned| planned.ticks(season.from, season.to)).collect();
    let is_up = |instant: &DateTime<Utc>| !(season.down..season.up).contains(instant);
    let mut instants: BTreeSet<_> = ticks.iter().flatten().copied().filter(is_up).collect();
    instants.insert(season.up);
    let mut cuts = 0;
    for instant in instants {
        if instant != season.up {
            world.set(instant - TimeDelta::seconds(1)).await;
            assert_eq!(look(&processes).await, 0, "something ticked before {instant}");
        }
        let late = rand::rng().random_range(0..59);
        world.set(instant + TimeDelta::seconds(late)).await;
        cuts += look_and_die(&mut world, &processes).await;
    }
    world.settled().await;

    let expected = expected(season, plan, &ticks);
    let found = world.ticks("effects").await;
    assert_eq!(difference(&found, &expected), "", "effects of {} ticks", expected.len());
    assert_eq!(difference(&world.ticks("cron_ticks").await, &expected), "");
    let caught_up = world.noted_late_or_early().await;
    for (name, tick) in &caught_up {
        assert!((season.down..season.up).contains(tick), "{name} was not on time at {tick}");
    }
    for process in processes {
        process.stop().await;
    }
    let outcome = Outcome { ticks: found.len(), caught_up: caught_up.len(), cuts };
    drop(world);
    outcome
}

fn expected(season: &Season, plan: &[Planned], ticks: &[Vec<DateTime<Utc>>]) -> Vec<Tick> {
    let mut expected = Vec::new();
    for (planned, ticks) in plan.iter().zip(ticks) {
        let run = planned.run(ticks, season.down, season.up);
        let missed = ticks.iter().filter(|tick| (season.down..season.up).contains(tick)).count();
        let kept = run.len() + missed - ticks.len();
        match planned.declared.catch_up {
            CatchUp::Each => assert_eq!(kept, missed),
            CatchUp::Once => assert_eq!(kept, 1, "{} misses nothing", planned.declared.name),
            CatchUp::Skip => assert_eq!(kept, 0),
        }
        expected.extend(run.into_iter().map(|tick| (planned.declared.name.to_owned(), tick)));
    }
    expected.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    expected
}

/// All look at once, and some of them end in the middle of it, until nothing is due. How many ended so.
async fn look_and_die(world: &mut World, processes: &[Process]) -> usize {
    let mut cuts = 0;
    for _ in 0..500 {
        let looks = processes.iter().map(|process| {
            let patience = match rand::rng().random_range(0..10) {
                0 => Duration::from_micros(rand::rng().random_range(0..6_000)),
                _ => Duration::from_secs(30),
            };
            tokio::time::timeout(patience, process.scheduler.look())
        });
        for look in futures_util::future::join_all(looks).await {
            match look {
                Ok(looked) => drop(looked.unwrap()),
                Err(_) => cuts += 1,
            }
        }
        if world.due().await == 0 {
            return cuts;
        }
    }
    panic!("something stays due");
}
