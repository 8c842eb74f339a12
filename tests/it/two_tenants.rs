//! Two accounts that must not see each other: whatever names an object by its id answers a stranger as if it had never
//! existed.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{InputValueDefinition, TypeKind, TypeSystemDefinition},
};
use loquent::{
    domains::{
        accounts::AccountRow,
        catalog::Plan,
        conversations::{ConversationRow, MessageRow},
        generations::GenerationRow,
    },
    graphql::roots::sdl,
    platform::ids::{Entity, Id},
};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{TestApp, new_key},
    client::Client,
    provider::Script,
    ws::{Event, Socket},
};

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];
/// Everything that a stranger must not learn has this in it.
const SECRET: &str = "Secret of the owner";

/// One place where an id is taken, and an operation that fills it.
struct Case {
    place: &'static str,
    kind: Kind,
    operation: &'static str,
    /// Where the data of a success has something.
    success: &'static str,
}

impl Case {
    fn takes_every_type(&self) -> bool {
        self.place.starts_with("Query.node")
    }

    /// The operation, with the other ids that it names.
    fn operation(&self, owner: &Tenant) -> String {
        let operation = self.operation.replace("ACCOUNT-ID", &owner.id(Kind::Account));
        operation.replace("PLAN-ID", &owner.id(Kind::Plan))
    }

    /// Only administrators may do it, to whichever account.
    fn is_for_administrators(&self) -> bool {
        ["Mutation.adjustCredits", "Mutation.setAccountPlan"]
            .iter()
            .any(|field| self.place.starts_with(field))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Account,
    Conversation,
    Message,
    Generation,
    Plan,
}

impl Kind {
    fn name(self, uuid: Uuid) -> String {
        fn id<E: Entity>(uuid: Uuid) -> String {
            Id::<E>::new(uuid).to_string()
        }
        match self {
            Self::Account => id::<AccountRow>(uuid),
            Self::Conversation => id::<ConversationRow>(uuid),
            Self::Message => id::<MessageRow>(uuid),
            Self::Generation => id::<GenerationRow>(uuid),
            Self::Plan => id::<Plan>(uuid),
        }
    }
}

const NODE: &str = "query($id: ID!) { node(id: $id) { id ... on Account { name creditBalance { available } }
    ... on Conversation { title messages { nodes { text } } } ... on Message { text parent { text } }
    ... on Generation { message { text } charge { creditsCharged } } } }";
const NODES: &str =
    "query($id: ID!) { nodes(ids: [$id]) { id ... on Account { name creditBalance { available } }
    ... on Conversation { title messages { nodes { text } } } ... on Message { text parent { text } }
    ... on Generation { message { text } charge { creditsCharged } } } }";

/// A place that takes ids of every type.
const fn any(place: &'static str, kind: Kind, operation: &'static str, success: &'static str) -> Case {
    Case { place, kind, operation, success }
}

/// Those that remove something come last.
const CASES: [Case; 24] = [
    any("Query.node(id)", Kind::Account, NODE, "/node/id"),
    any("Query.node(id)", Kind::Conversation, NODE, "/node/messages/nodes/1/text"),
    any("Query.node(id)", Kind::Message, NODE, "/node/text"),
    any("Query.node(id)", Kind::Generation, NODE, "/node/message/text"),
    any("Query.nodes(ids)", Kind::Account, NODES, "/nodes/0/id"),
    any("Query.nodes(ids)", Kind::Conversation, NODES, "/nodes/0/title"),
    any("Query.nodes(ids)", Kind::Message, NODES, "/nodes/0/text"),
    any("Query.nodes(ids)", Kind::Generation, NODES, "/nodes/0/message/text"),
    Case {
        place: "Query.account(id)",
        kind: Kind::Account,
        operation: "query($id: ID!) { account(id: $id) { id name creditBalance { available } ledger { nodes { id } } } }",
        success: "/account/id",
    },
    Case {
        place: "Query.conversation(id)",
        kind: Kind::Conversation,
        operation: "query($id: ID!) { conversation(id: $id) { id title messages { nodes { text } } } }",
        success: "/conversation/messages/nodes/1/text",
    },
    Case {
        place: "Query.message(id)",
        kind: Kind::Message,
        operation: "query($id: ID!) { message(id: $id) { id text parent { text } } }",
        success: "/message/parent/text",
    },
    Case {
        place: "Query.generation(id)",
        kind: Kind::Generation,
        operation: "query($id: ID!) { generation(id: $id) { id message { text } charge { creditsCharged } } }",
        success: "/generation/message/text",
    },
    Case {
        place: "Subscription.messageStream(messageId)",
        kind: Kind::Message,
        operation: "subscription($id: ID!) { messageStream(messageId: $id) { sequence ... on MessageSnapshot { message { text } } } }",
        success: "/messageStream/message/text",
    },
    Case {
        place: "Subscription.creditBalanceChanged(accountId)",
        kind: Kind::Account,
        operation: "subscription($id: ID!) { creditBalanceChanged(accountId: $id) { available revision } }",
        success: "/creditBalanceChanged/available",
    },
    Case {
        place: "Subscription.quotaChanged(accountId)",
        kind: Kind::Account,
        operation: "subscription($id: ID!) { quotaChanged(accountId: $id) { meter used } }",
        success: "/quotaChanged/used",
    },
    Case {
        place: "Mutation.adjustCredits(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { adjustCredits(input: { accountId: $id, amount: \"1\", reason: \"Prize\", idempotencyKey: $key }) {
            adjustment { id } creditBalance { available } userErrors { code message field } } }",
        success: "/adjustCredits/adjustment/id",
    },
    Case {
        place: "Mutation.setAccountPlan(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!) { setAccountPlan(input: { accountId: $id, planId: \"PLAN-ID\", reason: \"Prize\" }) {
            account { id plan { key } } userErrors { code message field } } }",
        success: "/setAccountPlan/account/plan/key",
    },
    Case {
        place: "Mutation.setAccountPlan(input.planId)",
        kind: Kind::Plan,
        operation: "mutation($id: ID!) { setAccountPlan(input: { accountId: \"ACCOUNT-ID\", planId: $id, reason: \"Prize\" }) {
            account { id plan { key } } userErrors { code message field } } }",
        success: "/setAccountPlan/account/plan/key",
    },
    Case {
        place: "Mutation.createConversation(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { createConversation(input: { accountId: $id, idempotencyKey: $key }) {
            conversation { id } creditBalance { available } userErrors { code message field } } }",
        success: "/createConversation/conversation/id",
    },
    Case {
        place: "Mutation.updateConversation(input.conversationId)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!) { updateConversation(input: { conversationId: $id, title: \"Changed\" }) {
            conversation { id title } creditBalance { available } userErrors { code message field } } }",
        success: "/updateConversation/conversation/id",
    },
    Case {
        place: "Mutation.sendMessage(input.conversationId)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!, $key: String!) { sendMessage(input: { conversationId: $id, parts: [{ text: \"Hi\" }], idempotencyKey: $key }) {
            conversation { id } assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/sendMessage/assistantMessage/id",
    },
    Case {
        place: "Mutation.sendMessage(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { sendMessage(input: { accountId: $id, parts: [{ text: \"Hi\" }], idempotencyKey: $key }) {
            conversation { id } assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/sendMessage/assistantMessage/id",
    },
    Case {
        place: "Mutation.cancelGeneration(input.id)",
        kind: Kind::Generation,
        operation: "mutation($id: ID!) { cancelGeneration(input: { id: $id }) {
            generation { id } creditBalance { available } userErrors { code message field } } }",
        success: "/cancelGeneration/generation/id",
    },
    Case {
        place: "Mutation.deleteConversation(input.id)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId userErrors { code message field } } }",
        success: "/deleteConversation/deletedId",
    },
];

/// The definitions of the schema by name.
struct Schema(BTreeMap<String, TypeKind>);

impl Schema {
    fn read() -> Self {
        let definitions = parse_schema(sdl()).unwrap().definitions.into_iter();
        Self(
            definitions
                .filter_map(|definition| match definition {
                    TypeSystemDefinition::Type(definition) => {
                        Some((definition.node.name.node.to_string(), definition.node.kind))
                    }
                    _ => None,
                })
                .collect(),
        )
    }

    /// Every place that takes an id, such as `Mutation.sendMessage(input.accountId)`.
    fn places(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (name, kind) in &self.0 {
            let fields = match kind {
                TypeKind::Object(object) => &object.fields,
                TypeKind::Interface(interface) => &interface.fields,
                _ => continue,
            };
            for field in fields {
                for argument in &field.node.arguments {
                    let mut paths = Vec::new();
                    self.find_ids(&argument.node, String::new(), 0, &mut paths);
                    found.extend(paths.iter().map(|path| format!("{name}.{}({path})", field.node.name.node)));
                }
            }
        }
        found
    }

    fn find_ids(&self, value: &InputValueDefinition, path: String, depth: usize, found: &mut Vec<String>) {
        assert!(depth < 8, "inputs nest without end at {path}");
        let path = format!("{path}{}", value.name.node);
        match base(value) {
            name if name == "ID" => found.push(path),
            name => {
                if let Some(TypeKind::InputObject(input)) = self.0.get(&name) {
                    for field in &input.fields {
                        self.find_ids(&field.node, format!("{path}."), depth + 1, found);
                    }
                }
            }
        }
    }

    /// A literal that fits the type, with what is required only. `place` is where the value stands, as cases name it.
    fn literal(&self, value: &InputValueDefinition, place: &str) -> String {
        let text = value.ty.node.to_string();
        let place = format!("{place}{}", value.name.node);
        let literal = match base(value).as_str() {
            "Int" | "Float" => "1".to_owned(),
            "Boolean" => "true".to_owned(),
            "ID" => {
                let case = CASES.iter().find(|case| case.place.trim_end_matches(')') == place).unwrap();
                format!("\"{}\"", case.kind.name(Uuid::now_v7()))
            }
            "EmailAddress" => "\"ada@example.com\"".to_owned(),
            "Decimal" => "\"1\"".to_owned(),
            name => match self.0.get(name) {
                Some(TypeKind::InputObject(input)) => {
                    let has_required = input.fields.iter().any(|field| is_required(&field.node));
                    let fields =
                        input.fields.iter().enumerate().filter(|(index, field)| {
                            is_required(&field.node) || (!has_required && *index == 0)
                        });
                    let fields: Vec<String> = fields
                        .map(|(_, field)| {
                            format!(
                                "{}: {}",
                                field.node.name.node,
                                self.literal(&field.node, &format!("{place}."))
                            )
                        })
                        .collect();
                    format!("{{ {} }}", fields.join(", "))
                }
                _ => "\"something\"".to_owned(),
            },
        };
        if text.starts_with('[') { format!("[{literal}]") } else { literal }
    }
}

fn base(value: &InputValueDefinition) -> String {
    value.ty.node.to_string().trim_matches(['[', ']', '!']).to_owned()
}

fn is_required(value: &InputValueDefinition) -> bool {
    value.ty.node.to_string().ends_with('!') && value.default_value.is_none()
}

/// Somebody with a conversation, an answer in it and what it cost.
struct Tenant {
    email: String,
    client: Client,
    account: Uuid,
    conversation: Uuid,
    message: Uuid,
    generation: Uuid,
    plan: Uuid,
}

impl Tenant {
    async fn join(app: &TestApp, name: &str) -> Self {
        let email =
            format!("{}-{}@example.com", name.to_lowercase().replace(' ', "-"), Uuid::now_v7().simple());
        let input = json!({ "email": email, "password": "violet-tractor-lantern", "name": name });
        let mutation = "mutation($input: SignUpInput!) { signUp(input: $input) {
            viewer { account { id plan { id } } } tokens { accessToken } } }";
        let joined = app.client.gql(mutation, json!({ "input": input })).await.data()["signUp"].clone();
        let client = app.client.with_token(joined["tokens"]["accessToken"].as_str().unwrap());
        app.provider.then(Script::text(&format!("{name} answers."), 2).usage(9, 5));
        let sent = client.send_text(&format!("{name} asks."), json!({})).await;
        client.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
        Self {
            email,
            client,
            account: uuid::<AccountRow>(&joined["viewer"]["account"]["id"]),
            conversation: uuid::<ConversationRow>(&sent["conversation"]["id"]),
            message: uuid::<MessageRow>(&sent["assistantMessage"]["id"]),
            generation: uuid::<GenerationRow>(&sent["assistantMessage"]["generation"]["id"]),
            plan: uuid::<Plan>(&joined["viewer"]["account"]["plan"]["id"]),
        }
    }

    fn id(&self, kind: Kind) -> String {
        kind.name(match kind {
            Kind::Account => self.account,
            Kind::Conversation => self.conversation,
            Kind::Message => self.message,
            Kind::Generation => self.generation,
            Kind::Plan => self.plan,
        })
    }
}

fn uuid<E: Entity>(id: &Value) -> Uuid {
    Id::<E>::parse(id.as_str().unwrap()).unwrap().0
}

/// What the caller gets, byte by byte, with the id and the id of the request replaced.
async fn answer(client: &Client, operation: &str, id: &str) -> (u16, String) {
    let variables = json!({ "id": id, "key": new_key() });
    let (status, text) = if operation.starts_with("subscription") {
        let socket = Socket::connect(client).await;
        let mut events = socket.subscribe(operation, variables).await;
        let text = match events.next().await {
            Event::Next(event) | Event::Error(event) => event.to_string(),
            other => panic!("{other:?}"),
        };
        (0, text)
    } else {
        let names: Vec<&str> =
            ["id", "key"].into_iter().filter(|name| operation.contains(&format!("${name}"))).collect();
        let variables: Value =
            names.into_iter().map(|name| (name.to_owned(), variables[name].clone())).collect();
        let body = json!({ "query": operation, "variables": variables });
        let request = client.post(body.to_string()).header(CONTENT_TYPE, "application/json");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    (status, mask(text.replace(id, "THE-ID")))
}

/// Replaces the ids of requests, which are uuids and the only ones that clients see.
fn mask(text: String) -> String {
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("requestId") {
        let (before, after) = rest.split_at(at + "requestId".len());
        masked.push_str(before);
        let start = after.find(|char: char| char.is_ascii_alphanumeric()).unwrap();
        let value = &after[start..];
        let end = value.find(|char: char| !char.is_ascii_alphanumeric() && !"-_".contains(char)).unwrap();
        assert!(end > 10, "no id of a request: {value}");
        masked.push_str(&after[..start]);
        rest = &value[end..];
    }
    masked + rest
}

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
        let operation = &case.operation(&owner);
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
            if other != case.kind && !case.takes_every_type() {
                let real = answer(&stranger.client, operation, &owner.id(other)).await;
                let never = answer(&stranger.client, operation, &other.name(Uuid::now_v7())).await;
                assert_eq!(real, never, "{} with the id of another type", case.place);
                assert_eq!(
                    real,
                    answer(&owner.client, operation, &owner.id(other)).await,
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
        let allowed = answer(&owner.client, operation, &real).await;
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
