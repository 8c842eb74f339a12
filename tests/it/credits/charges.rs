//! What one answer costs: caps near an empty balance, budgets, overruns, failures, and models that cost nothing.

use serde_json::{Value, json};

use super::books::{answer_id, rows};
use crate::support::{app::TestApp, catalog::Offer, provider::Script};

/// A model that costs nothing.
const FREE: &str = "[models.free]\nprovider = \"scripted\"\ncontext_tokens = 100000\nmax_output_tokens = 4096\n\
                    [models.free.prices]\ninput = \"0\"\noutput = \"0\"\n";

/// A model whose tokens have a price of each kind, and a limit of what its provider charges.
const DETAILED: &str = "[models.detailed]\nprovider = \"scripted\"\ncontext_tokens = 100000\nmax_output_tokens = 4096\n\
    [models.detailed.prices]\ninput = \"1000\"\ncached_input = \"100\"\ncache_write = \"1250\"\noutput = \"1000\"\nreasoning = \"2000\"\n\
    cost_input_usd = \"10\"\ncost_cached_input_usd = \"1\"\ncost_cache_write_usd = \"12.5\"\ncost_output_usd = \"40\"\n";
const COST_A_MONTH: &str =
    "[[plans.default.limits]]\nmeter = \"cost\"\nwindow = \"month\"\nscope = \"account\"\namount = \"5\"\n";

/// The output cap that went to the provider with a call.
fn cap_sent(app: &TestApp, call: usize) -> Value {
    let body = &app.provider.requests()[call].body;
    let cap = &body["max_tokens"];
    if cap.is_null() { body["max_completion_tokens"].clone() } else { cap.clone() }
}

/// State and overrun of the newest hold.
async fn newest_hold(app: &TestApp) -> Value {
    let sql = "SELECT state, overrun, units FROM holds ORDER BY created_at DESC LIMIT 1";
    rows(&app.db.url, sql).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn near_an_empty_balance_the_answer_is_capped_and_below_the_floor_refused_with_numbers() {
    // 5 tokens in and 164 out, and a little that pays for no token.
    let app = TestApp::builder().credits("0.169999").start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Cut", 1).usage(5, 164).finish("length"));
    let sent = person.send_text("Hi", json!({})).await;
    let generation = &sent["assistantMessage"]["generation"];
    assert_eq!(generation["isOutputCapped"], true, "{sent}");
    assert_eq!(generation["charge"]["creditsHeld"], "0.169000");
    assert_eq!(sent["creditBalance"]["available"], "0.000999");
    let run = person.ended_run(&sent).await;
    assert_eq!(cap_sent(&app, 0), 164);
    assert_eq!((&run["status"], &run["finishReason"]), (&json!("SUCCEEDED"), &json!("CREDIT_LIMIT")));
    assert_eq!(
        (&run["isOutputCapped"], &run["charge"]["creditsCharged"]),
        (&json!(true), &json!("0.169000"))
    );
    let refused = person.send_text("Hi", json!({})).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["code"], "INSUFFICIENT_CREDITS");
    assert_eq!((&error["required"], &error["available"]), (&json!("0.069000"), &json!("0.000999")));
    assert_eq!(refused["assistantMessage"], Value::Null);
    assert_eq!(refused["creditBalance"]["available"], error["available"]);
    // Who wants less than the floor needs less.
    let refused = person.send_text("Hi", json!({ "options": { "maxOutputTokens": 10 } })).await;
    assert_eq!(refused["userErrors"][0]["required"], "0.015000");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_answer_that_ends_by_itself_says_so() {
    let app = TestApp::builder().credits("0.169").start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Short.", 1).usage(5, 2));
    let run = person.ended_run(&person.send_text("Hi", json!({})).await).await;
    assert_eq!((&run["isOutputCapped"], &run["finishReason"]), (&json!(true), &json!("STOP")));
    assert_eq!(run["charge"]["creditsCharged"], "0.007000");
    assert_eq!(person.balance().await.0, "0.162000");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_lowers_the_cap_and_is_never_exceeded() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Cut", 1).usage(5, 100).finish("length"));
    let sent = person.send_text("Hi", json!({ "options": { "maxCredits": "0.105999" } })).await;
    let generation = &sent["assistantMessage"]["generation"];
    assert_eq!(generation["charge"]["creditsHeld"], "0.105000", "{sent}");
    // The wish was smaller, not the balance.
    assert_eq!(generation["isOutputCapped"], false);
    let run = person.ended_run(&sent).await;
    assert_eq!(cap_sent(&app, 0), 100);
    assert_eq!(
        (&run["finishReason"], &run["charge"]["creditsCharged"]),
        (&json!("LENGTH"), &json!("0.105000"))
    );
    for (budget, required) in [("0.068999", "0.069000"), ("0", "0.069000")] {
        let refused = person.send_text("Hi", json!({ "options": { "maxCredits": budget } })).await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["code"], "INSUFFICIENT_CREDITS", "{error}");
        assert_eq!(error["required"], required);
        assert_eq!(error["field"], json!(["input", "options", "maxCredits"]));
    }
    for budget in ["-1", "0.0000001", "99999999999999999999"] {
        let refused = person.send_text("Hi", json!({ "options": { "maxCredits": budget } })).await;
        assert_eq!(refused["userErrors"][0]["code"], "INVALID_INPUT", "{budget}");
    }
    assert_eq!(app.provider.calls(), 1);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_reports_above_the_hold_is_never_the_customers() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Much.", 1).usage(5, 1_000));
    let sent = person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await;
    let run = person.ended_run(&sent).await;
    assert_eq!(run["charge"]["creditsCharged"], "0.069000");
    assert_eq!(run["charge"]["usage"]["outputTokens"], 1_000);
    assert_eq!(newest_hold(&app).await, json!({ "state": "settled", "overrun": 936_000, "units": 64 }));
    assert_eq!(person.balance().await, ("99.931000".to_owned(), "0.000000".to_owned()));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_a_cache_and_what_is_reasoning_has_a_price_of_its_own() {
    // The cost of every model that the plan includes must be known.
    let offer = |offer: Offer| offer.plan(COST_A_MONTH).models(&["detailed"]).with(DETAILED);
    let app = TestApp::builder().offer(offer).start().await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::text("Yes.", 1).usage_json(json!({
        "prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 15,
        "prompt_tokens_details": { "cached_tokens": 2, "cache_write_tokens": 2 },
        "completion_tokens_details": { "reasoning_tokens": 4 },
    })));
    // Held is the dearest of each: 5 tokens into the cache, 64 of reasoning.
    let options =
        json!({ "model": "detailed", "options": { "maxOutputTokens": 64, "maxCredits": "0.134249" } });
    let refused = person.send_text("Hi", options).await;
    assert_eq!(refused["userErrors"][0]["required"], "0.134250");
    let sent =
        person.send_text("Hi", json!({ "model": "detailed", "options": { "maxOutputTokens": 64 } })).await;
    assert_eq!(sent["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.134250", "{sent}");
    let run = person.ended_run(&sent).await;
    // In micro-credits: 1,000 + 2 * 100 + 2 * 1,250, and 6 * 1,000 + 4 * 2,000.
    assert_eq!(run["charge"]["creditsCharged"], "0.017700");
    let query = "query($id: ID!) { generation(id: $id) { charge { usage {
        inputTokens cachedInputTokens cacheWriteTokens outputTokens reasoningTokens source } } } }";
    let shown = person.gql(query, json!({ "id": sent["assistantMessage"]["generation"]["id"] })).await;
    let usage = json!({ "inputTokens": 1, "cachedInputTokens": 2, "cacheWriteTokens": 2, "outputTokens": 6,
        "reasoningTokens": 4, "source": "PROVIDER" });
    assert_eq!(shown.data()["generation"]["charge"]["usage"], usage);
    // In micro US dollars: 10 + 2 * 1 + 2 * 12.5, and 10 * 40, as reasoning has no cost of its own.
    let cost = "SELECT used, held FROM quota_counters WHERE meter = 'cost'";
    assert_eq!(rows(&app.db.url, cost).await, [json!({ "used": 437, "held": 0 })]);
    // Closing reads the books, which count the same once more.
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_count_of_a_provider_costs_the_hold_and_leaves_the_books_readable() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    for (input, output) in [(5, u32::MAX), (u32::MAX, 5), (u32::MAX / 2, u32::MAX / 2)] {
        app.provider.then(Script::text("Much.", 1).usage_json(json!({
            "prompt_tokens": input, "completion_tokens": output,
            "prompt_tokens_details": { "cache_write_tokens": input / 3 },
            "completion_tokens_details": { "reasoning_tokens": output / 2 },
        })));
        let sent = person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await;
        let run = person.ended_run(&sent).await;
        assert_eq!(run["charge"]["creditsCharged"], "0.069000", "{run}");
    }
    // Closing reads the books: the checker must still be able to.
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_first_word_costs_nothing() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let failures = [
        (Script::status(500), "PROVIDER_UNAVAILABLE"),
        (Script::status(400), "GENERATION_FAILED"),
        (Script::status(429), "PROVIDER_UNAVAILABLE"),
        (Script::text("never", 1).cut_after(0), "GENERATION_FAILED"),
    ];
    for (script, code) in failures {
        app.provider.always(script);
        let run = person.ended_run(&person.send_text("Hi", json!({})).await).await;
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("FAILED"), &json!(code)), "{run}");
        assert_eq!(
            run["charge"],
            json!({ "creditsHeld": "0.000000", "creditsCharged": "0.000000", "usage": null })
        );
        assert_eq!(newest_hold(&app).await["state"], "released");
        assert_eq!(person.balance().await, ("100.000000".to_owned(), "0.000000".to_owned()));
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_first_word_is_charged_for_what_came() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::pieces(&["one ", "two ", "three"]).cut_after(2));
    let sent = person.send_text("Hi", json!({})).await;
    let end = person.wait_for_end(answer_id(&sent)).await;
    assert_eq!((&end["__typename"], &end["message"]["text"]), (&json!("MessageFailed"), &json!("one two ")));
    let run = person.ended_run(&sent).await;
    assert_eq!(run["error"]["code"], "GENERATION_FAILED");
    // 8 bytes are estimated as 3 tokens, the prompt as 5.
    assert_eq!(run["charge"]["usage"], json!({ "inputTokens": 5, "outputTokens": 3, "source": "ESTIMATED" }));
    assert_eq!(run["charge"]["creditsCharged"], "0.008000");
    assert_eq!(person.balance().await, ("99.992000".to_owned(), "0.000000".to_owned()));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_model_answers_everybody_and_is_metered_all_the_same() {
    for credits in ["100", "0"] {
        let app = TestApp::builder().credits(credits).catalog(FREE).start().await;
        let person = app.client.sign_up().await;
        app.provider.always(Script::text("Free.", 1).usage(500, 900));
        let sent = person.send_text("Hi", json!({ "model": "free", "options": { "maxCredits": "0" } })).await;
        let run = person.ended_run(&sent).await;
        assert_eq!((&run["status"], &run["isOutputCapped"]), (&json!("SUCCEEDED"), &json!(false)), "{run}");
        assert_eq!(run["charge"]["creditsCharged"], "0.000000");
        assert_eq!(run["charge"]["usage"]["outputTokens"], 900);
        assert_eq!(newest_hold(&app).await, json!({ "state": "settled", "overrun": 0, "units": 4096 }));
        // Nothing moved, so the ledger has nothing to say.
        assert_eq!(person.ledger().await.len(), usize::from(credits != "0"));
        if credits == "0" {
            let refused = person.send_text("Hi", json!({})).await;
            let error = &refused["userErrors"][0];
            assert_eq!((&error["required"], &error["available"]), (&json!("0.069000"), &json!("0.000000")));
        }
        app.close().await;
    }
}
