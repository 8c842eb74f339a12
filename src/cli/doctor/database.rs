//! The database as this process would meet it.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::Finding;
use crate::{
    cli::database,
    config::Config,
    domains::catalog::{self, CatalogContent},
    platform::{
        clock::Clock,
        postgres::{
            Facts,
            connect::Target,
            embedded::{self, Bundled},
            migrate,
        },
    },
};

/// For all questions together.
const LIMIT: Duration = Duration::from_secs(10);

const OLDEST_MAJOR: i32 = 15;
/// Beyond this every statement is felt.
const SLOW: Duration = Duration::from_millis(50);
/// Tokens are dated by the process and compared with what the database dates.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// What was found, and the catalogue in force when it could be read.
pub(super) async fn check(config: &Config, clock: &Clock) -> (Vec<Finding>, Option<CatalogContent>) {
    let (mut findings, mut known) = (Vec::new(), None);
    let url = match &config.database.url {
        Some(url) => Some(url.expose_secret().to_owned()),
        None => {
            let bundled = embedded::look(&database::options(config)).await;
            findings.push(describe_bundled(&bundled, config));
            bundled.running_url(database::NAME)
        }
    };
    if let Some(url) = url {
        let answer = tokio::time::timeout(LIMIT, ask(&url, config, clock)).await;
        let silence = |_| (vec![unreachable(format!("no answer within {} s", LIMIT.as_secs()))], None);
        let (answers, content) = answer.unwrap_or_else(silence);
        findings.extend(answers);
        known = content;
    }
    (findings, known)
}

fn describe_bundled(bundled: &Bundled, config: &Config) -> Finding {
    let what = "bundled PostgreSQL";
    let dir = config.database.data_dir.display();
    match bundled {
        Bundled::Running { major, .. } => Finding::ok(what, format!("version {major} runs on {dir}")),
        Bundled::Stopped { major } => Finding::ok(
            what,
            format!("data of version {major} in {dir}; not running, so nothing in it was checked"),
        ),
        Bundled::Empty { programs: Some(version) } => Finding::ok(
            what,
            format!("version {version} is at hand; the first start makes the data in {dir}"),
        ),
        Bundled::Empty { programs: None } if config.database.is_download_allowed => {
            Finding::ok(what, "the first start downloads it")
        }
        Bundled::Empty { programs: None } => Finding::fail(
            what,
            "no server programs are on this machine, and downloads are off",
            "install PostgreSQL, set DATABASE_URL, or allow the download",
        ),
    }
}

async fn ask(url: &str, config: &Config, clock: &Clock) -> (Vec<Finding>, Option<CatalogContent>) {
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return (vec![unreachable(format!("{error:#}"))], None),
    };
    let mut conn = match target.connect().await {
        Ok(conn) => conn,
        Err(error) => return (vec![unreachable(error.to_string())], None),
    };
    let facts = match Facts::read(&mut conn).await {
        Ok(facts) => facts,
        Err(error) => return (vec![unreachable(error.to_string())], None),
    };
    let migrations = match migrate::compare(&mut conn).await {
        Ok(differences) => compare(&differences),
        Err(error) => {
            Finding::fail("migrations", error.to_string(), "let the user of DATABASE_URL read its tables")
        }
    };
    let mut findings = vec![
        version(&facts),
        encryption(&facts, target.is_local()),
        skew(&facts, clock),
        connections(&facts, config),
        migrations,
    ];
    // Without its tables there is nothing to say of the catalogue.
    let content = match catalog::find_newest(&mut conn).await {
        Ok(row) => super::catalog::describe(row.as_ref(), &mut findings),
        Err(_) => None,
    };
    (findings, content)
}

fn unreachable(reason: String) -> Finding {
    Finding::fail("database", reason, "check DATABASE_URL, and that the server runs and lets this machine in")
}

fn version(facts: &Facts) -> Finding {
    let answer = format!("PostgreSQL {}, {:.1} ms away", facts.version, facts.latency.as_secs_f64() * 1000.0);
    match facts {
        _ if facts.major < OLDEST_MAJOR => {
            Finding::fail("database", answer, format!("use PostgreSQL {OLDEST_MAJOR} or newer"))
        }
        _ if facts.latency > SLOW => Finding::warn("database", answer, "put both into one region or network"),
        _ => Finding::ok("database", answer),
    }
}

fn encryption(facts: &Facts, is_local: bool) -> Finding {
    let what = "database encryption";
    match (facts.is_encrypted, is_local) {
        (true, _) => Finding::ok(what, "TLS"),
        (false, true) => Finding::ok(what, "none, on this machine alone"),
        (false, false) => Finding::warn(
            what,
            "none: everything can be read on the way to the database",
            "add sslmode=verify-full to DATABASE_URL, and ssl=on to the server",
        ),
    }
}

fn skew(facts: &Facts, clock: &Clock) -> Finding {
    let apart = (facts.server_time - clock.now()).abs();
    let reason = format!("{} ms apart from the database", apart.num_milliseconds());
    match apart.to_std() {
        Ok(apart) if apart <= MAX_SKEW => Finding::ok("clock", reason),
        _ => Finding::warn("clock", reason, "let both machines take their time by NTP"),
    }
}

fn connections(facts: &Facts, config: &Config) -> Finding {
    let listener = usize::from(config.database.is_notifying);
    let wanted = config.database.request_pool + config.database.background_pool + listener;
    let left = facts.max_connections.saturating_sub(facts.used_connections);
    let reason = format!(
        "a process takes up to {wanted}; {left} of {} are free at this moment",
        facts.max_connections
    );
    let fix = "raise max_connections, lower database.request_pool, or put a pooler in session mode between";
    match usize::try_from(facts.max_connections) {
        Ok(most) if wanted > most => Finding::fail("database connections", reason, fix),
        _ if usize::try_from(left).is_ok_and(|left| left < wanted) => {
            Finding::warn("database connections", reason, fix)
        }
        _ => Finding::ok("database connections", reason),
    }
}

fn compare(differences: &migrate::Differences) -> Finding {
    let what = "migrations";
    let (pending, unknown) = (&differences.pending, &differences.unknown);
    if !pending.is_empty() {
        let reason =
            format!("{} pending, first {}", pending.len(), pending.first().map_or("", String::as_str));
        return Finding::warn(what, reason, "run `loquent migrate up`; the next start does it too");
    }
    if !unknown.is_empty() {
        let reason = format!("the database has {} that this version does not know", unknown.len());
        return Finding::warn(what, reason, "run the newer version that made them");
    }
    Finding::ok(what, "all applied")
}
