//! The one error of the product: a public part (code, message, details) and a private source that only the log sees.
//!
//! One rule splits the codes: what the person at the screen can put right is a *user error* of the payload
//! ([`ErrorCode::is_user_error`]); everything else is a top-level GraphQL error.

mod codes;
pub mod reference;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

pub use codes::ErrorCode;

pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// Typed facts of a failure, shown beside its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Details {
    /// Micro-credits: the least the work needs and what there is.
    Credits { required: i64, available: i64 },
    /// The model that was asked for and when to try again.
    Provider { model: String, retry_after: Option<Duration> },
    /// The limit that was reached.
    Quota(Box<QuotaDetails>),
    /// When the same may be tried again.
    Wait { retry_after: Duration },
    /// Key of the model or feature that the plan lacks.
    PlanRequired { requires: String },
}

/// A limit in numbers; credits and cost are in millionths. Meter, window and scope have their names of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaDetails {
    pub meter: &'static str,
    pub window: &'static str,
    pub scope: &'static str,
    pub limit: Option<i64>,
    pub used: i64,
    pub held: i64,
    pub resets_at: Option<DateTime<Utc>>,
    pub revision: i64,
    /// Until the same call would pass, in whole seconds; `None` when waiting does not help.
    pub retry_after: Option<Duration>,
}

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    field: Option<Vec<String>>,
    details: Option<Details>,
    source: Option<anyhow::Error>,
}

/// A failure; cheap to clone, because one failed batch of a loader answers many fields.
#[derive(Debug, Clone)]
pub struct AppError(Arc<Inner>);

impl AppError {
    /// `message` is a finished sentence for the person who called.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { code, message: message.into(), field: None, details: None, source: None }))
    }

    /// A value at `input.<path>` is wrong; `path` uses dots, such as `parts.0.text`.
    pub fn invalid(path: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidInput, message).at(path)
    }

    /// The object does not exist, or not for this caller.
    pub fn not_found(path: &str, what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("This {what} does not exist.")).at(path)
    }

    /// A fault of ours; `source` goes to the log alone.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::with_source(ErrorCode::Internal, "Something went wrong on our side.", source)
    }

    pub fn with_source(
        code: ErrorCode,
        message: impl Into<Cow<'static, str>>,
        source: impl Into<anyhow::Error>,
    ) -> Self {
        Self(Arc::new(Inner {
            code,
            message: message.into(),
            field: None,
            details: None,
            source: Some(source.into()),
        }))
    }

    /// Too many of them lately: `RATE_LIMITED`, to be repeated after so long and not before.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::new(ErrorCode::RateLimited, message).with_details(Details::Wait { retry_after })
    }

    /// Names the input value at fault.
    pub fn at(self, path: &str) -> Self {
        let field = std::iter::once("input").chain(path.split('.')).map(str::to_owned).collect();
        self.change(|inner| inner.field = Some(field))
    }

    pub fn with_details(self, details: Details) -> Self {
        self.change(|inner| inner.details = Some(details))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            code: shared.code,
            message: shared.message.clone(),
            field: shared.field.clone(),
            details: shared.details.clone(),
            source: shared.source.as_ref().map(|source| anyhow::anyhow!("{source:#}")),
        });
        change(&mut inner);
        Self(Arc::new(inner))
    }

    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Path to the input value at fault, `input` first.
    pub fn field(&self) -> Option<&[String]> {
        self.0.field.as_deref()
    }

    pub fn details(&self) -> Option<&Details> {
        self.0.details.as_ref()
    }

    /// When the same call may pass, if waiting helps and somebody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.details()? {
            Details::Quota(quota) => quota.retry_after,
            Details::Provider { retry_after, .. } => *retry_after,
            Details::Wait { retry_after } => Some(*retry_after),
            Details::Credits { .. } | Details::PlanRequired { .. } => None,
        }
    }

    /// Everything that is known of the failure, its private source included; for the log alone.
    pub fn chain(&self) -> String {
        match &self.0.source {
            Some(source) => format!("{self}: {source:#}"),
            None => self.to_string(),
        }
    }

    /// Logs once, where the failure leaves the product; the level follows who is to blame.
    pub fn log(&self) {
        let code = self.code().as_str();
        let source = self.0.source.as_ref().map(|source| format!("{source:#}"));
        let source = source.as_deref();
        match self.code() {
            ErrorCode::Internal | ErrorCode::Timeout => {
                tracing::error!(code, source, "{}", self.message());
            }
            ErrorCode::ServiceUnavailable | ErrorCode::ProviderUnavailable | ErrorCode::GenerationFailed => {
                tracing::warn!(code, source, "{}", self.message());
            }
            _ => tracing::debug!(code, source, "{}", self.message()),
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code().as_str(), self.message())
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<DieselError> for AppError {
    fn from(error: DieselError) -> Self {
        if is_passing(&error) { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// True for trouble of the database that a repeat may not meet again. Diesel has a kind for few of them; the others are
/// known by PostgreSQL's messages, so a server whose `lc_messages` is not English has them reported as faults of ours.
fn is_passing(error: &DieselError) -> bool {
    const PASSING: [&str; 8] = [
        "canceling statement due to",
        "deadlock detected",
        "terminating connection",
        "the database system is",
        "too many clients",
        "remaining connection slots",
        "connection closed",
        "server closed the connection",
    ];
    match error {
        DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(kind, info) => {
            matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::SerializationFailure)
                || PASSING.iter().any(|text| info.message().contains(text))
        }
        _ => false,
    }
}

impl AppError {
    /// The database, or a place in a queue of ours, could not be had in time.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self::with_source(
            ErrorCode::ServiceUnavailable,
            "The server is busy. Please try again in a moment.",
            source,
        )
    }
}
