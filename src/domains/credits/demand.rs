//! What was asked of an account, so that it can be asked of other plans when it is refused.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    counted::conversation_lines,
    lines::{Line, Target},
    model::Balance,
    quota::{Count, Limits},
    quote::{Call, Quote},
    windows::Anchors,
};
use crate::domains::catalog::{Ceilings, Meter, Model, Plan};

/// Work that an account may be too poor for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    work: Work,
    user_id: Uuid,
    anchors: Anchors,
    now: DateTime<Utc>,
    /// What the plan includes in each period, of what is in wallets.
    included: Vec<(Meter, i64)>,
    /// Those in which it counts.
    pub(super) limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Turn { model_key: String, prompt_tokens: u32, wanted: Option<u32>, is_new_conversation: bool },
    Conversation,
}

/// What the account had when it was refused.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub balance: Balance,
    pub counts: &'a [Count],
}

impl Demand {
    /// A call that counts in these limits.
    pub(super) fn of_call(call: &Call<'_>, limits: Limits) -> Self {
        let work = Work::Turn {
            model_key: call.model.key.clone(),
            prompt_tokens: call.prompt_tokens,
            wanted: call.wanted,
            is_new_conversation: call.is_new_conversation,
        };
        let (anchors, user_id, now) = (*call.anchors, call.user_id, call.now);
        Self { work, user_id, anchors, now, included: included(call.plan), limits }
    }

    /// An empty conversation that counts in these limits.
    pub(super) fn of_conversation(
        user_id: Uuid,
        plan: &Plan,
        anchors: &Anchors,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Self {
        let (work, anchors) = (Work::Conversation, *anchors);
        Self { work, user_id, anchors, now, included: included(plan), limits }
    }

    /// Key of the model that was to be called.
    pub fn model_key(&self) -> Option<&str> {
        match &self.work {
            Work::Turn { model_key, .. } => Some(model_key),
            Work::Conversation => None,
        }
    }

    /// Whether the same would pass on a plan, as far as that can be known: its models, its floor, and every limit that the
    /// work counts in, less what is used and held there. `model` is the one of [`Self::model_key`].
    pub fn passes_on(
        &self,
        plan: &Plan,
        model: Option<&Model>,
        ceilings: &Ceilings,
        means: Means<'_>,
    ) -> bool {
        let (lines, min) = match (&self.work, model) {
            (Work::Conversation, _) => (conversation_lines(plan, &self.anchors, self.now), 0),
            (Work::Turn { prompt_tokens, wanted, is_new_conversation, .. }, Some(model))
                if plan.allows(model) =>
            {
                let quote = Quote::new(&Call {
                    model,
                    plan,
                    ceilings,
                    anchors: &self.anchors,
                    now: self.now,
                    // Nothing is held by this quote.
                    until: self.now,
                    user_id: self.user_id,
                    // History is left out where a plan takes less of it.
                    prompt_tokens: (*prompt_tokens).min(Call::input_cap(plan, ceilings)),
                    wanted: *wanted,
                    is_new_conversation: *is_new_conversation,
                });
                (quote.lines, quote.min)
            }
            (Work::Turn { .. }, _) => return false,
        };
        let included = included(plan);
        lines.iter().all(|line| line.cost(min) <= self.room(line, &included, means))
    }

    /// What would be left for a line. What all accounts use together is no matter of a plan.
    fn room(&self, line: &Line, included: &[(Meter, i64)], means: Means<'_>) -> i128 {
        let count = |is_granted: bool| {
            means.counts.iter().find(move |count| {
                count.limit.is_some() == is_granted && count.meter == line.meter && line.target.is_at(count)
            })
        };
        let taken = |count: &Count| i128::from(count.used) + i128::from(count.held);
        match line.target {
            Target::Deployment { .. } | Target::Counter { limit: None, .. } => i128::MAX,
            Target::Counter { limit: Some(limit), .. } => i128::from(limit) - count(false).map_or(0, taken),
            Target::Wallet => {
                let available = match line.meter {
                    Meter::Credits => i128::from(means.balance.available),
                    _ => count(true)
                        .map_or(0, |count| i128::from(count.limit.unwrap_or_default()) - taken(count)),
                };
                // A better plan grants what it includes beyond the one in force.
                available + (of(line.meter, included) - of(line.meter, &self.included)).max(0)
            }
        }
    }
}

fn of(meter: Meter, included: &[(Meter, i64)]) -> i128 {
    included.iter().find(|(known, _)| *known == meter).map_or(0, |(_, amount)| i128::from(*amount))
}

fn included(plan: &Plan) -> Vec<(Meter, i64)> {
    let granted = plan.content.limits.iter().filter(|limit| limit.is_granted());
    let granted = granted.filter_map(|limit| Some((limit.meter, limit.amount?)));
    plan.content.credits.map(|credits| (Meter::Credits, credits)).into_iter().chain(granted).collect()
}

#[cfg(test)]
mod tests;
