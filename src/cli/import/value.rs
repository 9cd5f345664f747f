//! How a mapping file writes values and conditions, in their short and their long form.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::template::Template;

/// One item, or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    /// The items in the order in which they are written.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

/// What must hold of a line: one condition, or several of which all must hold.
pub type Conditions = OneOrMany<ConditionSpec>;

/// Something that must hold of a line. Besides `column` and `not` exactly one key says what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    /// The column that is looked at.
    pub column: String,
    /// The cell is this text.
    pub equals: Option<String>,
    /// The cell is one of these texts.
    pub one_of: Option<Vec<String>>,
    /// The cell begins with this text.
    pub starts_with: Option<String>,
    /// The cell holds nothing (true) or something (false).
    pub blank: Option<bool>,
    /// The cell is a number greater than this.
    pub above: Option<f64>,
    /// The cell is a number smaller than this.
    pub below: Option<f64>,
    /// The cell differs from that of the line before with the same cell in the column named here; the first such line
    /// counts as a change.
    pub changes_within: Option<String>,
    /// The cell is a number greater than that of the line before with the same cell in the column named here; before
    /// the first such line it is taken to be 0.
    pub rises_within: Option<String>,
    /// Turns the condition round.
    #[serde(default)]
    pub not: bool,
}

/// What a field of an event holds.
#[derive(Debug, Clone)]
pub enum ValueSpec {
    /// A text, possibly with columns in it.
    Text(Template),
    /// A constant number.
    Number(f64),
    /// A constant truth.
    Flag(bool),
    /// The long form.
    Table(Box<ValueTable>),
}

/// The long form of a value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueTable {
    /// The cell or text that the value starts from.
    pub value: Option<Template>,
    /// Instead of `value`: the product of these cells.
    pub multiply: Option<Vec<Template>>,
    /// Sums the number over the lines of the group (`line`), of a join with `many`, or over the elements of a list.
    pub over: Option<String>,
    /// How much the number has grown since the line before with the same cell in this column; from 0 on the first.
    pub increase_within: Option<String>,
    /// Takes the number without its sign.
    #[serde(default)]
    pub abs: bool,
    /// Replaces texts.
    pub map: Option<BTreeMap<String, String>>,
    /// What a text becomes that `map` does not list; without it such a line is broken.
    pub otherwise: Option<String>,
    /// What a blank becomes; without it the field stays empty.
    pub default: Option<String>,
    /// What the value is in open data, where nothing else says so.
    #[serde(rename = "as")]
    pub kind: Option<ValueKind>,
}

/// What a value is in open data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True for `true`, `yes`, `y`, `t` and `1`, false for their opposites, in any case.
    Boolean,
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = ValueSpec;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text such as \"{column}\", a number, a boolean or a table with `value` or `multiply`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ValueSpec, E> {
        Template::parse(text).map(ValueSpec::Text).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<ValueSpec, E> {
        Ok(ValueSpec::Number(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueSpec, A::Error> {
        ValueTable::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(ValueSpec::Table)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("one item or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
        T::deserialize(StrDeserializer::new(text)).map(|item| OneOrMany(vec![item]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|item| OneOrMany(vec![item]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(OneOrMany(items))
    }
}
