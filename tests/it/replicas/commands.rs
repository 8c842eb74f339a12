//! `loquent runner` and `loquent replicas`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use reqwest::Method;
use rustix::process::Signal;

use crate::{
    embedded::owner::scratch,
    generations::fed::{Fed, ROOMY},
    support::{
        binary::{Binary, Launch, command},
        db::TestDb,
        feed::Dice,
        provider::ScriptedProvider,
        restart::{SIGNING_KEY, check_ledger},
        rows::{execute, row, row_when},
        ws::Socket,
    },
};

const RUNS: usize = 3;
const PIECES: usize = 10;
const LIMIT: Duration = Duration::from_secs(15);

/// What `loquent replicas` says: the lines of the processes by id, and the last line.
fn list(url: &str, arguments: &[&str]) -> (BTreeMap<String, Vec<String>>, String) {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path(), url).arg("replicas").args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<&str> = said.lines().collect();
    let verdict = lines.pop().unwrap().to_owned();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = lines.iter().skip(1).map(|line| words(line)).map(|words| (words[0].clone(), words));
    (lines.collect(), verdict)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_ends_what_a_dead_server_left_and_answers_no_client() {
    let mut dice = Dice::throw("background");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[streams]\nlease_ms = 1000");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let mut runner = Binary::start_runner(&launch);
    let server = Binary::start(&launch);
    let ids = [server.replica_id().await, runner.replica_id().await];
    let person = server.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let answers: Vec<_> = (0..RUNS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(&provider, &person, &answers).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
        fed.read_until(fed.feed.text.len() / 2).await;
    }
    let (lines, verdict) = list(&db.url, &[]);
    assert_eq!(verdict, "replicas: alive n=2 lost n=0 fenced n=0 drained n=0");
    assert_eq!((&*lines[&ids[0]][1], &*lines[&ids[0]][4]), ("alive", "3"), "{lines:?}");
    assert_eq!((&*lines[&ids[1]][1], &*lines[&ids[1]][4]), ("alive", "0"), "{lines:?}");
    assert_eq!(list(&db.url, &["--limit", "1"]).0.len(), 1);

    server.kill();
    let all_ended = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
    row_when(&db.url, LIMIT, all_ended).await;
    let ask = |path: &str, method: Method| runner.client.send(runner.client.request(method, path));
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(ask(path, Method::GET).await.status, 200, "{path}");
    }
    for path in ["/graphql", "/graphiql", "/schema.graphql", "/docs/errors", "/"] {
        assert_eq!(ask(path, Method::GET).await.status, 404, "{path}");
    }
    assert_eq!(ask("/graphql", Method::POST).await.status, 404);
    let metrics = runner.client.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap()
    };
    assert_eq!((value("loquent_replicas"), value("loquent_replicas_fenced_total")), (1.0, 1.0));
    assert!(value("loquent_lease_age_seconds") < 1.0);

    runner.signal(Signal::TERM);
    assert_eq!(runner.ended(LIMIT).await, Some(0));
    let left = "INSERT INTO replicas (id, lease_until, version, host) \
                VALUES (gen_random_uuid(), loquent_now() - interval '5 seconds', '0', 'elsewhere')";
    execute(&db.url, left).await;
    let lost = row(&db.url, "SELECT id FROM replicas WHERE host = 'elsewhere'").await["id"].clone();
    let (lines, verdict) = list(&db.url, &[]);
    assert_eq!(verdict, "replicas: alive n=0 lost n=1 fenced n=1 drained n=1");
    let states = [&ids[0], &ids[1], lost.as_str().unwrap()].map(|id| lines[id][1].clone());
    assert_eq!(states, ["fenced", "drained", "lost"]);
    println!("background n={RUNS} {} ok", check_ledger(&db.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_without_a_database_of_others_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path(), "").arg("runner").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("database.url is missing") || said.contains("DATABASE_URL"), "{said}");
}

/// What a command without `DATABASE_URL` says, and its exit code.
fn visit(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(home, "").env_remove("DATABASE_URL").args(arguments).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_join_the_bundled_database_that_runs_and_make_none() {
    let home = scratch();
    let provider = ScriptedProvider::start().await;
    let lists = [
        ["replicas", "--limit=9"],
        ["jobs", "list"],
        ["cron", "list"],
        ["settings", "list"],
        ["ledger", "check"],
    ];
    let (code, said) = visit(home.path(), &lists[0]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no database in"), "{said}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "a list left something behind");

    let mut running = Binary::start_in(home.path(), None, provider.base_url(), "");
    for arguments in lists {
        let (code, said) = visit(home.path(), &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    let (code, said) = visit(home.path(), &["settings", "set", "accounts.sign_up_open", "false"]);
    assert_eq!(code, Some(0), "{said}");
    running.signal(Signal::TERM);
    assert_eq!(running.ended(LIMIT).await, Some(0));
    // And it is started for as long as a command needs it.
    let (code, said) = visit(home.path(), &["settings", "get", "accounts.sign_up_open"]);
    assert_eq!((code, said.lines().next()), (Some(0), Some("false")), "{said}");
    println!("commands n={} ok", lists.len() + 3);
}
