//! What sources say about a customer: the last writer by event time wins, key by key.

use std::cmp::Ordering;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::domain::payload::Identify;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// Traits by key.
pub type Traits = LiteMap<String, Trait>;

/// A stated value with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trait {
    /// What was stated.
    pub value: Value,
    /// Which source stated it.
    pub source: SmolStr,
    /// When, by event time.
    pub time: Timestamp,
}

/// Takes over what an `Identify` event states; events come in canonical order, so the later one overwrites.
pub(in crate::domain) fn fold(traits: &mut Traits, identify: &Identify, source: &SmolStr, time: Timestamp) {
    let state = |value: &Value| Trait { value: value.clone(), source: source.clone(), time };
    for (key, value) in &identify.traits {
        match value {
            Value::Null => {
                traits.remove(key);
            }
            // A blank form field is no statement.
            Value::Text(text) if text.is_empty() => {}
            value => {
                traits.insert(key.clone(), state(value));
            }
        }
    }
    for (key, value) in &identify.traits_once {
        if !is_blank(value) && !traits.contains_key(key) {
            traits.insert(key.clone(), state(value));
        }
    }
}

/// Takes over the statements of another history of the customer: the later one of each key holds.
pub(super) fn join(traits: &mut Traits, other: Traits) {
    for (key, stated) in other {
        if traits.get(&key).is_none_or(|known| known.compare(&stated).is_lt()) {
            traits.insert(key, stated);
        }
    }
}

impl Trait {
    /// By time, and of the same moment by source and value, so that of two statements one always holds.
    fn compare(&self, other: &Self) -> Ordering {
        let by_origin = (self.time, &self.source).cmp(&(other.time, &other.source));
        by_origin.then_with(|| self.value.compare(&other.value))
    }
}

/// Whether a value states nothing.
pub(in crate::domain) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}
