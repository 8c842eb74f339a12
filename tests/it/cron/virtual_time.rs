//! Three schedulers over three pools live through two seasons; some of their looks break off in the middle.

use std::time::Duration;

use chrono::TimeDelta;
use rand::RngExt;

use super::{
    calendar::{DENSE, PLAN},
    season::Season,
    world::{Process, World, look},
};
use crate::support::cluster::variable;

const SCHEDULERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn each_tick_runs_once_through_clock_changes_ends_of_months_and_two_days_down() {
    let mut plan = PLAN.to_vec();
    if variable("TEST_SCALE").is_some() {
        plan.push(DENSE);
    }
    let (mut ticks, mut caught_up, mut cuts) = (0, 0, 0);
    for season in [Season::spring(&plan), Season::autumn(&plan)] {
        let mut world = World::begin(season.from).await;
        let declared: Vec<_> = plan.iter().map(|planned| planned.declared).collect();
        let mut processes = Vec::new();
        for _ in 0..SCHEDULERS {
            processes.push(Process::start(&world, &declared).await);
        }
        cuts += live_through(&season, &mut world, &processes).await;
        let judged = season.judge(&mut world).await;
        ticks += judged.0;
        caught_up += judged.1;
        for process in processes {
            process.stop().await;
        }
    }
    assert!(ticks > 1000 && caught_up > 20 && cuts > 20, "{ticks} ticks, {caught_up} caught up, {cuts} cuts");
    println!(
        "cron_ticks n={ticks} entries={} schedulers={SCHEDULERS} caught_up={caught_up} cuts={cuts} ok",
        plan.len()
    );
}

/// How many looks broke off.
async fn live_through(season: &Season, world: &mut World, processes: &[Process]) -> usize {
    let declarations = processes.iter().map(|process| process.scheduler.declare());
    futures_util::future::try_join_all(declarations).await.unwrap();
    let mut cuts = 0;
    for instant in season.instants() {
        if instant != season.up {
            world.set(instant - TimeDelta::seconds(1)).await;
            assert_eq!(look(processes).await, 0, "something ticked before {instant}");
        }
        let late = rand::rng().random_range(0..59);
        world.set(instant + TimeDelta::seconds(late)).await;
        cuts += look_and_die(world, processes).await;
    }
    cuts
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
