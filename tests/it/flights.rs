//! What a turn asks of the database, counted on the wire between them, and that it takes no more when an answer is long or
//! its watchers are slow. What each operation asks for is in `budgets`.

use std::{
    collections::HashMap,
    fmt::Write,
    time::{Duration, Instant},
};

use loquent::{domains::conversations::ConversationRow, platform::ids::Id};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rates::plenty;
use crate::support::{
    app::{TestApp, WATCH},
    client::Client,
    db::TestDb,
    processes::eventually,
    provider::{Gate, Script},
    proxy::{Flight, Proxy},
    traffic::{QUIET, is_flush, is_news, is_rate, is_session_check, of_requests, show},
    ws::{Event, RawSocket, Received, Socket, Subscription},
};

/// The application behind the proxy, and one person who uses it.
struct Stage {
    app: TestApp,
    proxy: Proxy,
    person: Client,
}

/// What one turn cost.
struct Turn {
    until_call: Vec<Flight>,
    all: Vec<Flight>,
    /// From the first token to the end.
    lasted: Duration,
}

impl Stage {
    async fn start(settings: &str) -> Self {
        let db = TestDb::create().await;
        let proxy = Proxy::start(&db.url).await;
        let app = TestApp::builder()
            .settings(settings)
            .outside_development()
            .rates(plenty())
            .database_through(|_| proxy.url().to_owned(), &db)
            .start_over(db)
            .await;
        let person = app.client.sign_up().await;
        Self { app, proxy, person }
    }

    /// Sends, watches from before the provider answers, and reads to the end.
    async fn turn(&self, socket: &Socket, conversation: Option<&str>, answer: Script) -> Turn {
        let (mark, calls, gate) = (self.proxy.count(), self.app.provider.calls(), Gate::default());
        self.app.provider.then(answer.gate(&gate));
        let sent = self.person.send_text("Hello", json!({ "conversationId": conversation })).await;
        assert_eq!(sent["userErrors"], json!([]));
        self.app.provider.called(calls + 1).await;
        let until_call = of_requests(self.proxy.since(mark));
        let id = &sent["assistantMessage"]["id"];
        let mut watch = socket.subscribe(WATCH, json!({ "id": id })).await;
        assert_eq!(event(&mut watch).await["__typename"], "MessageSnapshot");
        gate.open();
        let begun = Instant::now();
        while event(&mut watch).await["__typename"] != "MessageFinished" {}
        Turn { until_call, all: of_requests(self.proxy.since(mark)), lasted: begun.elapsed() }
    }

    /// The cheapest of a few turns: a machine that stands still within a burst has cut it in two.
    async fn best_turn(&self, socket: &Socket, conversation: Option<&str>, tokens: usize) -> Turn {
        let mut best = self.turn(socket, conversation, burst(tokens)).await;
        for _ in 0..9 {
            if best.all.len() <= 5 {
                break;
            }
            let turn = self.turn(socket, conversation, burst(tokens)).await;
            if turn.all.len() < best.all.len() {
                best = turn;
            }
        }
        best
    }

    /// Takes turns until none of their statements has to be prepared any more.
    async fn warm_up(&self, socket: &Socket) {
        for _ in 0..40 {
            let turn = self.turn(socket, None, burst(3)).await;
            if !turn.all.iter().any(|flight| flight.is_preparation) {
                return;
            }
        }
        panic!("statements are prepared again and again");
    }
}

async fn event(watch: &mut Subscription) -> Value {
    match watch.next().await {
        Event::Next(event) => event["data"]["messageStream"].clone(),
        other => panic!("the stream ended early: {other:?}"),
    }
}

/// An answer of so many tokens that arrives in one piece.
fn burst(tokens: usize) -> Script {
    let mut body = String::new();
    for _ in 0..tokens {
        let choice = json!({ "index": 0, "delta": { "content": "sea " }, "finish_reason": null });
        writeln!(body, "data: {}\n", json!({ "choices": [choice] })).unwrap();
    }
    let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5 } });
    write!(body, "data: {last}\n\ndata: [DONE]\n\n").unwrap();
    Script::raw(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_costs_five_flights_however_long_the_answer_and_the_conversation() {
    /// The longest there is, so that a debug build reads 2,000 tokens within it.
    const WINDOW_MS: u128 = 100;
    let stage = Stage::start(&format!("{QUIET}\nflush_ms = {WINDOW_MS}")).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    for messages in [0, 10, 1000] {
        let conversation = conversation(&stage, messages).await;
        for tokens in [20, 2000] {
            let turn = stage.best_turn(&socket, Some(&conversation), tokens).await;
            let (sent, all) = (turn.until_call.len(), turn.all.len());
            println!(
                "a turn at {messages} messages with {tokens} tokens: {sent} flights until the call, {all} in all"
            );
            assert!((1..=2).contains(&sent), "{sent} flights until the call:\n{}", show(&turn.until_call));
            // One flush, and one more for each window that a busy machine needed to read the answer.
            let windows = usize::try_from(turn.lasted.as_millis() / WINDOW_MS).unwrap();
            assert!((3..=5 + windows).contains(&all), "{all} flights:\n{}", show(&turn.all));
        }
    }
    println!("a_turn_costs_five_flights n=6 ok");
    drop(socket);
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_after_a_silence_costs_five_flights_with_every_flush_counted() {
    const TURNS: usize = 8;
    let stage = Stage::start(QUIET).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    let mut costs = Vec::new();
    for _ in 0..TURNS {
        // The window of the last flush is closed: the first token finds nobody waiting for more.
        let end = Instant::now() + Duration::from_millis(30);
        assert!(eventually(Duration::from_secs(5), || Instant::now() > end).await);
        let mark = stage.proxy.count();
        stage.turn(&socket, None, burst(20)).await;
        let mut flights = stage.proxy.since(mark);
        flights.retain(|flight| !is_session_check(flight) && !is_rate(flight) && !is_news(flight));
        println!("a turn after a silence: {} flights, the pulse included", flights.len());
        costs.push(flights);
    }
    // The pulse beats four times a second while a run is open, so it falls into a few of the turns only.
    let least = costs.iter().min_by_key(|flights| flights.len()).unwrap();
    assert!((3..=5).contains(&least.len()), "{} flights:\n{}", least.len(), show(least));
    println!("a_turn_after_a_silence n={TURNS} ok");
    drop(socket);
    stage.app.close().await;
}

/// A conversation that has so many messages.
async fn conversation(stage: &Stage, messages: usize) -> String {
    let created = stage
        .person
        .gql(
            "mutation($key: String!) { createConversation(input: { model: \"scripted\", idempotencyKey: $key }) {
                conversation { id } } }",
            json!({ "key": crate::support::app::new_key() }),
        )
        .await;
    let id = created.data()["createConversation"]["conversation"]["id"].as_str().unwrap().to_owned();
    if messages > 0 {
        stage.app.db.fill_conversation(uuid_of(&id), messages).await;
    }
    id
}

fn uuid_of(conversation: &str) -> Uuid {
    Id::<ConversationRow>::parse(conversation).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_answer_is_flushed_by_time_and_not_by_token() {
    const STEPS: usize = 40;
    const TOKENS_A_STEP: usize = 50;
    let stage = Stage::start(QUIET).await;
    let socket = Socket::connect(&stage.person).await;
    stage.warm_up(&socket).await;
    let gates: Vec<Gate> = (0..STEPS).map(|_| Gate::default()).collect();
    let text = "sea ".repeat(STEPS * TOKENS_A_STEP);
    let answer = gates
        .iter()
        .enumerate()
        .fold(Script::text(&text, STEPS * TOKENS_A_STEP).usage(5, 9), |answer, (step, gate)| {
            answer.gate_after(step * TOKENS_A_STEP, gate)
        });
    stage.app.provider.then(answer);
    let mark = stage.proxy.count();
    let sent = stage.person.send_text("Hello", json!({})).await;
    let mut watch = socket.subscribe(WATCH, json!({ "id": sent["assistantMessage"]["id"] })).await;
    assert_eq!(event(&mut watch).await["__typename"], "MessageSnapshot");
    let begun = Instant::now();
    let mut read = 0;
    for (step, gate) in gates.iter().enumerate() {
        gate.open();
        while read < (step + 1) * TOKENS_A_STEP * 4 {
            let event = event(&mut watch).await;
            assert_eq!(event["__typename"], "TextDelta");
            read += event["text"].as_str().unwrap().len();
        }
    }
    while event(&mut watch).await["__typename"] != "MessageFinished" {}
    let windows = usize::try_from(begun.elapsed().as_millis()).unwrap() / 10 + 1;
    let all = of_requests(stage.proxy.since(mark));
    let flushes = all.iter().filter(|flight| is_flush(flight)).count();
    println!("{} tokens: {flushes} flushes in {windows} windows of 10 ms", STEPS * TOKENS_A_STEP);
    assert!(flushes >= STEPS, "nothing is delivered before its flush, and {STEPS} pieces were waited for");
    assert!(flushes <= windows + 1, "{flushes} flushes in {windows} windows");
    // A sweep that takes the warm connection for a moment leaves the flush a cold one, which prepares once.
    let others = all.iter().filter(|flight| !is_flush(flight) && !flight.is_preparation).count();
    assert_eq!(others, 4, "a token costs more than its flush:\n{}", show(&all));
    println!("a_paced_answer_is_flushed_by_time n={} ok", STEPS * TOKENS_A_STEP);
    drop((watch, socket));
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_cost_six_statements_however_many_there_are() {
    const QUERY: &str =
        "{ viewer { accounts { plan { key } creditBalance { available resetsAt } creditGrants { id }
        quotas { used } } } }";
    // The person's own, and teams with the same subscription.
    const TEAMS: [&str; 3] = [
        "INSERT INTO accounts (id, kind, name) SELECT uuid_v7(), 'team', 'Team ' || n FROM generate_series(1, 20) n",
        "INSERT INTO members (account_id, user_id, role) SELECT a.id, u.id, 'owner' FROM accounts a, users u WHERE a.kind = 'team'",
        "INSERT INTO subscriptions (id, account_id, plan_id, anchor_at, period_started_at, period_ends_at) \
         SELECT uuid_v7(), a.id, s.plan_id, s.anchor_at, s.period_started_at, s.period_ends_at \
           FROM accounts a, subscriptions s WHERE a.kind = 'team'",
    ];
    let stage = Stage::start(QUIET).await;
    for count in [1, 21] {
        if count > 1 {
            for sql in TEAMS {
                stage.app.db.execute(sql).await;
            }
        }
        for attempt in 0..40 {
            let mark = stage.proxy.count();
            let answer = stage.person.gql(QUERY, json!({})).await;
            assert_eq!(answer.data()["viewer"]["accounts"].as_array().unwrap().len(), count);
            let flights = of_requests(stage.proxy.since(mark));
            if !flights.iter().any(|flight| flight.is_preparation) {
                // Accounts, subscriptions, balances, counts, grants, and subscriptions again for the next credits.
                assert!((5..=6).contains(&flights.len()), "{count} accounts:\n{}", show(&flights));
                println!("accounts_cost_six_statements n={count} ok: {}", flights.len());
                break;
            }
            assert!(attempt < 39, "statements are prepared again and again");
        }
    }
    stage.app.close().await;
}

/// The look at all accounts that are watched.
fn is_look(flight: &Flight) -> bool {
    flight.sql.contains("FROM quota_counters q WHERE q.account_id = s.account_id")
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_looked_at_once_a_second_while_anybody_watches_and_never_otherwise() {
    const WATCHED: usize = 5;
    const BALANCE: &str = "subscription { creditBalanceChanged { revision } }";
    let stage = Stage::start(QUIET).await;
    // News come once a second, watched or not, and so measure the time.
    let seconds = async |count: usize| {
        let mark = stage.proxy.count();
        let is_over = || {
            let flights = stage.proxy.since(mark);
            flights.iter().filter(|flight| flight.sql.contains("FROM cache_epochs")).count() >= count
        };
        assert!(eventually(Duration::from_secs(20), is_over).await);
        stage.proxy.since(mark).iter().filter(|flight| is_look(flight) && !flight.is_preparation).count()
    };
    assert_eq!(seconds(3).await, 0, "nobody watches");
    let mut sockets = Vec::new();
    for _ in 0..WATCHED {
        let person = stage.app.client.sign_up().await;
        let socket = Socket::connect(&person).await;
        let mut watch = socket.subscribe(BALANCE, json!({})).await;
        assert!(matches!(watch.next().await, Event::Next(_)));
        sockets.push((socket, watch));
    }
    let looks = seconds(4).await;
    assert!((2..=6).contains(&looks), "{looks} looks in 4 seconds at {WATCHED} accounts");
    drop(sockets);
    // One that had begun may still come.
    seconds(2).await;
    assert_eq!(seconds(3).await, 0, "nobody watches any more");
    println!("accounts_are_looked_at_once_a_second n={WATCHED} ok: {looks} looks in 4 s");
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_subscriptions_hold_no_connection() {
    const SOCKETS: usize = 20;
    const OPERATIONS: usize = 10;
    const POOL: usize = 10;
    let app = TestApp::builder()
        .settings("[limits]\nsockets_per_user = 30\nwrite_stall_seconds = 300")
        .settings(&format!("[database]\nrequest_pool = {POOL}\nbackground_pool = 4"))
        .start()
        .await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    let text = "sea ".repeat(80_000);
    app.provider.then(Script::text(&text, 40).usage(5, 9).gate(&gate));
    let sent = person.send_text("Hello", json!({})).await;
    let id = sent["assistantMessage"]["id"].as_str().unwrap();
    let mut stalled = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = RawSocket::open(&person).await;
        socket.init(person.token.as_deref()).await;
        for operation in 0..OPERATIONS {
            let payload = json!({ "query": WATCH, "variables": { "id": id } });
            socket
                .send(json!({ "id": operation.to_string(), "type": "subscribe", "payload": payload }))
                .await;
            assert!(matches!(socket.receive().await, Received::Json(event) if event["type"] == "next"));
        }
        stalled.push(socket);
    }
    // From here on nobody reads: each socket gets the text and the whole message for each of its operations.
    gate.open();
    person.wait_for_end(id).await;
    let unread = || unread_bytes(&person.base_url);
    let is_stalled = eventually(Duration::from_secs(10), || unread().len() >= SOCKETS).await;
    assert!(is_stalled, "only {} sockets have something unread", unread().len());
    let most = *unread().iter().max().unwrap();
    assert!(most < 2 * OPERATIONS * text.len(), "all of it fits in between: {most} bytes");

    // Who waits for a connection for longer than two seconds is refused, so the answers say that there are some.
    let slowest = answer_time(&person, 3 * POOL).await;
    let query = format!(
        "SELECT count(*)::text AS line FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        app.db.name
    );
    let open: usize = app.db.lines(&query).await[0].parse().unwrap();
    // Those of requests, a few of the background, and the listener.
    assert!(open <= POOL + 5, "{open} connections");
    let n = SOCKETS * OPERATIONS;
    println!(
        "stalled_subscriptions_hold_no_connection n={n} ok: {open} connections, viewer in {slowest:?}, {most} bytes unread at most"
    );
    drop(stalled);
    app.close().await;
}

/// What the server wrote to its sockets and nobody has read, in bytes a socket; those without any left out.
fn unread_bytes(base_url: &str) -> Vec<usize> {
    let port: u16 = base_url.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut queues: HashMap<String, usize> = HashMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to_send, to_read) = fields[4].split_once(':').unwrap();
        let size = |hex: &str| usize::from_str_radix(hex, 16).unwrap();
        let suffix = format!(":{port:04X}");
        if fields[1].ends_with(&suffix) {
            *queues.entry(fields[2].to_owned()).or_default() += size(to_send);
        } else if fields[2].ends_with(&suffix) {
            *queues.entry(fields[1].to_owned()).or_default() += size(to_read);
        }
    }
    queues.into_values().filter(|unread| *unread > 0).collect()
}

/// The longest of so many questions asked at once.
async fn answer_time(person: &Client, count: usize) -> Duration {
    let ask = || async {
        let begun = Instant::now();
        person.gql("{ viewer { user { name } account { name } } }", json!({})).await.data();
        begun.elapsed()
    };
    let times = futures_util::future::join_all((0..count).map(|_| ask())).await;
    times.into_iter().max().unwrap()
}
