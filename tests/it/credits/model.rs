//! The functions of the database against the ledger in plain Rust: the same histories, the same results.

use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    books::{connect, is_full_size, rows_over, run, try_rows},
    reference::{Admission, Balance, Grant, Hold, Ledger, Line, Resolved, State, Wallet},
};
use crate::support::db::TestDb;

/// A database with some accounts beside the model of it.
struct Twins {
    conn: AsyncPgConnection,
    model: Ledger,
    accounts: Vec<Uuid>,
    /// Holds that the balance did not cover.
    refusals: usize,
    db: TestDb,
}

impl Twins {
    async fn start(rng: &mut StdRng, accounts: usize) -> Self {
        let db = TestDb::create().await;
        let accounts: Vec<Uuid> = (0..accounts).map(|_| Uuid::from_u128(rng.random())).collect();
        for id in &accounts {
            run(&db.url, &format!("INSERT INTO accounts (id, kind, name) VALUES ('{id}', 'personal', 'A')"))
                .await;
        }
        let model = Ledger { wallets: vec![Wallet::default(); accounts.len()], ..Ledger::default() };
        Self { conn: connect(&db.url).await, model, accounts, refusals: 0, db }
    }

    async fn grant(&mut self, account: usize, grant: Grant) {
        let sql = format!(
            "SELECT ledger_grant('{}', '{}', 'credits', 'promotion', '{}', {}, {}::smallint, loquent_now(), 'infinity', NULL, 'Gift') AS is_new",
            grant.id, self.accounts[account], grant.source_key, grant.amount, grant.priority
        );
        let is_new = rows_over(&mut self.conn, &sql).await[0]["is_new"] == true;
        assert_eq!(is_new, self.model.grant(account, grant), "{sql}");
    }

    async fn hold(&mut self, id: Uuid, account: usize, line: Line, min: i64, want: i64) -> Admission {
        let lines = json!([{ "kind": "wallet", "meter": "credits", "fixed": line.fixed, "rate": line.rate }]);
        let sql = format!(
            "SELECT * FROM ledger_hold('{id}', '{}', 'generation', {want}, {min}, '{lines}', NULL, 'Work')",
            self.accounts[account]
        );
        let expected = self.model.hold(id, account, line, min, want);
        let real = match try_rows(&mut self.conn, &sql).await {
            Ok(rows) => Admission::Admitted {
                units: integer(&rows[0]["units"]),
                held: integer(&rows[0]["credits_held"]),
                balance: balance(&rows[0]),
            },
            Err(DieselError::DatabaseError(_, info)) if info.message() == "insufficient credits" => {
                let line: Value = serde_json::from_str(info.details().unwrap()).unwrap();
                Admission::Insufficient {
                    required: integer(&line["required"]),
                    available: integer(&line["available"]),
                    held: integer(&line["held"]),
                }
            }
            Err(error) => panic!("{error}: {sql}"),
        };
        assert_eq!(real, expected, "{sql}");
        self.refusals += usize::from(matches!(real, Admission::Insufficient { .. }));
        real
    }

    /// `None` releases.
    async fn resolve(&mut self, id: Uuid, actual: Option<i64>) {
        let (state, usage) = match actual {
            Some(actual) => ("settled", json!({ "credits": actual })),
            None => ("released", json!({})),
        };
        let sql = format!("SELECT * FROM ledger_settle('{id}', '{state}', '{usage}', NULL, 'Work')");
        let real = rows_over(&mut self.conn, &sql).await;
        let real = real
            .first()
            .map(|row| Resolved { charged: integer(&row["credits_charged"]), balance: balance(row) });
        assert_eq!(real, self.model.resolve(id, actual), "{sql}");
    }

    /// Usage below zero is an error of ours; it must not move a thing.
    async fn resolve_below_zero(&mut self, id: Uuid) {
        let sql =
            format!("SELECT * FROM ledger_settle('{id}', 'settled', '{{\"credits\": -1}}', NULL, 'Work')");
        let result = try_rows(&mut self.conn, &sql).await;
        let is_open = self.model.holds.get(&id).is_some_and(|hold| hold.state == State::Open);
        assert_eq!(result.is_err(), is_open, "{sql}: {result:?}");
    }

    async fn compare_balances(&mut self) {
        for (account, wallet) in self.accounts.iter().zip(&self.model.wallets) {
            let sql = format!("SELECT available, held, revision FROM wallets WHERE account_id = '{account}'");
            let real = rows_over(&mut self.conn, &sql).await;
            let none = Balance { available: 0, held: 0, revision: 0 };
            assert_eq!(real.first().map_or(none, balance), wallet.balance());
        }
    }

    /// Every grant, hold and draw is the same, and the checker finds nothing in the ledger itself.
    async fn compare_everything(&mut self) {
        self.compare_balances().await;
        for (account, wallet) in self.accounts.iter().zip(&self.model.wallets) {
            let sql = format!(
                "SELECT g.id, g.available, g.held, g.spent FROM grants g JOIN wallets w ON w.id = g.wallet_id \
                  WHERE w.account_id = '{account}' ORDER BY g.priority, g.id"
            );
            let model: Vec<Value> = wallet
                .grants
                .iter()
                .map(|g| json!({ "id": g.id, "available": g.available, "held": g.held, "spent": g.spent }))
                .collect();
            assert_eq!(rows_over(&mut self.conn, &sql).await, model);
        }
        let sql = "SELECT h.id, h.state, h.units, h.overrun, \
                          (SELECT coalesce(jsonb_agg(jsonb_build_array(d.grant_id, d.held) ORDER BY d.part), '[]') \
                             FROM hold_draws d WHERE d.hold_id = h.id) AS draws FROM holds h ORDER BY h.id";
        let model: Vec<Value> = self.model.holds.iter().map(|(id, hold)| row_of(*id, hold)).collect();
        assert_eq!(rows_over(&mut self.conn, sql).await, model);
        // There is no work in this database, only what pays for it.
        let sql = "SELECT * FROM ledger_differences WHERE problem <> 'hold_without_generation'";
        assert_eq!(rows_over(&mut self.conn, sql).await, Vec::<Value>::new());
    }
}

fn row_of(id: Uuid, hold: &Hold) -> Value {
    let state = match hold.state {
        State::Open => "open",
        State::Settled => "settled",
        State::Released => "released",
    };
    json!({ "id": id, "state": state, "units": hold.units, "overrun": hold.overrun, "draws": hold.draws })
}

fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no integer: {value}"))
}

fn balance(row: &Value) -> Balance {
    Balance {
        available: integer(&row["available"]),
        held: integer(&row["held"]),
        revision: integer(&row["revision"]),
    }
}

/// Takes one step that is likely to matter.
async fn step(twins: &mut Twins, rng: &mut StdRng, scale: i64) {
    let account = rng.random_range(0..twins.accounts.len());
    match rng.random_range(0..100) {
        0..15 => {
            let amount = rng.random_range(1..=scale);
            // Few keys, so that many of them are granted for a second time.
            let source_key = rng.random_range(0..40_u32).to_string();
            let (id, priority) = (Uuid::from_u128(rng.random()), rng.random_range(1..4));
            let grant = Grant { id, source_key, priority, amount, available: amount, held: 0, spent: 0 };
            twins.grant(account, grant).await;
        }
        15..60 => {
            let available = twins.model.wallets[account].balance().available;
            let fixed = match rng.random_range(0..4) {
                0 => 0,
                1 => available.saturating_add(rng.random_range(-2..=2)).max(0),
                _ => rng.random_range(0..=scale / 4),
            };
            let rate = match rng.random_range(0..5) {
                0 => 0,
                1 => rng.random_range(1..=10_000_000_000_000),
                _ => rng.random_range(1..=scale.min(10_000_000) * 10_000),
            };
            let want = rng.random_range(0..=10_000);
            let min = rng.random_range(0..=want.min(64));
            let id = Uuid::from_u128(rng.random());
            twins.hold(id, account, Line { fixed, rate }, min, want).await;
        }
        roll => {
            // Mostly one that is open, now and then one that was resolved before or never was.
            let of_state = |is_open: bool| {
                let holds = twins.model.holds.iter();
                let some = holds.filter(move |(_, hold)| (hold.state == State::Open) == is_open);
                some.map(|(id, hold)| (*id, hold.draws.iter().map(|draw| draw.1).sum::<i64>()))
                    .collect::<Vec<_>>()
            };
            let choices = of_state(roll < 90);
            let unknown = (Uuid::from_u128(rng.random()), 5);
            let (id, held) = match choices.len() {
                0 => unknown,
                count => choices[rng.random_range(0..count)],
            };
            match rng.random_range(0..10) {
                0..3 => twins.resolve(id, Some(rng.random_range(0..=held))).await,
                3..5 => twins.resolve(id, Some(held)).await,
                5..7 => twins.resolve(id, Some(held + rng.random_range(1..=scale))).await,
                7..9 => twins.resolve(id, None).await,
                _ => twins.resolve_below_zero(id).await,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_end_as_in_the_plain_model() {
    let (seeds, steps) = if is_full_size() { (24, 1_500) } else { (4, 500) };
    let (mut holds, mut refusals) = (0, 0);
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let scale =
            [60, 1_000_000, 10_000_000_000, 1_000_000_000_000_000][usize::try_from(seed % 4).unwrap()];
        println!("seed={seed}");
        let mut twins = Twins::start(&mut rng, 3).await;
        for number in 0..steps {
            step(&mut twins, &mut rng, scale).await;
            if number % 10 == 0 {
                twins.compare_balances().await;
            }
        }
        twins.compare_everything().await;
        holds += twins.model.holds.len();
        refusals += twins.refusals;
        twins.db.close().await;
    }
    println!("ledger model seeds={seeds} n={} holds={holds} refusals={refusals} ok", seeds * steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn near_an_empty_balance_every_micro_credit_is_counted() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut twins = Twins::start(&mut rng, 1).await;
    let mut admitted = Vec::new();
    for credits in 1..=60 {
        let id = Uuid::from_u128(rng.random());
        let grant = Grant {
            id,
            source_key: credits.to_string(),
            priority: 1,
            amount: 1,
            available: 1,
            held: 0,
            spent: 0,
        };
        twins.grant(0, grant).await;
        // 7, and three and a third for each unit.
        let hold = Uuid::from_u128(rng.random());
        let line = Line { fixed: 7, rate: 3_333_333 };
        if let Admission::Admitted { units, .. } = twins.hold(hold, 0, line, 4, 10).await {
            admitted.push((credits, units));
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
        (9_999_989_999_999, Line { fixed: 0, rate: 9_999_999_999_999 }, 2_000_000),
        // A cost with a fraction of a millionth behind 16 digits: rounded division would forget to round it up.
        (900_000_000_000_000_000, Line { fixed: 0, rate: 1_000_000_000_001 }, 1_000_000),
        (900_000_000_000_000_000, Line { fixed: 3, rate: 10_000_000_000_000 }, 100_000_000),
        (i64::MAX, Line { fixed: i64::MAX - 5, rate: 1 }, 100_000_000),
    ];
    for (account, (amount, line, want)) in cases.into_iter().enumerate() {
        let grant = Grant {
            id: Uuid::from_u128(rng.random()),
            source_key: "all".to_owned(),
            priority: 1,
            amount,
            available: amount,
            held: 0,
            spent: 0,
        };
        twins.grant(account, grant).await;
        let hold = Uuid::from_u128(rng.random());
        twins.hold(hold, account, line, 1, want).await;
        twins.resolve(hold, Some(1)).await;
    }
    twins.compare_everything().await;
    println!("exact arithmetic n={} ok", cases.len());
    twins.db.close().await;
}
