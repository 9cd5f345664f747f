//! Open data of the contract as JSON and back, and what programs read with `--output json`.

use anyhow::Context as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use super::run::Refusal;

/// Open data as JSON.
pub fn from_struct(data: &Struct) -> serde_json::Value {
    data.fields.iter().map(|(key, value)| (key.clone(), from_value(value))).collect::<serde_json::Map<_, _>>().into()
}

fn from_value(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => serde_json::json!(number),
        Some(Kind::StringValue(text)) => serde_json::json!(text),
        Some(Kind::BoolValue(flag)) => serde_json::json!(flag),
        Some(Kind::StructValue(data)) => from_struct(data),
        Some(Kind::ListValue(list)) => list.values.iter().map(from_value).collect(),
    }
}

/// JSON as open data.
pub fn to_struct(data: &serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: data.iter().map(|(key, value)| (key.clone(), to_value(value))).collect() }
}

fn to_value(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() }),
        serde_json::Value::Object(data) => Kind::StructValue(to_struct(data)),
    };
    Value { kind: Some(kind) }
}

/// The parameters that somebody typed.
///
/// # Errors
/// When the text is no JSON object.
pub fn parameters(text: &str) -> anyhow::Result<Struct> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(data)) => Ok(to_struct(&data)),
        Ok(_) => Err(Refusal("--parameters must be a JSON object".to_owned()).into()),
        Err(error) => Err(Refusal(format!("--parameters is no JSON: {error}")).into()),
    }
}

/// Prints one document on the standard output.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print(document: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(document).context("the result cannot be written as JSON")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_data_survive_the_way_there_and_back() {
        let data = serde_json::json!({"a": [1.5, null, {"b": true}], "c": "d"});
        let there = to_struct(data.as_object().expect("an object"));
        assert_eq!(from_struct(&there), data);
    }

    #[test]
    fn parameters_that_are_no_object_are_a_refusal() {
        for bad in ["[]", "1", "{"] {
            assert!(parameters(bad).expect_err(bad).is::<Refusal>());
        }
    }
}
