//! What becomes of entries that another version of the program declares differently.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use loquent::jobs::cron::{CatchUp, Declaration};

use super::{
    calendar::at,
    world::{Process, World, look},
};
use crate::support::rows::execute;

fn hourly(name: &'static str) -> Declaration {
    Declaration { name, schedule: "0 * * * *", zone: "UTC", catch_up: CatchUp::Each }
}

fn names(ticks: &[(String, DateTime<Utc>)]) -> Vec<String> {
    ticks.iter().map(|(name, tick)| format!("{name} {}", tick.format("%dT%H:%M"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_entry_is_taken_over_and_one_that_is_gone_ticks_where_it_is_known() {
    let mut world = World::begin(at("2026-05-01T00:30:00Z")).await;
    let (kept, changed, gone) = (hourly("kept"), hourly("changed"), hourly("gone"));
    let old = Process::start(&world, &[kept, changed, gone]).await;
    let same = [Process::start(&world, &[kept, changed, gone]).await, old];
    try_join_all(same.iter().map(|process| process.scheduler.declare())).await.unwrap();
    world.set(at("2026-05-01T01:00:00Z")).await;
    assert_eq!(look(&same).await, 3);

    // The new version starts after nobody has looked for two hours.
    world.set(at("2026-05-01T03:10:00Z")).await;
    let changed = Declaration { schedule: "45 * * * *", ..changed };
    let new = [Process::start(&world, &[kept, changed]).await];
    new[0].scheduler.declare().await.unwrap();
    let entries = world.entries().await;
    let expected = [
        // What the old schedule has missed from two o'clock on, the new one catches up.
        ("changed", "2026-05-01T02:45:00Z", true),
        ("gone", "2026-05-01T02:00:00Z", true),
        ("kept", "2026-05-01T02:00:00Z", true),
    ];
    assert_eq!(entries, expected.map(|(name, next, is_on)| (name.to_owned(), at(next), is_on)));
    assert_eq!(look(&new).await, 3);

    // The old version still runs beside it, and keeps to what the new one has declared.
    world.set(at("2026-05-01T03:45:00Z")).await;
    assert_eq!(look(&same).await, 3);

    // An entry that comes back catches up by its rule, as after any time in which nobody looked.
    world.set(at("2026-05-01T04:00:00Z")).await;
    assert_eq!(look(&new).await, 1);
    let again = [Process::start(&world, &[kept, changed, gone]).await];
    again[0].scheduler.declare().await.unwrap();
    assert_eq!(look(&again).await, 1);
    world.set(at("2026-05-01T05:00:00Z")).await;
    assert_eq!(look(&again).await, 3);
    assert_eq!(look(&same).await, 0);

    world.settled().await;
    let effects = names(&world.ticks("effects").await);
    assert_eq!(
        effects,
        [
            "changed 01T01:00",
            "gone 01T01:00",
            "kept 01T01:00",
            "gone 01T02:00",
            "kept 01T02:00",
            "changed 01T02:45",
            "gone 01T03:00",
            "kept 01T03:00",
            "changed 01T03:45",
            "gone 01T04:00",
            "kept 01T04:00",
            "changed 01T04:45",
            "gone 01T05:00",
            "kept 01T05:00",
        ]
    );
    for process in same.into_iter().chain(new).chain(again) {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_start_of_an_older_version_stops_nothing() {
    let mut world = World::begin(at("2026-05-01T00:30:00Z")).await;
    let (kept, added) = (hourly("kept"), hourly("added"));
    let changed = Declaration { schedule: "45 * * * *", ..hourly("changed") };
    let new = [Process::start(&world, &[kept, added, changed]).await];
    new[0].scheduler.declare().await.unwrap();
    let old = [Process::start(&world, &[kept, hourly("changed")]).await];
    old[0].scheduler.declare().await.unwrap();
    let expected = [
        ("added", "2026-05-01T01:00:00Z", true),
        // The last start decides.
        ("changed", "2026-05-01T01:00:00Z", true),
        ("kept", "2026-05-01T01:00:00Z", true),
    ];
    let expected = expected.map(|(name, next, is_on)| (name.to_owned(), at(next), is_on));
    assert_eq!(world.entries().await, expected);

    world.set(at("2026-05-01T01:00:00Z")).await;
    assert_eq!(look(&old).await, 2);
    assert_eq!(look(&new).await, 1, "what only the newer version knows ticks on there");
    let again = [Process::start(&world, &[kept, added, changed]).await];
    again[0].scheduler.declare().await.unwrap();
    let next = world.entries().await.into_iter().find(|(name, ..)| name == "changed").unwrap().1;
    assert_eq!(next, at("2026-05-01T01:45:00Z"));

    // What an operator has switched off, no start switches on.
    execute(&world.db.url, "UPDATE cron_entries SET is_enabled = false WHERE name = 'kept'").await;
    again[0].scheduler.declare().await.unwrap();
    world.set(at("2026-05-01T02:00:00Z")).await;
    assert_eq!(look(&again).await, 2);
    world.settled().await;
    assert_eq!(
        names(&world.ticks("effects").await),
        ["added 01T01:00", "changed 01T01:00", "kept 01T01:00", "changed 01T01:45", "added 01T02:00"]
    );
    for process in new.into_iter().chain(old).chain(again) {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rule_alone_keeps_the_time_an_entry_waits_for() {
    let mut world = World::begin(at("2026-05-01T00:30:00Z")).await;
    let process = [Process::start(&world, &[hourly("entry")]).await];
    process[0].scheduler.declare().await.unwrap();
    world.set(at("2026-05-01T08:30:00Z")).await;
    let once = Declaration { catch_up: CatchUp::Once, ..hourly("entry") };
    let changed = [Process::start(&world, &[once]).await];
    changed[0].scheduler.declare().await.unwrap();
    assert_eq!(look(&changed).await, 1);
    assert_eq!(names(&world.ticks("cron_ticks").await), ["entry 01T08:00"]);
    for process in process.into_iter().chain(changed) {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_missed_ticks_than_fit_are_caught_up_in_parts() {
    let mut world = World::begin(at("2026-05-01T00:30:00Z")).await;
    let process = [Process::start(&world, &[hourly("entry")]).await];
    process[0].scheduler.declare().await.unwrap();
    world.set(at("2026-05-01T00:30:00Z") + TimeDelta::hours(120)).await;
    let mut parts = Vec::new();
    while world.due().await > 0 {
        parts.push(look(&process).await);
    }
    assert_eq!(parts, [50, 50, 20]);
    world.settled().await;
    assert_eq!(world.ticks("effects").await.len(), 120);
    for process in process {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_moved_back_by_hand_repeats_no_tick() {
    let mut world = World::begin(at("2026-05-01T00:30:00Z")).await;
    let process = [Process::start(&world, &[hourly("entry")]).await];
    process[0].scheduler.declare().await.unwrap();
    world.set(at("2026-05-01T03:30:00Z")).await;
    assert_eq!(look(&process).await, 3);
    world.settled().await;
    execute(&world.db.url, "UPDATE cron_entries SET next_tick_at = '2026-05-01T02:00:00Z'").await;
    assert_eq!(look(&process).await, 0);
    assert_eq!(world.due().await, 0);
    for process in process {
        process.stop().await;
    }
}
