//! How an attempt failed, and what that means for the next.

use std::time::Duration;

use crate::error::AppError;

/// A failed attempt. `?` on an [`AppError`] makes one that is tried again.
#[derive(Debug)]
pub struct Failure {
    pub(super) error: AppError,
    pub(super) next: Next,
    is_lost: bool,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Tried again, not before this time; the backoff may be longer.
    After(Duration),
    /// Dead at once.
    Never,
}

impl Next {
    /// After the backoff alone.
    pub const SOON: Self = Self::After(Duration::ZERO);
}

impl Failure {
    /// Tried again, but not before `pause`; somebody outside has asked for it.
    pub fn retry_after(error: AppError, pause: Duration) -> Self {
        Self { error, next: Next::After(pause), is_lost: false }
    }

    /// A further attempt would fail in the same way: the job is dead at once.
    pub fn never(error: AppError) -> Self {
        Self { error, next: Next::Never, is_lost: false }
    }

    /// Another process has the job, or this one lost its lease. A handler passes it on and is done.
    pub(super) fn lost() -> Self {
        let error = AppError::unavailable(anyhow::anyhow!("the job was taken over"));
        Self { error, next: Next::SOON, is_lost: true }
    }

    /// True when the job is somebody else's by now, so there is nothing more to do.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self { error, next: Next::SOON, is_lost: false }
    }
}
