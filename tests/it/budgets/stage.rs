//! The application with so many rows of everything, and one call of each operation.

use std::collections::HashSet;

use loquent::{domains::conversations::ConversationRow, platform::ids::Id};
use serde_json::{Value, json};

use crate::support::{
    app::{MODEL, TestApp, new_key},
    client::Client,
    db::TestDb,
    provider::{Gate, Script},
    proxy::{Flight, Proxy},
    sse::Frame,
    traffic::{QUIET, of_requests},
};

const PASSWORD: &str = "violet-tractor-lantern";
/// More of them than a page has would be more of the same.
const MOST_TURNS: usize = 50;
/// With a connection for each question that is asked at a time.
/// A limit that nobody reaches, so that there is one to be seen.
const LIMIT: &str = "[[plans.default.limits]]\nmeter = \"messages\"\nwindow = \"day\"\namount = 1000000";
const SETTINGS: &str =
    "[database]\nrequest_pool = 64\n[limits]\noperation_cost = 1000000\nsockets_per_user = 1000\n";

/// A call outside any conversation, with little asked for in return.
pub const GENERATE: &str = "mutation($input: GenerateInput!) {
    generate(input: $input) { generation { message { id } } userErrors { code } } }";

/// What such a call is.
fn call() -> Value {
    let turns = json!([{ "user": [{ "text": "Hello" }] }]);
    json!({ "input": { "turns": turns, "model": MODEL, "idempotencyKey": new_key() } })
}

/// The answer in a payload, of a conversation or of none.
fn answer_of(payload: &Value) -> &Value {
    payload.get("assistantMessage").unwrap_or_else(|| &payload["generation"]["message"])
}

/// Somebody with an account full of things.
pub struct Stage {
    pub app: TestApp,
    pub proxy: Proxy,
    pub person: Client,
    rows: usize,
    email: String,
    refresh_token: String,
    account: String,
    /// Ids of everything that can be read by its id.
    nodes: Vec<String>,
    /// The conversation that has all the messages, its last answer, and the run of that.
    conversation: String,
    question: String,
    answer: String,
    generation: String,
}

/// An answer whose provider waits.
struct Running {
    gate: Gate,
    message: String,
    generation: String,
}

impl Stage {
    /// `rows` conversations, messages in one of them, movements of credits and sessions.
    pub async fn start(rows: usize) -> Self {
        let db = TestDb::create().await;
        let proxy = Proxy::start(&db.url).await;
        let app = TestApp::builder()
            .settings(&format!("{QUIET}\n{SETTINGS}"))
            .offer(|offer| offer.plan(LIMIT))
            .database_through(|_| proxy.url().to_owned(), &db)
            .start_over(db)
            .await;
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let joined = "mutation($input: SignUpInput!) { signUp(input: $input) {
            viewer { account { id } } tokens { accessToken refreshToken } } }";
        let input = json!({ "input": { "email": email, "password": PASSWORD } });
        let joined = app.client.gql(joined, input).await.data()["signUp"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut stage = Self {
            person: app.client.with_token(text(&joined["tokens"]["accessToken"])),
            refresh_token: text(&joined["tokens"]["refreshToken"]),
            account: text(&joined["viewer"]["account"]["id"]),
            rows,
            email,
            app,
            proxy,
            nodes: Vec::new(),
            conversation: String::new(),
            question: String::new(),
            answer: String::new(),
            generation: String::new(),
        };
        stage.fill().await;
        stage.proxy.answer_in_waves();
        stage
    }

    async fn fill(&mut self) {
        let (rows, turns) = (self.rows, self.rows.min(MOST_TURNS));
        self.app
            .db
            .execute(&format!(
                "INSERT INTO conversations (id, account_id, created_by, title)
                   SELECT uuid_v7(), m.account_id, m.user_id, 'Conversation ' || n
                     FROM members m, generate_series(1, {rows} - {turns}) n;
                 INSERT INTO sessions (id, user_id, ip_address, expires_at)
                   SELECT uuid_v7(), user_id, '127.0.0.1', loquent_now() + interval '1 day'
                     FROM members, generate_series(1, {rows});
                 SELECT ledger_grant(uuid_v7(), account_id, 'credits', 'promotion', 'gift ' || n, 1, 30::smallint,
                                     loquent_now(), 'infinity', user_id, 'A gift')
                   FROM members, generate_series(1, {rows}) n"
            ))
            .await;
        self.conversation = self.filled_conversation().await;
        for turn in 0..turns {
            let more = if turn == 0 { json!({ "conversationId": self.conversation }) } else { json!({}) };
            let sent = self.person.send_text("Hello", more).await;
            assert_eq!(sent["userErrors"], json!([]), "{sent}");
            let ids = [
                &sent["conversation"]["id"],
                &sent["userMessage"]["id"],
                &sent["assistantMessage"]["id"],
                &sent["assistantMessage"]["generation"]["id"],
            ]
            .map(|id| id.as_str().unwrap().to_owned());
            if turn == 0 {
                self.question = ids[1].clone();
                (self.answer, self.generation) = (ids[2].clone(), ids[3].clone());
            }
            self.nodes.extend(ids);
        }
        self.nodes.truncate(self.rows.min(MOST_TURNS) - 1);
        self.nodes.push(self.account.clone());
        self.person.wait_for_end(&self.answer.clone()).await;
        self.app.provider.idle().await;
    }

    /// A new conversation with as many messages as there are rows.
    async fn filled_conversation(&self) -> String {
        let text = "mutation($input: CreateConversationInput!) {
            createConversation(input: $input) { conversation { id } } }";
        let input = json!({ "model": MODEL, "idempotencyKey": new_key() });
        let made = self.person.gql(text, json!({ "input": input })).await;
        let id = made.data()["createConversation"]["conversation"]["id"].as_str().unwrap().to_owned();
        self.app.db.fill_conversation(Id::<ConversationRow>::parse(&id).unwrap().0, self.rows).await;
        id
    }

    /// An answer that is being waited for.
    async fn running(&self) -> Running {
        let (gate, calls) = (Gate::default(), self.app.provider.calls());
        self.app.provider.then(Script::default().gate(&gate));
        let sent = self.person.send_text("Hello", json!({ "conversationId": self.conversation })).await;
        self.app.provider.called(calls + 1).await;
        let answer = &sent["assistantMessage"];
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        Running { gate, message: id(answer), generation: id(&answer["generation"]) }
    }

    /// Somebody who has just signed in.
    async fn signed_in(&self) -> Client {
        let text = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } } }";
        let answer = self.app.client.gql(text, json!({ "input": self.credentials() })).await;
        self.person.with_token(answer.data()["signIn"]["tokens"]["accessToken"].as_str().unwrap())
    }

    fn credentials(&self) -> Value {
        json!({ "email": self.email, "password": PASSWORD })
    }

    /// Runs the operation once and returns what it asked of the database until it was answered.
    pub async fn call(&mut self, name: &str, document: &str) -> Vec<Flight> {
        let input = |input: Value| json!({ "input": input });
        let mut caller = self.person.clone();
        let variables = match name {
            "query account" => json!({ "id": self.account }),
            "query conversation" | "query node" => json!({ "id": self.conversation }),
            "query message" => json!({ "id": self.answer }),
            "query generation" => json!({ "id": self.generation }),
            "query nodes" => json!({ "ids": self.nodes }),
            "mutation signUp" => {
                let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
                caller = self.app.client.clone();
                input(json!({ "email": email, "password": PASSWORD }))
            }
            "mutation signIn" => {
                caller = self.app.client.clone();
                input(self.credentials())
            }
            "mutation refreshSession" => {
                caller = self.app.client.clone();
                input(json!({ "refreshToken": self.refresh_token }))
            }
            "mutation signOut" => {
                caller = self.signed_in().await;
                input(json!({}))
            }
            "mutation createConversation" => {
                input(json!({ "title": "New", "model": MODEL, "idempotencyKey": new_key() }))
            }
            "mutation updateConversation" => {
                input(json!({ "conversationId": self.conversation, "title": "Newer" }))
            }
            "mutation deleteConversation" => input(json!({ "id": self.filled_conversation().await })),
            "mutation selectBranch" => input(json!({ "id": self.answer })),
            "mutation editMessage" => {
                input(json!({ "messageId": self.question, "parts": [{ "text": "Corrected" }] }))
            }
            "mutation deleteMessage" => {
                let sent =
                    self.person.send_text("Hello", json!({ "conversationId": self.conversation })).await;
                let answer = sent["assistantMessage"]["id"].as_str().unwrap();
                self.person.wait_for_end(answer).await;
                input(json!({ "id": answer }))
            }
            "mutation sendMessage" => return self.send(document, self.message()).await,
            "mutation regenerateMessage" => {
                let again = json!({ "messageId": self.answer, "model": MODEL, "idempotencyKey": new_key() });
                return self.send(document, input(again)).await;
            }
            "mutation generate" => {
                return self.send(document, call()).await;
            }
            "mutation cancelGeneration" => {
                let running = self.running().await;
                return self.count(&caller, document, input(json!({ "id": running.generation }))).await.0;
            }
            "mutation adjustCredits" => {
                let input = json!({ "accountId": self.account, "amount": "1", "reason": "A gift", "idempotencyKey": new_key() });
                return self.as_administrator(document, input).await;
            }
            "mutation setAccountPlan" => {
                let answer = self.person.gql("{ plans { id } }", json!({})).await;
                let plan = &answer.data()["plans"][0]["id"];
                let input = json!({ "accountId": self.account, "planId": plan, "reason": "A friend" });
                return self.as_administrator(document, input).await;
            }
            "subscription messageStream" => return self.watch(document).await,
            "subscription creditBalanceChanged" | "subscription quotaChanged" => {
                return self.first_event(document, json!({})).await;
            }
            "subscription conversationStream" => {
                return self.first_event(document, json!({ "conversationId": self.conversation })).await;
            }
            "subscription generationChanged" => {
                return self.first_event(document, json!({ "generationId": self.generation })).await;
            }
            // What takes no argument needs nothing to be said of it here.
            _ => {
                assert!(!document.contains('$'), "say in budgets/stage.rs what `{name}` is called with");
                json!({})
            }
        };
        let (flights, data) = self.count(&caller, document, variables).await;
        if let Some(token) = data["refreshSession"]["tokens"]["refreshToken"].as_str() {
            self.refresh_token = token.to_owned();
        }
        flights
    }

    /// What the call asked of the database, and its data; it must have succeeded.
    async fn count(&self, caller: &Client, document: &str, variables: Value) -> (Vec<Flight>, Value) {
        let mark = self.proxy.count();
        let answer = caller.gql(document, variables).await;
        let flights = of_requests(self.proxy.since(mark));
        let data = answer.data();
        for (field, value) in data.as_object().unwrap() {
            assert!(!value.is_null(), "{field} found nothing");
            assert!(value["userErrors"].as_array().is_none_or(Vec::is_empty), "{field}: {value}");
        }
        (flights, data.clone())
    }

    /// The provider waits, so what is counted is what the caller waits for.
    async fn send(&self, document: &str, variables: Value) -> Vec<Flight> {
        let (gate, calls) = (Gate::default(), self.app.provider.calls());
        self.app.provider.then(Script::default().gate(&gate));
        let (flights, data) = self.count(&self.person, document, variables).await;
        self.app.provider.called(calls + 1).await;
        gate.open();
        let payload = data.as_object().unwrap().values().next().unwrap();
        assert!(payload.as_object().unwrap().len() > 3);
        self.person.wait_for_end(answer_of(payload)["id"].as_str().unwrap()).await;
        flights
    }

    /// What is asked until the provider is called, with little asked for in return: by `SEND` or [`GENERATE`].
    pub async fn until_the_provider(&self, document: &str) -> Vec<Flight> {
        let (gate, calls) = (Gate::default(), self.app.provider.calls());
        self.app.provider.then(Script::default().gate(&gate));
        let variables = if document == GENERATE { call() } else { self.message() };
        let mark = self.proxy.count();
        let sending = self.person.gql(document, variables);
        let (sent, flights) = tokio::join!(sending, async {
            self.app.provider.called(calls + 1).await;
            of_requests(self.proxy.since(mark))
        });
        gate.open();
        let payload = sent.data().as_object().unwrap().values().next().unwrap();
        self.person.wait_for_end(answer_of(payload)["id"].as_str().unwrap()).await;
        flights
    }

    fn message(&self) -> Value {
        json!({ "input": { "conversationId": self.conversation, "parts": [{ "text": "Hello" }],
            "model": MODEL, "idempotencyKey": new_key() } })
    }

    /// The person is an administrator for this one call.
    async fn as_administrator(&self, document: &str, input: Value) -> Vec<Flight> {
        self.app.db.execute("UPDATE users SET role = 'admin'").await;
        let (flights, _) = self.count(&self.person, document, json!({ "input": input })).await;
        self.app.db.execute("UPDATE users SET role = 'user'").await;
        flights
    }

    /// What is asked until the state of now has come. What is asked again is for the next event, which may begin meanwhile.
    async fn first_event(&self, document: &str, variables: Value) -> Vec<Flight> {
        let mark = self.proxy.count();
        let mut stream = self.person.stream(document, variables).await;
        let first = stream.next().await;
        let mut flights = of_requests(self.proxy.since(mark));
        let mut asked = HashSet::new();
        // What has no text is a look of the process that was forgotten, beside the call.
        flights.retain(|flight| {
            !flight.sql.is_empty() && asked.insert((flight.is_preparation, flight.sql.clone()))
        });
        assert!(matches!(&first, Frame::Next(event) if event["errors"].is_null()), "{first:?}");
        flights
    }

    /// An answer that runs is watched until the first event.
    async fn watch(&self, document: &str) -> Vec<Flight> {
        let running = self.running().await;
        let mark = self.proxy.count();
        let mut stream = self.person.stream(document, json!({ "messageId": running.message })).await;
        let first = stream.next().await;
        let flights = of_requests(self.proxy.since(mark));
        let Frame::Next(event) = first else { panic!("{first:?}") };
        assert_eq!(event["data"]["messageStream"]["__typename"], "MessageSnapshot", "{event}");
        running.gate.open();
        self.person.wait_for_end(&running.message).await;
        while stream.next().await != Frame::Ended {}
        flights
    }
}
