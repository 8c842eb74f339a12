//! Lists below a list of accounts: as many statements for twenty accounts as for one, each account with its own page, and
//! none of them found by reading what is not shown.

use std::collections::BTreeSet;

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    client::Client,
    db::TestDb,
    proxy::{Flight, Proxy},
    rows::connect,
    traffic::{QUIET, of_requests, show},
};

const ACCOUNTS: usize = 20;
/// Conversations and movements of each account.
const ROWS: usize = 1000;

const LISTS: &str = "query($rare: [LedgerEntryKind!]) { viewer { accounts { id
    conversations(first: 3) { nodes { title account { id } } pageInfo { hasNextPage endCursor } }
    ledger(first: 3) { nodes { description kind } pageInfo { hasNextPage } }
    rare: ledger(first: 3, kinds: $rare) { nodes { description kind } pageInfo { hasNextPage } } } } }";

/// Somebody in one account, and then in many.
struct Stage {
    app: TestApp,
    proxy: Proxy,
    person: Client,
}

impl Stage {
    async fn start() -> Self {
        let db = TestDb::create().await;
        let proxy = Proxy::start(&db.url).await;
        let app = TestApp::builder()
            .settings(&format!("{QUIET}\n[limits]\noperation_cost = 1000000"))
            .database_through(|_| proxy.url().to_owned(), &db)
            .start_over(db)
            .await;
        let person = app.client.sign_up().await;
        Self { app, proxy, person }
    }

    /// The person joins so many accounts more, each with rows of its own that say whose they are.
    async fn join(&self, accounts: usize) {
        self.app
            .db
            .execute(&format!(
                "INSERT INTO accounts (id, kind, name) SELECT uuid_v7(), 'team', 'Team ' || n FROM generate_series(1, {accounts}) n;
                 INSERT INTO members (account_id, user_id, role)
                   SELECT a.id, u.id, 'owner' FROM accounts a, users u WHERE a.kind = 'team';
                 INSERT INTO subscriptions (id, account_id, plan_id, anchor_at, period_started_at, period_ends_at)
                   SELECT uuid_v7(), a.id, s.plan_id, s.anchor_at, s.period_started_at, s.period_ends_at
                     FROM accounts a, subscriptions s WHERE a.kind = 'team';
                 CREATE TEMP TABLE empty AS SELECT * FROM members m
                   WHERE NOT EXISTS (SELECT FROM conversations c WHERE c.account_id = m.account_id);
                 INSERT INTO conversations (id, account_id, created_by, title, updated_at)
                   SELECT uuid_v7(), account_id, user_id, account_id || ' ' || n, loquent_now() + n * interval '1 second'
                     FROM empty, generate_series(1, {ROWS}) n;
                 SELECT ledger_grant(uuid_v7(), account_id, 'credits',
                                     CASE WHEN n % 100 = 0 THEN 'adjustment' ELSE 'promotion' END, 'gift ' || n, 1,
                                     30::smallint, loquent_now(), 'infinity', user_id, account_id || ' ' || n)
                   FROM empty, generate_series(1, {ROWS}) n"
            ))
            .await;
        self.app.db.execute("ANALYZE").await;
    }

    /// How the server reads what the statement asks for, whatever its values are.
    async fn plan(&self, sql: &str) -> String {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            text: String,
        }
        let mut conn = connect(&self.app.db.url).await;
        let prepare = format!("SET plan_cache_mode = force_generic_plan; PREPARE asked AS {sql}");
        conn.batch_execute(&prepare).await.unwrap();
        let values = (1..).take_while(|number| sql.contains(&format!("${number}")));
        let values = values.map(|_| "NULL").collect::<Vec<_>>().join(", ");
        let explain = diesel::sql_query(format!("EXPLAIN EXECUTE asked ({values})"));
        let lines: Vec<Line> = diesel_async::RunQueryDsl::load(explain, &mut conn).await.unwrap();
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    /// The accounts as they are answered once every connection is warm, and what that asked of the database.
    async fn ask(&self) -> (Vec<Value>, Vec<Flight>) {
        let variables = json!({ "rare": ["ADJUST", "EXPIRE"] });
        let mut least: Option<(Vec<Value>, Vec<Flight>)> = None;
        for _ in 0..12 {
            let mark = self.proxy.count();
            let answer = self.person.gql(LISTS, variables.clone()).await;
            let mut flights = of_requests(self.proxy.since(mark));
            flights.retain(|flight| !flight.is_preparation && !flight.sql.is_empty());
            let accounts = answer.data()["viewer"]["accounts"].as_array().unwrap().clone();
            if least.as_ref().is_none_or(|(_, known)| flights.len() < known.len()) {
                least = Some((accounts, flights));
            }
        }
        least.unwrap()
    }
}

fn texts(page: &Value, field: &str) -> Vec<String> {
    page["nodes"].as_array().unwrap().iter().map(|node| node[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_twenty_accounts_are_the_statements_of_one_and_read_only_what_they_show() {
    let stage = Stage::start().await;
    stage.join(0).await;
    let (accounts, of_one) = stage.ask().await;
    assert_eq!(accounts.len(), 1);
    stage.join(ACCOUNTS - 1).await;
    let stranger = stage.app.client.sign_up().await;
    let (accounts, of_many) = stage.ask().await;
    assert_eq!(accounts.len(), ACCOUNTS);
    assert_eq!(of_one.len(), of_many.len(), "{}and\n{}", show(&of_one), show(&of_many));

    let ids = stage.app.db.lines("SELECT id::text AS line FROM accounts").await;
    let mut seen = BTreeSet::new();
    for account in &accounts {
        let titles = texts(&account["conversations"], "title");
        let owner = titles[0].split_once(' ').unwrap().0.to_owned();
        assert!(ids.contains(&owner));
        let newest = |numbers: [usize; 3]| numbers.map(|number| format!("{owner} {number}"));
        assert_eq!(titles, newest([1000, 999, 998]));
        assert_eq!(texts(&account["ledger"], "description"), newest([1000, 999, 998]));
        assert_eq!(texts(&account["rare"], "description"), newest([1000, 900, 800]));
        for list in ["conversations", "ledger", "rare"] {
            assert_eq!(account[list]["pageInfo"]["hasNextPage"], true, "{list}");
        }
        assert!(
            account["conversations"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .all(|node| node["account"]["id"] == account["id"])
        );
        seen.insert(owner);
    }
    assert_eq!(seen.len(), ACCOUNTS, "each account has its own");

    for (of, index) in [
        ("FROM conversations", "conversations_open_idx"),
        ("revision < $1", "ledger_entries_wallet_id_revision_key"),
        ("kind = k.kind", "ledger_entries_wallet_id_kind_idx"),
    ] {
        let flight = of_many.iter().find(|flight| flight.sql.contains(of)).unwrap_or_else(|| panic!("{of}"));
        let plan = stage.plan(&flight.sql).await;
        let is_scanned =
            plan.contains("Seq Scan on conversations") || plan.contains("Seq Scan on ledger_entries");
        assert!(plan.contains(&format!("using {index}")) && !is_scanned, "{}\n{plan}", flight.sql);
        println!("{of}:\n{plan}");
    }

    // Who does not belong to them finds none of them, and nothing in them.
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Account { ledger { nodes { id } } conversations { nodes { id } } } } }";
    let found = stranger
        .gql(nodes, json!({ "ids": accounts.iter().map(|account| &account["id"]).collect::<Vec<_>>() }))
        .await;
    assert!(found.data()["nodes"].as_array().unwrap().iter().all(Value::is_null));
    println!("lists_of_accounts n={ACCOUNTS} rows={ROWS} statements={} ok", of_many.len());
    stage.app.close().await;
}
