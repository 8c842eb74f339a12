//! The two sides of a failure: top-level errors, and `userErrors` in payloads. [`split`] decides which, by the code
//! alone.

use async_graphql::{Enum, Error, ErrorExtensionValues, Interface, ServerError, SimpleObject, Value};

use super::scalars::Decimal;
use crate::{
    domains::credits::Credits,
    error::{AppError, Details, ErrorCode, reference},
};

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
            ErrorCode::PlanRequired => Self::PlanRequired,
            ErrorCode::CallsLimited => Self::RateLimited,
            ErrorCode::ProviderUnavailable => Self::ProviderUnavailable,
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

/// Refusal because the balance does not cover the least the work would cost.
#[derive(Debug, Clone, SimpleObject)]
pub struct InsufficientCreditsError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
    /// Least credits the work needs.
    pub required: Decimal,
    /// Credits available.
    pub available: Decimal,
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
        let message = error.message().to_owned();
        let field = error.field().map(<[String]>::to_vec);
        match error.details() {
            Some(Details::Credits { required, available }) => {
                Self::InsufficientCredits(InsufficientCreditsError {
                    code,
                    message,
                    field,
                    required: Credits(*required).into(),
                    available: Credits(*available).into(),
                })
            }
            Some(Details::Provider { model, retry_after }) => {
                Self::ProviderUnavailable(ProviderUnavailableError {
                    code,
                    message,
                    field,
                    model: model.clone(),
                    retry_after_seconds: retry_after
                        .map(|time| i32::try_from(time.as_secs()).unwrap_or(i32::MAX)),
                })
            }
            Some(Details::Quota(_)) | None => Self::Plain(PlainError { code, message, field }),
        }
    }
}

/// Sorts the result of a mutation: what the person can put right goes into the payload, the rest up.
pub fn split<T>(result: Result<T, AppError>) -> Result<Result<T, Vec<UserError>>, Error> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.code().is_user_error() => {
            error.log();
            Ok(Err(vec![UserError::from(&error)]))
        }
        Err(error) => Err(top_level(&error)),
    }
}

/// A top-level error with its code. It is logged here, where it leaves the product.
pub fn top_level(error: &AppError) -> Error {
    error.log();
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", error.code().as_str());
    let mut shown = Error::new(error.message());
    shown.extensions = Some(extensions);
    shown
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
