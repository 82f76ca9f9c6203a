//! Amounts of memory, in and out.

use std::fmt;

/// So many kibibytes, in bytes; `usize::MAX` if they are more.
///
/// ```
/// assert_eq!(framealloc_budget::bytes::kib(64), 65_536);
/// ```
#[must_use]
pub const fn kib(count: usize) -> usize {
    count.saturating_mul(1 << 10)
}

/// So many mebibytes, in bytes; `usize::MAX` if they are more.
#[must_use]
pub const fn mib(count: usize) -> usize {
    count.saturating_mul(1 << 20)
}

/// So many gibibytes, in bytes; `usize::MAX` if they are more.
#[must_use]
pub const fn gib(count: usize) -> usize {
    count.saturating_mul(1 << 30)
}

const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// An amount as people write it: a number, with a fraction if it has one, and `B`, `KiB`, `MiB` or `GiB`.
///
/// ```
/// use framealloc_budget::bytes;
/// assert_eq!(bytes::parse("1.5 MiB").unwrap(), bytes::kib(1536));
/// assert!(bytes::parse("2 MB").unwrap_err().contains("2 MB"));
/// ```
///
/// # Errors
///
/// If it is none, or more than `usize::MAX`; the text names it and what would do.
pub fn parse(text: &str) -> Result<usize, String> {
    let refuse = |why: &str| Err(format!("`{text}` {why}"));
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
    let (number, unit) = (trimmed[..unit_at].replace('_', ""), trimmed[unit_at..].trim());
    let Some(&(_, factor)) = UNITS.iter().find(|(name, _)| *name == unit || (unit.is_empty() && *name == "B")) else {
        return refuse("has no unit of `B`, `KiB`, `MiB` or `GiB`");
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (number.contains('.') && fraction.is_empty()) {
        return refuse("is not a number and a unit, such as `64 KiB`");
    }
    // Exact for what has a fraction, too: 0.1 GiB is rounded down to a byte.
    let scaled = whole.parse::<u128>().ok().and_then(|whole| whole.checked_mul(factor as u128));
    let part = match fraction.get(..fraction.len().min(18)) {
        Some(digits) if !digits.is_empty() => {
            digits.parse::<u128>().expect("18 digits") * factor as u128 / 10u128.pow(digits.len() as u32)
        }
        _ => 0,
    };
    match scaled.and_then(|bytes| usize::try_from(bytes + part).ok()) {
        Some(bytes) => Ok(bytes),
        None => refuse(&format!("is more than the {} bytes of the address space", usize::MAX)),
    }
}

/// An amount in the largest unit that it has one of, with three digits at least: `1.25 MiB`.
///
/// ```
/// use framealloc_budget::bytes;
/// assert_eq!(bytes::display(1_310_720).to_string(), "1.25 MiB");
/// assert_eq!(bytes::display(999).to_string(), "999 B");
/// ```
#[must_use]
pub fn display(bytes: usize) -> impl fmt::Display {
    Amount(bytes)
}

struct Amount(usize);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS.into_iter().find(|&(_, factor)| self.0 >= factor).unwrap_or(("B", 1));
        let text = if factor == 1 {
            format!("{} {unit}", self.0)
        } else {
            let amount = self.0 as f64 / factor as f64;
            let digits = if amount >= 100.0 {
                0
            } else if amount >= 10.0 {
                1
            } else {
                2
            };
            format!("{amount:.digits$} {unit}")
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_byte() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17 B", 17),
            ("1_000", 1000),
            (" 64KiB ", 65_536),
            ("0.5 MiB", 524_288),
            ("1.5 GiB", 1_610_612_736),
            ("0.1 KiB", 102),
            ("0.000000000000000000001 GiB", 0),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_text() {
        for text in
            ["", "KiB", "-1", "1 kb", "1.", ".5 MiB", "1.2.3 B", "1e9", "99999999999999999999 GiB", "12 MiB/s", "١"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn amounts_are_shown_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (mib(300), "300 MiB"),
            (gib(2), "2.00 GiB"),
        ] {
            assert_eq!(display(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>9}|", display(1)), "      1 B|");
    }

    #[test]
    fn units_saturate() {
        assert_eq!((kib(usize::MAX), mib(usize::MAX / 2), gib(usize::MAX)), (usize::MAX, usize::MAX, usize::MAX));
    }
}
