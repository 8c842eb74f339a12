//! Reading lists page by page.

use loquent::{domains::conversations::ConversationRow, platform::ids::Id};
use serde_json::{Value, json};

use super::created;
use crate::support::{app::TestApp, client::Client};

const CONVERSATIONS: &str = "query($first: Int!, $after: String) { viewer { account {
    conversations(first: $first, after: $after) {
        edges { cursor node { title } } nodes { title }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }";

const MESSAGES: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor } nodes { text role }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";

async fn conversations(person: &Client, first: usize, after: Option<&Value>) -> Value {
    let answer = person.gql(CONVERSATIONS, json!({ "first": first, "after": after })).await;
    answer.data()["viewer"]["account"]["conversations"].clone()
}

async fn messages(person: &Client, id: &str, place: Value) -> Value {
    let mut variables = place;
    variables["id"] = json!(id);
    person.gql(MESSAGES, variables).await.data()["conversation"]["messages"].clone()
}

fn texts(page: &Value, field: &str) -> Vec<String> {
    page["nodes"].as_array().unwrap().iter().map(|node| node[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_conversations_are_read_once_each_while_one_is_added() {
    const COUNT: usize = 60;
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    for number in 0..COUNT {
        created(&person, &format!("{number}")).await;
    }
    // Equal times must not lose or repeat anybody at the edge of a page.
    app.db.execute("UPDATE conversations SET updated_at = date_trunc('minute', updated_at)").await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = conversations(&person, 25, after.as_ref()).await;
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(after.is_some()));
        assert_eq!(page["pageInfo"]["startCursor"], page["edges"][0]["cursor"]);
        seen.extend(texts(&page, "title"));
        if after.is_none() {
            created(&person, "added meanwhile").await;
        }
        after = Some(page["pageInfo"]["endCursor"].clone());
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    let expected: Vec<String> = (0..COUNT).rev().map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
    assert_eq!(texts(&conversations(&person, 1, None).await, "title"), ["added meanwhile"]);
    let beyond = conversations(&person, 25, after.as_ref()).await;
    assert_eq!(beyond["nodes"], json!([]));
    assert_eq!(beyond["pageInfo"]["endCursor"], json!(null));
    println!("sixty_conversations_are_read_once n={COUNT} ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_read_from_both_ends_while_it_grows() {
    const COUNT: usize = 60;
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = created(&person, "Sea").await;
    let uuid = Id::<ConversationRow>::parse(&id).unwrap().0;
    app.db.fill_conversation(uuid, COUNT).await;
    let all: Vec<String> = (0..COUNT).map(|number| format!("Message {number}")).collect();

    let (mut back, mut place) = (Vec::new(), json!({ "last": 25 }));
    loop {
        let page = messages(&person, &id, place.clone()).await;
        back.splice(0..0, texts(&page, "text"));
        if place.get("before").is_none() {
            app.db.fill_conversation(uuid, COUNT + 1).await;
        }
        if page["pageInfo"]["hasPreviousPage"] == json!(false) {
            break;
        }
        place["before"] = page["pageInfo"]["startCursor"].clone();
    }
    assert_eq!(back, all);

    let (mut forth, mut place) = (Vec::new(), json!({ "first": 25 }));
    loop {
        let page = messages(&person, &id, place.clone()).await;
        forth.extend(texts(&page, "text"));
        place["after"] = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(forth[..COUNT], all);
    assert_eq!(forth.len(), COUNT + 1);

    // Between two cursors, and nothing said is the first 25.
    let whole = messages(&person, &id, json!({ "first": 100 })).await;
    let cursor = |number: usize| whole["edges"][number]["cursor"].clone();
    let between = json!({ "last": 3, "after": cursor(9), "before": cursor(12) });
    assert_eq!(texts(&messages(&person, &id, between).await, "text"), all[10..12]);
    assert_eq!(texts(&messages(&person, &id, json!({})).await, "text"), all[..25]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_belongs_to_its_list_and_a_page_has_a_size() {
    let app = TestApp::start().await;
    let (person, stranger) = (app.client.sign_up().await, app.client.sign_up().await);
    let (id, other) = (created(&person, "Sea").await, created(&person, "Lake").await);
    for id in [&id, &other] {
        app.db.fill_conversation(Id::<ConversationRow>::parse(id).unwrap().0, 4).await;
    }
    created(&stranger, "Theirs").await;
    let foreign = conversations(&stranger, 1, None).await["pageInfo"]["endCursor"].clone();
    let of_messages = messages(&person, &other, json!({ "first": 1 })).await["pageInfo"]["endCursor"].clone();
    let own = conversations(&person, 1, None).await["pageInfo"]["endCursor"].clone();
    let entry = "{ viewer { account { ledger(first: 1) { pageInfo { endCursor } } } } }";
    let of_ledger =
        person.gql(entry, json!({})).await.data()["viewer"]["account"]["ledger"]["pageInfo"]["endCursor"]
            .clone();
    for cursor in [&foreign, &of_messages, &of_ledger, &json!(""), &json!("x"), &json!("\u{0}")] {
        let answer = person.gql(CONVERSATIONS, json!({ "first": 5, "after": cursor })).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{cursor}");
    }
    for cursor in [&own, &of_messages, &of_ledger, &json!("x")] {
        for place in ["after", "before"] {
            let answer = person.gql(MESSAGES, json!({ "id": id, place: cursor })).await;
            assert_eq!(answer.code(), "BAD_USER_INPUT", "{place} {cursor}");
        }
    }
    for size in [0, -1, 101, i32::MAX] {
        let answer = person.gql(CONVERSATIONS, json!({ "first": size })).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{size}");
        for end in ["first", "last"] {
            let answer = person.gql(MESSAGES, json!({ "id": id, end: size })).await;
            assert_eq!(answer.code(), "BAD_USER_INPUT", "{end} {size}");
        }
    }
    let both = person.gql(MESSAGES, json!({ "id": id, "first": 1, "last": 1 })).await;
    assert_eq!(both.code(), "BAD_USER_INPUT");
    app.close().await;
}
