//! The catalogue in the API, as everybody reads it without a token.

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    catalog::{Offer, apply},
    db::TestDb,
};

const PLANS: &str = "{ plans {
    id key name description version isMetered creditsPerPeriod rollover features
    maxOutputTokens maxContextTokens maxMembers
    prices { interval amount { amount currencyCode } trialDays }
    limits { meter window scope amount }
} }";

const OFFER: &str = "format = 1\ndefault_plan = \"team\"\n\
    [features.voice]\nname = \"Voice\"\ncredits = \"2.5\"\n[features.chat]\nname = \"Chat\"\n\
    [models.named]\nprovider = \"scripted\"\naliases = [\"other\", \"another\"]\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    prices = { input = \"1\", cost_input_usd = \"1\", output = \"2\", cost_output_usd = \"2\", image = \"0.04\" }\n\
    [models.unserved]\nprovider = \"elsewhere\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    prices = { input = \"1\", cost_input_usd = \"1\", output = \"2\", cost_output_usd = \"2\" }\n\
    [plans.team]\nname = \"Team\"\ndescription = \"For several.\"\ncredits = \"12.5\"\nrollover = \"150%\"\nmodels = [\"*\"]\n\
    features = [\"voice\"]\nmax_output_tokens = 500\nmax_context_tokens = 9000\nmax_members = 7\n\
    [[plans.team.prices]]\ninterval = \"month\"\ncurrency = \"EUR\"\namount = \"9.9\"\ntrial_days = 14\n\
    [[plans.team.limits]]\nmeter = \"messages\"\nwindow = \"day\"\nscope = \"member\"\namount = 20\n\
    [[plans.team.limits]]\nmeter = \"cost\"\nwindow = \"month\"\nanchor = \"sign_up\"\namount = \"1.5\"\n\
    [plans.large]\nname = \"Large\"\ncredits = \"unlimited\"\nmodels = [\"named\"]\nis_metered = true\n\
    [[plans.large.limits]]\nmeter = \"tokens\"\nwindow = \"period\"\namount = \"unlimited\"\n";

async fn offered() -> TestApp {
    let db = TestDb::create().await;
    apply(&db.url, OFFER).await;
    TestApp::builder().start_over(db).await
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_on_offer_say_all_they_include() {
    let app = offered().await;
    let mut plans = app.client.gql(PLANS, json!({})).await.data()["plans"].clone();
    let ids: Vec<Value> = plans.as_array_mut().unwrap().iter_mut().map(|plan| plan["id"].take()).collect();
    let expected = json!([
        {
            "id": null, "key": "team", "name": "Team", "description": "For several.", "version": 1,
            "isMetered": false, "creditsPerPeriod": "12.500000", "rollover": "CAPPED", "features": ["voice"],
            "maxOutputTokens": 500, "maxContextTokens": 9000, "maxMembers": 7,
            "prices": [{
                "interval": "MONTH", "amount": { "amount": "9.90", "currencyCode": "EUR" }, "trialDays": 14,
            }],
            "limits": [
                { "meter": "MESSAGES", "window": "DAY", "scope": "MEMBER", "amount": "20" },
                { "meter": "COST", "window": "MONTH", "scope": "ACCOUNT", "amount": "1.500000" },
            ],
        },
        {
            "id": null, "key": "large", "name": "Large", "description": null, "version": 1,
            "isMetered": true, "creditsPerPeriod": null, "rollover": "NONE", "features": [],
            "maxOutputTokens": null, "maxContextTokens": null, "maxMembers": null, "prices": [],
            "limits": [{ "meter": "TOKENS", "window": "PERIOD", "scope": "ACCOUNT", "amount": null }],
        },
    ]);
    assert_eq!(plans, expected);
    for (id, key) in ids.iter().zip(["team", "large"]) {
        let again = app.client.sign_up().await;
        let node =
            again.gql("query($id: ID!) { node(id: $id) { ... on Plan { key } } }", json!({ "id": id })).await;
        assert_eq!(node.data()["node"]["key"], key);
    }
    let person = app.client.sign_up().await;
    let own = person.gql("{ viewer { account { plan { key } } } }", json!({})).await;
    assert_eq!(own.data()["viewer"]["account"]["plan"]["key"], "team");
    assert_eq!(person.balance().await.0, "12.500000");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn features_and_models_say_their_prices() {
    let app = offered().await;
    let query =
        "{ features { key name creditCost isIncluded } models { key aliases prices { unit per credits } } }";
    let answer = app.client.gql(query, json!({})).await;
    let expected = json!([
        { "key": "chat", "name": "Chat", "creditCost": null, "isIncluded": false },
        { "key": "voice", "name": "Voice", "creditCost": "2.500000", "isIncluded": true },
    ]);
    assert_eq!(answer.data()["features"], expected);
    let models = answer.data()["models"].as_array().unwrap().clone();
    let keys: Vec<&str> = models.iter().map(|model| model["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["echo", "named"], "a model without its provider is not shown");
    let expected = json!({ "key": "named", "aliases": ["another", "other"], "prices": [
        { "unit": "INPUT_TOKEN", "per": 1_000_000, "credits": "1.000000" },
        { "unit": "CACHED_INPUT_TOKEN", "per": 1_000_000, "credits": "1.000000" },
        { "unit": "OUTPUT_TOKEN", "per": 1_000_000, "credits": "2.000000" },
        { "unit": "IMAGE", "per": 1, "credits": "0.040000" },
    ] });
    assert_eq!(models[1], expected);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_answers_to_its_aliases_and_not_without_its_provider() {
    let app = offered().await;
    app.provider.always(crate::support::provider::Script::text("Yes.", 1).usage(3, 1));
    let person = app.client.sign_up().await;
    let sent = person.send_text("Hi", json!({ "model": "another" })).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap_or_else(|| panic!("{sent}"))).await;
    assert_eq!(app.provider.requests().len(), 1);
    for (model, why) in [("unserved", "cannot be called at present"), ("nobody", "There is no model")] {
        let refused = person.send_text("Hi", json!({ "model": model })).await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["code"], "INVALID_INPUT");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_applied_the_first_start_offers_the_default() {
    let db = TestDb::create_empty().await;
    loquent::platform::postgres::migrate::up(&db.url).await.unwrap();
    let app = TestApp::builder().start_over(db).await;
    let answer = app.client.gql("{ plans { key creditsPerPeriod } models { key } }", json!({})).await;
    let expected = json!({
        "plans": [
            { "key": "free", "creditsPerPeriod": "10.000000" },
            { "key": "pro", "creditsPerPeriod": "100.000000" },
            { "key": "enterprise", "creditsPerPeriod": null },
        ],
        "models": [{ "key": "echo" }],
    });
    assert_eq!(answer.data(), &expected);
    let person = app.client.sign_up().await;
    assert_eq!(person.balance().await.0, "10.000000");
    // Another start over it applies nothing.
    let url = app.db.url.clone();
    Offer::default().apply(&url).await;
    let again = TestApp::builder().database_through(|_| url.clone(), &app.db).start().await;
    let answer = again.client.gql("{ plans { key } }", json!({})).await;
    assert_eq!(answer.data()["plans"], json!([{ "key": "default" }]));
    again.close().await;
    app.close().await;
}
