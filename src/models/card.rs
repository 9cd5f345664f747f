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

/// Entries of the same form.
pub(super) fn list(entries: impl IntoIterator<Item = Map>) -> Value {
    Value::List(entries.into_iter().map(Value::Map).collect())
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
    Value::List(times.into_iter().map(|time| text(time.rfc3339())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_no_numbers_become_null() {
        assert_eq!(number(f64::NAN), Value::Null);
        assert_eq!(number(0.5), Value::Number(0.5));
    }
}
