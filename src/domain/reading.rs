//! A customer's value of a feature, as people read it.

use std::fmt;

use smol_str::SmolStr;

/// A value with its unit. It becomes words where somebody reads it: an answer lists a few of its reasons and folds the
/// others into one, and writing numbers takes longer than computing them.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// There is no such value.
    Unknown,
    /// Things or points, with a decimal where they are few.
    Amount(f64),
    /// Days with their fraction.
    Days(f64),
    /// Hours with their fraction.
    Hours(f64),
    /// Money, and in which currency; empty where that is not known.
    Money(f64, SmolStr),
    /// How many times as much.
    Times(f64),
    /// A part of a whole, 0 to 1.
    Share(f64),
    /// A difference of two counts.
    Change(f64),
    /// A number of which nothing else is known.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// Words.
    Text(SmolStr),
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("unknown"),
            Self::Amount(value) => write_amount(*value, formatter),
            Self::Days(value) if (0.95..1.05).contains(value) => formatter.write_str("1 day"),
            Self::Days(value) => {
                write_amount(*value, formatter)?;
                formatter.write_str(" days")
            }
            Self::Hours(value) => {
                write_amount(*value, formatter)?;
                formatter.write_str(" hours")
            }
            Self::Money(value, currency) if currency.is_empty() => write!(formatter, "{value:.2}"),
            Self::Money(value, currency) => write!(formatter, "{value:.2} {currency}"),
            Self::Times(value) => write!(formatter, "{value:.1} times"),
            Self::Share(value) => write!(formatter, "{:.0} %", value * 100.0),
            Self::Change(value) => write!(formatter, "{value:+.0}"),
            Self::Number(value) => formatter.write_str(&significant(*value)),
            Self::Flag(value) => formatter.write_str(if *value { "yes" } else { "no" }),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

impl From<String> for Reading {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// A number with one decimal where it is small and has one.
fn write_amount(value: f64, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rounded = (value * 10.0).round() / 10.0;
    let decimals = usize::from(rounded.fract() != 0.0 && rounded.abs() < 10.0);
    write!(formatter, "{rounded:.decimals$}")
}

/// A number with three decimals or as many as it has, and without those once it is large.
fn significant(value: f64) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.3e}");
    }
    let text = if value.abs() >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_for_people() {
        for (reading, words) in [
            (Reading::Unknown, "unknown"),
            (Reading::Amount(3.0), "3"),
            (Reading::Amount(3.25), "3.3"),
            (Reading::Amount(12.25), "12"),
            (Reading::Days(41.3), "41 days"),
            (Reading::Days(1.0), "1 day"),
            (Reading::Hours(0.5), "0.5 hours"),
            (Reading::Money(129.9, "EUR".into()), "129.90 EUR"),
            (Reading::Money(5.0, SmolStr::default()), "5.00"),
            (Reading::Times(2.04), "2.0 times"),
            (Reading::Share(0.125), "12 %"),
            (Reading::Change(-2.0), "-2"),
            (Reading::Change(2.0), "+2"),
            (Reading::Flag(true), "yes"),
            (Reading::Text("pro".into()), "pro"),
            (Reading::Number(0.125), "0.125"),
            (Reading::Number(29.85), "29.85"),
            (Reading::Number(12.0), "12"),
            (Reading::Number(1_234.56), "1235"),
            (Reading::Number(1e300), "1.000e300"),
        ] {
            assert_eq!(reading.to_string(), words);
        }
    }
}
