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
        // The parser is generous with what stands between day and time.
        let instant = chrono::DateTime::parse_from_rfc3339(text).ok();
        let instant =
            instant.filter(|_| text.as_bytes().get(10).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'T')));
        instant
            .map(|instant| Self(instant.to_utc()))
            .ok_or_else(|| InputValueError::custom("Expected an instant such as `2026-11-20T09:30:00.000Z`."))
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

/// JSON value whose shape belongs to the caller (tool arguments, metadata), at most 64 KiB and 64 levels deep.
#[derive(Debug, Clone)]
pub struct Json(pub serde_json::Value);

/// JSON value whose shape belongs to the caller (tool arguments, metadata), at most 64 KiB and 64 levels deep.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
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
        let number = Number::from_str_exact(&text).ok().filter(|_| is_plain(&text));
        number.map(Self).ok_or_else(|| InputValueError::custom("Expected a decimal number such as `12.5`."))
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Digits with at most one point between them; no exponent, plus sign or group, which the parser would take.
fn is_plain(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole) && are_digits(fraction)
}

impl From<Credits> for Decimal {
    fn from(credits: Credits) -> Self {
        Self(Number::new(credits.0, 6))
    }
}

impl Decimal {
    /// An amount in millionths, of credits for example.
    pub fn of_micro(micro: i64) -> Self {
        Self(Number::new(micro, 6))
    }

    /// Millionths of a number with at most six decimals; `None` beyond.
    pub fn to_signed_micro(self) -> Option<i64> {
        let micro = self.0.checked_mul(Number::from(1_000_000))?;
        micro.is_integer().then(|| i64::try_from(micro).ok()).flatten()
    }

    /// Micro-credits of a number that is not negative, with at most six decimals; `None` beyond.
    pub fn to_micro(self) -> Option<i64> {
        self.to_signed_micro().filter(|micro| *micro >= 0 && !self.0.is_sign_negative())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rfc_3339_and_shown_in_utc_with_milliseconds() {
        let read = |text: &str| DateTime::parse(Value::from(text)).ok().map(|instant| instant.to_value());
        for (text, shown) in [
            ("2026-11-20T09:30:00Z", "2026-11-20T09:30:00.000Z"),
            ("2026-11-20t09:30:00.123456z", "2026-11-20T09:30:00.123Z"),
            ("2026-11-20T09:30:00+05:30", "2026-11-20T04:00:00.000Z"),
            ("2024-02-29T23:59:59-01:00", "2024-03-01T00:59:59.000Z"),
        ] {
            assert_eq!(read(text), Some(Value::from(shown)), "{text}");
        }
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T09:30:00",
            "2026-11-20 09:30:00Z",
            "2026-11-20_09:30:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T09:30Z",
            " 2026-11-20T09:30:00Z",
            "1763631000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(DateTime::parse(Value::from(1_763_631_000)).is_err());
    }

    #[test]
    fn a_decimal_is_plain_digits_and_keeps_them() {
        let read = |value: Value| Decimal::parse(value).ok().map(|number| number.to_value());
        for text in ["0", "12.500000", "-1", "-0.000001", "79228162514264337593543950335"] {
            assert_eq!(read(Value::from(text)), Some(Value::from(text)), "{text}");
        }
        assert_eq!(read(Value::from(12)), Some(Value::from("12")));
        let too_long = "0.".to_owned() + &"1".repeat(40);
        for text in [
            "", "-", ".", ".5", "1.", "+1", "1_000", "1,5", "1e3", " 1", "1 ", "--1", "NaN", "Infinity",
            "0x1", &too_long,
        ] {
            assert_eq!(read(Value::from(text)), None, "{text}");
        }
        assert_eq!(read(Value::from(1.5)), None, "a float has lost its decimals already");
        assert_eq!(read(Value::from(true)), None);
        assert_eq!(read(Value::Null), None);
    }
}
