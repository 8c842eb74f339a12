//! Which statements belong to a request and which to nobody's.
//!
//! The proxy sees every statement, so work that belongs to no request is known by its text: the pulse is a flush of the
//! log without an event, whether a session still lives is asked once in five seconds, what a caller may use once in a
//! second (`rates::costs` counts that), and news of other processes once in a second.

use std::fmt::Write;

use super::proxy::Flight;

/// Settings under which the sweeper does not begin within a test.
pub const QUIET: &str = "[streams]\nlease_ms = 60000";

/// The log is written.
pub fn is_flush(flight: &Flight) -> bool {
    flight.sql.contains("INSERT INTO stream_events")
}

/// A flush of nothing: an array of one dimension without an item is twenty bytes, and no other parameter is.
fn is_pulse(flight: &Flight) -> bool {
    is_flush(flight) && flight.values.iter().flatten().any(|value| value.len() == 20)
}

pub fn is_session_check(flight: &Flight) -> bool {
    flight.sql.contains(r#"FROM ("sessions" INNER JOIN "users""#)
}

pub fn is_rate(flight: &Flight) -> bool {
    flight.sql.contains("FROM rate_")
}

/// What the process asks and says by itself: news of the others, and that it still hears itself.
pub fn is_news(flight: &Flight) -> bool {
    flight.sql.contains("FROM cache_epochs") || flight.sql.starts_with("NOTIFY")
}

/// What the process does every second or two for those that died, and for what waits and is due.
fn is_sweep(flight: &Flight) -> bool {
    const SWEEPS: [&str; 13] = [
        "SET fenced_at",
        "AS n FROM replicas",
        "UPDATE jobs ",
        "FROM jobs ",
        "rotate_stream_log(",
        r#""generations"."finished_at" IS NULL"#,
        "SELECT loquent_now()",
        r#"FROM "cron_entries""#,
        r#"FROM "ledger_checks""#,
        "to_regclass('messages_'",
        // How far the accounts, conversations and runs are that somebody watches.
        "FROM quota_counters q WHERE q.account_id = s.account_id",
        r#"SELECT "conversations"."id", "conversations"."event_sequence" FROM"#,
        r#"SELECT "generations"."id", "generations"."revision" FROM"#,
    ];
    SWEEPS.iter().any(|text| flight.sql.contains(text))
}

/// A connection is made: its settings, and what the one that listens listens to.
fn is_opening(flight: &Flight) -> bool {
    const OPENINGS: [&str; 4] =
        ["SET TIME ZONE", "SET CLIENT_ENCODING", "SET statement_timeout", "SET synchronous_commit"];
    OPENINGS.iter().any(|text| flight.sql.starts_with(text))
}

/// Only what requests and their runs have asked for.
pub fn of_requests(mut flights: Vec<Flight>) -> Vec<Flight> {
    let mut was_opening = false;
    flights.retain(|flight| {
        // What a connection forgets while it is made has no text.
        was_opening = is_opening(flight) || was_opening && flight.sql.is_empty();
        !was_opening
    });
    flights.retain(|flight| {
        let is_once = is_session_check(flight) || is_rate(flight);
        !is_pulse(flight) && !is_once && !is_sweep(flight) && !is_news(flight)
    });
    flights
}

/// The statements, so that a count that is wrong says why.
pub fn show(flights: &[Flight]) -> String {
    flights.iter().fold(String::new(), |mut text, flight| {
        let sql: String = flight.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let sql: String = sql.chars().take(160).collect();
        writeln!(text, "{:>6}  {}{sql}", flight.wave, if flight.is_preparation { "prepare " } else { "" })
            .unwrap();
        text
    })
}
