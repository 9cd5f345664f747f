//! The workspace's own traits as features: numbers, booleans, and categories with a bounded vocabulary.
//!
//! What a trait is to a model is learned from what was known of the training customers, and is a part of the model. A
//! trait is of the kind that most of them state it as. Whatever else somebody states has a documented reading
//! (`TraitFeature::read`), so that no value is a fault, and what is not stated is missing, which models look at as a
//! state of its own.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::domain::profile::traits::Traits;
use crate::domain::reading::Reading;
use crate::domain::value::Value;

mod learning;
mod stated;

pub(super) use learning::{Learned, learn};
pub(super) use stated::{Stated, Words};

/// Customers of the training that must state a trait for it to be a feature, or share a value for it to be a category of
/// its own: what fewer share could point at a person.
pub const CUSTOMERS_MIN: usize = 20;
/// Traits that a model looks at: those that most customers state.
pub const TRAITS_MAX: usize = 50;
/// Categories of one trait beside `other`: those that most customers share.
pub const CATEGORIES_MAX: usize = 30;
/// Categories of all traits of a model, likewise.
pub const CATEGORIES_OF_ALL_MAX: usize = 200;
/// Bytes of a text that can be a category. A longer one is prose, and is read as `other`.
pub const CATEGORY_BYTES: usize = 64;

/// What the names of these features begin with, so that none of them is taken for one of ours.
const PREFIX: &str = "trait.";

/// One trait as a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct TraitFeature {
    /// The feature's name: the trait's key behind a prefix.
    name: SmolStr,
    /// The trait's own name.
    key: SmolStr,
    pub(super) kind: TraitKind,
}

/// What of it lies in an artifact.
#[derive(Serialize, Deserialize)]
#[serde(rename = "TraitFeature")]
struct Stored {
    name: SmolStr,
    kind: TraitKind,
}

impl From<Stored> for TraitFeature {
    fn from(Stored { name, kind }: Stored) -> Self {
        Self { key: name.strip_prefix(PREFIX).unwrap_or(&name).into(), name, kind }
    }
}

impl From<TraitFeature> for Stored {
    fn from(TraitFeature { name, kind, .. }: TraitFeature) -> Self {
        Self { name, kind }
    }
}

/// What a trait is to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TraitKind {
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// One of some texts, ascending. The code of one is its position; that of any other text is their number.
    Category(Vec<SmolStr>),
}

/// A stated value as features look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Number(f64),
    Flag(bool),
    Text(&'a str),
    /// Lists, structures, long texts.
    Other,
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Number(number) if number.is_finite() => Self::Number(*number),
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Text(text) if text.len() <= CATEGORY_BYTES => Self::Text(text),
            Value::Number(_) | Value::Text(_) | Value::Null | Value::List(_) | Value::Map(_) => Self::Other,
        }
    }
}

/// What a customer states, in the order of the keys.
pub(super) fn cells(traits: &Traits) -> impl Iterator<Item = (&str, Cell<'_>)> {
    traits.iter().map(|(key, stated)| (key.as_str(), Cell::from(&stated.value)))
}

impl TraitFeature {
    fn new(key: &str, kind: TraitKind) -> Self {
        Self { name: smol_str::format_smolstr!("{PREFIX}{key}"), key: key.into(), kind }
    }

    /// The feature's name for programs.
    pub(super) fn name(&self) -> &SmolStr {
        &self.name
    }

    /// The trait's own name, which is what people know it by.
    pub(super) fn key(&self) -> &SmolStr {
        &self.key
    }

    /// How many codes a category has, `other` included; none for what is no category.
    pub(super) fn codes(&self) -> Option<usize> {
        match &self.kind {
            TraitKind::Category(texts) => Some(texts.len() + 1),
            TraitKind::Number | TraitKind::Flag => None,
        }
    }

    /// A stated value as a number: itself, 1 for true and 0 for false, or the code of the category.
    ///
    /// A number can also be a text that spells one, and a boolean a number that is 1 or 0; anything else is then missing.
    /// A category can also be a number or a boolean, by the text that spells it; anything else is then `other`.
    pub(super) fn read(&self, cell: Cell<'_>) -> Option<f64> {
        match (&self.kind, cell) {
            (TraitKind::Number, Cell::Number(number)) => Some(number),
            (TraitKind::Number, Cell::Text(text)) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            (TraitKind::Number, Cell::Flag(_) | Cell::Other) => None,
            (TraitKind::Flag, Cell::Flag(flag)) => Some(f64::from(u8::from(flag))),
            (TraitKind::Flag, Cell::Number(number)) => (number == 0.0 || number == 1.0).then_some(number),
            (TraitKind::Flag, Cell::Text(_) | Cell::Other) => None,
            (TraitKind::Category(texts), cell) => {
                let found = match cell {
                    Cell::Text(text) => texts.binary_search_by(|known| known.as_str().cmp(text)).ok(),
                    Cell::Number(_) | Cell::Flag(_) => {
                        let spelled = spelled(cell);
                        texts.binary_search_by(|known| known.as_str().cmp(&spelled)).ok()
                    }
                    Cell::Other => None,
                };
                Some(found.unwrap_or(texts.len()) as f64)
            }
        }
    }

    /// What [`Self::read`] gave, for people.
    pub(super) fn reading(&self, value: Option<f64>) -> Reading {
        let Some(value) = value else { return Reading::Unknown };
        match &self.kind {
            TraitKind::Number => Reading::Number(value),
            TraitKind::Flag => Reading::Flag(value > 0.5),
            TraitKind::Category(texts) => {
                Reading::Text(texts.get(value as usize).cloned().unwrap_or(SmolStr::new_static("other")))
            }
        }
    }
}

/// Reads what a customer states with the features of a model, both in the order of their keys; `put` hears the position
/// and the value of each feature that is stated. Training and serving both come through here.
pub(super) fn read_all<'a>(
    features: &[TraitFeature],
    stated: impl Iterator<Item = (&'a str, Cell<'a>)>,
    mut put: impl FnMut(usize, Option<f64>),
) {
    let mut features = features.iter().enumerate().peekable();
    for (key, cell) in stated {
        while features.next_if(|(_, feature)| feature.key.as_str() < key).is_some() {}
        if let Some((position, feature)) = features.next_if(|(_, feature)| feature.key == key) {
            put(position, feature.read(cell));
        }
    }
}

/// The text of what is no text.
fn spelled(cell: Cell<'_>) -> String {
    match cell {
        Cell::Number(number) => number.to_string(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Text(text) => text.to_owned(),
        Cell::Other => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(kind: TraitKind) -> TraitFeature {
        TraitFeature::new("plan", kind)
    }

    fn category() -> TraitFeature {
        feature(TraitKind::Category(["1", "basic", "pro", "true"].map(SmolStr::from).to_vec()))
    }

    #[test]
    fn every_value_has_a_reading_whatever_the_trait_is_to_others() {
        let values = [
            Value::Number(1.0),
            Value::Number(2.5),
            Value::Number(f64::NAN),
            Value::Number(f64::INFINITY),
            Value::Bool(true),
            Value::Text("pro".to_owned()),
            Value::Text(" 7 ".to_owned()),
            Value::Text("inf".to_owned()),
            Value::Text("p".repeat(10_000)),
            Value::List(vec![Value::Number(1.0)]),
            Value::Map([("a".to_owned(), Value::Null)].into()),
        ];
        let read = |feature: &TraitFeature| values.iter().map(|value| feature.read(value.into())).collect::<Vec<_>>();
        let missing = None;
        let number = [Some(1.0), Some(2.5), missing, missing, missing, missing, Some(7.0)];
        assert_eq!(read(&feature(TraitKind::Number)), [&number[..], &[missing; 4]].concat());
        let flag = [Some(1.0), missing, missing, missing, Some(1.0)];
        assert_eq!(read(&feature(TraitKind::Flag)), [&flag[..], &[missing; 6]].concat());
        let other = Some(4.0);
        let code = [Some(0.0), other, other, other, Some(3.0), Some(2.0)];
        assert_eq!(read(&category()), [&code[..], &[other; 5]].concat());
    }

    #[test]
    fn values_are_said_in_words() {
        let said = |feature: TraitFeature, value| feature.reading(value).to_string();
        assert_eq!(said(category(), Some(2.0)), "pro");
        assert_eq!(said(category(), Some(4.0)), "other");
        assert_eq!(said(category(), None), "unknown");
        assert_eq!(said(feature(TraitKind::Flag), Some(0.0)), "no");
        assert_eq!(said(feature(TraitKind::Number), Some(29.85)), "29.85");
        assert_eq!((category().name().as_str(), category().key().as_str()), ("trait.plan", "plan"));
    }

    #[test]
    fn features_and_statements_meet_by_their_keys() {
        let features = ["b", "d", "e"].map(|key| TraitFeature::new(key, TraitKind::Number));
        let mut read = Vec::new();
        let stated = ["a", "b", "c", "e", "f"].map(|key| (key, Cell::Number(1.0)));
        read_all(&features, stated.into_iter(), |position, value| read.push((position, value)));
        assert_eq!(read, [(0, Some(1.0)), (2, Some(1.0))]);
    }
}
