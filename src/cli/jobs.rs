//! `loquent jobs list|retry|discard`

use chrono::{DateTime, TimeDelta, Utc};

use super::{Verdict, args::Jobs, database::Database, printable, say};
use crate::{
    config::Config,
    domains::accounts::AccountRow,
    jobs::repo::{self, Changed, JobRow, JobState},
    platform::{ids::Id, postgres::Conn},
};

pub async fn run(config: &Config, action: Jobs) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = act(&database, action).await;
    database.close().await;
    result
}

async fn act(database: &Database, action: Jobs) -> anyhow::Result<Verdict> {
    let db = database.pool("jobs").await?;
    let mut conn = db.conn().await?;
    match action {
        Jobs::List { state, name, limit } => list(&mut conn, &state, name.as_deref(), limit).await,
        Jobs::Retry { ids } => {
            let mut verdict = Verdict::Passed;
            for id in ids {
                verdict = told(id, "waits to run again", repo::retry(&mut conn, id.0).await?, verdict);
            }
            Ok(verdict)
        }
        Jobs::Discard { ids } => {
            let mut verdict = Verdict::Passed;
            for id in ids {
                verdict = told(id, "is discarded", repo::discard(&mut conn, id.0).await?, verdict);
            }
            Ok(verdict)
        }
    }
}

async fn list(
    conn: &mut Conn,
    states: &[JobState],
    name: Option<&str>,
    limit: u16,
) -> anyhow::Result<Verdict> {
    let (jobs, now) = repo::list(conn, states, name, limit.into()).await?;
    for job in &jobs {
        describe(job, now);
    }
    say(format_args!("jobs n={}", jobs.len()));
    Ok(Verdict::Passed)
}

/// One line a job, and of a dead one the reason and the way back.
fn describe(job: &JobRow, now: DateTime<Utc>) {
    let id = Id::<JobRow>::new(job.id);
    let account = job
        .account_id
        .map(|account| format!("  account {}", Id::<AccountRow>::new(account)))
        .unwrap_or_default();
    say(format_args!(
        "{id}  {:9}  {}  queue {}  attempts {}/{}  created {} ago  {}{account}",
        job.state,
        printable(&job.name),
        printable(&job.queue),
        job.attempts,
        job.max_attempts,
        age(now - job.created_at),
        since(job, now),
    ));
    if let Some(reason) = &job.reason {
        say(format_args!("    {}", printable(reason)));
    }
    if job.state == JobState::Dead.as_str() {
        say(format_args!("    loquent jobs retry {id}"));
    }
}

/// What the job is at, with the age of that.
fn since(job: &JobRow, now: DateTime<Utc>) -> String {
    match (job.finished_at, job.claimed_at) {
        (Some(finished), _) => format!("ended {} ago", age(now - finished)),
        (None, Some(claimed)) if job.state == JobState::Running.as_str() => {
            format!("begun {} ago", age(now - claimed))
        }
        _ if job.run_at > now => format!("due in {}", age(job.run_at - now)),
        _ => format!("due for {}", age(now - job.run_at)),
    }
}

/// A length of time in its largest unit.
fn age(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn told(id: Id<JobRow>, done: &str, changed: Changed, before: Verdict) -> Verdict {
    match changed {
        Changed::Yes => {
            say(format_args!("{id}  {done}"));
            return before;
        }
        Changed::NotFound => say(format_args!("{id}  does not exist")),
        Changed::Refused(state) => say(format_args!("{id}  is {state}; nothing was changed")),
        Changed::KeyTaken => say(format_args!("{id}  stays: another live job has its unique key")),
    }
    Verdict::NotPassed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        let told = [-5, 0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|s| age(TimeDelta::seconds(s)));
        assert_eq!(told, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
