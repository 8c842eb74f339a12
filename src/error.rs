//! The one error of the product: a public part (code, message, details) and a private source that only the log sees.
//!
//! One rule splits the codes: what the person at the screen can put right is a *user error* of the payload
//! ([`ErrorCode::is_user_error`]); everything else is a top-level GraphQL error.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

pub type Result<T, E = AppError> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $side:ident, $status:literal;)*) => {
        /// Reason of a failure, for programs. The list is closed within a release.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name),* }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as clients see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// True when it belongs into `userErrors`, false when it is a top-level error.
            pub fn is_user_error(self) -> bool {
                match self { $(Self::$name => matches!(Side::$side, Side::User)),* }
            }

            /// HTTP status when nothing was executed; plain HTTP routes answer with it too.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }
        }
    };
}

enum Side {
    User,
    Request,
}

codes! {
    /// The document is not GraphQL.
    ParseFailed = "GRAPHQL_PARSE_FAILED", Request, 400;
    /// The document does not fit the schema.
    ValidationFailed = "GRAPHQL_VALIDATION_FAILED", Request, 400;
    /// A variable, argument, id or cursor is malformed, or the request itself is.
    BadUserInput = "BAD_USER_INPUT", Request, 400;
    /// No document is known by this hash: send the document along.
    PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND", Request, 400;
    /// The document asks for more than one operation may.
    QueryTooExpensive = "QUERY_TOO_EXPENSIVE", Request, 400;
    /// The document is nested too deeply.
    QueryTooDeep = "QUERY_TOO_DEEP", Request, 400;
    /// A credential is missing or wrong.
    Unauthenticated = "UNAUTHENTICATED", Request, 401;
    /// The access token has expired: renew it and repeat.
    TokenExpired = "TOKEN_EXPIRED", Request, 401;
    /// The caller lacks the level or the right for this.
    Forbidden = "FORBIDDEN", Request, 403;
    /// Too many operations at once.
    RateLimited = "RATE_LIMITED", Request, 429;
    /// The operation took longer than allowed.
    Timeout = "TIMEOUT", Request, 504;
    /// The server cannot answer now: repeat after a moment.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", Request, 503;
    /// A fault of the server; the log has it under the request id.
    Internal = "INTERNAL_SERVER_ERROR", Request, 500;

    /// A value is malformed, out of range or contradicts another.
    InvalidInput = "INVALID_INPUT", User, 400;
    /// A referenced object does not exist or may not be seen by the caller.
    NotFound = "NOT_FOUND", User, 404;
    /// The caller sees the object but the role in the account does not allow this.
    RoleForbids = "FORBIDDEN", User, 403;
    /// The object is not in a state that allows this, or was changed meanwhile.
    Conflict = "CONFLICT", User, 409;
    /// The idempotency key was used before with another input.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", User, 409;
    /// E-mail or password is wrong; which one is never said.
    InvalidCredentials = "INVALID_CREDENTIALS", User, 401;
    /// A refresh token is wrong, used or expired.
    InvalidCode = "INVALID_CODE", User, 400;
    /// The person is suspended or banned.
    Suspended = "SUSPENDED", User, 403;
    /// The balance does not cover the least that this would cost.
    InsufficientCredits = "INSUFFICIENT_CREDITS", User, 402;
    /// No provider of the model answers at the moment.
    ProviderUnavailable = "PROVIDER_UNAVAILABLE", User, 503;
    /// The conversation is longer than the model can take.
    ContextTooLong = "CONTEXT_TOO_LONG", User, 422;
    /// The provider failed after the work had begun.
    GenerationFailed = "GENERATION_FAILED", User, 502;
    /// The work was cut off and may be started again.
    Interrupted = "INTERRUPTED", User, 503;
    /// The work took longer than allowed.
    TimedOut = "TIMED_OUT", User, 504;
}

impl ErrorCode {
    /// The code of a stored name; `None` for a name no release has had.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// Typed facts of a failure, shown beside its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Details {
    /// Micro-credits: the least the work needs and what there is.
    Credits { required: i64, available: i64 },
    /// The model that was asked for and when to try again.
    Provider { model: String, retry_after: Option<Duration> },
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
