//! What is counted when it is made and costs nothing more: an empty conversation.
//!
//! There is no work to wait for, so its hold is opened and settled at once, in the transaction of what is made.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde_json::Value;
use uuid::Uuid;

use super::{
    demand::Demand,
    lines::{Line, Target},
    quota::{Limits, Quota, read_counts},
    repo::counted::{self as repo, Counted},
    windows::Anchors,
};
use crate::{
    domains::catalog::{Meter, Plan},
    error::{AppError, Result},
};

/// A conversation without a message, as the limits of a plan count it.
#[derive(Debug, Clone)]
pub struct NewConversationCount {
    /// Of the conversation.
    pub id: Uuid,
    pub account_id: Uuid,
    /// Who makes it; limits of members count this person.
    pub user_id: Uuid,
    lines: Vec<Line>,
    until: DateTime<Utc>,
    /// For the case that it is refused.
    demand: Arc<Demand>,
}

/// Why a conversation was not counted.
#[derive(Debug)]
pub enum NotCounted {
    /// A window, the period or the plan was over before its turn came: count it anew.
    MovedOn,
    Failed(AppError),
}

impl<E: Into<AppError>> From<E> for NotCounted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl NewConversationCount {
    /// At the instant `now`, on a plan that is in force `until` then.
    pub fn new(
        (id, account_id, user_id): (Uuid, Uuid, Uuid),
        plan: &Plan,
        anchors: &Anchors,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Self {
        let lines = conversation_lines(plan, anchors, now);
        let limits = Limits::new(plan, std::iter::empty(), anchors).counted_by(&lines);
        let demand = Arc::new(Demand::of_conversation(user_id, plan, anchors, now, limits));
        let until = Line::until(&lines, until);
        Self { id, account_id, user_id, lines, until, demand }
    }

    /// As `ledger_hold` reads it.
    pub(super) fn lines(&self) -> Value {
        self.lines.iter().map(|line| line.to_json(self.user_id)).collect()
    }

    /// What is asked for, for the case that it is refused.
    pub(super) fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// From when on the lines say nothing any more.
    pub(super) fn until(&self) -> DateTime<Utc> {
        self.until
    }
}

/// Where a plan counts an empty conversation.
pub fn conversation_lines(plan: &Plan, anchors: &Anchors, now: DateTime<Utc>) -> Vec<Line> {
    let limits = plan.content.limits.iter().filter(|limit| limit.meter == Meter::Conversations);
    let line = |limit| Line {
        meter: Meter::Conversations,
        target: Target::of_limit(limit, anchors, now),
        fixed: 1,
        rate: 0,
    };
    limits.map(line).collect()
}

/// Counts a new conversation in every limit of the plan on conversations, or refuses it. Returns the limits as they stand
/// then; none, without I/O, when the plan has none. After an error the transaction can only be rolled back.
pub async fn count_conversation_in_tx(
    conn: &mut AsyncPgConnection,
    count: &NewConversationCount,
) -> Result<Vec<Quota>, NotCounted> {
    if count.lines.is_empty() {
        return Ok(Vec::new());
    }
    match repo::count_conversation(conn, count).await? {
        Counted::Counts(counts) => Ok(count.demand.limits.quotas(&read_counts(counts)?)),
        Counted::MovedOn => Err(NotCounted::MovedOn),
        Counted::Refused(refusal) => {
            refusal.count();
            Err(refusal.into_error().into())
        }
    }
}
