//! What sources say about a customer: the last writer by event time wins, key by key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::payload::Identify;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// Traits by key.
pub type Traits = BTreeMap<String, Trait>;

/// A stated value with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trait {
    /// What was stated.
    pub value: Value,
    /// Which source stated it.
    pub source: String,
    /// When, by event time.
    pub time: Timestamp,
}

/// Takes over what an `Identify` event states; events come in canonical order, so the later one overwrites.
pub(in crate::domain) fn fold(traits: &mut Traits, identify: &Identify, source: &str, time: Timestamp) {
    let state = |value: &Value| Trait { value: value.clone(), source: source.to_owned(), time };
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

/// Whether a value states nothing.
pub(in crate::domain) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}
