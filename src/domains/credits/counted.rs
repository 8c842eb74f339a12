//! What is counted when it is made and costs nothing more: an empty conversation.
//!
//! There is no work to wait for, so its hold is opened and settled at once, in the transaction of what is made.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::{
    attempt::Attempt,
    lines::{Line, Target},
    quota::{Limits, Quota, read_counts},
    repo::counted as repo,
    windows::Anchors,
};
use crate::{
    domains::catalog::{Meter, Plan},
    error::Result,
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
    /// For the case that it is refused.
    attempt: Arc<Attempt>,
}

impl NewConversationCount {
    pub fn new(
        (id, account_id, user_id): (Uuid, Uuid, Uuid),
        plan: &Plan,
        anchors: &Anchors,
        now: DateTime<Utc>,
    ) -> Self {
        let lines = conversation_lines(plan, anchors, now);
        let limits = Limits::new(plan, std::iter::empty(), anchors).counted_by(&lines);
        let attempt = Arc::new(Attempt::of_conversation(user_id, plan, anchors, now, limits));
        Self { id, account_id, user_id, lines, attempt }
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
/// then; none, without I/O, when the plan has none. After a refusal the transaction can only be rolled back.
pub async fn count_conversation_in_tx(
    conn: &mut AsyncPgConnection,
    count: &NewConversationCount,
) -> Result<Vec<Quota>> {
    if count.lines.is_empty() {
        return Ok(Vec::new());
    }
    let lines = count.lines.iter().map(|line| line.to_json(count.user_id)).collect();
    let (id, account_id, user_id) = (count.id, count.account_id, count.user_id);
    let counted = repo::count_conversation(conn, (id, account_id, user_id), lines, &count.attempt).await?;
    match counted {
        Ok(counts) => Ok(count.attempt.limits.quotas(&read_counts(counts)?)),
        Err(refusal) => {
            refusal.count();
            Err(refusal.into_error())
        }
    }
}
