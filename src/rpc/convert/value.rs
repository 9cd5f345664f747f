//! Open data: `google.protobuf.Struct` and the domain's maps.

use prost_types::Struct;
use prost_types::value::Kind;

use crate::domain::limits;
use crate::domain::value::{Map, Value};
use crate::domain::violation::Violations;

/// Open data that a caller sent. A value without a kind is a violation; what is nested too deep is cut off one level
/// below the limit, where the domain's check still sees that it is too deep.
pub(in crate::rpc) fn from_pb(data: Option<Struct>, field: &str, violations: &mut Violations) -> Map {
    let mut reader = Reader { without_kind: false };
    let map = reader.map(data.unwrap_or_default(), 1);
    if reader.without_kind {
        violations.add(field, "must not hold a value without a kind");
    }
    map
}

/// Open data as the wire carries it.
pub(in crate::rpc) fn to_pb(map: &Map) -> Struct {
    Struct { fields: map.iter().map(|(key, value)| (key.clone(), value_to_pb(value))).collect() }
}

/// One value of open data as the wire carries it.
pub(in crate::rpc) fn value_to_pb(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(prost_types::NullValue::NullValue.into()),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(*number),
        Value::Text(text) => Kind::StringValue(text.clone()),
        Value::List(list) => Kind::ListValue(prost_types::ListValue { values: list.iter().map(value_to_pb).collect() }),
        Value::Map(map) => Kind::StructValue(to_pb(map)),
    };
    prost_types::Value { kind: Some(kind) }
}

struct Reader {
    without_kind: bool,
}

impl Reader {
    fn map(&mut self, data: Struct, level: usize) -> Map {
        if level > limits::VALUE_DEPTH {
            return Map::new();
        }
        data.fields.into_iter().map(|(key, value)| (key, self.value(value, level))).collect()
    }

    fn value(&mut self, value: prost_types::Value, level: usize) -> Value {
        match value.kind {
            None => {
                self.without_kind = true;
                Value::Null
            }
            Some(Kind::NullValue(_)) => Value::Null,
            Some(Kind::BoolValue(flag)) => Value::Bool(flag),
            Some(Kind::NumberValue(number)) => Value::Number(number),
            Some(Kind::StringValue(text)) => Value::Text(text),
            Some(Kind::ListValue(_)) if level >= limits::VALUE_DEPTH => Value::List(Vec::new()),
            Some(Kind::ListValue(list)) => {
                Value::List(list.values.into_iter().map(|item| self.value(item, level + 1)).collect())
            }
            Some(Kind::StructValue(data)) => Value::Map(self.map(data, level + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value;

    fn nested(levels: usize) -> Struct {
        let mut data = Struct::default();
        for _ in 1..levels {
            let inner = prost_types::Value { kind: Some(Kind::StructValue(data)) };
            data = Struct { fields: [("k".to_owned(), inner)].into() };
        }
        data
    }

    fn faults(data: Struct) -> usize {
        let mut violations = Violations::new();
        let map = from_pb(Some(data), "traits", &mut violations);
        value::check(&map, &mut violations);
        violations.len()
    }

    #[test]
    fn data_at_the_depth_limit_pass_and_deeper_data_are_refused_once() {
        assert_eq!(faults(nested(limits::VALUE_DEPTH)), 0);
        assert_eq!(faults(nested(limits::VALUE_DEPTH + 1)), 1);
        assert_eq!(faults(nested(limits::VALUE_DEPTH * 100)), 1);
    }

    #[test]
    fn a_value_without_a_kind_is_refused() {
        let data = Struct { fields: [("k".to_owned(), prost_types::Value { kind: None })].into() };
        assert_eq!(faults(data), 1);
    }

    #[test]
    fn open_data_survive_a_round_trip() {
        let map: Map = [
            ("list".to_owned(), Value::List(vec![Value::Null, Value::Bool(true), Value::Number(1.5)])),
            ("map".to_owned(), Value::Map([("text".to_owned(), Value::Text("x".to_owned()))].into())),
        ]
        .into();
        assert_eq!(from_pb(Some(to_pb(&map)), "traits", &mut Violations::new()), map);
    }
}
