//! What the tests of money look at: rows by SQL, the ledger and the runs through the API.

use std::time::Duration;

use diesel::{QueryResult, QueryableByName, sql_types::Jsonb};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde_json::{Value, json};

use crate::support::{client::Client, cluster::variable};

/// Settings under which nothing but money refuses a call, however slow the machine is.
pub const PATIENT: &str = "[database]\nwait_ms = 30000\n[limits]\n";

/// True when the heavy tests are to run at their full size.
pub fn is_full_size() -> bool {
    variable("TEST_SCALE").is_some_and(|scale| scale == "full")
}

/// A connection of the test's own.
pub async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}

/// Runs statements.
pub async fn run(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    value: Value,
}

/// The rows of a query as objects.
pub async fn rows(url: &str, sql: &str) -> Vec<Value> {
    rows_over(&mut connect(url).await, sql).await
}

/// As [`rows`], over a connection that is kept.
pub async fn rows_over(conn: &mut AsyncPgConnection, sql: &str) -> Vec<Value> {
    try_rows(conn, sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// As [`rows_over`], for queries that the database may refuse.
pub async fn try_rows(conn: &mut AsyncPgConnection, sql: &str) -> QueryResult<Vec<Value>> {
    let query = diesel::sql_query(format!("SELECT to_jsonb(q) AS value FROM ({sql}) q"));
    let rows: Vec<Row> = query.load(conn).await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// The only value of a query that counts or sums.
pub async fn number(url: &str, sql: &str) -> i64 {
    rows(url, &format!("SELECT ({sql}) AS n")).await[0]["n"].as_i64().unwrap()
}

/// Makes everybody wait who wants to move money, until the connection is told to `COMMIT`.
pub async fn block_wallets(url: &str) -> AsyncPgConnection {
    let mut blocker = connect(url).await;
    blocker.batch_execute("BEGIN; SELECT 1 FROM wallets FOR UPDATE").await.unwrap();
    blocker
}

/// Waits until at least so many statements wait for a lock.
pub async fn wait_until_blocked(url: &str, statements: usize) {
    let waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for_zero(url, &format!("SELECT greatest(0, {statements} - count(*)) {waiting}")).await;
}

/// Waits until every hold is resolved.
pub async fn wait_until_settled(url: &str) {
    wait_for_zero(url, "SELECT count(*) FROM holds WHERE state = 'open'").await;
}

/// Polls a count until it is zero.
pub async fn wait_for_zero(url: &str, sql: &str) {
    let mut conn = connect(url).await;
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let query = format!("SELECT ({sql}) AS n");
    let poll = async {
        while rows_over(&mut conn, &query).await[0]["n"] != 0 {
            polls.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap_or_else(|_| panic!("not zero: {sql}"));
}

/// Micro-credits of a decimal text.
pub fn micro(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no decimal: {value}"));
    let (whole, decimals) = text.split_once('.').unwrap();
    assert_eq!(decimals.len(), 6, "{text}");
    format!("{whole}{decimals}").parse().unwrap()
}

/// Id of an answer, as sent.
pub fn answer_id(sent: &Value) -> &str {
    assert_eq!(sent["userErrors"], json!([]), "{sent}");
    sent["assistantMessage"]["id"].as_str().unwrap()
}

/// One page of the ledger of the caller's account.
pub const LEDGER: &str = "query Ledger($first: Int!, $after: String, $kinds: [LedgerEntryKind!]) {
    viewer { account { ledger(first: $first, after: $after, kinds: $kinds) {
        edges { cursor node { id } }
        nodes { id kind amount balanceAfter description createdAt subject { id } user { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } } }
}";

/// A run as people see it.
const RUN: &str = "query Run($id: ID!) {
    generation(id: $id) {
        status finishReason isOutputCapped error { code }
        charge { creditsHeld creditsCharged usage { inputTokens outputTokens source } }
    }
}";

impl Client {
    /// A page of the caller's ledger.
    pub async fn ledger_page(&self, first: i32, after: Option<&str>, kinds: Option<&[&str]>) -> Value {
        let variables = json!({ "first": first, "after": after, "kinds": kinds });
        self.gql(LEDGER, variables).await.data()["viewer"]["account"]["ledger"].clone()
    }

    /// The caller's whole ledger, newest first.
    pub async fn ledger(&self) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.ledger_page(100, after.as_deref(), None).await;
            entries.extend(page["nodes"].as_array().unwrap().iter().cloned());
            if page["pageInfo"]["hasNextPage"] == false {
                return entries;
            }
            after = page["pageInfo"]["endCursor"].as_str().map(str::to_owned);
        }
    }

    /// Waits for the end of an answer and returns its run.
    pub async fn ended_run(&self, sent: &Value) -> Value {
        self.wait_for_end(answer_id(sent)).await;
        let id = &sent["assistantMessage"]["generation"]["id"];
        self.gql(RUN, json!({ "id": id })).await.data()["generation"].clone()
    }
}
