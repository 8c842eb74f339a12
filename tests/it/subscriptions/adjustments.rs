//! What administrators give and take by hand.

use chrono::TimeDelta;
use futures_util::future::join_all;
use loquent::{
    domains::credits::{Adjusted, Adjustment, Adjustments, Credits},
    error::{ErrorCode, Result},
    platform::{clock::Clock, tasks::Tasks},
};
use serde_json::json;
use uuid::Uuid;

use super::stage::Stage;

/// An account that joined in this moment, and the one who adjusts it.
struct Office {
    stage: Stage,
    adjustments: Adjustments,
}

impl Office {
    async fn open() -> Self {
        let stage = Stage::begin(Clock::default().now()).await;
        let house = &stage.house;
        let adjustments = Adjustments::new(
            house.pool.clone(),
            house.clock.clone(),
            Tasks::default(),
            house.settings.clone(),
        );
        Self { stage, adjustments }
    }

    /// What is wished by default: to give 5 credits for good.
    fn wish(&self) -> Adjustment {
        Adjustment {
            account_id: self.stage.account,
            amount: Credits(5_000_000),
            expires_at: None,
            reason: "A gift".to_owned(),
            requested_by: None,
            key: Uuid::now_v7().to_string(),
        }
    }

    async fn adjust(&self, change: impl FnOnce(&mut Adjustment)) -> Result<Adjusted> {
        let mut wish = self.wish();
        change(&mut wish);
        self.adjustments.adjust(wish).await
    }

    async fn code(&self, change: impl FnOnce(&mut Adjustment)) -> ErrorCode {
        self.adjust(change).await.expect_err("it is refused").code()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_are_given_and_taken_as_far_as_there_are_any_and_the_books_say_why() {
    let office = Office::open().await;
    let given = office.adjust(|_| {}).await.unwrap();
    assert_eq!((given.booked.0, given.balance.available), (5_000_000, 15_000_000));
    let taken = office.adjust(|wish| wish.amount = Credits(-12_500_000)).await.unwrap();
    assert_eq!((taken.booked.0, taken.balance.available), (-12_500_000, 2_500_000));
    let rest = office.adjust(|wish| wish.amount = Credits(-100_000_000)).await.unwrap();
    assert_eq!((rest.booked.0, rest.balance.available), (-2_500_000, 0));
    let query = "SELECT e.kind, g.source, e.amount, e.description FROM ledger_entries e \
                   JOIN grants g ON g.id = e.grant_id WHERE e.kind = 'adjust' ORDER BY e.revision";
    let entry = |source: &str, amount: i64| json!({ "kind": "adjust", "source": source, "amount": amount, "description": "A gift" });
    assert_eq!(
        office.stage.rows(query).await,
        [
            entry("adjustment", 5_000_000),
            entry("plan", -10_000_000),
            entry("adjustment", -2_500_000),
            entry("adjustment", -2_500_000)
        ]
    );
    let rows =
        office.stage.rows("SELECT amount, booked, status FROM credit_adjustments ORDER BY created_at").await;
    let row = |amount: i64, booked: i64| json!({ "amount": amount, "booked": booked, "status": "applied" });
    assert_eq!(
        rows,
        [row(5_000_000, 5_000_000), row(-12_500_000, -12_500_000), row(-100_000_000, -2_500_000)]
    );
    office.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_credits_expire_on_their_day_without_a_look() {
    let mut office = Office::open().await;
    let day = office.stage.house.clock.now() + TimeDelta::days(3);
    office.adjust(|wish| wish.expires_at = Some(day)).await.unwrap();
    office.stage.set(day).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let round = office.stage.house.subscriptions.renew_due(deadline).await.unwrap();
    assert_eq!((round.done, round.failed, round.is_complete), (1, 0, true));
    let again = office.stage.house.subscriptions.renew_due(deadline).await.unwrap();
    assert_eq!(again.done, 0);
    let left = office.stage.rows("SELECT available FROM wallets WHERE meter = 'credits'").await;
    assert_eq!(left, [json!({ "available": 10_000_000 })]);
    office.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_repeats_of_a_key_are_one_adjustment_and_another_input_under_it_is_refused() {
    let office = Office::open().await;
    let wish = office.wish();
    let all = join_all((0..50).map(|_| office.adjustments.adjust(wish.clone()))).await;
    let ids: Vec<Uuid> = all.into_iter().map(|result| result.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let count = office.stage.rows("SELECT count(*) AS n FROM grants WHERE source = 'adjustment'").await;
    assert_eq!(count, [json!({ "n": 1 })]);
    let other = Adjustment { amount: Credits(6_000_000), ..wish.clone() };
    let refused = office.adjustments.adjust(other).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::IdempotencyKeyReused);
    // The key belongs to whoever uses it.
    let another = Adjustment { requested_by: Some(office.stage.account), ..wish };
    assert_ne!(office.adjustments.adjust(another).await.unwrap().id, ids[0]);
    office.stage.close().await;
    println!("adjusted_once n=50 ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_an_administrator_has_a_bound() {
    let office = Office::open().await;
    let by = Some(office.stage.account);
    let now = office.stage.house.clock.now();
    assert_eq!(office.code(|wish| wish.amount = Credits(0)).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.amount = Credits(i64::MIN)).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.reason = " ".to_owned()).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.reason = "a\nb".to_owned()).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.reason = "x".repeat(501)).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.expires_at = Some(now)).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.key = "short".to_owned()).await, ErrorCode::InvalidInput);
    assert_eq!(office.code(|wish| wish.account_id = Uuid::now_v7()).await, ErrorCode::NotFound);
    let beyond = Credits(10_000_000_001);
    assert_eq!(
        office.code(|wish| (wish.amount, wish.requested_by) = (beyond, by)).await,
        ErrorCode::RoleForbids
    );
    let at_the_bound = office.adjust(|wish| (wish.amount, wish.requested_by) = (Credits(10_000_000_000), by));
    assert_eq!(at_the_bound.await.unwrap().booked.0, 10_000_000_000);
    // The setting moves the bound, and a command has none.
    office.stage.house.settings.set("credits.adjustment_bound", "2").await.unwrap();
    assert_eq!(office.code(|wish| wish.requested_by = by).await, ErrorCode::RoleForbids);
    assert_eq!(office.adjust(|wish| wish.amount = beyond).await.unwrap().booked, beyond);
    let left = office.stage.rows("SELECT count(*) AS n FROM credit_adjustments").await;
    assert_eq!(left, [json!({ "n": 2 })]);
    office.stage.close().await;
}
