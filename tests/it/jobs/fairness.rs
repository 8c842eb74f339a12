//! Accounts take turns: who has its share of a queue lets the others go first.

use loquent::jobs::Options;
use uuid::Uuid;

use super::stage::{Act, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_its_share_waits_while_others_have_work_and_only_then() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 4\naccount_share = 2").await;
    let of = |account: Uuid| Options { account_id: Some(account), ..Options::default() };
    let (greedy, modest) = (Uuid::now_v7(), Uuid::now_v7());
    for n in 0..20 {
        stage.enqueue(&format!("greedy {n}"), Act::Wait, of(greedy)).await;
    }
    // Nobody else has work, so all slots are its own.
    for _ in 0..4 {
        assert!(stage.next().await.name.starts_with("greedy"));
    }
    for n in 0..3 {
        stage.enqueue(&format!("modest {n}"), Act::Wait, of(modest)).await;
    }
    stage.enqueue("the house", Act::Wait, Options::default()).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        stage.exits.add_permits(1);
        let name = stage.next().await.name;
        order.push(name.split(' ').next().unwrap().to_owned());
    }
    // The greedy have more than their share until three of their runs have ended.
    order[..2].sort();
    assert_eq!(order[..2], ["modest", "the"]);
    assert!(order.contains(&"greedy".to_owned()), "{order:?}");
    stage.exits.add_permits(100);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_one_account_does_not_keep_others_waiting() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 2\naccount_share = 1").await;
    stage.enqueue("occupies a slot", Act::Wait, Options::default()).await;
    stage.enqueue("occupies the other", Act::Wait, Options::default()).await;
    stage.next().await;
    stage.next().await;
    stage
        .app
        .db
        .fill_jobs(&format!(
            "SELECT 'default', 'tests.play', '{{\"name\": \"crowd\", \"act\": \"Return\"}}', 'ready', NULL, 0::smallint, \
                    3::smallint FROM generate_series(1, {CROWD}) n"
        ))
        .await;
    stage
        .app
        .db
        .execute("UPDATE jobs SET lane = 77, account_id = uuid_v7() WHERE lane = 0 AND state = 'ready'")
        .await;
    let account = Some(Uuid::now_v7());
    stage.enqueue("alone", Act::Return, Options { account_id: account, ..Options::default() }).await;
    stage.exits.add_permits(2);
    let mut order = Vec::new();
    for _ in 0..=CROWD {
        order.push(stage.next().await.name);
    }
    // Each claim takes one or the other with equal chance: thirty times the wrong one is one in a billion.
    let place = order.iter().position(|name| name == "alone").unwrap();
    assert!(place < 30, "{place} others went first");
    stage.close().await;
}

const CROWD: usize = 500;
