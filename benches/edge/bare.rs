//! The floor: an axum handler without GraphQL, which runs the statements that a plan says, one after the other, and
//! answers what the plan says. It is this executable again, as a process of its own.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::{State, WebSocketUpgrade, ws::Message},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_postgres::{
    Client, NoTls, Statement,
    types::{Format, IsNull, ToSql, Type},
};

/// As many as the requests of the product may use.
const DATABASE_CONNECTIONS: usize = 16;

/// One case: what is asked of the database, and what is answered.
#[derive(Clone, Serialize, Deserialize)]
pub struct Case {
    pub statements: Vec<Asked>,
    pub body: String,
}

/// A statement with its values, as they went over the wire.
#[derive(Clone, Serialize, Deserialize)]
pub struct Asked {
    pub sql: String,
    pub values: Vec<Option<Vec<u8>>>,
}

/// A value that was encoded before.
#[derive(Debug)]
struct Encoded(Option<Vec<u8>>);

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A running bare server; it ends with the value.
pub struct Bare {
    child: Child,
    pub address: SocketAddr,
}

impl Bare {
    /// Starts this executable again, in its other role.
    pub fn start(url: &str, plan: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bare")
            .args([url, plan.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Prepared {
    statements: Vec<(Statement, Vec<Encoded>)>,
    body: String,
}

struct Database {
    client: Client,
    cases: Vec<Prepared>,
}

struct Shared {
    databases: Vec<Database>,
    next: AtomicUsize,
}

/// The other role: serves until it is killed.
pub async fn serve(url: &str, plan: &Path) {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
    let mut databases = Vec::new();
    for _ in 0..DATABASE_CONNECTIONS {
        databases.push(connect(url, &cases).await);
    }
    let shared = Arc::new(Shared { databases, next: AtomicUsize::new(0) });
    let mut router = Router::new()
        .route("/refuse", post(|_: Bytes| async { (StatusCode::BAD_REQUEST, "{\"errors\":[]}") }))
        .route(
            "/socket",
            get(|upgrade: WebSocketUpgrade| async {
                upgrade.protocols(["graphql-transport-ws"]).on_upgrade(answer_socket)
            }),
        );
    for number in 0..cases.len() {
        let handler =
            move |State(shared): State<Arc<Shared>>, _: Bytes| async move { answer(&shared, number).await };
        router = router.route(&format!("/case/{number}"), post(handler));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        }),
        router.with_state(shared),
    )
    .await
    .unwrap();
}

async fn connect(url: &str, cases: &[Case]) -> Database {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut prepared = Vec::new();
    for case in cases {
        let mut statements = Vec::new();
        for asked in &case.statements {
            let statement = client.prepare(&asked.sql).await.unwrap();
            statements.push((statement, asked.values.iter().cloned().map(Encoded).collect()));
        }
        prepared.push(Prepared { statements, body: case.body.clone() });
    }
    Database { client, cases: prepared }
}

async fn answer(shared: &Shared, number: usize) -> impl IntoResponse + use<> {
    let turn = shared.next.fetch_add(1, Ordering::Relaxed) % shared.databases.len();
    let Database { client, cases } = &shared.databases[turn];
    for (statement, values) in &cases[number].statements {
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let _rows = client.query(statement, &values).await.unwrap();
    }
    ([(CONTENT_TYPE, "application/json")], cases[number].body.clone())
}

/// Two messages for each that comes, as a query over a socket has.
async fn answer_socket(mut socket: axum::extract::ws::WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if !matches!(message, Message::Text(_)) {
            continue;
        }
        for text in [
            r#"{"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}"#,
            r#"{"id":"1","type":"complete"}"#,
        ] {
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    }
}
