//! Callers of three processes at once over credits for fewer of them, and that the test of it sees a lock that is missing.

use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};

use super::{
    books::{block_wallets, micro, number, rows, run, wait_for_zero, wait_until_blocked, wait_until_settled},
    crowd::{COST, gated_answer, send_least},
};
use crate::support::{
    catalog::Offer,
    client::{Answer, Client},
    db::TestDb,
    provider::{Gate, ScriptedProvider},
    restart::check_ledger,
    three_processes::{CALLERS, ThreeProcesses, rounds},
};

/// Messages that the credits pay for.
const PAID: usize = 37;

struct Stage {
    db: TestDb,
    provider: ScriptedProvider,
    three: ThreeProcesses,
}

impl Stage {
    /// One micro-credit less than 38 messages cost.
    async fn start() -> Self {
        let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
        Offer::of_credits("2.621999").apply(&db.url).await;
        let three = ThreeProcesses::start(&db, &provider, "");
        Self { db, provider, three }
    }

    /// Everybody sends at once; all of their statements wait for the wallet before the first of them has it.
    async fn race(&self, person: &Client) -> Vec<Answer> {
        let mut blocker = block_wallets(&self.db.url).await;
        let release = async {
            wait_until_blocked(&self.db.url, CALLERS).await;
            blocker.batch_execute("COMMIT").await.unwrap();
        };
        let send = |client: Client, _| async move { send_least(&client, &Value::Null).await };
        tokio::join!(self.three.race(CALLERS, std::slice::from_ref(person), send), release).0
    }

    /// One race and what became of it, or why it is wrong.
    async fn round(&self) -> Result<(), String> {
        let person = self.three.sign_up().await;
        let (gate, calls) = (Gate::default(), self.provider.calls());
        self.provider.always(gated_answer(&gate));
        let answers = self.race(&person).await;
        let verdict = judge(&answers);
        gate.open();
        wait_until_settled(&self.db.url).await;
        verdict?;
        if self.provider.calls() - calls != PAID {
            return Err(format!("{} calls of the provider", self.provider.calls() - calls));
        }
        let mut balance = 0;
        for entry in self.three.at(&person, 0).ledger().await.iter().rev() {
            balance += micro(&entry["amount"]);
            if balance < 0 || micro(&entry["balanceAfter"]) != balance {
                return Err(format!("{balance} is not the balance of {entry}"));
            }
        }
        // One that still fits is admitted at once.
        let next = self.three.at(&person, 1).send_text("Hi", json!({})).await;
        if next["userErrors"] != json!([]) {
            return Err(format!("refused afterwards: {next}"));
        }
        wait_until_settled(&self.db.url).await;
        Ok(())
    }

    async fn close(self) {
        drop(self.three);
        self.db.close().await;
    }
}

/// As many are admitted as the credits pay for, and everybody else is refused with the numbers.
fn judge(answers: &[Answer]) -> Result<(), String> {
    let mut admitted = 0;
    for answer in answers {
        let sent = &answer.body["data"]["sendMessage"];
        match sent["userErrors"].as_array().map(Vec::as_slice) {
            Some([]) => admitted += 1,
            Some([error]) if error["code"] == "INSUFFICIENT_CREDITS" => {
                let (required, available) = (micro(&error["required"]), micro(&error["available"]));
                let cost = i64::try_from(COST).unwrap();
                if required != cost || !(0..cost).contains(&available) {
                    return Err(format!("refused without a reason: {error}"));
                }
            }
            _ => return Err(format!("neither admitted nor refused: {}", answer.body)),
        }
    }
    if admitted == PAID { Ok(()) } else { Err(format!("{admitted} of {PAID} were admitted")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_callers_of_three_processes_exactly_37_are_admitted_again_and_again() {
    let stage = Stage::start().await;
    for round in 0..rounds() {
        if let Err(reason) = stage.round().await {
            panic!("round {round}: {reason}");
        }
    }
    let verdict = check_ledger(&stage.db.url);
    println!("three processes n={} callers={CALLERS} admitted={PAID} {verdict} ok", rounds());
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lock_of_the_wallet_the_same_check_fails() {
    let stage = Stage::start().await;
    let url = &stage.db.url;
    let definition = "SELECT pg_get_functiondef(oid) AS sql FROM pg_proc WHERE proname = 'ledger_hold'";
    let definition = rows(url, definition).await[0]["sql"].as_str().unwrap().to_owned();
    let unlocked = definition.replace(" FOR UPDATE OF q", "").replace(" FOR UPDATE", "");
    assert_ne!(definition, unlocked, "there is no lock to be taken away");
    run(url, &unlocked).await;
    let reason = stage.round().await.expect_err("nobody noticed that the lock is missing");
    println!(
        "three processes without the lock n=1 seen: {} ok",
        reason.chars().take(160).collect::<String>()
    );
    // Nothing was overdrawn all the same: that cannot be stored.
    assert_eq!(number(url, "SELECT count(*) FROM wallets WHERE available < 0").await, 0);
    run(url, &definition).await;
    if let Err(reason) = stage.round().await {
        panic!("with the lock back: {reason}");
    }
    wait_for_zero(url, "SELECT count(*) FROM generations WHERE finished_at IS NULL").await;
    stage.close().await;
}
