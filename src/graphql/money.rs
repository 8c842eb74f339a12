//! Amounts of money.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};

use super::scalars::Decimal;

/// Three-letter ISO 4217 currency code in capitals, such as `EUR`.
#[derive(Debug, Clone)]
pub struct CurrencyCode(pub String);

/// Three-letter ISO 4217 currency code in capitals, such as `EUR`.
#[Scalar(specified_by_url = "https://www.iso.org/iso-4217-currency-codes.html")]
impl ScalarType for CurrencyCode {
    fn parse(value: Value) -> InputValueResult<Self> {
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

/// Amount of money.
#[derive(SimpleObject)]
pub struct Money {
    /// Amount in the main unit of the currency, with as many decimals as the value needs.
    pub amount: Decimal,
    /// Currency of the amount.
    pub currency_code: CurrencyCode,
}
