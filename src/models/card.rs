//! Model cards: open data in the words of [`crate::domain::value`].

use std::time::Duration;

use super::bootstrap::Interval;
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};

/// A number; what is not finite has no meaning on a card and becomes null.
pub(super) fn number(number: f64) -> Value {
    if number.is_finite() { Value::Number(number) } else { Value::Null }
}

/// A count.
pub(super) fn count(count: usize) -> Value {
    Value::Number(count as f64)
}

/// A text.
pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Values by key.
pub(super) fn map<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A figure with its 95 % interval.
pub(super) fn interval(interval: Interval) -> Value {
    Value::Map(map([("value", number(interval.value)), ("low", number(interval.low)), ("high", number(interval.high))]))
}

/// A duration in days.
pub(super) fn days(duration: Duration) -> Value {
    number(duration.as_secs_f64() / 86_400.0)
}

/// Times, as people and programs read them.
pub(super) fn times<'a>(times: impl IntoIterator<Item = &'a Timestamp>) -> Value {
    Value::List(times.into_iter().map(|time| text(rfc3339(*time))).collect())
}

/// A time in UTC by RFC 3339, to the second. The calendar is Howard Hinnant's `civil_from_days`.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let (seconds, _) = time.as_seconds_and_nanos();
    let second = seconds.rem_euclid(86_400);
    let shifted = seconds.div_euclid(86_400) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that the leap day is the last of its year.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_315_659_661, "2011-09-10T13:01:01Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_micros(seconds * 1_000_000)), expected);
        }
    }

    #[test]
    fn figures_that_are_no_numbers_become_null() {
        assert_eq!(number(f64::NAN), Value::Null);
        assert_eq!(number(0.5), Value::Number(0.5));
    }
}
