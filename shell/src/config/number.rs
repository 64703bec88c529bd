//! Numbers and times are read exactly or refused: nothing is rounded, cut off or guessed. (What
//! dperf makes of the refused ones is told in `lenient`.)
//!
//! | kind | examples | |
//! |---|---|---|
//! | whole | `80` | digits |
//! | scaled | `2.4m`, `.5k`, `4g` | a decimal and k (10^3), m (10^6) or g (10^9), in either case |
//! | seconds | `60`, `60s`, `4.5m`, `10.1d` | a decimal and s, m (minutes), h or d; whole at last |
//! | interval | `10us`, `6.25ms`, `1s` | a decimal and us, ms or s; the unit is never left out |

use std::ops::RangeInclusive;

use super::error::Complaint;

/// Digits only.
pub(super) fn whole(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !sound {
        let why = match text {
            "" => "a number is missing".to_owned(),
            _ => format!("'{text}' is not a whole number"),
        };
        return Err(Complaint::new(why, format!("write digits only, {}", span(range))));
    }
    within(text, text.parse().ok(), range)
}

/// A decimal number with an optional k, m or g.
pub(super) fn scaled(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    let (decimal, unit) = decimal_and_unit(text)?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => {
            let why = format!("'{text}' ends with '{unit}', which is not a scale");
            return Err(Complaint::new(why, "k is 1000, m is 1000k, g is 1000m"));
        }
    };
    within(text, decimal.times(factor, text, "a whole number")?, range)
}

/// A time of whole seconds.
pub(super) fn seconds(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    let (decimal, unit) = decimal_and_unit(text)?;
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(no_unit_of_seconds(text, unit)),
    };
    within(text, decimal.times(factor, text, "a whole number of seconds")?, range)
}

/// A short time in microseconds; its unit must be given.
pub(super) fn interval_us(text: &str) -> Result<u64, Complaint> {
    let (decimal, unit) = decimal_and_unit(text)?;
    let factor = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => {
            let why = format!("'{text}' is not a time with us, ms or s behind it");
            return Err(Complaint::new(why, "for example 10us, 6.25ms or 60s"));
        }
    };
    const YEAR_US: u64 = 365 * 86_400_000_000;
    within(text, decimal.times(factor, text, "a whole number of microseconds")?, &(0..=YEAR_US))
}

/// A number in hexadecimal (`0x..`) or in digits.
pub(super) fn whole_or_hex(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        None => whole(text, range),
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            within(text, u64::from_str_radix(digits, 16).ok(), range)
        }
        Some(_) => {
            Err(Complaint::new(format!("'{text}' is not hexadecimal"), "for example 0x68 or 104"))
        }
    }
}

/// How a range is said: `1 to 1024`, `at least 1`.
pub(super) fn span(range: &RangeInclusive<u64>) -> String {
    match (*range.start(), *range.end()) {
        (low, u64::MAX) => format!("at least {low}"),
        (low, high) => format!("{low} to {high}"),
    }
}

/// `value`, if it lies in `range`; `None` is larger than anything.
fn within(text: &str, value: Option<u64>, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    let bound = match value {
        Some(value) if range.contains(&value) => return Ok(value),
        Some(value) if value < *range.start() => {
            format!("less than {}, the least possible", range.start())
        }
        _ => format!("more than {}, the most possible", range.end()),
    };
    Err(Complaint::new(format!("'{text}' is {bound}"), String::new()))
}

/// A decimal number: `digits / 10^places`.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// The product, exactly; `None` if it exceeds 64 bits.
    fn times(&self, factor: u64, text: &str, wanted: &str) -> Result<Option<u64>, Complaint> {
        let divisor = 10u128.pow(self.places);
        let Some(product) = self.digits.checked_mul(u128::from(factor)) else {
            return Ok(None);
        };
        if product % divisor != 0 {
            let why = format!("'{text}' is not {wanted}");
            return Err(Complaint::new(
                why,
                "it would have to be rounded; write it as you mean it",
            ));
        }
        Ok(u64::try_from(product / divisor).ok())
    }
}

/// More digits than this are not a number that anybody means.
const MAX_DIGITS: usize = 28;

fn decimal_and_unit(text: &str) -> Result<(Decimal, &str), Complaint> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{before}{after}");
    if after.contains('.') {
        let why = format!("'{text}' has more than one decimal point");
        return Err(Complaint::new(why, "write what you mean"));
    }
    if digits.is_empty() {
        let why = match text {
            "" => "a number is missing".to_owned(),
            _ => format!("'{text}' is not a number"),
        };
        return Err(Complaint::new(why, "a number begins with a digit, without a sign"));
    }
    if digits.len() > MAX_DIGITS {
        return Err(Complaint::new(format!("'{text}' has too many digits"), String::new()));
    }
    // At most 28 digits fit 128 bits.
    let decimal = Decimal { digits: digits.parse().unwrap_or(0), places: after.len() as u32 };
    Ok((decimal, unit))
}

fn no_unit_of_seconds(text: &str, unit: &str) -> Complaint {
    let why = format!("'{text}' ends with '{unit}', which is not s, m (minutes), h or d");
    let number = &text[..text.len() - unit.len()];
    let hint = format!("write {number}s, {number}m, {number}h or {number}d");
    Complaint::new(why, hint)
}
