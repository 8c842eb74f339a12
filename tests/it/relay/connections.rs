//! Every connection of the schema by the same walk: pages, sizes, cursors.

use std::{collections::BTreeSet, fmt::Write};

use loquent::{
    domains::{accounts::AccountRow, conversations::ConversationRow},
    platform::ids::Id,
};
use serde_json::{Value, json};

use crate::{
    sdl::{base, fields, types},
    support::{
        app::{TestApp, new_key},
        client::{Answer, Client},
    },
};

/// Items that every list of the sweep has: more than a page.
const COUNT: usize = 60;

/// One connection, or one choice of it.
struct List {
    coordinate: &'static str,
    /// The field and the arguments that choose.
    field: &'static str,
    choice: &'static str,
    /// True when it is read from its end too.
    has_last: bool,
}

const LISTS: [List; 4] = [
    List { coordinate: "Account.conversations", field: "conversations", choice: "", has_last: false },
    List { coordinate: "Account.ledger", field: "ledger", choice: "", has_last: false },
    List { coordinate: "Account.ledger", field: "ledger", choice: "kinds: [GRANT, HOLD]", has_last: false },
    List { coordinate: "Conversation.messages", field: "messages", choice: "", has_last: true },
];

const SHAPE: &str = "{ edges { cursor node { id } } nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }";

/// Somebody with lists, full or empty.
struct Owner {
    client: Client,
    account: String,
    conversation: String,
}

impl Owner {
    async fn join(app: &TestApp) -> Self {
        let client = app.client.sign_up().await;
        let conversation = created(&client).await;
        let account = client.gql("{ viewer { account { id } } }", json!({})).await;
        let account = account.data()["viewer"]["account"]["id"].as_str().unwrap().to_owned();
        Self { client, account, conversation }
    }

    /// Fills every list up to [`COUNT`].
    async fn fill(&self, app: &TestApp) {
        for _ in 1..COUNT {
            created(&self.client).await;
        }
        let conversation = Id::<ConversationRow>::parse(&self.conversation).unwrap().0;
        app.db.fill_conversation(conversation, COUNT).await;
        let account = Id::<AccountRow>::parse(&self.account).unwrap().0;
        // The first entry is the grant of the plan.
        app.db
            .execute(&format!(
                "SELECT ledger_grant(gen_random_uuid(), '{account}', 'credits', 'plan', n::text, 1, 10::smallint, loquent_now(), 'infinity', NULL, 'Test')
                   FROM generate_series(2, {COUNT}) n"
            ))
            .await;
    }

    async fn ask(&self, list: &List, arguments: &str) -> Answer {
        let arguments = format!("{} {arguments}", list.choice);
        let arguments = if arguments.trim().is_empty() { String::new() } else { format!("({arguments})") };
        let field = format!("{}{arguments} {SHAPE}", list.field);
        let (owner, id) = list.coordinate.split_once('.').map_or(("", ""), |(owner, _)| match owner {
            "Account" => (owner, self.account.as_str()),
            _ => (owner, self.conversation.as_str()),
        });
        let query = format!("query($id: ID!) {{ node(id: $id) {{ ... on {owner} {{ {field} }} }} }}");
        self.client.gql(&query, json!({ "id": id })).await
    }

    /// A page, of which the parts agree with each other.
    async fn page(&self, list: &List, arguments: &str) -> Page {
        let answer = self.ask(list, arguments).await;
        let page = &answer.data()["node"][list.field];
        let column = |path: &str| -> Vec<String> {
            let edges = page["edges"].as_array().unwrap().iter();
            edges.map(|edge| edge.pointer(path).unwrap().as_str().unwrap().to_owned()).collect()
        };
        let (ids, cursors) = (column("/node/id"), column("/cursor"));
        let nodes = page["nodes"].as_array().unwrap().iter();
        assert!(nodes.map(|node| node["id"].as_str().unwrap()).eq(ids.iter().map(String::as_str)));
        let info = &page["pageInfo"];
        assert_eq!(info["startCursor"], cursors.first().map_or(Value::Null, |cursor| json!(cursor)));
        assert_eq!(info["endCursor"], cursors.last().map_or(Value::Null, |cursor| json!(cursor)));
        let flag = |name: &str| info[name].as_bool().unwrap();
        Page { ids, cursors, has_next: flag("hasNextPage"), has_previous: flag("hasPreviousPage") }
    }

    /// Expects that the request is refused with this sentence.
    async fn refuses(&self, list: &List, arguments: &str, message: &str) {
        let answer = self.ask(list, arguments).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{}({arguments})", list.coordinate);
        assert_eq!(answer.errors()[0]["message"], message, "{}({arguments})", list.coordinate);
    }
}

#[derive(Debug)]
struct Page {
    ids: Vec<String>,
    cursors: Vec<String>,
    has_next: bool,
    has_previous: bool,
}

async fn created(client: &Client) -> String {
    let mutation = "mutation($key: String!) { createConversation(input: { idempotencyKey: $key }) { conversation { id } } }";
    let answer = client.gql(mutation, json!({ "key": new_key() })).await;
    answer.data()["createConversation"]["conversation"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_connection_is_in_the_sweep() {
    let mut found = BTreeSet::new();
    let mut from_both_ends = BTreeSet::new();
    for definition in types() {
        for field in fields(&definition.kind) {
            if base(&field.node.ty.node).ends_with("Connection") {
                let coordinate = format!("{}.{}", definition.name.node, field.node.name.node);
                let names: BTreeSet<&str> =
                    field.node.arguments.iter().map(|argument| argument.node.name.node.as_str()).collect();
                assert!(names.contains("first") && names.contains("after"), "{coordinate}");
                assert_eq!(names.contains("last"), names.contains("before"), "{coordinate}");
                if names.contains("last") {
                    from_both_ends.insert(coordinate.clone());
                }
                found.insert(coordinate);
            }
        }
    }
    let named =
        |lists: &[&List]| lists.iter().map(|list| list.coordinate.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found, named(&LISTS.iter().collect::<Vec<_>>()), "a connection is not in the sweep");
    assert_eq!(from_both_ends, named(&LISTS.iter().filter(|list| list.has_last).collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let app = TestApp::start().await;
    let owner = Owner::join(&app).await;
    owner.fill(&app).await;
    for list in &LISTS {
        let whole = owner.page(list, "first: 100").await;
        assert_eq!(
            (whole.ids.len(), whole.has_next, whole.has_previous),
            (COUNT, false, false),
            "{}",
            list.coordinate
        );
        assert_eq!(whole.cursors.iter().collect::<BTreeSet<_>>().len(), COUNT);
        for silent in ["", "first: null", "after: null"] {
            let page = owner.page(list, silent).await;
            assert_eq!(
                (page.ids.as_slice(), page.has_next),
                (&whole.ids[..25], true),
                "{}({silent})",
                list.coordinate
            );
        }
        for size in [1, 7, 25, 59, 60] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = owner.page(list, &format!("first: {size} {after}")).await;
                assert_eq!(page.has_previous, !seen.is_empty(), "{} by {size}", list.coordinate);
                seen.extend(page.ids);
                assert_eq!(page.has_next, seen.len() < COUNT, "{} by {size}", list.coordinate);
                if !page.has_next {
                    break;
                }
                after = format!("after: \"{}\"", page.cursors.last().unwrap());
            }
            assert_eq!(seen, whole.ids, "{} by {size}", list.coordinate);
        }
        let end = whole.cursors.last().unwrap();
        let beyond = owner.page(list, &format!("after: \"{end}\"")).await;
        assert_eq!(
            (beyond.ids.len(), beyond.has_next, beyond.has_previous),
            (0, false, true),
            "{}",
            list.coordinate
        );
        if list.has_last {
            backwards(&owner, list, &whole).await;
        }
    }
    println!("pages_follow_each_other n={} ok", LISTS.len());
    app.close().await;
}

async fn backwards(owner: &Owner, list: &List, whole: &Page) {
    for size in [1, 7, 60] {
        let (mut seen, mut before): (Vec<String>, String) = (Vec::new(), String::new());
        loop {
            let page = owner.page(list, &format!("last: {size} {before}")).await;
            assert_eq!(page.has_next, !seen.is_empty(), "{} by {size}", list.coordinate);
            before = format!("before: \"{}\"", page.cursors[0]);
            seen.splice(0..0, page.ids);
            assert_eq!(page.has_previous, seen.len() < COUNT, "{} by {size}", list.coordinate);
            if !page.has_previous {
                break;
            }
        }
        assert_eq!(seen, whole.ids, "{} by {size}", list.coordinate);
    }
    owner.refuses(list, "first: 1 last: 1", "Ask for `first` or for `last`, not for both.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_has_a_page_without_cursors() {
    let app = TestApp::start().await;
    let owner = Owner::join(&app).await;
    let released =
        List { coordinate: "Account.ledger", field: "ledger", choice: "kinds: [RELEASE]", has_last: false };
    for list in [&released, &LISTS[3]] {
        let page = owner.page(list, "first: 1").await;
        assert_eq!(
            (page.ids.len(), page.has_next, page.has_previous),
            (0, false, false),
            "{}",
            list.coordinate
        );
    }
    let delete = "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId } }";
    owner.client.gql(delete, json!({ "id": owner.conversation })).await.data();
    assert!(owner.page(&LISTS[0], "").await.ids.is_empty());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_to_a_hundred_items() {
    let app = TestApp::start().await;
    let owner = Owner::join(&app).await;
    for list in &LISTS {
        for argument in if list.has_last { &["first", "last"][..] } else { &["first"] } {
            for size in [0, -1, 101, i32::MAX, i32::MIN] {
                let message = format!("`{argument}` is between 1 and 100.");
                owner.refuses(list, &format!("{argument}: {size}"), &message).await;
            }
            for size in ["2147483648", "1.5", "\"1\"", "true", "99999999999999999999"] {
                let answer = owner.ask(list, &format!("{argument}: {size}")).await;
                let code = answer.code();
                assert!(
                    ["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&code),
                    "{argument}: {size}: {code}"
                );
            }
            owner.page(list, &format!("{argument}: 1")).await;
            owner.page(list, &format!("{argument}: 100")).await;
        }
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_for_its_own_list_alone() {
    const FOREIGN: &str = "This cursor does not belong to this list.";
    let app = TestApp::start().await;
    let (owner, stranger) = (Owner::join(&app).await, Owner::join(&app).await);
    let mut cursors = Vec::new();
    for person in [&owner, &stranger] {
        let conversation = Id::<ConversationRow>::parse(&person.conversation).unwrap().0;
        app.db.fill_conversation(conversation, 2).await;
        for (at, list) in LISTS.iter().enumerate() {
            let cursor = person.page(list, "first: 1").await.cursors.swap_remove(0);
            cursors.push((at, person.account == owner.account, cursor));
        }
    }
    let mut refused = 0;
    for (at, list) in LISTS.iter().enumerate() {
        let places = if list.has_last { &["after", "before"][..] } else { &["after"] };
        for place in places {
            for (other, is_own, cursor) in &cursors {
                if *other == at && *is_own {
                    owner.page(list, &format!("{place}: \"{cursor}\"")).await;
                } else {
                    owner.refuses(list, &format!("{place}: \"{cursor}\""), FOREIGN).await;
                    refused += 1;
                }
            }
            let own = &cursors[at].2;
            let (mut longer, cut) = (own.clone(), &own[..own.len() - 3]);
            write!(longer, "AAAA").unwrap();
            for damaged in
                ["", "x", "====", "\u{e4}\u{f6}", cut, &longer, &format!(" {own}"), &"A".repeat(4000)]
            {
                owner.refuses(list, &format!("{place}: \"{damaged}\""), FOREIGN).await;
                refused += 1;
            }
        }
    }
    // The same choice, written otherwise, is the same list.
    let written_otherwise = List {
        coordinate: "Account.ledger",
        field: "ledger",
        choice: "kinds: [HOLD, GRANT, HOLD]",
        has_last: false,
    };
    owner.page(&written_otherwise, &format!("after: \"{}\"", cursors[2].2)).await;
    println!("a_cursor_is_good_for_its_own_list_alone n={refused} ok");
    app.close().await;
}
