//! Choosing among conversations: whatever is asked for, the pages together are what a plain filter leaves of the list.

use serde_json::{Value, json};

use super::{create, update};
use crate::support::{app::TestApp, client::Client, cluster::variable};

const LIST: &str = "query($filter: ConversationFilter, $first: Int!, $after: String) { viewer { account {
    conversations(filter: $filter, first: $first, after: $after) {
        nodes { id title isStarred archivedAt tags } pageInfo { hasNextPage hasPreviousPage endCursor } } } } }";

const TAGS: [&str; 4] = ["work", "Work", "home", "50%"];
const WORDS: [&str; 6] = ["Sea", "sea-side", "100%", "a_b", "a\\b", "Lake"];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn some<'a>(&mut self, of: &[&'a str]) -> Vec<&'a str> {
        of.iter().copied().filter(|_| self.roll(2) == 0).collect()
    }
}

async fn page(person: &Client, filter: &Value, first: usize, after: &Value) -> Value {
    let variables = json!({ "filter": filter, "first": first, "after": after });
    person.gql(LIST, variables).await.data()["viewer"]["account"]["conversations"].clone()
}

/// All pages together.
async fn list(person: &Client, filter: &Value, first: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), json!(null));
    loop {
        let page = page(person, filter, first, &after).await;
        let nodes = page["nodes"].as_array().unwrap();
        assert!(nodes.len() <= first);
        found.extend(nodes.iter().cloned());
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            return found;
        }
        assert_eq!(nodes.len(), first, "a page in the middle is full");
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// Whether a filter leaves a conversation, said once more in plain words.
fn is_chosen(node: &Value, filter: &Value) -> bool {
    let same =
        |field: &str, value: bool| filter.get(field).is_none_or(|wish| wish.is_null() || *wish == value);
    let is_archived = !node["archivedAt"].is_null();
    let is_open_only = filter.is_null() || filter.get("isArchived").is_none();
    let tags: Vec<&Value> = filter["tags"].as_array().into_iter().flatten().collect();
    let title = node["title"].as_str().unwrap().to_lowercase();
    let words = filter["title"].as_str().unwrap_or_default().to_lowercase();
    (if is_open_only { !is_archived } else { same("isArchived", is_archived) })
        && same("isStarred", node["isStarred"] == true)
        && tags.iter().all(|tag| node["tags"].as_array().unwrap().contains(tag))
        && words.split_whitespace().all(|word| title.contains(word))
        && filter.get("isMine").is_none_or(|mine| *mine != json!(false))
}

fn random_filter(dice: &mut Dice) -> Value {
    let mut filter = json!({});
    for field in ["isStarred", "isArchived"] {
        match dice.roll(4) {
            0 => filter[field] = json!(true),
            1 => filter[field] = json!(false),
            2 => filter[field] = json!(null),
            _ => {}
        }
    }
    match dice.roll(3) {
        0 => filter["tags"] = json!([TAGS[dice.roll(TAGS.len())]]),
        1 => filter["tags"] = json!(dice.some(&TAGS)),
        _ => {}
    }
    if dice.roll(2) == 0 {
        let (one, other) = (WORDS[dice.roll(WORDS.len())], WORDS[dice.roll(WORDS.len())]);
        filter["title"] = json!([one.to_uppercase(), format!(" {one}  {other} ")][dice.roll(2)]);
    }
    if dice.roll(8) == 0 {
        filter["isMine"] = json!(dice.roll(2) == 0);
    }
    filter
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_choice_are_what_a_plain_filter_leaves() {
    let rounds = if variable("TEST_SCALE").as_deref() == Some("full") { 500 } else { 60 };
    let app = TestApp::start().await;
    let (person, stranger) = (app.client.sign_up().await, app.client.sign_up().await);
    let mut dice = Dice(7);
    for number in 0..40 {
        let title = format!("{number} {} {}", WORDS[dice.roll(WORDS.len())], WORDS[dice.roll(WORDS.len())]);
        let made = create(&person, json!({ "title": title, "tags": dice.some(&TAGS) })).await;
        let id = made["conversation"]["id"].as_str().unwrap();
        let changes = json!({ "isStarred": dice.roll(3) == 0, "isArchived": dice.roll(3) == 0 });
        assert_eq!(update(&person, id, changes).await["userErrors"], json!([]));
        create(&stranger, json!({ "title": title, "tags": TAGS })).await;
    }
    // Equal times must not lose or repeat anybody at the edge of a page.
    app.db.execute("UPDATE conversations SET updated_at = date_trunc('minute', updated_at)").await;
    let all = list(&person, &json!({ "isArchived": null }), 100).await;
    assert_eq!(all.len(), 40);
    let mut chosen = 0;
    for round in 0..rounds {
        let filter = if round == 0 { json!(null) } else { random_filter(&mut dice) };
        let expected: Vec<Value> = all.iter().filter(|node| is_chosen(node, &filter)).cloned().collect();
        let found = list(&person, &filter, 1 + dice.roll(9)).await;
        assert_eq!(found, expected, "round {round}: {filter}");
        chosen += found.len();
    }
    assert!(chosen > rounds, "the filters leave nearly nothing");
    println!("the_pages_of_a_choice n={rounds} ok");
    app.close().await;
}

/// Rows of conversations that were fetched so far, through indexes or not.
async fn fetched(app: &TestApp) -> i64 {
    let sql = "SELECT (coalesce(idx_tup_fetch, 0) + seq_tup_read)::text AS line FROM pg_stat_user_tables \
                WHERE relname = 'conversations'";
    app.db.lines(sql).await[0].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_among_ten_thousand_costs_its_own_rows() {
    const COUNT: usize = 10_000;
    let mut verdict = String::new();
    // Of the blocks of a hundred that begin with the newest, every third from this one on is put away.
    for (filter, first_archived) in [
        (json!(null), 0),
        (json!({ "isArchived": true }), 2),
        (json!({ "isArchived": null }), 0),
        (json!({ "isStarred": true }), 0),
        (json!({ "isStarred": true, "isArchived": null }), 0),
    ] {
        let app = TestApp::start().await;
        let person = app.client.sign_up().await;
        create(&person, json!({ "title": "One" })).await;
        let fill = format!(
            "INSERT INTO conversations (id, account_id, created_by, title, is_starred, archived_at, updated_at)
             SELECT uuid_v7(), c.account_id, c.created_by, 'Sea ' || n, n / 100 % 3 = 1,
                    CASE WHEN n / 100 % 3 = {first_archived} THEN loquent_now() END,
                    loquent_now() + interval '1 day' - n * interval '1 second'
               FROM conversations c, generate_series(0, {COUNT}) n; ANALYZE conversations"
        );
        app.db.execute(&fill).await;
        let before = fetched(&app).await;
        let found = page(&person, &filter, 10, &json!(null)).await;
        assert_eq!(found["nodes"].as_array().unwrap().len(), 10, "{filter}");
        // Connections tell the statistics what they fetched when they end.
        let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        app.db.execute(&format!("SELECT pg_terminate_backend(pid, 5000) {others}")).await;
        let rows = fetched(&app).await - before;
        assert!((11..=11 + 2).contains(&rows), "{filter} fetched {rows} rows");
        verdict += &format!(" {filter}={rows}");
        app.close().await;
    }
    println!("a_page_among_ten_thousand n={COUNT} rows of 10:{verdict} ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_that_cannot_be_is_refused() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    for filter in [
        json!({ "tags": many }),
        json!({ "tags": [""] }),
        json!({ "tags": ["x".repeat(41)] }),
        json!({ "tags": ["NUL\u{0}"] }),
        json!({ "title": "x".repeat(201) }),
        json!({ "title": "NUL\u{0}" }),
    ] {
        let answer = person.gql(LIST, json!({ "filter": filter, "first": 1, "after": null })).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{filter}");
    }
    app.close().await;
}
