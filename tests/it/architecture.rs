//! The rules of the house, read from the sources: who may use whom, which room may use which library, where SQL may be
//! written by hand.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Domains from the lowest level up. A service may use the front doors of lower levels only; to move a domain is to move a
/// line here.
const LEVELS: [&str; 8] = [
    "settings",
    "accounts",
    "catalog",
    "credits",
    "subscriptions",
    "moderation",
    "conversations",
    "generations",
];

/// Files in which SQL is written by hand, each because Diesel's typed queries cannot say it.
const RAW_SQL: [&str; 9] = [
    "domains/conversations/repo/log.rs",
    "domains/conversations/repo/pages.rs",
    "domains/conversations/repo/tree.rs",
    "domains/credits/repo.rs",
    "domains/credits/repo/",
    "domains/generations/repo/log.rs",
    "domains/generations/repo/turn/",
    "jobs/queue/",
    "platform/postgres/",
];

struct Source {
    /// Path below `src`, with slashes.
    path: String,
    /// Without comments and without unit tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(&root, path));
            }
        }
    }
    assert!(found.len() > 60, "the sources were not found");
    found
}

fn read(root: &Path, path: PathBuf) -> Source {
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), code }
}

/// Every path that a file takes from the crate, `use` groups and inline paths alike, such as `domains::accounts::Viewer`.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        expand(&code[start + "crate::".len()..], String::new(), &mut paths);
    }
    paths
}

/// Expands one use tree; ends at the first character that cannot continue it.
fn expand(tree: &str, prefix: String, paths: &mut Vec<String>) -> usize {
    let mut at = 0;
    let mut path = prefix;
    let bytes = tree.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                at += 1;
                loop {
                    while tree[at..].starts_with([' ', '\n']) {
                        at += 1;
                    }
                    at += expand(&tree[at..], path.clone(), paths);
                    while tree[at..].starts_with([' ', '\n', ',']) {
                        at += 1;
                    }
                    if tree[at..].starts_with('}') || at >= bytes.len() {
                        return at + 1;
                    }
                }
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':' || byte == b'*' => {
                path.push(char::from(byte));
                at += 1;
            }
            b' ' if tree[at..].starts_with(" as ") => {
                at += 4 + tree[at + 4..].find([',', ';', '}']).unwrap_or(0)
            }
            _ => break,
        }
    }
    paths.push(path);
    at.max(1)
}

/// Asserts that a rule has no exceptions.
fn none(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn use_trees_are_expanded() {
    let paths = crate_paths("use crate::{\n  a::{B, c::D as E},\n  f,\n};\nlet x = crate::g::h(1);");
    assert_eq!(paths, ["a::B", "a::c::D", "f", "g::h"]);
}

#[test]
fn platform_and_providers_know_no_domain() {
    let mut broken = Vec::new();
    for source in sources() {
        let allowed: &[&str] = match source.path.split('/').next().unwrap() {
            "platform" => &["platform", "error", "schema"],
            "providers" => &["platform", "error", "providers"],
            _ => continue,
        };
        for path in crate_paths(&source.code) {
            let first = path.split("::").next().unwrap();
            if !allowed.contains(&first) {
                broken.push(format!("{} uses crate::{path}", source.path));
            }
        }
    }
    none("platform and providers stand below everything", broken);
}

#[test]
fn domains_use_only_lower_ones_and_only_their_front_doors() {
    let level: BTreeMap<&str, usize> =
        LEVELS.iter().enumerate().map(|(level, name)| (*name, level)).collect();
    let mut broken = Vec::new();
    for source in sources() {
        let mut parts = source.path.split('/');
        if parts.next() != Some("domains") {
            continue;
        }
        let Some(own) = parts.next().filter(|own| *own != "mod.rs") else { continue };
        assert!(level.contains_key(own), "the domain {own} has no level");
        let is_graphql = source.path.contains("/graphql") || source.path.ends_with("loaders.rs");
        for path in crate_paths(&source.code) {
            let Some(rest) = path.strip_prefix("domains::") else { continue };
            let mut rest = rest.split("::");
            let other = rest.next().unwrap();
            if other == own {
                continue;
            }
            let room = rest.next().unwrap_or_default();
            if ["repo", "service", "model"].contains(&room) {
                broken.push(format!("{} enters {other} past its front door: {path}", source.path));
            }
            if !is_graphql && (room == "graphql" || room == "loaders") {
                broken.push(format!("{} names a GraphQL room: {path}", source.path));
            }
            if !is_graphql && level[other] > level[own] {
                broken.push(format!("{} looks up to {other}: {path}", source.path));
            }
        }
    }
    none("domains look down, and through front doors", broken);
}

#[test]
fn libraries_stay_in_their_rooms() {
    let rules: [(&str, &[&str]); 8] = [
        ("async_graphql", &["graphql/", "loaders.rs", "graphql.rs"]),
        ("axum", &["server.rs", "server/", "graphql/transport", "graphql/graphiql.rs"]),
        ("tower_http", &["server/"]),
        (
            "reqwest",
            &[
                "platform/http_client.rs",
                "providers/",
                "platform/postgres/embedded/download.rs",
                "cli/doctor/upgrade.rs",
            ],
        ),
        ("metrics_exporter_prometheus", &["platform/metrics/"]),
        ("tokio_tungstenite", &["cli/doctor/upgrade.rs", "ws/ending.rs"]),
        ("jsonwebtoken", &["domains/accounts/tokens.rs"]),
        ("argon2", &["domains/accounts/passwords.rs"]),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for (library, rooms) in rules {
            let is_used = source.code.contains(&format!("{library}::"));
            if is_used && !rooms.iter().any(|room| source.path.contains(room)) {
                broken.push(format!("{} uses {library}", source.path));
            }
        }
    }
    none("a library is used in its rooms alone", broken);
}

#[test]
fn diesel_stays_in_models_and_repositories() {
    let rooms =
        ["/model.rs", "/repo.rs", "/repo/", "platform/postgres/", "schema.rs", "error.rs", "jobs/queue/"];
    let mut broken = Vec::new();
    for source in sources() {
        let is_room = rooms.iter().any(|room| source.path.contains(room));
        // A service opens a transaction, which is a method of the connection, and passes the connection on.
        let code = source
            .code
            .replace("diesel_async::AsyncConnection", "")
            .replace("diesel_async::AsyncPgConnection", "");
        let code = code.replace("diesel_async::{AsyncConnection, AsyncPgConnection}", "");
        let names = code.contains("diesel::") || code.contains("diesel_async::");
        if names && !is_room {
            broken.push(source.path);
        }
    }
    none("only models and repositories name Diesel", broken);
}

#[test]
fn sql_is_written_by_hand_in_few_places() {
    let mut broken = Vec::new();
    for source in sources() {
        let is_raw = source.code.contains("statement(") || source.code.contains("sql_query(");
        if is_raw && !RAW_SQL.iter().any(|place| source.path.starts_with(place)) {
            broken.push(source.path);
        }
    }
    none("raw SQL stands in the listed files alone", broken);
}

/// `get_result` returns with the first row, which a server that goes down may send before it has committed.
#[test]
fn what_writes_is_awaited_to_its_end() {
    let writes = [
        "INSERT INTO",
        "UPDATE ",
        "DELETE FROM",
        "SELECT ledger_",
        "::update(",
        "::insert_into(",
        "::delete(",
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for function in source.code.split("fn ") {
            let function = &function.replace("FOR UPDATE", "");
            let takes_first = function.contains(".get_result(") || function.contains(".get_result::<");
            if takes_first && writes.iter().any(|write| function.contains(write)) {
                let name = function.split(['(', '<']).next().unwrap();
                broken.push(format!("{}: {name}", source.path));
            }
        }
    }
    none("what writes uses `load` and `only`, not `get_result`", broken);
}

#[test]
fn only_a_hold_funds_a_call_and_only_moderation_clears_it() {
    let places = |words: &str| -> Vec<String> {
        sources().into_iter().filter(|source| source.code.contains(words)).map(|source| source.path).collect()
    };
    assert_eq!(places("Funding for "), ["domains/credits/hold.rs"]);
    assert_eq!(places("Clearance for "), ["domains/moderation/service.rs"]);
}

#[test]
fn time_comes_from_the_clock() {
    let mut broken = Vec::new();
    for source in sources() {
        if ["now()", "CURRENT_TIMESTAMP", "clock_timestamp"].iter().any(|word| {
            source.code.match_indices(word).any(|(at, _)| {
                let before = &source.code[..at];
                *word != "now()"
                    || (before.ends_with("SELECT ") || before.ends_with(' ') && before.ends_with("= "))
            })
        }) {
            broken.push(source.path);
        }
    }
    none("SQL takes the time from loquent_now(), Rust from the clock", broken);

    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in
        std::fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        let sql = std::fs::read_to_string(entry.join("up.sql")).unwrap();
        let foreign = sql.replace("loquent_now()", "").replace("'SELECT clock_timestamp()'", "");
        for word in ["now()", "clock_timestamp", "current_timestamp", "statement_timestamp"] {
            assert!(!foreign.to_lowercase().contains(word), "{} asks {word} for the time", entry.display());
        }
    }
}
