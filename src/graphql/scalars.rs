//! Scalars of the API.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{SecondsFormat, Utc};
use rust_decimal::Decimal as Number;

use crate::domains::credits::Credits;

/// Instant in UTC as RFC 3339 with milliseconds, such as `2026-11-20T09:30:00.000Z`.
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// Instant in UTC as RFC 3339 with milliseconds, such as `2026-11-20T09:30:00.000Z`.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Ok(Self(instant.to_utc())),
            Err(_) => Err(InputValueError::custom("Expected an instant such as `2026-11-20T09:30:00.000Z`.")),
        }
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(instant: chrono::DateTime<Utc>) -> Self {
        Self(instant)
    }
}

/// Exact decimal number sent as a string, such as `"12.500000"`; never a float.
#[derive(Debug, Clone, Copy)]
pub struct Decimal(pub Number);

/// Exact decimal number sent as a string, such as `"12.500000"`; never a float.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => {
                return Err(InputValueError::custom(
                    "Expected a decimal number as a string, such as `\"12.5\"`.",
                ));
            }
        };
        match Number::from_str_exact(&text) {
            Ok(number) => Ok(Self(number)),
            Err(_) => Err(InputValueError::custom("Expected a decimal number such as `12.5`.")),
        }
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Credits> for Decimal {
    fn from(credits: Credits) -> Self {
        Self(Number::new(credits.0, 6))
    }
}

impl Decimal {
    /// Micro-credits of a number that is not negative, with at most six decimals; `None` beyond.
    pub fn to_micro(self) -> Option<i64> {
        let micro = self.0.checked_mul(Number::from(1_000_000))?;
        (micro.is_integer() && !micro.is_sign_negative()).then(|| i64::try_from(micro).ok()).flatten()
    }
}

/// E-mail address as defined by RFC 5321, compared without regard to case.
#[derive(Debug, Clone)]
pub struct EmailAddress(pub String);

/// E-mail address as defined by RFC 5321, compared without regard to case.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc5321")]
impl ScalarType for EmailAddress {
    fn parse(value: Value) -> InputValueResult<Self> {
        // Which addresses are good is for the service to say, with a field error.
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
