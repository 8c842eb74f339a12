//! The functions of the database against the ledger in plain Rust: the same histories, the same results, over virtual time.

use chrono::DateTime;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    books::{connect, is_full_size, rows_over, run, try_rows},
    reference::{
        Actual, Admission, Balance, CounterKey, Grant, Hold, Ledger, Line, Meter, NEVER, Of, Resolved, State,
        Target,
    },
};
use crate::support::db::TestDb;

/// Noon of a Friday.
const BEGIN: i64 = 1_800_014_400;
const DAY: i64 = 86_400;
/// No window that has bounds begins or ends there.
const WHOLE: (i64, i64) = (i64::MIN, NEVER);

/// A database with some accounts beside the model of it.
struct Twins {
    conn: AsyncPgConnection,
    model: Ledger,
    accounts: Vec<Uuid>,
    users: Vec<Uuid>,
    /// Holds that a balance or a limit did not cover, by what it was.
    refusals: std::collections::BTreeMap<String, usize>,
    db: TestDb,
}

fn instant(seconds: i64) -> String {
    match seconds {
        i64::MIN => "-infinity".to_owned(),
        NEVER => "infinity".to_owned(),
        _ => DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339(),
    }
}

impl Twins {
    async fn start(rng: &mut StdRng, accounts: usize) -> Self {
        let db = TestDb::create().await;
        let accounts: Vec<Uuid> = (0..accounts).map(|_| Uuid::from_u128(rng.random())).collect();
        for id in &accounts {
            run(&db.url, &format!("INSERT INTO accounts (id, kind, name) VALUES ('{id}', 'personal', 'A')"))
                .await;
        }
        let clock = "CREATE TABLE moment AS SELECT loquent_now() AS at;
            CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM moment'";
        run(&db.url, clock).await;
        let users = vec![Uuid::nil(), Uuid::from_u128(7), Uuid::from_u128(8)];
        let conn = connect(&db.url).await;
        let mut twins =
            Self { conn, model: Ledger::default(), accounts, users, refusals: Default::default(), db };
        twins.pass(BEGIN).await;
        twins
    }

    async fn pass(&mut self, seconds: i64) {
        self.model.now += seconds;
        let now = instant(self.model.now);
        self.conn.batch_execute(&format!("UPDATE moment SET at = '{now}'")).await.unwrap();
    }

    async fn one(&mut self, sql: &str) -> Value {
        rows_over(&mut self.conn, &format!("SELECT {sql} AS x")).await.remove(0)["x"].take()
    }

    async fn grant(&mut self, account: usize, meter: Meter, grant: Grant) {
        let sql = format!(
            "ledger_grant('{}', '{}', '{meter}', 'promotion', '{}', {}, {}::smallint, loquent_now(), '{}', NULL, 'Gift')",
            grant.id,
            self.accounts[account],
            grant.source_key,
            grant.amount,
            grant.priority,
            instant(grant.expires)
        );
        let is_new = self.one(&sql).await;
        assert_eq!(is_new, self.model.grant(account, meter, grant), "{sql}");
    }

    async fn adjust(&mut self, id: Uuid, account: usize, amount: i64, expires: i64) {
        let sql = format!(
            "ledger_adjust('{id}', '{}', 'credits', {amount}, '{}', NULL, 'Adjusted')",
            self.accounts[account],
            instant(expires)
        );
        let moved = self.one(&sql).await;
        assert_eq!(moved, json!(self.model.adjust(id, account, amount, expires)), "{sql}");
    }

    async fn revoke(&mut self, account: usize, grant: Uuid, amount: i64, reference: &str) {
        let sql = format!("ledger_revoke('{grant}', {amount}, '{reference}', NULL, 'Refunded')");
        let taken = self.one(&sql).await;
        assert_eq!(taken, json!(self.model.revoke(account, grant, amount, reference)), "{sql}");
    }

    async fn refund(&mut self, id: Uuid) {
        let sql = format!("ledger_refund('{id}', NULL, 'Given back')");
        let is_new = self.one(&sql).await;
        assert_eq!(is_new, self.model.refund(id), "{sql}");
    }

    async fn hold(
        &mut self,
        id: Uuid,
        account: usize,
        mut lines: Vec<Line>,
        (min, want): (i64, i64),
        until: i64,
    ) -> Admission {
        lines.sort_by(|a, b| (&a.target, a.meter).cmp(&(&b.target, b.meter)));
        let texts: Vec<Value> = lines.iter().rev().map(json_of).collect();
        let sql = format!(
            "SELECT * FROM ledger_hold('{id}', '{}', 'generation', {want}, {min}, '{}', NULL, 'Work', '{}')",
            self.accounts[account],
            json!(texts),
            instant(until)
        );
        let expected = self.model.hold(id, account, &lines, (min, want), until);
        let real = match try_rows(&mut self.conn, &sql).await {
            Ok(rows) => Admission::Admitted {
                units: integer(&rows[0]["units"]),
                held: integer(&rows[0]["credits_held"]),
                balance: balance(&rows[0]),
            },
            Err(DieselError::DatabaseError(_, info)) if info.message().starts_with("insufficient ") => {
                refusal(&serde_json::from_str(info.details().unwrap()).unwrap())
            }
            Err(DieselError::DatabaseError(_, info)) if info.message() == "window has moved on" => {
                Admission::MovedOn
            }
            Err(error) => panic!("{error}: {sql}"),
        };
        assert_eq!(real, expected, "{sql}");
        let name = match &real {
            Admission::Admitted { .. } => return real,
            Admission::Refused { meter, window, .. } => {
                format!("{meter}/{}", window.as_deref().unwrap_or("wallet"))
            }
            Admission::MovedOn => "moved on".to_owned(),
        };
        *self.refusals.entry(name).or_default() += 1;
        real
    }

    /// `None` releases.
    async fn resolve(&mut self, id: Uuid, actual: Option<Actual>) {
        let (state, usage) = match actual {
            Some(actual) => ("settled", json!({ "credits": actual.credits, "tokens": actual.tokens })),
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

    async fn compare_wallets(&mut self) {
        for (account, id) in self.accounts.clone().into_iter().enumerate() {
            let sql = format!(
                "SELECT meter, available, held, revision FROM wallets WHERE account_id = '{id}' AND revision > 0 ORDER BY meter"
            );
            let real = rows_over(&mut self.conn, &sql).await;
            let own = self
                .model
                .wallets
                .iter()
                .filter(|((owner, _), wallet)| *owner == account && wallet.revision > 0);
            let model: Vec<(String, Balance)> =
                own.map(|((_, meter), wallet)| ((*meter).to_owned(), wallet.balance())).collect();
            let real: Vec<(String, Balance)> =
                real.iter().map(|row| (row["meter"].as_str().unwrap().to_owned(), balance(row))).collect();
            assert_eq!(real, model);
        }
    }

    /// Every counter as people would read it now.
    async fn compare_counters(&mut self) {
        let sql = "SELECT account_id, coalesce(user_id, '00000000-0000-0000-0000-000000000000') AS user_id, meter, window_kind, \
                          used, held, revision FROM quota_states WHERE granted IS NULL ORDER BY 1, 2, 3, 4";
        let real = rows_over(&mut self.conn, sql).await;
        let mut model: Vec<Value> = Vec::new();
        for (key, counter) in &self.model.counters {
            let CounterKey { account, user, meter, window } = key;
            let is_over = counter.bounds.is_some_and(|bounds| bounds.1 <= self.model.now);
            let (used, held) = if is_over { (0, 0) } else { self.model.count(key) };
            model.push(json!({ "account_id": self.accounts[*account], "user_id": user, "meter": meter, "window_kind": window,
                               "used": used, "held": held, "revision": counter.revision }));
        }
        let key = |row: &Value| {
            ["account_id", "user_id", "meter", "window_kind"]
                .map(|name| row[name].as_str().unwrap().to_owned())
        };
        model.sort_by_key(key);
        assert_eq!(real, model);
    }

    /// Every grant, counter, hold and draw is the same, and the checker finds nothing in the ledger itself.
    async fn compare_everything(&mut self) {
        self.compare_wallets().await;
        self.compare_counters().await;
        let sql =
            "SELECT g.id, g.available, g.held, g.spent, g.expired, g.revoked FROM grants g ORDER BY g.id";
        let mut grants: Vec<&Grant> = self.model.wallets.values().flat_map(|wallet| &wallet.grants).collect();
        grants.sort_by_key(|grant| grant.id);
        let model: Vec<Value> = grants
            .iter()
            .map(|g| {
                json!({ "id": g.id, "available": g.available, "held": g.held, "spent": g.spent, "expired": g.expired,
                        "revoked": g.revoked })
            })
            .collect();
        assert_eq!(rows_over(&mut self.conn, sql).await, model);
        let sql = "SELECT h.id, h.state, h.units, h.overrun, \
                          (SELECT coalesce(jsonb_agg(jsonb_build_array(d.line, d.meter, d.grant_id, d.held, d.spent) ORDER BY d.line, d.part), '[]') \
                             FROM hold_draws d WHERE d.hold_id = h.id) AS draws FROM holds h ORDER BY h.id";
        let model: Vec<Value> = self.model.holds.iter().map(|(id, hold)| row_of(*id, hold)).collect();
        assert_eq!(rows_over(&mut self.conn, sql).await, model);
        // There is no work in this database, only what pays for it.
        let sql = "SELECT * FROM ledger_differences WHERE problem <> 'hold_without_generation'";
        assert_eq!(rows_over(&mut self.conn, sql).await, Vec::<Value>::new());
    }
}

fn json_of(line: &Line) -> Value {
    let mut value = json!({ "meter": line.meter, "fixed": line.fixed, "rate": line.rate });
    let (kind, more) = match &line.target {
        Target::Wallet => ("wallet", json!({})),
        Target::Counter { user, window, bounds, limit, .. } => {
            let bounds = bounds.filter(|bounds| *bounds != WHOLE);
            let more = json!({ "window": window, "user": Some(user).filter(|user| !user.is_nil()), "limit": limit,
                "starts": bounds.map(|bounds| instant(bounds.0)), "ends": bounds.map(|bounds| instant(bounds.1)) });
            ("counter", more)
        }
        Target::Deployment { day, limit } => {
            let more = json!({ "window": "day", "starts": instant(*day), "ends": instant(day + DAY), "limit": limit });
            ("deployment", more)
        }
    };
    let fields = value.as_object_mut().unwrap();
    fields.insert("kind".to_owned(), json!(kind));
    fields.extend(more.as_object().unwrap().clone());
    value
}

fn row_of(id: Uuid, hold: &Hold) -> Value {
    let state = match hold.state {
        State::Open => "open",
        State::Settled => "settled",
        State::Released => "released",
        State::Refunded => "refunded",
    };
    let draws: Vec<Value> = hold
        .draws
        .iter()
        .map(|draw| {
            let grant = if let Of::Grant(id) = &draw.of { Some(id) } else { None };
            json!([draw.line, draw.meter, grant, draw.held, draw.spent])
        })
        .collect();
    json!({ "id": id, "state": state, "units": hold.units, "overrun": hold.overrun, "draws": draws })
}

fn refusal(line: &Value) -> Admission {
    let is_wallet = line["kind"] == "wallet";
    let resets = line["resets_at"].as_str().filter(|_| !is_wallet);
    Admission::Refused {
        meter: line["meter"].as_str().unwrap().to_owned(),
        window: line["window"].as_str().map(str::to_owned),
        required: integer(&line["required"]).into(),
        available: integer(&line["available"]).into(),
        held: integer(&line["held"]),
        is_held: line["is_held"] == true,
        resets: resets.map(|at| DateTime::parse_from_rfc3339(at).unwrap().timestamp()),
    }
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

/// A day or month (of thirty days) that `now` is in.
fn bounds(now: i64, length: i64, shift: i64) -> (i64, i64) {
    let start = (now - shift).div_euclid(length) * length + shift;
    (start, start + length)
}

/// The lines of a call: some meters of some windows, with limits that matter.
fn lines_of(twins: &Twins, rng: &mut StdRng, account: usize, scale: i64) -> Vec<Line> {
    let now = twins.model.now;
    let available = twins.model.balance(account).available;
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
    let (prompt, limits) = (rng.random_range(0..200), [None, Some(0), Some(1), Some(3), Some(7)]);
    // Now and then the zone of the day is another.
    let shift = if rng.random_range(0..12) == 0 { 7_200 } else { 0 };
    let mut count = |meter: Meter, window: Meter, bounds: Option<(i64, i64)>, is_member: bool| {
        let user = twins.users[if is_member { rng.random_range(1..3) } else { 0 }];
        let limit = limits[rng.random_range(0..limits.len())];
        Line { meter, target: Target::Counter { user, meter, window, bounds, limit }, fixed: 1, rate: 0 }
    };
    let all = [
        count("messages", "day", Some(bounds(now, DAY, shift)), false),
        count("messages", "day", Some(bounds(now, DAY, 0)), true),
        count("llm_requests", "minute", None, false),
        count("llm_requests", "none", Some(WHOLE), true),
    ];
    let mut lines: Vec<Line> = all.into_iter().filter(|_| rng.random_range(0..3) == 0).collect();
    let counter = |meter: Meter, window: Meter, bounds, limit| Target::Counter {
        user: Uuid::nil(),
        meter,
        window,
        bounds,
        limit,
    };
    let tokens = |target| Line { meter: "tokens", target, fixed: prompt, rate: 1_000_000 };
    let credits = |target| Line { meter: "credits", target, fixed, rate };
    let some =
        |rng: &mut StdRng, most: i64| Some(rng.random_range(0..=most)).filter(|_| rng.random_range(0..4) > 0);
    match rng.random_range(0..6) {
        0 => {
            lines.push(tokens(counter("tokens", "month", Some(bounds(now, 30 * DAY, 0)), some(rng, 60_000))))
        }
        1 => lines.push(tokens(counter("tokens", "minute", None, some(rng, 20_000)))),
        2 => lines.push(tokens(Target::Wallet)),
        _ => {}
    }
    match rng.random_range(0..8) {
        0 => lines.push(credits(counter("credits", "period", Some(bounds(now, 30 * DAY, 500)), None))),
        1 => {}
        _ => lines.push(credits(Target::Wallet)),
    }
    if rng.random_range(0..4) == 0 {
        lines.push(credits(counter("credits", "hour", None, some(rng, scale))));
    }
    if rng.random_range(0..4) == 0 {
        let limit = scale.saturating_mul(rng.random_range(1..10));
        lines.push(credits(Target::Deployment { day: bounds(now, DAY, 0).0, limit }));
    }
    lines
}

/// Takes one step that is likely to matter.
async fn step(twins: &mut Twins, rng: &mut StdRng, scale: i64) {
    let account = rng.random_range(0..twins.accounts.len());
    let expires = match rng.random_range(0..3) {
        0 => NEVER,
        _ => twins.model.now + rng.random_range(-10..200_000),
    };
    match rng.random_range(0..100) {
        0..12 => {
            // Few keys, so that many of them are granted for a second time.
            let key = rng.random_range(0..60_u32).to_string();
            let grant = Grant::new(
                Uuid::from_u128(rng.random()),
                &key,
                rng.random_range(1..4),
                rng.random_range(1..=scale),
                expires,
            );
            let meter = if rng.random_range(0..4) == 0 { "tokens" } else { "credits" };
            twins.grant(account, meter, grant).await;
        }
        12..17 => {
            let seconds = [1, 20, 61, 3_600, DAY, 31 * DAY];
            twins.pass(seconds[rng.random_range(0..seconds.len())]).await;
        }
        17..21 => {
            let amount = rng.random_range(1..=scale) * [1, -1][rng.random_range(0..2)];
            let id = Uuid::from_u128((account as u128 + 1) * 1_000 + rng.random_range(0..20));
            twins.adjust(id, account, amount, expires).await;
        }
        21..25 => {
            let grants =
                twins.model.wallets.get(&(account, "credits")).map_or(&[][..], |wallet| &wallet.grants);
            if let Some(grant) = grants.get(rng.random_range(0..grants.len().max(1))).map(|grant| grant.id) {
                let reference = rng.random_range(0..3).to_string();
                twins.revoke(account, grant, rng.random_range(1..=scale), &reference).await;
            }
        }
        25..62 => {
            let lines = lines_of(twins, rng, account, scale);
            let want = rng.random_range(0..=10_000);
            let min = rng.random_range(0..=want.min(64));
            // Now and then the time of the lines is just over.
            let until = twins.model.now + rng.random_range(-2..40);
            twins.hold(Uuid::from_u128(rng.random()), account, lines, (min, want), until).await;
        }
        roll => resolve_some(twins, rng, scale, roll < 92).await,
    }
}

/// Mostly of a hold that is open, now and then of one that was resolved before or never was.
async fn resolve_some(twins: &mut Twins, rng: &mut StdRng, scale: i64, is_open: bool) {
    let holds = twins.model.holds.iter();
    let choices: Vec<(Uuid, i64)> = holds
        .filter(|(_, hold)| (hold.state == State::Open) == is_open)
        .map(|(id, hold)| {
            let credits = hold.draws.iter().filter(|draw| draw.meter == "credits");
            (*id, credits.map(|draw| draw.held).max().unwrap_or(0))
        })
        .collect();
    let (id, held) = match choices.len() {
        0 => (Uuid::from_u128(rng.random()), 5),
        count => choices[rng.random_range(0..count)],
    };
    let tokens = rng.random_range(0..12_000);
    let settled = |credits| Some(Actual { credits, tokens });
    match rng.random_range(0..12) {
        0..3 => twins.resolve(id, settled(rng.random_range(0..=held))).await,
        3..5 => twins.resolve(id, settled(held)).await,
        5..7 => twins.resolve(id, settled(held + rng.random_range(1..=scale))).await,
        7..9 => twins.resolve(id, None).await,
        9 => twins.resolve_below_zero(id).await,
        _ => twins.refund(id).await,
    }
}

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
    let (mut holds, mut refusals) = (0, std::collections::BTreeMap::<String, usize>::new());
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
