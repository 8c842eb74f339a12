//! The words of `loquent jobs`.

use clap::Subcommand;

use crate::{
    jobs::repo::{JobRow, JobState},
    platform::ids::Id,
};

/// What to do with jobs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Jobs {
    /// Show the newest jobs, with the reason of those that have failed
    List {
        /// Only in this state; may be given more than once [default: all but done and canceled]
        #[arg(
            long,
            value_name = "STATE",
            value_parser = job_state,
            default_values = ["scheduled", "ready", "running", "dead"],
            hide_default_value = true
        )]
        state: Vec<JobState>,
        /// Only of this kind, such as `mail.send`
        #[arg(long)]
        name: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Let dead or discarded jobs begin again, with all their attempts
    Retry {
        #[arg(required = true, value_name = "ID", value_parser = Id::<JobRow>::parse)]
        ids: Vec<Id<JobRow>>,
    },
    /// End jobs that are dead or wait; they are not tried again
    Discard {
        #[arg(required = true, value_name = "ID", value_parser = Id::<JobRow>::parse)]
        ids: Vec<Id<JobRow>>,
    },
}

fn job_state(text: &str) -> Result<JobState, String> {
    let states = JobState::ALL.map(JobState::as_str).join(", ");
    let found = JobState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("the states are {states}"))
}
