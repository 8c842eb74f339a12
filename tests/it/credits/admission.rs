//! A crowd on three processes and one account: exactly those are admitted that the limits have room for, whatever kind of
//! limit it is, and whoever gives a place back makes room at once.

use loquent::{domains::accounts::AccountRow, platform::ids::Id};
use serde_json::{Value, json};

use super::{
    books::{answer_id, is_full_size, number, rows, run, wait_until_settled},
    crowd::{COST, TOKENS, gated_answer, send_least},
};
use crate::support::{
    catalog::Offer,
    client::Client,
    db::TestDb,
    provider::{Gate, ScriptedProvider},
    three_processes::ThreeProcesses,
};

/// One kind of limit, of which `places` calls fit.
struct Case {
    name: &'static str,
    /// Credits of the plan.
    credits: String,
    /// Limits: meter, window, scope, amount.
    limits: Vec<(&'static str, &'static str, &'static str, usize)>,
    /// What refuses the others.
    code: &'static str,
    /// Admitted of each person; with two the second is a member of the account of the first.
    each: Vec<usize>,
}

fn micro(credits: usize) -> String {
    format!("{}.{:06}", credits / 1_000_000, credits % 1_000_000)
}

fn cases(places: usize) -> Vec<Case> {
    let case =
        |name, limits, code| Case { name, credits: "100".to_owned(), limits, code, each: vec![places] };
    let few = places / 2 + 1;
    let all = vec![
        ("messages", "day", "account", places),
        ("messages", "hour", "account", places + 4),
        ("tokens", "month", "account", (places + 2) * TOKENS),
        ("llm_requests", "none", "member", places + 1),
        ("credits", "day", "member", (places + 3) * COST),
    ];
    vec![
        Case {
            // One micro-credit less than one more would cost.
            credits: micro((places + 1) * COST - 1),
            ..case("credits", vec![], "INSUFFICIENT_CREDITS")
        },
        case("messages a day", vec![("messages", "day", "account", places)], "QUOTA_EXCEEDED"),
        case(
            "tokens a month",
            vec![("tokens", "month", "account", (places + 1) * TOKENS - 1)],
            "QUOTA_EXCEEDED",
        ),
        case("calls at once", vec![("llm_requests", "none", "member", places)], "QUOTA_EXCEEDED"),
        Case {
            each: vec![few, places - few],
            ..case(
                "an account pool and a member's cap",
                vec![("messages", "day", "account", places), ("messages", "day", "member", few)],
                "QUOTA_EXCEEDED",
            )
        },
        Case { credits: micro((places + 5) * COST), ..case("all together", all, "QUOTA_EXCEEDED") },
    ]
}

impl Case {
    fn offer(&self) -> Offer {
        self.limits.iter().fold(Offer::of_credits(&self.credits), |offer, (meter, window, scope, amount)| {
            let amount = if *meter == "credits" { format!("\"{}\"", micro(*amount)) } else { amount.to_string() };
            offer.plan(&format!(
                "[[plans.default.limits]]\nmeter = \"{meter}\"\nwindow = \"{window}\"\nscope = \"{scope}\"\namount = {amount}"
            ))
        })
    }
}

async fn send(person: &Client, account: &Value) -> Value {
    send_least(person, account).await.data()["sendMessage"].clone()
}

/// How many of the answers are accepted; all others are refused with the code.
fn admitted(answers: &[Value], code: &str) -> Vec<Value> {
    let (yes, no): (Vec<&Value>, Vec<&Value>) =
        answers.iter().partition(|sent| sent["userErrors"] == json!([]));
    for refused in no {
        assert_eq!(refused["userErrors"][0]["code"], code, "{refused}");
    }
    yes.into_iter().cloned().collect()
}

const CANCEL: &str = "mutation($input: IdInput!) {
    cancelGeneration(input: $input) { generation { status } userErrors { message } }
}";

async fn assert_exact(case: &Case, sends: usize) {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    case.offer().apply(&db.url).await;
    let three = ThreeProcesses::start(&db, &provider, "");
    let mut people = Vec::new();
    for _ in &case.each {
        people.push(three.sign_up().await);
    }
    let account = people[0].gql("{ viewer { account { id } } }", json!({})).await.data()["viewer"]["account"]
        ["id"]
        .clone();
    let account_id = Id::<AccountRow>::parse(account.as_str().unwrap()).unwrap().0;
    run(&db.url, &format!(
        "INSERT INTO members (account_id, user_id, role) SELECT '{account_id}', id, 'member' FROM users ON CONFLICT DO NOTHING"
    )).await;

    let gate = Gate::default();
    provider.always(gated_answer(&gate));
    // Everybody sends through every process at once.
    let payer = account.clone();
    let call = move |there: Client, _| {
        let payer = payer.clone();
        async move { send(&there, &payer).await }
    };
    let mut answers = vec![Vec::new(); people.len()];
    for (index, answer) in three.race(sends, &people, call).await.into_iter().enumerate() {
        answers[index % people.len()].push(answer);
    }
    let places: usize = case.each.iter().sum();
    let open: Vec<Vec<Value>> = answers.iter().map(|answers| admitted(answers, case.code)).collect();
    assert_eq!(open.iter().map(Vec::len).sum::<usize>(), places, "{}", case.name);
    if let [first, second] = &open[..] {
        let most = case.each[0].max(case.each[1]);
        assert!(first.len() <= most && second.len() <= most, "{} {}", first.len(), second.len());
    }
    provider.called(places).await;

    // Who stops before the first word gives the place back, and it is taken at once.
    let (owner, stopped) =
        open.iter().enumerate().find_map(|(who, sent)| Some((who, sent.first()?))).unwrap();
    let id = &stopped["assistantMessage"]["generation"]["id"];
    let canceled = people[owner].gql(CANCEL, json!({ "input": { "id": id } })).await;
    assert_eq!(canceled.data()["cancelGeneration"]["userErrors"], json!([]), "{canceled:?}");
    // It may run on another process than the one that was asked.
    people[owner].wait_for_end(answer_id(stopped)).await;
    let next = [send(&people[owner], &account).await, send(&people[owner], &account).await];
    assert_eq!(admitted(&next, case.code).len(), 1, "{}: {next:?}", case.name);
    assert_eq!(next[0]["userErrors"], json!([]), "{}", case.name);
    provider.called(places + 1).await;

    gate.open();
    wait_until_settled(&db.url).await;
    assert_eq!(provider.calls(), places + 1);
    assert_eq!(number(&db.url, "SELECT count(*) FROM holds WHERE state = 'open'").await, 0);
    assert_eq!(number(&db.url, "SELECT coalesce(sum(held), 0)::bigint FROM wallets").await, 0);
    assert_eq!(number(&db.url, "SELECT coalesce(sum(held), 0)::bigint FROM quota_counters").await, 0);
    let lowest = number(&db.url, "SELECT min(balance_after) FROM ledger_entries").await;
    assert!(lowest >= 0);
    assert_eq!(rows(&db.url, "SELECT * FROM ledger_differences").await, Vec::<Value>::new());
    println!(
        "admission over 3 processes, {}: n={sends} admitted={places} refused={} lowest={lowest} ok",
        case.name,
        sends - places
    );
    drop(three);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_three_processes_gets_exactly_as_many_places_as_there_are() {
    let (sends, places) = if is_full_size() { (1_000, 137) } else { (90, 17) };
    for case in cases(places) {
        assert_exact(&case, sends).await;
    }
}
