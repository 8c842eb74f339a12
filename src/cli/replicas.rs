//! `loquent replicas`

use super::{Verdict, args::Replicas, database::Database, instant, printable, say};
use crate::{
    config::Config,
    platform::postgres::replicas::{self, ReplicaRow},
};

pub async fn run(config: &Config, wishes: Replicas) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = list(&database, wishes.limit).await;
    database.close().await;
    result
}

async fn list(database: &Database, limit: u16) -> anyhow::Result<Verdict> {
    let db = database.pool("replicas").await?;
    let found = replicas::list(&mut *db.conn().await?, i64::from(limit)).await?;
    say(format_args!(
        "{:<36}  {:<7}  {:>8}  {:>7}  {:>4}  {:<20}  {:<9}  HOST",
        "ID", "STATE", "LEASE", "ANSWERS", "JOBS", "STARTED", "VERSION"
    ));
    found.iter().for_each(|replica| say(line(replica)));
    let in_state = |state: &str| found.iter().filter(|replica| replica.state == state).count();
    say(format_args!(
        "{}: alive n={} lost n={} fenced n={} drained n={}",
        if found.len() < usize::from(limit) { "replicas" } else { "replicas shown (--limit)" },
        in_state("alive"),
        in_state("lost"),
        in_state("fenced"),
        in_state("drained")
    ));
    Ok(Verdict::Passed)
}

fn line(replica: &ReplicaRow) -> String {
    let ReplicaRow { id, host, version, started_at, lease_left_ms, state, generations, jobs } = replica;
    let (host, version) = (printable(host), printable(version));
    let started = instant(*started_at).to_string();
    let lease = lease_left_ms / 1000;
    format!(
        "{id}  {state:<7}  {lease:>6} s  {generations:>7}  {jobs:>4}  {started:<20}  {version:<9}  {host}"
    )
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_line_says_what_the_process_is_and_has() {
        let replica = ReplicaRow {
            id: Uuid::nil(),
            host: "web-1\u{1b}[2J".to_owned(),
            version: "0.1.0".to_owned(),
            started_at: DateTime::<Utc>::UNIX_EPOCH,
            lease_left_ms: -12_345,
            state: "lost".to_owned(),
            generations: 3,
            jobs: 2,
        };
        let expected = "00000000-0000-0000-0000-000000000000  lost        -12 s        3     2  \
                        1970-01-01T00:00:00Z  0.1.0      web-1[2J";
        assert_eq!(line(&replica), expected);
    }
}
