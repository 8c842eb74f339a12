//! A database and the model of it, which are told the same and must answer the same.

use std::collections::BTreeMap;

use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::{balance, instant, integer, json_of, refusal, row_of};
use crate::{
    credits::{
        books::{connect, rows_over, run, try_rows},
        reference::{Actual, Admission, Balance, CounterKey, Grant, Ledger, Line, Meter, Resolved, State},
    },
    support::db::TestDb,
};

/// Noon of a Friday.
const BEGIN: i64 = 1_800_014_400;
/// A database with some accounts beside the model of it.
pub struct Twins {
    conn: AsyncPgConnection,
    pub model: Ledger,
    pub accounts: Vec<Uuid>,
    pub users: Vec<Uuid>,
    /// Holds that a balance or a limit did not cover, by what it was.
    pub refusals: BTreeMap<String, usize>,
    pub db: TestDb,
}

impl Twins {
    pub async fn start(rng: &mut StdRng, accounts: usize) -> Self {
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
            Self { conn, model: Ledger::default(), accounts, users, refusals: BTreeMap::new(), db };
        twins.pass(BEGIN).await;
        twins
    }

    pub async fn pass(&mut self, seconds: i64) {
        self.model.now += seconds;
        let now = instant(self.model.now);
        self.conn.batch_execute(&format!("UPDATE moment SET at = '{now}'")).await.unwrap();
    }

    async fn one(&mut self, sql: &str) -> Value {
        rows_over(&mut self.conn, &format!("SELECT {sql} AS x")).await.remove(0)["x"].take()
    }

    pub async fn grant(&mut self, account: usize, meter: Meter, grant: Grant) {
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

    pub async fn adjust(&mut self, id: Uuid, account: usize, amount: i64, expires: i64) {
        let sql = format!(
            "ledger_adjust('{id}', '{}', 'credits', {amount}, '{}', NULL, 'Adjusted')",
            self.accounts[account],
            instant(expires)
        );
        let moved = self.one(&sql).await;
        assert_eq!(moved, json!(self.model.adjust(id, account, amount, expires)), "{sql}");
    }

    pub async fn revoke(&mut self, account: usize, grant: Uuid, amount: i64, reference: &str) {
        let sql = format!("ledger_revoke('{grant}', {amount}, '{reference}', NULL, 'Refunded')");
        let taken = self.one(&sql).await;
        assert_eq!(taken, json!(self.model.revoke(account, grant, amount, reference)), "{sql}");
    }

    pub async fn refund(&mut self, id: Uuid) {
        let sql = format!("ledger_refund('{id}', NULL, 'Given back')");
        let is_new = self.one(&sql).await;
        assert_eq!(is_new, self.model.refund(id), "{sql}");
    }

    pub async fn hold(
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
    pub async fn resolve(&mut self, id: Uuid, actual: Option<Actual>) {
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
    pub async fn resolve_below_zero(&mut self, id: Uuid) {
        let sql =
            format!("SELECT * FROM ledger_settle('{id}', 'settled', '{{\"credits\": -1}}', NULL, 'Work')");
        let result = try_rows(&mut self.conn, &sql).await;
        let is_open = self.model.holds.get(&id).is_some_and(|hold| hold.state == State::Open);
        assert_eq!(result.is_err(), is_open, "{sql}: {result:?}");
    }

    pub async fn compare_wallets(&mut self) {
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
    pub async fn compare_counters(&mut self) {
        let sql = "SELECT account_id, coalesce(user_id, '00000000-0000-0000-0000-000000000000') AS user_id, meter, window_kind, \
                          used, held, revision FROM quota_states WHERE granted IS NULL ORDER BY 1, 2, 3, 4";
        let real = rows_over(&mut self.conn, sql).await;
        let mut model: Vec<Value> = Vec::new();
        for (key, counter) in &self.model.counters {
            let CounterKey { account, user, meter, window } = key;
            let is_over = counter.bounds.is_some_and(|bounds| bounds.1 <= self.model.now);
            let (used, held) = if is_over { (0, 0) } else { self.model.count(key) };
            model.push(json!({ "account_id": self.accounts[*account], "user_id": user, "meter": meter, "window_kind": window,
                               "used": used, "held": held, "revision": self.model.shown_revision(key) }));
        }
        let key = |row: &Value| {
            ["account_id", "user_id", "meter", "window_kind"]
                .map(|name| row[name].as_str().unwrap().to_owned())
        };
        model.sort_by_key(key);
        assert_eq!(real, model);
    }

    /// Every grant, counter, hold and draw is the same, and the checker finds nothing in the ledger itself.
    pub async fn compare_everything(&mut self) {
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
