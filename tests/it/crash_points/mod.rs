//! SIGKILL of the real binary at named points of a paid turn. Wherever it strikes, the attempt has one hold with one
//! resolution, nobody pays for what they did not get, what the provider has billed beyond that is known and bounded, the
//! checker finds nothing, the same key tells what became of the message, and another process that comes to look changes
//! nothing.
//!
//! The points are reached from outside: a proxy makes the process wait for ever on one side of a statement, or the provider
//! waits at a gate. A point that is not reached fails.

mod attempt;
mod stage;

use self::{
    attempt::{Attempt, Bill},
    stage::{Stage, kills},
};
use crate::support::{proxy::Side, restart::check_ledger};

/// Of the statement that accepts a turn, and of the one that ends it.
const ACCEPT: &str = "INSERT INTO idempotency_keys AS i";
const END: &str = "ledger_settle(";

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The turn is accepted and paid for; the process does not know it yet.
    AfterHold,
    /// The provider has taken the call and has said nothing.
    AfterTheProviderAccepts,
    /// Some of the answer has been said; every other time more comes at the same moment.
    MidStream,
    /// All of it has been said and stored, the end is not.
    AfterTheLastChunk,
    /// The end is stored; the process does not know it yet.
    AfterCommit,
    /// The answer is under way and its caller, who waits for it, has been told nothing.
    BeforeTheReply,
    /// Another process has taken over, and dies on either side of the statement that ends the run.
    InsideRecovery,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_hold_returns_it() {
    kill_at(Point::AfterHold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_provider_accepted_returns_the_hold() {
    kill_at(Point::AfterTheProviderAccepts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_midst_of_an_answer_settles_what_was_stored() {
    kill_at(Point::MidStream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_last_chunk_settles_all_of_it() {
    kill_at(Point::AfterTheLastChunk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_commit_of_the_end_changes_nothing() {
    kill_at(Point::AfterCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_reply_leaves_one_turn_for_the_key() {
    kill_at(Point::BeforeTheReply).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_inside_the_recovery_leaves_it_to_the_next() {
    kill_at(Point::InsideRecovery).await;
}

async fn kill_at(point: Point) {
    let mut stage = Stage::start().await;
    let (mut reached, mut sum) = (0, Bill::default());
    for round in 0..kills() {
        let mut attempt = Attempt::begin(&stage, point, round).await;
        if point == Point::InsideRecovery {
            let side = if round.is_multiple_of(2) { Side::Before } else { Side::After };
            let stall = stage.survivor_stalls(END, side);
            stage.kill_victim().await;
            stage.kill_survivor_at(&stall).await;
        } else {
            stage.kill_victim().await;
        }
        reached += 1;
        attempt.end_without_answer().await;
        stage.recovered().await;
        let bill = attempt.look(&stage, point).await;
        sum.add(bill);
        stage.look_again().await;
    }
    assert_eq!(reached, kills(), "{point:?} was reached less often than asked");
    let verdict = check_ledger(stage.url());
    println!(
        "crash points n={reached} point={point:?} billed={} settled={} remainder={} at_most={} {verdict} ok",
        sum.billed,
        sum.settled,
        sum.billed - sum.settled,
        sum.most
    );
    stage.close().await;
}
