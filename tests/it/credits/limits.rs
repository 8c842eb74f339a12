//! Limits of a plan and ceilings, as somebody meets them who sends: typed refusals, lowered caps, and what is counted.

use serde_json::{Value, json};

use super::books::{answer_id, number, rows, wait_until_settled};
use crate::support::{
    app::{TestApp, new_key},
    catalog::Offer,
    client::Client,
    provider::{Gate, Script},
};

/// A limit of the plan of everybody.
fn limit(meter: &str, window: &str, scope: &str, amount: &str) -> String {
    format!(
        "[[plans.default.limits]]\nmeter = \"{meter}\"\nwindow = \"{window}\"\nscope = \"{scope}\"\namount = {amount}"
    )
}

async fn with(change: impl FnOnce(Offer) -> Offer) -> (TestApp, Client) {
    let app = TestApp::builder().offer(change).start().await;
    let person = app.client.sign_up().await;
    (app, person)
}

async fn send_least(person: &Client) -> Value {
    person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await
}

/// Code and sentence of a refusal.
fn refusal(sent: &Value) -> (&str, &str) {
    let error = &sent["userErrors"][0];
    (error["code"].as_str().unwrap_or_else(|| panic!("accepted: {sent}")), error["message"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_refuses_with_its_code_and_its_words() {
    for (meter, window, code, sentence) in [
        ("messages", "day", "QUOTA_EXCEEDED", "The limit of 1 messages a day is reached."),
        ("llm_requests", "hour", "QUOTA_EXCEEDED", "The limit of 1 answers an hour is reached."),
        ("llm_requests", "minute", "RATE_LIMITED", "The limit of 1 answers a minute is reached."),
        ("conversations", "month", "QUOTA_EXCEEDED", "The limit of 1 new conversations a month is reached."),
    ] {
        let (app, person) = with(|offer| offer.plan(&limit(meter, window, "member", "1"))).await;
        app.provider.always(Script::text("Yes.", 1).usage(5, 10));
        let sent = send_least(&person).await;
        person.wait_for_end(answer_id(&sent)).await;
        assert_eq!(refusal(&send_least(&person).await), (code, sentence));
        // Another person has a limit of their own.
        let other = app.client.sign_up().await;
        let sent = send_least(&other).await;
        other.wait_for_end(answer_id(&sent)).await;
        if meter == "conversations" {
            let more = json!({ "conversationId": sent["conversation"]["id"] });
            let sent = other.send_text("More", more).await;
            other.wait_for_end(answer_id(&sent)).await;
        }
        app.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_work_in_progress_is_in_the_way_of_says_so() {
    let (app, person) =
        with(|offer| offer.credits("0.1").plan(&limit("llm_requests", "none", "member", "2"))).await;
    let gate = Gate::default();
    app.provider.always(Script::text("Yes.", 1).usage(5, 1).gate(&gate));
    let sent = send_least(&person).await;
    let (code, sentence) = {
        let refused = send_least(&person).await;
        let (code, sentence) = refusal(&refused);
        (code.to_owned(), sentence.to_owned())
    };
    assert_eq!(code, "INSUFFICIENT_CREDITS");
    assert!(
        sentence.ends_with("Work in progress holds 0.069000 more; try again when it has ended."),
        "{sentence}"
    );
    gate.open();
    person.wait_for_end(answer_id(&sent)).await;
    let sent = send_least(&person).await;
    person.wait_for_end(answer_id(&sent)).await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_before_the_first_word_is_given_back_but_was_an_attempt() {
    let day = limit("messages", "day", "account", "1");
    let (app, person) =
        with(|offer| offer.plan(&day).plan(&limit("llm_requests", "minute", "account", "2"))).await;
    app.provider.then(Script::status(400));
    let sent = send_least(&person).await;
    assert_eq!(person.ended_run(&sent).await["status"], "FAILED");
    app.provider.always(Script::text("Yes.", 1).usage(5, 10));
    let sent = send_least(&person).await;
    assert_eq!(person.ended_run(&sent).await["status"], "SUCCEEDED");
    // The day is used once, the minute twice.
    let counts =
        "SELECT meter, used FROM quota_states WHERE meter IN ('messages', 'llm_requests') ORDER BY 1";
    let used = |meter: &str, used: i64| json!({ "meter": meter, "used": used });
    assert_eq!(rows(&app.db.url, counts).await, [used("llm_requests", 2), used("messages", 1)]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_tokens_lowers_the_cap_and_the_answer_says_so() {
    let (app, person) = with(|offer| offer.plan(&limit("tokens", "month", "account", "200"))).await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 100));
    let sent = person.send_text("Hi", json!({})).await;
    assert_eq!(sent["assistantMessage"]["generation"]["isOutputCapped"], true, "{sent}");
    person.wait_for_end(answer_id(&sent)).await;
    let body = &app.provider.requests()[0].body;
    let cap = if body["max_tokens"].is_null() { &body["max_completion_tokens"] } else { &body["max_tokens"] };
    assert_eq!(*cap, 195);
    // 105 are used; of the 95 that are left 90 are for the answer.
    let sent = person.send_text("Hi", json!({})).await;
    person.wait_for_end(answer_id(&sent)).await;
    let used = "SELECT used FROM quota_counters WHERE meter = 'tokens'";
    assert_eq!(number(&app.db.url, used).await, 200);
    assert_eq!(refusal(&send_least(&person).await).0, "QUOTA_EXCEEDED");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_credits_counts_what_calls_would_cost() {
    let (app, person) = with(|offer| offer.credits("unlimited")).await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 1_000));
    let sent = send_least(&person).await;
    let run = person.ended_run(&sent).await;
    assert_eq!(
        (&run["charge"]["creditsHeld"], &run["charge"]["creditsCharged"]),
        (&json!("0.000000"), &json!("0.000000"))
    );
    // What the provider made beyond the cap is ours.
    let sql = "SELECT h.state, h.overrun, q.used, q.held FROM holds h, quota_counters q WHERE q.window_kind = 'period'";
    let counted = json!({ "state": "settled", "overrun": 936_000, "used": 69_000, "held": 0 });
    assert_eq!(rows(&app.db.url, sql).await, [counted]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ceilings_hold_whatever_the_plan_says() {
    // Two answers at once, though the plan allows nine.
    let at_once = limit("llm_requests", "none", "member", "9");
    let (app, person) = with(|offer| offer.plan(&at_once).ceilings("parallel = 2")).await;
    let gate = Gate::default();
    app.provider.always(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
    let open = [send_least(&person).await, send_least(&person).await];
    let refused = send_least(&person).await;
    let sentence = "At most 2 answers at once. Please try again when one of them has ended.";
    assert_eq!(refusal(&refused), ("QUOTA_EXCEEDED", sentence));
    gate.open();
    for sent in &open {
        person.wait_for_end(answer_id(sent)).await;
    }
    app.close().await;

    for (ceilings, sentence) in [
        ("account_credits_a_day = \"0.1\"", "The limit of 0.100000 credits a day is reached."),
        (
            "deployment_credits_a_day = \"0.1\"",
            "The operator's limit for all accounts together is reached for today. Please try again tomorrow.",
        ),
    ] {
        let (app, person) =
            with(|offer| offer.ceilings(&format!("parallel = \"unlimited\"\n{ceilings}"))).await;
        app.provider.always(Script::text("Yes.", 1).usage(5, 64));
        let sent = person.send_text("Hi", json!({})).await;
        assert_eq!(sent["assistantMessage"]["generation"]["isOutputCapped"], true);
        person.wait_for_end(answer_id(&sent)).await;
        assert_eq!(refusal(&send_least(&person).await), ("QUOTA_EXCEEDED", sentence));
        let other = app.client.sign_up().await;
        let sent = send_least(&other).await;
        if ceilings.starts_with("account") {
            other.wait_for_end(answer_id(&sent)).await;
        } else {
            assert_eq!(refusal(&sent).1, sentence);
        }
        wait_until_settled(&app.db.url).await;
        app.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_bounds_the_output_and_the_models() {
    let (app, person) = with(|offer| offer.plan("max_output_tokens = 70")).await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 10));
    let sent = person.send_text("Hi", json!({})).await;
    // The wish of the plan is no lack of means.
    assert_eq!(sent["assistantMessage"]["generation"]["isOutputCapped"], false);
    assert_eq!(sent["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.075000");
    person.wait_for_end(answer_id(&sent)).await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_in_one_document_are_as_many_calls() {
    const CALLS: usize = 10;
    let a_minute = limit("llm_requests", "minute", "member", "4");
    let (app, person) = with(|offer| offer.plan(&a_minute).ceilings("parallel = \"unlimited\"")).await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 10));
    let send = |n: usize| {
        format!(
            " a{n}: sendMessage(input: {{ parts: [{{ text: \"Hi\" }}], model: \"scripted\", \
             idempotencyKey: \"{}\", options: {{ maxOutputTokens: 64 }} }}) \
             {{ assistantMessage {{ id }} userErrors {{ code }} }}",
            new_key()
        )
    };
    let document = format!("mutation {{{} }}", (0..CALLS).map(send).collect::<String>());
    let answer = person.gql(&document, json!({})).await;
    for n in 0..CALLS {
        let sent = &answer.data()[&format!("a{n}")];
        if n < 4 {
            assert_eq!(sent["userErrors"], json!([]), "{n}");
            person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
        } else {
            assert_eq!(sent["userErrors"][0]["code"], "RATE_LIMITED", "{n}");
        }
    }
    app.close().await;
}
