//! Two accounts that must not see each other: whatever names an object by its id answers a stranger as if it had never
//! existed.

mod answers;
mod cases;
mod schema;
mod tenant;

use std::collections::BTreeSet;

use async_graphql::parser::types::TypeKind;
use serde_json::{Value, json};
use uuid::Uuid;

use self::{
    answers::answer,
    cases::{CASES, Kind},
    schema::{Schema, is_required},
    tenant::Tenant,
};
use crate::support::{
    app::{TestApp, new_key},
    ws::{Event, Socket},
};

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];
/// Everything that a stranger must not learn has this in it.
const SECRET: &str = "Secret of the owner";

/// Every row that the owner cares about, as text.
async fn rows(app: &TestApp) -> Vec<String> {
    let tables = [
        "users",
        "accounts",
        "members",
        "conversations",
        "messages",
        "generations",
        "wallets",
        "ledger_entries",
        "holds",
        "idempotency_keys",
    ];
    let union: Vec<String> = tables
        .iter()
        .map(|table| format!("SELECT '{table} ' || row_to_json(t)::text AS line FROM {table} t"))
        .collect();
    app.db.lines(&format!("{} ORDER BY line", union.join(" UNION ALL "))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_the_answer_of_what_never_existed() {
    let places = Schema::read().places();
    let covered: BTreeSet<String> = CASES.iter().map(|case| case.place.to_owned()).collect();
    assert_eq!(places, covered, "a place that takes an id has no case, or a case has no place");

    let limit = "[[plans.default.limits]]\nmeter = \"messages\"\nwindow = \"day\"\nscope = \"account\"\namount = 1000";
    let app = TestApp::builder().offer(|offer| offer.plan(limit)).start().await;
    let owner = Tenant::join(&app, SECRET).await;
    let stranger = Tenant::join(&app, "Stranger").await;
    for case in &CASES {
        let operation = &case.operation(&owner, &stranger);
        let by_owner = &case.operation(&owner, &owner);
        let before = rows(&app).await;
        let (real, never) = (owner.id(case.kind), case.kind.name(Uuid::now_v7()));
        let refused = answer(&stranger.client, operation, &real).await;
        assert_eq!(refused, answer(&stranger.client, operation, &never).await, "{}", case.place);
        assert_eq!(
            answer(&app.client, operation, &real).await,
            answer(&app.client, operation, &never).await,
            "{} without a credential",
            case.place
        );
        assert!(!refused.1.contains(SECRET), "{}: {}", case.place, refused.1);
        // An id of another type says that it is one, and nothing of whether it exists.
        for other in [Kind::Account, Kind::Conversation, Kind::Message, Kind::Generation] {
            if other != case.kind.of_objects() && !case.takes_every_type() {
                let real = answer(&stranger.client, operation, &owner.id(other)).await;
                let never = answer(&stranger.client, operation, &other.name(Uuid::now_v7())).await;
                assert_eq!(real, never, "{} with the id of another type", case.place);
                assert_eq!(
                    real,
                    answer(&owner.client, by_owner, &owner.id(other)).await,
                    "{} with the id of another type is the same for its owner",
                    case.place
                );
            }
        }
        assert_eq!(rows(&app).await, before, "{} changed something", case.place);
        let set_role = async |role: &str| {
            let sql = format!("UPDATE users SET role = '{role}' WHERE id = '{}'", owner.account);
            app.db.execute(&sql).await;
        };
        if case.is_for_administrators() {
            set_role("admin").await;
        }
        let allowed = answer(&owner.client, by_owner, &real).await;
        set_role("user").await;
        let body: Value = serde_json::from_str(&allowed.1).unwrap();
        let found = body["data"].pointer(case.success);
        assert!(found.is_some_and(|found| !found.is_null()), "{}: the owner is refused: {body}", case.place);
        while app.app.generations.running() > 0 {
            tokio::task::yield_now().await;
        }
    }
    println!("a_stranger_gets_the_answer_of_what_never_existed n={} ok", CASES.len());
    app.close().await;
}

/// Everything that a person can reach from the root by fields alone.
const REACH: &str = "{ viewer { user { name email } accounts { id name } account { id name
    ledger(first: 100) { nodes { kind subject { __typename id ... on Generation { message { text } } } user { name email } } }
    conversations(first: 100) { nodes { id title account { id name } createdBy { name email }
        head { text author { name email } parent { text } conversation { title } generation { id message { text } } }
        messages(last: 100) { nodes { text author { name email } parent { text } conversation { title }
            generation { id message { text parent { text } } } } } } } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_account_is_reached_through_fields_and_cursors() {
    // What is reached here is as much as can be, which costs more than a client may spend.
    let app = TestApp::builder().settings("[limits]\noperation_cost = 1_000_000").start().await;
    let owner = Tenant::join(&app, SECRET).await;
    let stranger = Tenant::join(&app, "Stranger").await;
    let reached = owner.client.gql(REACH, json!({})).await.data().to_string();
    assert!(reached.contains("Secret of the owner answers."), "{reached}");
    // One without messages, whose account the database lets us change.
    let create = "mutation($key: String!) { createConversation(input: { idempotencyKey: $key }) { conversation { id } } }";
    stranger.client.gql(create, json!({ "key": new_key() })).await.data();
    app.db.execute("ALTER TABLE ledger_entries DISABLE TRIGGER USER").await;
    let before = stranger.client.gql(REACH, json!({})).await.data().to_string();

    // Rows of the stranger that point at those of the owner, as a fault elsewhere might leave them.
    let forgeries = [
        ("messages", "parent_id", owner.message, format!("id = '{}'", stranger.message)),
        ("messages", "author_id", owner.account, format!("id = '{}'", stranger.message)),
        ("conversations", "head_id", owner.message, format!("id = '{}'", stranger.conversation)),
        ("conversations", "account_id", owner.account, "message_count = 0".to_owned()),
        ("generations", "message_id", owner.message, format!("id = '{}'", stranger.generation)),
        ("ledger_entries", "hold_id", owner.generation, format!("hold_id = '{}'", stranger.generation)),
        ("ledger_entries", "user_id", owner.account, format!("account_id = '{}'", stranger.account)),
    ];
    let mut changed = 0;
    for (table, column, foreign, place) in &forgeries {
        let rows = app
            .db
            .lines(&format!(
                "SELECT id::text || ' ' || coalesce({column}::text, '') AS line FROM {table} WHERE {place}"
            ))
            .await;
        assert!(!rows.is_empty(), "{table}.{column}");
        app.db.execute(&format!("UPDATE {table} SET {column} = '{foreign}' WHERE {place}")).await;
        let answer = stranger.client.gql(REACH, json!({})).await;
        let text = answer.body.to_string();
        for secret in [
            SECRET,
            owner.email.as_str(),
            owner.id(Kind::Account).as_str(),
            owner.id(Kind::Generation).as_str(),
        ] {
            assert!(!text.contains(secret), "{table}.{column} shows {secret}: {text}");
        }
        changed += usize::from(text != before);
        for row in rows {
            let (id, value) = row.split_once(' ').unwrap();
            let value = if value.is_empty() { "NULL".to_owned() } else { format!("'{value}'") };
            app.db.execute(&format!("UPDATE {table} SET {column} = {value} WHERE id = '{id}'")).await;
        }
    }
    assert_eq!(changed, forgeries.len(), "a forgery was not on the way of the query");
    assert_eq!(stranger.client.gql(REACH, json!({})).await.data().to_string(), before);

    let cursors = "{ viewer { account { id ledger(first: 1) { pageInfo { endCursor } }
        conversations(first: 1) { pageInfo { endCursor } nodes { messages(first: 1) { pageInfo { endCursor } } } } } } }";
    let account = owner.client.gql(cursors, json!({})).await.data()["viewer"]["account"].clone();
    for (list, cursor) in [
        ("ledger(after: $id) { nodes { id } }", &account["ledger"]["pageInfo"]["endCursor"]),
        ("conversations(after: $id) { nodes { id } }", &account["conversations"]["pageInfo"]["endCursor"]),
        (
            "conversations { nodes { messages(after: $id) { nodes { id } } } }",
            &account["conversations"]["nodes"][0]["messages"]["pageInfo"]["endCursor"],
        ),
    ] {
        let query = format!("query($id: String!) {{ viewer {{ account {{ {list} }} }} }}");
        let foreign = answer(&stranger.client, &query, cursor.as_str().unwrap()).await;
        assert!(foreign.1.contains("BAD_USER_INPUT"), "{list}: {}", foreign.1);
        assert_eq!(foreign, answer(&stranger.client, &query, "nonsense").await, "{list}");
    }
    println!("nothing_of_another_account_is_reached n={} ok", forgeries.len() + 3);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_public_asks_for_a_credential() {
    let app = TestApp::start().await;
    let schema = Schema::read();
    let socket = Socket::connect(&app.client).await;
    let (mut closed, mut public) = (0, 0);
    for root in ROOTS {
        let Some(TypeKind::Object(object)) = schema.0.get(root) else { panic!("no {root}") };
        for field in &object.fields {
            let name = field.node.name.node.as_str();
            let access =
                field.node.directives.iter().find(|directive| directive.node.name.node == "access").unwrap();
            let level = access.node.arguments[0].1.node.to_string();
            let arguments = field.node.arguments.iter().filter(|argument| is_required(&argument.node));
            let arguments: Vec<String> = arguments
                .map(|argument| {
                    format!(
                        "{}: {}",
                        argument.node.name.node,
                        schema.literal(&argument.node, &format!("{root}.{name}("))
                    )
                })
                .collect();
            let arguments =
                if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
            let operation = format!("{} {{ {name}{arguments} {{ __typename }} }}", root.to_lowercase());
            let body = if root == "Subscription" {
                match socket.subscribe(&operation, json!({})).await.next().await {
                    Event::Next(event) => event,
                    Event::Error(errors) => json!({ "errors": errors }),
                    other => panic!("{name}: {other:?}"),
                }
            } else {
                app.client.gql(&operation, json!({})).await.body
            };
            let code = body["errors"][0]["extensions"]["code"].clone();
            if level == "PUBLIC" {
                public += 1;
                assert_eq!(body.get("errors"), None, "{operation}: {body}");
            } else {
                closed += 1;
                assert_eq!(code, "UNAUTHENTICATED", "{operation}: {body}");
                assert!(body["data"].get(name).is_none_or(Value::is_null), "{operation}: {body}");
            }
        }
    }
    assert!(closed >= 10 && public >= 5, "{closed} closed and {public} public fields were found");
    println!("whatever_is_not_public_asks_for_a_credential n={closed} ok ({public} public)");
    drop(socket);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_viewers_at_once_each_see_their_own() {
    const ROUNDS: usize = 50;
    let app = TestApp::start().await;
    let (one, two) = (Tenant::join(&app, "One").await, Tenant::join(&app, "Two").await);
    let query = "query($mine: ID!, $theirs: ID!, $message: ID!, $foreign: ID!) {
        viewer { user { name } account { name conversations { nodes { title } } } }
        mine: conversation(id: $mine) { title } theirs: conversation(id: $theirs) { title }
        message(id: $message) { text } foreign: message(id: $foreign) { text } }";
    let ask = async |me: &Tenant, other: &Tenant, name: &str| {
        let variables = json!({ "mine": me.id(Kind::Conversation), "theirs": other.id(Kind::Conversation),
            "message": me.id(Kind::Message), "foreign": other.id(Kind::Message) });
        let answer = me.client.gql(query, variables).await;
        let title = format!("{name} asks.");
        assert_eq!(
            answer.data(),
            &json!({
                "viewer": { "user": { "name": name },
                    "account": { "name": name, "conversations": { "nodes": [{ "title": title }] } } },
                "mine": { "title": title }, "theirs": null,
                "message": { "text": format!("{name} answers.") }, "foreign": null,
            })
        );
    };
    let rounds = (0..ROUNDS).map(|_| async { tokio::join!(ask(&one, &two, "One"), ask(&two, &one, "Two")) });
    futures_util::future::join_all(rounds).await;

    // Whoever signs in within a request reads what follows in the new name, also when somebody else had asked.
    let mutation = "mutation($input: SignInInput!) { signIn(input: $input) {
        viewer { user { name email } session { isCurrent } account { name conversations { nodes { title } } } }
        userErrors { code } } }";
    let input = json!({ "email": two.email, "password": "violet-tractor-lantern" });
    for client in [&app.client, &one.client, &two.client] {
        let answer = client.gql(mutation, json!({ "input": input })).await;
        assert_eq!(
            answer.data()["signIn"],
            json!({
                "viewer": { "user": { "name": "Two", "email": two.email }, "session": { "isCurrent": true },
                    "account": { "name": "Two", "conversations": { "nodes": [{ "title": "Two asks." }] } } },
                "userErrors": [],
            })
        );
    }
    println!("two_viewers_at_once_each_see_their_own n={ROUNDS} ok");
    app.close().await;
}
