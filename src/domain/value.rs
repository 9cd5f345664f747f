//! Open data: what a caller may attach without our knowing its meaning.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;
use super::violation::Violations;

/// A JSON-like value, as `google.protobuf.Struct` carries it. What somebody has stated of themselves may be anything, so that
/// its `Debug` says what kind of value it is and nothing of its content.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Known to be absent: clears a trait.
    Null,
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key.
    Map(Map),
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool(…)",
            Self::Number(_) => "Number(…)",
            Self::Text(_) => "Text(…)",
            Self::List(_) => "List(…)",
            Self::Map(_) => "Map(…)",
        })
    }
}

impl Value {
    /// An order of all values, for where one of two must be chosen and it does not matter which.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(own), Self::Bool(other)) => own.cmp(other),
            (Self::Number(own), Self::Number(other)) => own.total_cmp(other),
            (Self::Text(own), Self::Text(other)) => own.cmp(other),
            (Self::List(own), Self::List(other)) => compare_all(own.iter(), other.iter()),
            (Self::Map(own), Self::Map(other)) => {
                own.keys().cmp(other.keys()).then_with(|| compare_all(own.values(), other.values()))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::List(_) => 4,
            Self::Map(_) => 5,
        }
    }
}

/// Compares lists: by the first values that differ, and else by their lengths.
fn compare_all<'a>(
    own: impl ExactSizeIterator<Item = &'a Value>,
    other: impl ExactSizeIterator<Item = &'a Value>,
) -> Ordering {
    let lengths = own.len().cmp(&other.len());
    own.zip(other).map(|(own, other)| own.compare(other)).find(|order| order.is_ne()).unwrap_or(lengths)
}

/// Values by key, in the order of the keys, so that equal data have equal bytes.
pub type Map = BTreeMap<String, Value>;

/// Checks the open data of one event against the limits on keys, depth, bytes and numbers.
pub fn check(map: &Map, violations: &mut Violations) {
    if map.len() > limits::VALUE_KEYS {
        violations.add("", format!("has {} keys; the limit is {}", map.len(), limits::VALUE_KEYS));
    }
    let bytes = check_map(map, 1, violations);
    if bytes > limits::VALUE_BYTES {
        violations.add("", format!("holds {bytes} bytes; the limit is {}", limits::VALUE_BYTES));
    }
}

/// Checks one level and returns the bytes of its keys and texts. Keys are caller's words and may be personal, so a
/// fault names the place by position, never by key.
fn check_map(map: &Map, depth: usize, violations: &mut Violations) -> usize {
    let mut bytes = 0;
    for (position, (key, value)) in map.iter().enumerate() {
        violations.within(format_args!("fields[{position}]"), |violations| {
            violations.check_required_text("key", key, limits::VALUE_KEY_BYTES);
            bytes += key.len() + check_value(value, depth, violations);
        });
    }
    bytes
}

fn check_value(value: &Value, depth: usize, violations: &mut Violations) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => {
            if !number.is_finite() {
                violations.add("number_value", "must be a finite number");
            }
            8
        }
        Value::Text(text) => {
            if text.contains('\0') {
                violations.add("string_value", "must not contain a NUL character");
            }
            text.len()
        }
        Value::List(_) | Value::Map(_) if depth >= limits::VALUE_DEPTH => {
            violations.add("", format!("is nested deeper than {}", limits::VALUE_DEPTH));
            0
        }
        Value::List(list) => list.iter().map(|item| 1 + check_value(item, depth + 1, violations)).sum(),
        Value::Map(map) => check_map(map, depth + 1, violations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_value_tells_nothing_of_it() {
        let map: Map =
            [("name".to_owned(), Value::Text("Ann".to_owned())), ("age".to_owned(), Value::Number(41.0))].into();
        let shown = format!("{:?} {map:?}", Value::List(vec![Value::Text("Bob".to_owned())]));
        assert_eq!(shown, "List(…) {\"age\": Number(…), \"name\": Text(…)}");
    }
}
