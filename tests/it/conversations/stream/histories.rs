//! Whole histories, one by hand and many at random, beside the list of what should be in the log.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{Entry, STREAM, Story, next, next_raw, watch};
use crate::{
    conversations::delete,
    support::{three_processes::rounds, ws::Event},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_an_entry_and_from_every_place_the_rest_follows() {
    let mut story = Story::begin().await;
    let mut before = 0;
    for step in 0..8 {
        let (first_answer, last_answer) = (story.answers.first().cloned(), story.answers.last().cloned());
        let question = story.parents.keys().find(|id| !story.answers.contains(id)).cloned();
        match step {
            0 | 1 | 7 => story.send().await,
            2 => story.rename().await,
            3 => story.edit(&question.unwrap()).await,
            4 => story.regenerate(&last_answer.unwrap()).await,
            5 => story.select(&first_answer.unwrap()).await,
            _ => story.remove(&last_answer.unwrap()).await,
        }
        story.expect_live(before).await;
        before = story.log.len();
    }
    let mut watchers = Vec::new();
    for after in 0..=story.log.len() {
        watchers.push(story.resume(after).await);
    }
    // What is ahead of the log is no place to go on from.
    let mut ahead = watch(&story.socket, &story.conversation, Some(story.log.len() + 1)).await;
    let snapshot = next_raw(&mut ahead).await;
    assert_eq!(snapshot["sequence"], story.log.len());
    assert_eq!(snapshot["conversation"]["title"], "Title 2");
    assert_eq!(snapshot["conversation"]["messageCount"], story.parents.len());
    watchers.push(ahead);
    let mut refused = story.socket.subscribe(STREAM, json!({ "id": story.conversation, "after": -1 })).await;
    match refused.next().await {
        Event::Next(event) => assert_eq!(event["errors"][0]["extensions"]["code"], "BAD_USER_INPUT"),
        Event::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT"),
        other => panic!("{other:?}"),
    }
    // Nothing more came to any of them, and the conversation ends them all.
    delete(&story.person, &story.conversation).await;
    let n = watchers.len();
    for mut watcher in watchers {
        assert_eq!(watcher.next().await, Event::Complete);
    }
    assert_eq!(story.watch.next().await, Event::Complete);
    println!("conversation stream entries={before} resumed n={n} ok");
    let Story { app, socket, watch, .. } = story;
    drop((socket, watch, refused));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_any_more_begins_with_a_snapshot_and_goes_on() {
    let mut story = Story::begin().await;
    for _ in 0..3 {
        let before = story.log.len();
        story.send().await;
        story.expect_live(before).await;
    }
    let newest = story.log.len();
    // The older half of the log is pruned, and one entry in the middle of the rest is not there.
    story.app.db.execute(&format!("DELETE FROM conversation_events WHERE sequence <= {}", newest / 2)).await;
    for after in [0, newest / 2 - 1] {
        let mut watch = watch(&story.socket, &story.conversation, Some(after)).await;
        assert_eq!(next(&mut watch).await, (newest, Entry::Snapshot), "from {after}");
    }
    let kept = story.resume(newest / 2).await;
    story.app.db.execute(&format!("DELETE FROM conversation_events WHERE sequence = {}", newest - 1)).await;
    let mut holed = watch(&story.socket, &story.conversation, Some(newest - 3)).await;
    assert_eq!(next(&mut holed).await.0, newest - 2);
    assert_eq!(next(&mut holed).await, (newest, Entry::Snapshot));
    story.rename().await;
    assert_eq!(next(&mut holed).await, (newest + 1, Entry::Conversation));
    story.expect_live(newest).await;
    println!("conversation stream pruned n=4 ok");
    let Story { app, socket, watch, .. } = story;
    drop((socket, watch, holed, kept));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_longer_than_a_page_and_messages_larger_than_one_are_read_to_the_end() {
    let mut story = Story::begin().await;
    story.send().await;
    let question = story.parents.keys().find(|id| !story.answers.contains(id)).cloned().unwrap();
    for _ in 0..80 {
        story.edit(&question).await;
    }
    // A message that is larger than a page of them is delivered alone, whatever stands before and behind it.
    story
        .app
        .db
        .execute(
            "UPDATE messages SET parts = jsonb_build_array(jsonb_build_object('type', 'text', 'text',
            (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 10000) n))) WHERE role = 'user'",
        )
        .await;
    let resumed = story.resume(0).await;
    story.expect_live(0).await;
    println!("conversation stream pages entries={} ok", story.log.len());
    let Story { app, socket, watch, .. } = story;
    drop((socket, watch, resumed));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_are_the_expected_list_of_entries() {
    let (seeds, steps) = (u64::try_from(rounds()).unwrap(), 30);
    let (mut done, mut entries): (BTreeMap<&str, usize>, _) = (BTreeMap::new(), 0);
    for seed in 0..seeds {
        let mut story = Story::begin().await;
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..steps {
            let before = story.log.len();
            *done.entry(step(&mut story, &mut rng).await).or_default() += 1;
            story.expect_live(before).await;
            let after = rng.random_range(0..=story.log.len());
            drop(story.resume(after).await);
        }
        entries += story.log.len();
        let Story { app, socket, watch, .. } = story;
        drop((socket, watch));
        app.close().await;
    }
    for kind in ["sent", "regenerated", "renamed", "selected", "edited", "removed"] {
        assert!(done.get(kind).is_some_and(|count| *count > 0), "{kind} was never tried");
    }
    println!("conversation stream random seeds={seeds} n={} entries={entries} {done:?} ok", seeds * steps);
}

async fn step(story: &mut Story, rng: &mut StdRng) -> &'static str {
    let any = |rng: &mut StdRng, ids: Vec<String>| {
        (!ids.is_empty()).then(|| ids[rng.random_range(0..ids.len())].clone())
    };
    let all: Vec<String> = story.parents.keys().cloned().collect();
    let questions = all.iter().filter(|id| !story.answers.contains(id)).cloned().collect();
    match rng.random_range(0..8) {
        0..3 => {
            story.send().await;
            "sent"
        }
        3 => {
            let Some(answer) = any(rng, story.answers.clone()) else { return "nothing" };
            story.regenerate(&answer).await;
            "regenerated"
        }
        4 => {
            story.rename().await;
            "renamed"
        }
        5 => {
            let Some(id) = any(rng, all) else { return "nothing" };
            story.select(&id).await;
            "selected"
        }
        6 => {
            let Some(id) = any(rng, questions) else { return "nothing" };
            story.edit(&id).await;
            "edited"
        }
        _ => {
            let Some(id) = any(rng, all) else { return "nothing" };
            story.remove(&id).await;
            "removed"
        }
    }
}
