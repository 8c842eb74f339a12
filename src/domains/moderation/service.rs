//! Asking for a judgement.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Submission, Verdict};
use crate::{
    error::{AppError, ErrorCode, Result},
    providers::types::Clearance,
};

/// Longest wait for a judgement. The caller waits meanwhile, and for a model it has waited as long by then.
const LIMIT: Duration = Duration::from_secs(5);

/// Who judges.
#[async_trait]
pub trait Moderator: Send + Sync {
    /// Judges what somebody wants to send.
    ///
    /// # Errors
    /// When there is no judgement; then nothing is sent.
    async fn judge(&self, submission: &Submission<'_>) -> anyhow::Result<Verdict>;
}

/// Lets everything through: the judgement where no rules are set.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowsAll;

#[async_trait]
impl Moderator for AllowsAll {
    async fn judge(&self, _: &Submission<'_>) -> anyhow::Result<Verdict> {
        Ok(Verdict::Allowed)
    }
}

/// Proof that a submission was let through, for one call of a model. It is neither copied nor cloned.
#[derive(Debug)]
pub struct Allowed(());

impl Clearance for Allowed {}

/// The one place where is asked; clones share the moderator.
#[derive(Clone)]
pub struct Moderation {
    moderator: Arc<dyn Moderator>,
}

impl Moderation {
    pub fn new(moderator: Arc<dyn Moderator>) -> Self {
        Self { moderator }
    }

    /// Lets a submission through or refuses it.
    ///
    /// # Errors
    /// `CONTENT_BLOCKED` at the passage that was refused; `SERVICE_UNAVAILABLE` when there is no judgement in time.
    pub async fn check(&self, submission: &Submission<'_>) -> Result<Allowed> {
        match tokio::time::timeout(LIMIT, self.moderator.judge(submission)).await {
            Ok(Ok(Verdict::Allowed)) => Ok(Allowed(())),
            Ok(Ok(Verdict::Blocked { passage })) => Err(blocked(submission, passage)),
            Ok(Err(error)) => Err(AppError::unavailable(error.context("moderation failed"))),
            Err(_) => Err(AppError::unavailable(anyhow::anyhow!("moderation did not answer in {LIMIT:?}"))),
        }
    }
}

fn blocked(submission: &Submission<'_>, passage: usize) -> AppError {
    let error = AppError::new(ErrorCode::ContentBlocked, "This content is not allowed here.");
    match submission.passages.get(passage).and_then(|passage| passage.path.as_deref()) {
        Some(path) => error.at(path),
        None => error,
    }
}
