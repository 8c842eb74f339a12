//! The functions of the database against the ledger in plain Rust: the same histories, the same results, over virtual time.

mod steps;
mod twins;
mod wire;

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use self::{steps::step, twins::Twins};
use super::{
    books::is_full_size,
    reference::{Actual, Admission, Grant, Line, NEVER, Target},
};

const DAY: i64 = 86_400;
/// No window that has bounds begins or ends there.
const WHOLE: (i64, i64) = (i64::MIN, NEVER);

/// A hold that only credits pay for.
fn credits(fixed: i64, rate: i64) -> Vec<Line> {
    vec![Line { meter: "credits", target: Target::Wallet, fixed, rate }]
}

fn spend(credits: i64) -> Option<Actual> {
    Some(Actual { credits, tokens: 0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_end_as_in_the_plain_model() {
    let (seeds, steps) = if is_full_size() { (24, 1_500) } else { (4, 500) };
    let (mut holds, mut refusals) = (0, BTreeMap::<String, usize>::new());
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let scale =
            [60, 1_000_000, 10_000_000_000, 1_000_000_000_000_000][usize::try_from(seed % 4).unwrap()];
        println!("seed={seed}");
        let mut twins = Twins::start(&mut rng, 3).await;
        for number in 0..steps {
            step(&mut twins, &mut rng, scale).await;
            if number % 10 == 0 {
                twins.compare_wallets().await;
                twins.compare_counters().await;
            }
        }
        twins.compare_everything().await;
        holds += twins.model.holds.len();
        for (what, count) in std::mem::take(&mut twins.refusals) {
            *refusals.entry(what).or_insert(0) += count;
        }
        twins.db.close().await;
    }
    println!("ledger model seeds={seeds} n={} holds={holds} refusals={refusals:?} ok", seeds * steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn near_an_empty_balance_every_micro_credit_is_counted() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut twins = Twins::start(&mut rng, 1).await;
    let mut admitted = Vec::new();
    for number in 1..=60 {
        let id = Uuid::from_u128(rng.random());
        let grant = Grant::new(id, &number.to_string(), 1, 1, NEVER);
        twins.grant(0, "credits", grant).await;
        // 7, and three and a third for each unit.
        let hold = Uuid::from_u128(rng.random());
        let lines = credits(7, 3_333_333);
        if let Admission::Admitted { units, .. } = twins.hold(hold, 0, lines, (4, 10), NEVER).await {
            admitted.push((number, units));
        }
        twins.resolve(hold, None).await;
    }
    let first_with =
        |units| admitted.iter().find(|(_, admitted)| *admitted == units).map(|(credits, _)| *credits);
    // The least balance for a cap: 7 + ceil(3.333333 * cap).
    for (units, credits) in [(4, 21), (5, 24), (6, 27), (7, 31), (8, 34), (9, 37), (10, 41)] {
        assert_eq!(first_with(units), Some(credits), "{units}");
    }
    assert_eq!(admitted.first(), Some(&(21, 4)));
    twins.compare_everything().await;
    println!("cap lowering n=60 ok");
    twins.db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_prices_and_balances_are_exact_too() {
    let mut rng = StdRng::seed_from_u64(8);
    let mut twins = Twins::start(&mut rng, 4).await;
    let cases = [
        // One micro-credit short of 999,999 units at the highest price but one: rounded division would admit them.
        (9_999_989_999_999, (0, 9_999_999_999_999), 2_000_000),
        // A cost with a fraction of a millionth behind 16 digits: rounded division would forget to round it up.
        (900_000_000_000_000_000, (0, 1_000_000_000_001), 1_000_000),
        (900_000_000_000_000_000, (3, 10_000_000_000_000), 100_000_000),
        (i64::MAX, (i64::MAX - 5, 1), 100_000_000),
    ];
    for (account, (amount, (fixed, rate), want)) in cases.into_iter().enumerate() {
        let grant = Grant::new(Uuid::from_u128(rng.random()), "all", 1, amount, NEVER);
        twins.grant(account, "credits", grant).await;
        let hold = Uuid::from_u128(rng.random());
        twins.hold(hold, account, credits(fixed, rate), (1, want), NEVER).await;
        twins.resolve(hold, spend(1)).await;
    }
    twins.compare_everything().await;
    println!("exact arithmetic n={} ok", cases.len());
    twins.db.close().await;
}
