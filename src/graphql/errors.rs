//! The two sides of a failure: top-level errors, and `userErrors` in payloads. [`split`] decides which, by the code
//! alone.

use async_graphql::{
    Context, Enum, Error, ErrorExtensionValues, Interface, ServerError, SimpleObject, Value,
    parser::types::Selection,
};

use crate::{
    domains::credits::{
        Refusal,
        graphql::{InsufficientCreditsError, PlanRequiredError, QuotaExceededError},
    },
    error::{AppError, Details, ErrorCode, reference},
    platform::postgres::rate_limits::whole_seconds,
};

/// Extension of an error: the same request may be admitted after so many seconds, and not before.
pub const RETRY_AFTER_SECONDS: &str = "retryAfterSeconds";

/// Reason of a user error; the list is closed for a release and may grow with a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "UserErrorCode")]
pub enum UserErrorCode {
    /// A value is malformed, out of range or contradicts another.
    InvalidInput,
    /// A referenced object does not exist or may not be seen by the caller.
    NotFound,
    /// The caller sees the object but the role in the account does not allow this.
    Forbidden,
    /// The object is not in a state that allows this, or was changed meanwhile.
    Conflict,
    /// The idempotency key was used before with another input.
    IdempotencyKeyReused,
    /// E-mail or password is wrong; which one is never said.
    InvalidCredentials,
    /// A one-time code, link, invitation or refresh token is wrong, used or expired.
    InvalidCode,
    /// The person is suspended or banned.
    Suspended,
    /// The balance does not cover the least that this would cost.
    InsufficientCredits,
    /// A limit of the plan for the hour, day, month or period is used up.
    QuotaExceeded,
    /// A limit of the plan for the minute is used up.
    RateLimited,
    /// The plan does not include the model or feature.
    PlanRequired,
    /// No provider of the model answers at the moment and no fallback is left.
    ProviderUnavailable,
    /// Moderation refused the content.
    ContentBlocked,
    /// The conversation is longer than the model or the plan can take.
    ContextTooLong,
    /// The provider failed after the work had begun.
    GenerationFailed,
    /// The work was cut off and may be started again.
    Interrupted,
    /// The work took longer than allowed.
    TimedOut,
}

impl UserErrorCode {
    /// The code in payloads, `None` for codes that are always top-level errors.
    pub fn of(code: ErrorCode) -> Option<Self> {
        Some(match code {
            ErrorCode::InvalidInput => Self::InvalidInput,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::RoleForbids => Self::Forbidden,
            ErrorCode::Conflict => Self::Conflict,
            ErrorCode::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            ErrorCode::InvalidCredentials => Self::InvalidCredentials,
            ErrorCode::InvalidCode => Self::InvalidCode,
            ErrorCode::Suspended => Self::Suspended,
            ErrorCode::InsufficientCredits => Self::InsufficientCredits,
            ErrorCode::QuotaExceeded => Self::QuotaExceeded,
            ErrorCode::CallsLimited => Self::RateLimited,
            ErrorCode::PlanRequired => Self::PlanRequired,
            ErrorCode::ProviderUnavailable => Self::ProviderUnavailable,
            ErrorCode::ContentBlocked => Self::ContentBlocked,
            ErrorCode::ContextTooLong => Self::ContextTooLong,
            ErrorCode::GenerationFailed => Self::GenerationFailed,
            ErrorCode::Interrupted => Self::Interrupted,
            ErrorCode::TimedOut => Self::TimedOut,
            _ => return None,
        })
    }
}

/// Problem that the person at the screen can do something about.
#[derive(Debug, Clone, Interface)]
#[graphql(
    field(name = "code", ty = "UserErrorCode", desc = "Reason for programs."),
    field(name = "message", ty = "String", desc = "Finished sentence in the language of the request."),
    field(
        name = "field",
        ty = "Option<Vec<String>>",
        desc = "Path to the offending value, starting with `input`, or null when no single value is at fault."
    )
)]
pub enum UserError {
    Plain(PlainError),
    InsufficientCredits(InsufficientCreditsError),
    QuotaExceeded(QuotaExceededError),
    PlanRequired(PlanRequiredError),
    ProviderUnavailable(ProviderUnavailableError),
}

/// User error that needs nothing beyond its code and message.
#[derive(Debug, Clone, SimpleObject)]
pub struct PlainError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
}

/// Failure to reach a model, after all fallbacks.
#[derive(Debug, Clone, SimpleObject)]
pub struct ProviderUnavailableError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
    /// Key of the model that was asked for.
    pub model: String,
    /// Seconds until another try makes sense, or null when unknown.
    pub retry_after_seconds: Option<i32>,
}

impl From<&AppError> for UserError {
    /// Callers have asked [`split`] before; a code that has no place in payloads reads as a conflict.
    fn from(error: &AppError) -> Self {
        let code = UserErrorCode::of(error.code()).unwrap_or(UserErrorCode::Conflict);
        let plain = PlainError {
            code,
            message: error.message().to_owned(),
            field: error.field().map(<[String]>::to_vec),
        };
        match error.details() {
            Some(Details::Credits { required, available }) => {
                Self::InsufficientCredits(InsufficientCreditsError::new(plain, *required, *available))
            }
            Some(Details::Quota(quota)) => {
                let refusal = Refusal::of_error(error);
                QuotaExceededError::new(&plain, quota, refusal)
                    .map_or(Self::Plain(plain), Self::QuotaExceeded)
            }
            Some(Details::PlanRequired { requires }) => {
                Self::PlanRequired(PlanRequiredError::new(plain, requires.clone()))
            }
            Some(Details::Provider { model, retry_after }) => {
                let PlainError { code, message, field } = plain;
                Self::ProviderUnavailable(ProviderUnavailableError {
                    code,
                    message,
                    field,
                    model: model.clone(),
                    retry_after_seconds: retry_after
                        .map(|time| i32::try_from(time.as_secs()).unwrap_or(i32::MAX)),
                })
            }
            Some(Details::Wait { .. }) | None => Self::Plain(plain),
        }
    }
}

/// What goes into a payload, or to the top.
type Sides<T> = Result<Result<T, Vec<UserError>>, Error>;

/// Sorts the result of a mutation: what the person can put right goes into the payload, the rest up. When nothing else was
/// asked for, the header `Retry-After` says beside the payload how long to wait.
pub fn split<T>(ctx: &Context<'_>, result: Result<T, AppError>) -> Sides<T> {
    if let Err(error) = &result
        && let Some(wait) = error.retry_after().filter(|_| is_only_field(ctx))
    {
        ctx.insert_http_header("retry-after", whole_seconds(wait).to_string());
    }
    sides(result)
}

/// [`split`] for those who have no answer to put a header on.
pub fn sides<T>(result: Result<T, AppError>) -> Sides<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.code().is_user_error() => {
            error.log();
            Ok(Err(vec![UserError::from(&error)]))
        }
        Err(error) => Err(top_level(&error)),
    }
}

/// True when the operation has one root field, written plainly.
fn is_only_field(ctx: &Context<'_>) -> bool {
    let selected = &ctx.query_env.operation.node.selection_set.node.items;
    matches!(selected.as_slice(), [one] if matches!(one.node, Selection::Field(_)))
}

/// A top-level error with its code. It is logged here, where it leaves the product.
pub fn top_level(error: &AppError) -> Error {
    error.log();
    let mut shown = Error::new(error.message());
    shown.extensions = Some(extensions(error));
    shown
}

/// What a top-level error says to programs, before [`complete`]: its code, and when to come back.
pub fn extensions(error: &AppError) -> ErrorExtensionValues {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", error.code().as_str());
    if let Some(Details::Wait { retry_after }) = error.details() {
        extensions.set(RETRY_AFTER_SECONDS, whole_seconds(*retry_after));
    }
    extensions
}

/// [`top_level`] as the last step of a resolver: `.map_err(raise)?`.
pub fn raise(error: AppError) -> Error {
    top_level(&error)
}

/// Adds what every top-level error has: its code, where that is explained, and the id of its request. An error that the
/// engine made itself gets its code here: those before execution have no path.
pub fn complete(error: &mut ServerError, request_id: &str) {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        let code = if error.path.is_empty() { ErrorCode::ValidationFailed } else { ErrorCode::BadUserInput };
        extensions.set("code", code.as_str());
    }
    if let Some(Value::String(code)) = extensions.get("code") {
        let url = reference::doc_url(code);
        extensions.set("docUrl", url);
    }
    extensions.set("requestId", request_id);
}
