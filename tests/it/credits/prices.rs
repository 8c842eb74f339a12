//! What the operator configures: credits of the plan, granted once, and prices with dates.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::books::{PATIENT, number, rows};
use crate::support::{
    app::TestApp,
    provider::{Gate, Script},
};

const SIGN_UP: &str = "mutation($input: SignUpInput!) {
    signUp(input: $input) { tokens { accessToken } userErrors { code } }
}";

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_grants_the_credits_of_the_plan_exactly_once() {
    let app = TestApp::builder().credits("12.5").settings(PATIENT).start().await;
    let input = json!({ "email": "ada@example.com", "password": "violet-tractor-lantern" });
    let asked = join_all((0..8).map(|_| app.client.gql(SIGN_UP, json!({ "input": input })))).await;
    let tokens: Vec<&str> =
        asked.iter().filter_map(|answer| answer.data()["signUp"]["tokens"]["accessToken"].as_str()).collect();
    let [token] = tokens[..] else { panic!("one of eight with the same address joins: {}", tokens.len()) };
    let signed_in = app
        .client
        .gql(
            "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } } }",
            json!({ "input": input }),
        )
        .await;
    assert!(signed_in.data()["signIn"]["tokens"]["accessToken"].is_string());
    let person = app.client.with_token(token);
    assert_eq!(person.balance().await, ("12.500000".to_owned(), "0.000000".to_owned()));
    let entries = person.ledger().await;
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["kind"], &entries[0]["amount"]), (&json!("GRANT"), &json!("12.500000")));
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM grants").await, 1);

    // Another plan is for those who join later.
    let again = TestApp::builder().credits("3").database_through(str::to_owned, &app.db).start().await;
    let later = again.client.sign_up().await;
    assert_eq!(later.balance().await.0, "3.000000");
    assert_eq!(person.balance().await.0, "12.500000");
    again.close().await;
    app.close().await;
}

/// A model whose output has this price.
fn priced(output: &str) -> String {
    format!(
        "[models.priced]\nprovider = \"scripted\"\ncontext_tokens = 100000\nmax_output_tokens = 4096\n\
         [models.priced.prices]\ninput = \"1000\"\noutput = \"{output}\"\n"
    )
}

/// The price book of that model.
async fn price_book(url: &str) -> Vec<Value> {
    let book = "SELECT p.unit, p.credits, p.valid_to IS NULL AS in_force, \
                       p.valid_to = lead(p.valid_from) OVER (PARTITION BY p.unit ORDER BY p.valid_from) \
                       OR p.valid_to < lead(p.valid_from) OVER (PARTITION BY p.unit ORDER BY p.valid_from) AS ends_in_time \
                  FROM model_prices p JOIN models m ON m.id = p.model_id \
                 WHERE m.key = 'priced' ORDER BY p.unit, p.valid_from";
    rows(url, book).await
}

fn row(unit: &str, credits: i64, in_force: bool, ends_in_time: Value) -> Value {
    json!({ "unit": unit, "credits": credits, "in_force": in_force, "ends_in_time": ends_in_time })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_price_is_a_new_dated_row_and_old_generations_keep_their_terms() {
    const OLD: i64 = 1_000_000_000;
    let app = TestApp::builder().catalog(&priced("1000")).start().await;
    let url = &app.db.url;
    let person = app.client.sign_up().await;
    let of_priced = json!({ "model": "priced", "options": { "maxOutputTokens": 100 } });
    app.provider.then(Script::text("Done.", 1).usage(5, 10));
    let done = person.ended_run(&person.send_text("Hi", of_priced.clone()).await).await;
    let first_book = price_book(url).await;
    assert_eq!(
        first_book,
        [
            row("cached_input_token", OLD, true, Value::Null),
            row("input_token", OLD, true, Value::Null),
            row("output_token", OLD, true, Value::Null),
        ]
    );

    // Starting again with the same prices writes nothing.
    let over_the_same =
        |models: &str| TestApp::builder().catalog(models).database_through(str::to_owned, &app.db);
    let same = over_the_same(&priced("1000")).start().await;
    assert_eq!(price_book(url).await, first_book);
    same.close().await;

    let gate = Gate::default();
    app.provider.then(Script::text("Slow.", 1).usage(5, 10).gate(&gate));
    let slow = person.send_text("Hi", of_priced.clone()).await;
    let dearer = over_the_same(&priced("3000")).start().await;
    assert_eq!(
        price_book(url).await,
        [
            row("cached_input_token", OLD, true, Value::Null),
            row("input_token", OLD, true, Value::Null),
            row("output_token", OLD, false, json!(true)),
            row("output_token", 3 * OLD, true, Value::Null),
        ]
    );
    dearer.provider.always(Script::text("Dear.", 1).usage(5, 10));
    let newcomer = dearer.client.with_token(person.token.clone().unwrap());
    let dear = newcomer.ended_run(&newcomer.send_text("Hi", of_priced.clone()).await).await;
    assert_eq!(dear["charge"]["creditsCharged"], "0.035000");
    gate.open();
    let slow = person.ended_run(&slow).await;
    assert_eq!(slow["charge"]["creditsCharged"], "0.015000");
    assert_eq!(done["charge"]["creditsCharged"], "0.015000");
    let terms = "SELECT (terms->>'output')::bigint AS output FROM generations ORDER BY id";
    let output = |price: i64| json!({ "output": price });
    assert_eq!(rows(url, terms).await, [output(OLD), output(OLD), output(3 * OLD)]);
    dearer.close().await;
    app.close().await;
}
