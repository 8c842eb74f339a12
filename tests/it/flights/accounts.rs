//! What accounts cost: those that are read, and those that are watched.

use std::time::Duration;

use serde_json::json;

use super::Stage;
use crate::support::{
    processes::eventually,
    proxy::Flight,
    traffic::{QUIET, of_requests, show},
    ws::{Event, Socket},
};

#[tokio::test(flavor = "multi_thread")]
async fn accounts_cost_six_statements_however_many_there_are() {
    const QUERY: &str =
        "{ viewer { accounts { plan { key } creditBalance { available resetsAt } creditGrants { id }
        quotas { used } } } }";
    // The person's own, and teams with the same subscription.
    const TEAMS: [&str; 3] = [
        "INSERT INTO accounts (id, kind, name) SELECT uuid_v7(), 'team', 'Team ' || n FROM generate_series(1, 20) n",
        "INSERT INTO members (account_id, user_id, role) SELECT a.id, u.id, 'owner' FROM accounts a, users u WHERE a.kind = 'team'",
        "INSERT INTO subscriptions (id, account_id, plan_id, anchor_at, period_started_at, period_ends_at) \
         SELECT uuid_v7(), a.id, s.plan_id, s.anchor_at, s.period_started_at, s.period_ends_at \
           FROM accounts a, subscriptions s WHERE a.kind = 'team'",
    ];
    let stage = Stage::start(QUIET).await;
    for count in [1, 21] {
        if count > 1 {
            for sql in TEAMS {
                stage.app.db.execute(sql).await;
            }
        }
        for attempt in 0..40 {
            let mark = stage.proxy.count();
            let answer = stage.person.gql(QUERY, json!({})).await;
            assert_eq!(answer.data()["viewer"]["accounts"].as_array().unwrap().len(), count);
            let flights = of_requests(stage.proxy.since(mark));
            if !flights.iter().any(|flight| flight.is_preparation) {
                // Accounts, subscriptions, balances, counts, grants, and subscriptions again for the next credits.
                assert!((5..=6).contains(&flights.len()), "{count} accounts:\n{}", show(&flights));
                println!("accounts_cost_six_statements n={count} ok: {}", flights.len());
                break;
            }
            assert!(attempt < 39, "statements are prepared again and again");
        }
    }
    stage.app.close().await;
}

/// The look at all accounts that are watched.
fn is_look(flight: &Flight) -> bool {
    flight.sql.contains("FROM quota_counters q WHERE q.account_id = s.account_id")
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_looked_at_once_a_second_while_anybody_watches_and_never_otherwise() {
    const WATCHED: usize = 5;
    const BALANCE: &str = "subscription { creditBalanceChanged { revision } }";
    let stage = Stage::start(QUIET).await;
    // News come once a second, watched or not, and so measure the time.
    let seconds = async |count: usize| {
        let mark = stage.proxy.count();
        let is_over = || {
            let flights = stage.proxy.since(mark);
            flights.iter().filter(|flight| flight.sql.contains("FROM cache_epochs")).count() >= count
        };
        assert!(eventually(Duration::from_secs(20), is_over).await);
        stage.proxy.since(mark).iter().filter(|flight| is_look(flight) && !flight.is_preparation).count()
    };
    assert_eq!(seconds(3).await, 0, "nobody watches");
    let mut sockets = Vec::new();
    for _ in 0..WATCHED {
        let person = stage.app.client.sign_up().await;
        let socket = Socket::connect(&person).await;
        let mut watch = socket.subscribe(BALANCE, json!({})).await;
        assert!(matches!(watch.next().await, Event::Next(_)));
        sockets.push((socket, watch));
    }
    let looks = seconds(4).await;
    assert!((2..=6).contains(&looks), "{looks} looks in 4 seconds at {WATCHED} accounts");
    drop(sockets);
    // One that had begun may still come.
    seconds(2).await;
    assert_eq!(seconds(3).await, 0, "nobody watches any more");
    println!("accounts_are_looked_at_once_a_second n={WATCHED} ok: {looks} looks in 4 s");
    stage.app.close().await;
}
