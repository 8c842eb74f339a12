//! `loquent doctor` as an operator runs it: the real binary, its lines, its exit code.

use std::process::Output;

use axum::{Router, http::StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{
    app::{TestApp, provider_settings},
    binary::{Binary, Launch, command},
    db::TestDb,
    provider::{Script, ScriptedProvider},
};

/// A place from which doctors are called.
struct Practice {
    home: TempDir,
    database_url: String,
}

impl Practice {
    fn new(database_url: &str, settings: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("loquent.toml"), settings).unwrap();
        Self { home, database_url: database_url.to_owned() }
    }

    /// Runs the doctor; what it found, and its exit code.
    async fn examine(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.run(&[&["doctor", "--json"], arguments].concat()).await;
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(&words).unwrap_or_else(|_| panic!("{output:?}"));
        (report, output.status.code().unwrap())
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.home.path(), &self.database_url);
        command.args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

/// A provider's list with one model.
fn listing(model: &str) -> Script {
    let list = serde_json::json!({ "object": "list", "data": [{ "id": model, "object": "model" }] });
    Script::status(200).body(list.to_string())
}

/// The finding about something.
fn finding<'a>(report: &'a Value, what: &str) -> &'a Value {
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("nothing about {what} in {report:#}"))
}

fn text<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_else(|| panic!("{finding}"))
}

#[tokio::test]
async fn a_healthy_installation_has_nothing_to_put_right() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings: "" });
    provider.always(listing("scripted"));
    let practice = Practice::new(&db.url, &provider_settings(provider.base_url()));
    let (report, code) = practice.examine(&["--dev", "--url", &binary.client.base_url]).await;
    assert_eq!(code, 0, "{report:#}");
    assert_ne!(report["status"], "fail");
    for what in ["migrations", "provider scripted", "WebSocket", "clock", "signing keys"] {
        assert_eq!(finding(&report, what)["level"], "ok", "{what} {report:#}");
    }
    // How far it is away depends on what else this machine does.
    assert!(text(finding(&report, "database"), "reason").starts_with("PostgreSQL "));
    assert_eq!(finding(&report, "mail")["level"], "warn");
    let requests = provider.requests();
    assert!(requests.iter().all(|request| request.path == "/v1/models"), "it spends nothing: {requests:?}");

    let output = practice.run(&["doctor", "--dev", "--url", &binary.client.base_url]).await;
    let lines = String::from_utf8(output.stdout).unwrap();
    let is_line = |line: &str| ["ok    ", "warn  ", "FAIL  "].iter().any(|level| line.starts_with(level));
    assert!(lines.lines().all(is_line) && lines.lines().count() >= 12, "{lines}");
}

#[tokio::test]
async fn a_database_that_is_down_is_a_failure_and_hides_nothing_else() {
    let practice = Practice::new("postgres://someone:canary@127.0.0.1:1/none", "");
    let (report, code) = practice.examine(&["--dev"]).await;
    assert_eq!(code, 1);
    let database = finding(&report, "database");
    assert_eq!(database["level"], "fail");
    assert!(text(database, "reason").to_lowercase().contains("refused"), "{database}");
    // Nobody serves here either, which is no failure of its own.
    finding(&report, "WebSocket");
    assert!(!report.to_string().contains("canary"));
}

#[tokio::test]
async fn a_refused_key_and_an_unreachable_provider_are_told_apart() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let settings = provider_settings(provider.base_url())
        .replace("[providers.scripted]\n", "[providers.scripted]\napi_key = \"sk-canary\"\n");
    let practice = Practice::new(&db.url, &settings);
    provider.always(Script::status(401));
    let (report, code) = practice.examine(&["--dev"]).await;
    let refused = finding(&report, "provider scripted");
    assert_eq!((code, &refused["level"]), (1, &"fail".into()));
    assert!(text(refused, "reason").contains("refuses the key"), "{refused}");
    assert!(!report.to_string().contains("canary"));
    assert_eq!(provider.requests()[0].header("authorization"), Some("Bearer sk-canary"));

    provider.always(listing("scripted").header("date", "Tue, 01 Jan 2030 00:00:00 GMT"));
    let (report, _) = practice.examine(&["--dev"]).await;
    assert!(text(finding(&report, "provider scripted"), "reason").contains("clock"), "{report:#}");

    drop(provider);
    let (report, code) = practice.examine(&["--dev"]).await;
    let away = finding(&report, "provider scripted");
    assert_eq!(code, 1);
    assert!(text(away, "reason").contains("cannot be reached"), "{away}");
}

#[tokio::test]
async fn what_is_no_provider_and_what_lacks_a_model_is_named() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let practice = Practice::new(&db.url, &provider_settings(provider.base_url()));
    provider.always(Script::status(200).body("<!doctype html><title>Sign in</title>"));
    let (report, code) = practice.examine(&["--dev"]).await;
    let page = finding(&report, "provider scripted");
    assert_eq!((code, &page["level"]), (1, &"fail".into()));
    assert!(text(page, "reason").contains("no OpenAI-compatible API"), "{page}");

    provider.always(listing("other"));
    let (report, _) = practice.examine(&["--dev"]).await;
    let poor = finding(&report, "provider scripted");
    assert_eq!((&poor["level"], text(poor, "reason")), (&"warn".into(), "does not list scripted"));
}

#[tokio::test]
async fn a_proxy_that_nobody_trusts_is_asked_for() {
    let db = TestDb::create().await;
    let public = "[server]\npublic_url = \"https://127.0.0.1:1/chat\"\n";
    for (more, level) in [("", "warn"), ("trusted_proxies = [\"10.0.0.0/8\"]", "ok")] {
        let (report, _) = Practice::new(&db.url, &format!("{public}{more}")).examine(&[]).await;
        let address = finding(&report, "public address");
        assert_eq!(address["level"], level, "{address}");
        assert_eq!(text(address, "reason").contains("trusted_proxies"), level == "warn", "{address}");
        let socket = finding(&report, "WebSocket");
        assert!(text(socket, "reason").contains("/chat/graphql"), "{socket}");
    }
}

#[tokio::test]
async fn pending_and_unknown_migrations_are_named() {
    let empty = TestDb::create_empty().await;
    let (report, _) = Practice::new(&empty.url, "").examine(&["--dev"]).await;
    let pending = finding(&report, "migrations");
    assert_eq!(pending["level"], "warn");
    assert!(text(pending, "fix").contains("migrate up"), "{pending}");
    // Looking has made nothing, not even the list of migrations.
    let tables = "SELECT count(*)::text AS line FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(empty.lines(tables).await, ["0"]);

    let newer = TestDb::create().await;
    newer.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000001')").await;
    let (report, _) = Practice::new(&newer.url, "").examine(&["--dev"]).await;
    assert!(text(finding(&report, "migrations"), "reason").contains("1 that this version does not know"));
}

#[tokio::test]
async fn a_proxy_that_opens_no_socket_is_described() {
    let db = TestDb::create().await;
    let practice = Practice::new(&db.url, "");
    for (status, expected) in [
        (StatusCode::OK, "strips the headers Upgrade and Connection"),
        (StatusCode::METHOD_NOT_ALLOWED, "strips the headers Upgrade and Connection"),
        (StatusCode::BAD_GATEWAY, "the server behind it does not"),
        (StatusCode::FORBIDDEN, "server.public_url"),
        (StatusCode::MOVED_PERMANENTLY, "redirects to: https://elsewhere.test/"),
    ] {
        let answer = move || async move { (status, [("location", "https://elsewhere.test/")], "hello") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = axum::serve(listener, Router::new().fallback(answer)).into_future();
        let arguments = ["--dev", "--url", &url];
        let (report, code) = tokio::select! {
            result = practice.examine(&arguments) => result,
            _ = proxy => unreachable!(),
        };
        let socket = finding(&report, "WebSocket");
        assert_eq!((code, &socket["level"]), (1, &"fail".into()), "{status}");
        assert!(text(socket, "fix").contains(expected), "{status} {socket}");
        assert!(text(socket, "reason").contains(status.as_str()), "{status} {socket}");
    }
    let (report, code) = practice.examine(&["--dev", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!((code, &finding(&report, "WebSocket")["level"]), (1, &"fail".into()));
}

#[tokio::test]
async fn a_socket_that_the_server_refuses_is_shown_with_its_words() {
    let app = TestApp::builder().settings("[limits]\nsockets_per_address = 1").start().await;
    let taken = crate::support::ws::RawSocket::open(&app.client).await;
    let practice = Practice::new(&app.db.url, "");
    let (report, code) = practice.examine(&["--dev", "--url", &app.client.base_url]).await;
    let socket = finding(&report, "WebSocket");
    assert_eq!(code, 1);
    assert!(text(socket, "reason").contains("Too many sockets"), "{socket}");
    drop(taken);
    app.close().await;
}

#[tokio::test]
async fn what_production_needs_is_asked_for() {
    let db = TestDb::create().await;
    let practice = Practice::new(&db.url, "[server]\npublic_url = \"http://127.0.0.1:1\"");
    let (report, code) = practice.examine(&[]).await;
    assert_eq!(code, 1);
    assert_eq!(finding(&report, "signing keys")["level"], "fail");
    assert!(text(finding(&report, "public address"), "reason").contains("not encrypted"));
    assert!(text(finding(&report, "metrics"), "fix").contains("METRICS_TOKEN"));
    assert!(text(finding(&report, "models"), "reason").contains("only the built-in echo"));
    // The socket is tried at the public address, and that nobody answers there counts.
    assert_eq!(finding(&report, "WebSocket")["level"], "fail");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_ends_with_78() {
    let practice = Practice::new("postgres://u@h/d", "[server]\nprot = 1");
    let output = practice.run(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("server.prot") && words.contains("did you mean server.port?"), "{words}");
}

#[tokio::test]
async fn without_an_address_it_looks_at_the_bundled_database_and_starts_nothing() {
    let home = crate::embedded::owner::scratch();
    let (report, _) = {
        let mut command = command(home.path(), "");
        command
            .env_remove("DATABASE_URL")
            .env("LOQUENT_PG_DOWNLOAD", "off")
            .args(["doctor", "--dev", "--json"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), output.status.code())
    };
    finding(&report, "bundled PostgreSQL");
    assert!(std::fs::read_dir(home.path()).unwrap().next().is_none(), "it has made something");
}
