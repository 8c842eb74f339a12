//! What the limits cost a caller who keeps within them.

use std::time::Instant;

use serde_json::json;

use crate::support::{app::TestApp, client::Client, db::TestDb, proxy::Proxy};

/// Statements about limits since a mark: of requests, of points.
fn counted(proxy: &Proxy, mark: usize) -> (usize, usize) {
    let flights = proxy.since(mark);
    let of =
        |name| flights.iter().filter(|flight| !flight.is_preparation && flight.sql.contains(name)).count();
    (of("rate_take"), of("rate_spend"))
}

async fn ask(person: &Client) {
    person.gql("{ viewer { user { id } } }", json!({})).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_request_costs_two_statements_and_a_warm_one_none() {
    const REQUESTS: usize = 60;
    let db = TestDb::create().await;
    let proxy = Proxy::start(&db.url).await;
    let app = TestApp::builder()
        .outside_development()
        .database_through(|_| proxy.url().to_owned(), &db)
        .start_over(db)
        .await;
    let person = app.client.sign_up().await;
    let mark = proxy.count();
    ask(&person).await;
    let cold = counted(&proxy, mark);
    assert!(cold.0 <= 1 && cold.1 == 1, "{cold:?}");
    // Blocks of 2, 4, 8 and then 12 permits, and a block of 156 points. What a busy machine does not ask within a second
    // begins anew.
    let (mark, begun) = (proxy.count(), Instant::now());
    for _ in 0..REQUESTS {
        ask(&person).await;
    }
    let warm = counted(&proxy, mark);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(warm.0 <= 8 * seconds && warm.1 <= seconds + 1, "{warm:?} in {seconds} s");
    // What asks for 100 points and costs 3 gives the rest back to the block.
    let (mark, begun) = (proxy.count(), Instant::now());
    for _ in 0..REQUESTS / 2 {
        let page = "{ viewer { account { conversations(first: 97) { nodes { id } } } } }";
        person.gql(page, json!({})).await.data();
    }
    let given_back = counted(&proxy, mark);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(given_back.1 <= 2 * seconds + 1, "{given_back:?} in {seconds} s");
    println!("rate_costs n={REQUESTS} cold={cold:?} warm={warm:?} given_back={given_back:?} ok");
    app.close().await;
}
