//! Fifty callers on three processes find the same account due, or want the same change: it happens once.

use chrono::{DateTime, Months, Utc};
use serde_json::{Value, json};

use super::{helper::Renewer, stage::Stage};

const PROCESSES: usize = 3;
const CALLERS: usize = 50;
const ROUNDS: u32 = 20;

struct Crowd(Vec<Renewer>);

impl Crowd {
    fn gather(url: &str) -> Self {
        Self((0..PROCESSES).map(|_| Renewer::start(url)).collect())
    }

    /// All go at once; nobody may get an error.
    fn rush(&mut self, stage: &Stage, plan: Option<&str>) {
        for (place, renewer) in self.0.iter_mut().enumerate() {
            let share = CALLERS / PROCESSES + usize::from(place < CALLERS % PROCESSES);
            renewer.order(share, stage.account, plan);
        }
        let failed: usize = self.0.iter_mut().map(Renewer::failed).sum();
        assert_eq!(failed, 0, "callers got an error");
    }
}

fn new_year() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Revision of the subscription, number of its changes, and the grants by source.
async fn state(stage: &Stage) -> Value {
    let query = "SELECT s.revision, (SELECT count(*) FROM subscription_changes) AS changes,
        (SELECT count(*) FROM grants WHERE source = 'plan') AS plan,
        (SELECT count(*) FROM grants WHERE source = 'rollover') AS rollover FROM subscriptions s";
    stage.rows(query).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_on_three_processes_renew_a_period_once() {
    let mut stage = Stage::begin(new_year()).await;
    stage.set_plan("midi", None).await;
    let mut crowd = Crowd::gather(&stage.world.db.url);
    for round in 1..=ROUNDS {
        stage.set(new_year() + Months::new(round)).await;
        crowd.rush(&stage, None);
        let expected = json!({ "revision": 1 + round, "changes": 1, "plan": 2 + round, "rollover": round });
        assert_eq!(state(&stage).await, expected, "round {round}");
    }
    stage.close().await;
    println!("renewed_once n={} rounds={ROUNDS} processes={PROCESSES} ok", CALLERS * ROUNDS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_on_three_processes_change_a_plan_once() {
    let mut stage = Stage::begin(new_year()).await;
    let mut crowd = Crowd::gather(&stage.world.db.url);
    for round in 1..=ROUNDS {
        // The period ends too, and each renews it first.
        stage.set(new_year() + Months::new(round)).await;
        let (plan, grants) = if round % 2 == 1 { ("midi", 2) } else { ("mini", 1) };
        let before = state(&stage).await;
        crowd.rush(&stage, Some(plan));
        let after = state(&stage).await;
        let grown = |name: &str| after[name].as_i64().unwrap() - before[name].as_i64().unwrap();
        assert_eq!((grown("changes"), grown("plan"), grown("revision")), (1, grants, 1), "round {round}");
    }
    stage.close().await;
    println!("changed_once n={} rounds={ROUNDS} processes={PROCESSES} ok", CALLERS * ROUNDS as usize);
}
