//! What dperf reads from words that are no proper numbers: the same here, with a remark that says
//! so. A proper word is read exactly, and where dperf computes something else, that is said.
//!
//! dperf reads decimals with C's `atof`, multiplies and cuts off; other numbers with `atoi`, which
//! takes the leading digits and nothing else. What it stores has 32 bits. It ends on any byte that
//! is no ASCII, so a word with one is refused here too.

use std::ops::RangeInclusive;

use super::error::Complaint;
use super::number::{self, whole, whole_or_hex};

/// A value, and what is odd about the word that it was read from.
pub(super) type Lenient<T> = Result<(T, Option<String>), Complaint>;

/// dperf's largest number.
const MOST: f64 = i32::MAX as f64;

/// A number with an optional k, m or g.
pub(super) fn scaled(text: &str, range: &RangeInclusive<u64>) -> Lenient<u64> {
    reconcile(text, "", number::scaled(text, range), dperf_scaled(text), range)
}

/// A time of whole seconds.
pub(super) fn duration(text: &str, range: &RangeInclusive<u64>) -> Lenient<u64> {
    reconcile(text, " s", number::seconds(text, range), dperf_duration(text), range)
}

/// A short time in microseconds.
pub(super) fn interval_us(text: &str) -> Lenient<u64> {
    let theirs = matches!(text, "us" | "ms" | "s").then_some(0);
    reconcile(text, " us", number::interval_us(text), theirs, &(0..=u64::MAX))
}

/// A whole number.
pub(super) fn leading(text: &str, range: &RangeInclusive<u64>) -> Lenient<u64> {
    let theirs = u64::try_from(atoi(text)).ok();
    reconcile(text, "", whole(text, range), theirs, range)
}

/// A whole number or `0x..`.
pub(super) fn hexadecimal(text: &str, range: &RangeInclusive<u64>) -> Lenient<u64> {
    let is_hex = text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X"));
    let theirs = if is_hex { None } else { u64::try_from(atoi(text)).ok() };
    reconcile(text, "", whole_or_hex(text, range), theirs, range)
}

/// `FIRST-LAST` with something behind it that dperf does not look at; `None` if it is not that.
pub(super) fn span_of_cores(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('-')?;
    let last = &rest[..digits(rest)];
    let sound = text.is_ascii() && !first.is_empty() && !last.is_empty();
    (sound && digits(first) == first.len()).then_some((first, last))
}

/// C's `atoi`: leading digits with a sign, or 0.
pub(super) fn atoi(text: &str) -> i64 {
    let (sign, number) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    // More than 18 digits are more than any range allows.
    sign * number[..digits(number).min(18)].parse().unwrap_or(0)
}

/// What is said of a word that dperf takes for `value`.
pub(super) fn as_dperf(text: &str, value: impl std::fmt::Display) -> String {
    format!("'{text}' is read as {value}, as in dperf")
}

/// Our reading if there is one, else dperf's, and a remark where they differ.
fn reconcile(
    text: &str,
    unit: &str,
    ours: Result<u64, Complaint>,
    theirs: Option<u64>,
    range: &RangeInclusive<u64>,
) -> Lenient<u64> {
    match (ours, theirs.filter(|value| text.is_ascii() && range.contains(value))) {
        (Ok(ours), Some(theirs)) if ours != theirs => {
            let remark = format!("'{text}' is {ours}{unit}; dperf reads {theirs}{unit}");
            Ok((ours, Some(remark)))
        }
        (Ok(ours), _) => Ok((ours, None)),
        (Err(_), Some(theirs)) => Ok((theirs, Some(as_dperf(text, format!("{theirs}{unit}"))))),
        (Err(complaint), None) => Err(complaint),
    }
}

fn dperf_scaled(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let second_point = text.match_indices('.').nth(1).map_or(text.len(), |(at, _)| at);
    let (number, scale) = if second_point < end {
        // What is behind a second point does not count, not even a scale.
        (&text[..second_point], "")
    } else {
        text.split_at(end)
    };
    let factor = match scale {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        _ => return None,
    };
    cut_off((!number.is_empty()).then(|| atof(number))? * factor)
}

fn dperf_duration(text: &str) -> Option<u64> {
    let factor = match text.chars().last()? {
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        _ => 1.0,
    };
    cut_off(atof(text) * factor)
}

/// C's conversion to an integer, where it is defined.
fn cut_off(value: f64) -> Option<u64> {
    (0.0..=MOST).contains(&value).then_some(value as u64)
}

/// C's `atof` of a decimal number, with or without an exponent, and whatever is behind it.
fn atof(text: &str) -> f64 {
    let number = text.strip_prefix('+').unwrap_or(text);
    let mut end = digits(number);
    if let Some(fraction) = number[end..].strip_prefix('.') {
        end += 1 + digits(fraction);
    }
    let power = number[end..].strip_prefix(['e', 'E']).unwrap_or_default();
    let signed = power.strip_prefix(['+', '-']).unwrap_or(power);
    if digits(signed) > 0 {
        end += 1 + (power.len() - signed.len()) + digits(signed);
    }
    number[..end].parse().unwrap_or(0.0)
}

/// How many digits `text` begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static str, Option<u64>, &'static str);

    fn check(table: &[Case], read: impl Fn(&str) -> Lenient<u64>) {
        for (text, value, remark) in table {
            let got = read(text);
            assert_eq!(got.as_ref().ok().map(|(value, _)| *value), *value, "{text}");
            let said = got.ok().and_then(|(_, remark)| remark).unwrap_or_default();
            assert_eq!(said, *remark, "{text}");
        }
    }

    #[test]
    fn numbers_with_a_scale_are_dperfs() {
        let table: &[Case] = &[
            ("2.4m", Some(2_400_000), ""),
            ("4g", Some(4_000_000_000), ""),
            ("3000m", Some(3_000_000_000), ""),
            ("1.5", Some(1), "'1.5' is read as 1, as in dperf"),
            ("1.2.3", Some(1), "'1.2.3' is read as 1, as in dperf"),
            ("1.9.3k", Some(1), "'1.9.3k' is read as 1, as in dperf"),
            (".", Some(0), "'.' is read as 0, as in dperf"),
            (".k", Some(0), "'.k' is read as 0, as in dperf"),
            ("0.0019k", Some(1), "'0.0019k' is read as 1, as in dperf"),
            // 1.001 x 1000 in binary is a little less than 1001.
            ("1.001k", Some(1001), "'1.001k' is 1001; dperf reads 1000"),
            ("k", None, ""),
            ("1kk", None, ""),
            ("1x", None, ""),
            ("-1", None, ""),
            ("1e6", None, ""),
        ];
        check(table, |text| scaled(text, &(0..=u64::MAX)));
    }

    #[test]
    fn durations_are_dperfs() {
        let table: &[Case] = &[
            ("60", Some(60), ""),
            ("10.1d", Some(872_640), ""),
            ("10ms", Some(10), "'10ms' is read as 10 s, as in dperf"),
            ("10x", Some(10), "'10x' is read as 10 s, as in dperf"),
            ("10M", Some(10), "'10M' is read as 10 s, as in dperf"),
            ("10 m", Some(600), "'10 m' is read as 600 s, as in dperf"),
            ("1.5", Some(1), "'1.5' is read as 1 s, as in dperf"),
            ("1e2s", Some(100), "'1e2s' is read as 100 s, as in dperf"),
            ("+5", Some(5), "'+5' is read as 5 s, as in dperf"),
            ("1.5.7h", Some(5400), "'1.5.7h' is read as 5400 s, as in dperf"),
            ("0.5", None, ""),
            ("5µs", None, ""),
            ("x", None, ""),
            ("m", None, ""),
            ("-5", None, ""),
            ("1e99d", None, ""),
        ];
        check(table, |text| duration(text, &(1..=u64::from(u32::MAX))));
    }

    #[test]
    fn other_numbers_begin_with_digits() {
        let table: &[Case] = &[
            ("7", Some(7), ""),
            ("7x", Some(7), "'7x' is read as 7, as in dperf"),
            ("+7", Some(7), "'+7' is read as 7, as in dperf"),
            ("x", Some(0), "'x' is read as 0, as in dperf"),
            ("é", None, ""),
            // In full width.
            ("１", None, ""),
            ("5µ", None, ""),
            ("-7", None, ""),
            ("101", None, ""),
            ("99999999999999999999999", None, ""),
        ];
        check(table, |text| leading(text, &(0..=100)));
        let table: &[Case] = &[
            ("0x1f", Some(31), ""),
            ("abc", Some(0), "'abc' is read as 0, as in dperf"),
            ("0x", Some(0), "'0x' is read as 0, as in dperf"),
            ("0xg", None, ""),
            ("256", None, ""),
        ];
        check(table, |text| hexadecimal(text, &(0..=255)));
        let table: &[Case] = &[
            ("6.25ms", Some(6250), ""),
            ("us", Some(0), "'us' is read as 0 us, as in dperf"),
            ("m", None, ""),
        ];
        check(table, interval_us);
        assert_eq!(span_of_cores("0-3-5"), Some(("0", "3")));
        assert_eq!(span_of_cores("0-x"), None);
        assert_eq!(span_of_cores("0-3é"), None);
    }
}
