//! Decimal text to whole micro-units (credits and US dollars alike), exactly: no float on the way.

use rust_decimal::Decimal;

use super::faults::Refusal;

/// Decimals that one micro-unit still shows.
const DECIMALS: u32 = 6;

/// Micro-units of a non-negative decimal such as `0.15`, at most `max` whole units.
pub(crate) fn micro_units(text: &str, max: i64) -> Result<i64, Refusal> {
    let refuse = |why| Refusal::new(why, "write a plain decimal with at most 6 decimals, such as \"0.15\"");
    if text.starts_with('-') {
        return Err(refuse("is negative"));
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_plain || text.starts_with('.') || text.ends_with('.') {
        return Err(refuse("is not a plain decimal number"));
    }
    let amount = Decimal::from_str_exact(text).map_err(|_| refuse("is not a plain decimal number"))?;
    let missing = DECIMALS.checked_sub(amount.scale()).ok_or_else(|| refuse("has more than 6 decimals"))?;
    if amount > Decimal::from(max) {
        return Err(Refusal::new("is absurdly large", format!("use at most {max}")));
    }
    let micro = amount.mantissa().checked_mul(10_i128.pow(missing));
    micro.and_then(|micro| i64::try_from(micro).ok()).ok_or_else(|| refuse("is absurdly large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_exact_micro_units() {
        let table = [
            ("0", 0),
            ("0.000001", 1),
            ("0.1", 100_000),
            ("0.15", 150_000),
            ("0.3", 300_000),
            ("1", 1_000_000),
            ("1.10", 1_100_000),
            ("007", 7_000_000),
            ("123.456789", 123_456_789),
            ("9999999.999999", 9_999_999_999_999),
            ("10000000", 10_000_000_000_000),
        ];
        for (text, micro) in table {
            assert_eq!(micro_units(text, 10_000_000), Ok(micro), "{text}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        let table = [
            ("", "plain"),
            (".", "plain"),
            (".5", "plain"),
            ("5.", "plain"),
            ("1.2.3", "plain"),
            ("1,5", "plain"),
            ("1_000", "plain"),
            ("+1", "plain"),
            ("1e3", "plain"),
            ("inf", "plain"),
            ("nan", "plain"),
            ("0x10", "plain"),
            ("99999999999999999999999999999999999999", "plain"),
            ("-1", "negative"),
            ("-0.1", "negative"),
            ("0.0000001", "more than 6"),
            ("1.0000000", "more than 6"),
            ("10000000.000001", "large"),
            ("10000001", "large"),
            ("79228162514264337593543950335", "large"),
        ];
        for (text, why) in table {
            let refusal = micro_units(text, 10_000_000).expect_err(text);
            assert!(refusal.why.contains(why), "{text}: {}", refusal.why);
        }
    }
}
