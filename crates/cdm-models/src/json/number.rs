use super::{Fit, JsonError};

/// The longest a number may become when its exponent is written out.
const MAX_LENGTH: i64 = 1_000;

/// Appends `text`, a JSON number, as PostgreSQL's `numeric` writes it: the exponent written out,
/// no sign on zero, the digits of the fraction kept.
pub(super) fn normalize(text: &str, out: &mut String) -> Result<Fit, JsonError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| JsonError::NumberTooLarge)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if exponent == 0 && !unsigned.contains(['e', 'E']) && !(negative && is_zero) {
        out.push_str(text);
        return Ok(Fit::Exact);
    }

    // The point stands `whole.len() + exponent` digits into the row of digits.
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let point = length(whole).saturating_add(exponent);
    let decimals = length(fraction).saturating_sub(exponent).max(0);
    if point.saturating_add(decimals) > MAX_LENGTH || decimals > MAX_LENGTH || point > MAX_LENGTH {
        return Err(JsonError::NumberTooLarge);
    }
    let mut digits = whole.bytes().chain(fraction.bytes());
    if negative && !is_zero {
        out.push('-');
    }
    let start = out.len();
    for _ in 0..point {
        let digit = digits.next().unwrap_or(b'0');
        if digit != b'0' || out.len() > start {
            out.push(char::from(digit));
        }
    }
    if out.len() == start {
        out.push('0');
    }
    if decimals > 0 {
        out.push('.');
        let leading_zeros = point.min(0).unsigned_abs();
        for _ in 0..leading_zeros {
            out.push('0');
        }
        out.extend(digits.map(char::from));
    }
    Ok(Fit::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Result<(String, Fit), JsonError> {
        let mut out = String::new();
        normalize(text, &mut out).map(|fit| (out, fit))
    }

    #[test]
    fn plain_numbers_keep_their_exact_text() {
        for text in ["0", "-1", "1.50", "0.10", "9223372036854776000", "123456789012345678901234567890.5"] {
            assert_eq!(normal(text).unwrap(), (text.to_owned(), Fit::Exact));
        }
    }

    #[test]
    fn exponents_are_written_out_as_numeric_does() {
        for (text, expected) in [
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1.50e1", "15.0"),
            ("1.5e3", "1500"),
            ("1e-3", "0.001"),
            ("12.5e-3", "0.0125"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("0e5", "0"),
            ("-1.0e0", "-1.0"),
            ("0.001e2", "0.1"),
            ("0.05e1", "0.5"),
        ] {
            assert_eq!(normal(text).unwrap(), (expected.to_owned(), Fit::Changed), "{text}");
        }
    }

    #[test]
    fn an_exponent_cannot_blow_a_number_up() {
        for text in ["1e1001", "1e-1001", "1e999999999999999999999", "1e9223372036854775807", "0e-5000"] {
            assert_eq!(normal(text), Err(JsonError::NumberTooLarge), "{text}");
        }
        assert!(normal("1e400").is_ok());
    }
}
