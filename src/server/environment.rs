//! Environment variables as configuration: `storage.segment_bytes` is `RAPPORT_STORAGE_SEGMENT_BYTES`.

use anyhow::{Context as _, bail};
use toml::{Table, Value};

const PREFIX: &str = "RAPPORT_";
/// Variables that the commands read when they call a running server; they are no part of its configuration.
const OF_CLIENTS: [&str; 2] = ["RAPPORT_API_KEY", "RAPPORT_CA_FILE"];

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The keys of all values of a table, with dots between the levels.
pub(super) fn keys(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(section) => keys.extend(self::keys(section).iter().map(|key| format!("{name}.{key}"))),
            _ => keys.push(name.clone()),
        }
    }
    keys
}

/// The value of a key with dots.
pub(super) fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => lookup(table.get(section)?.as_table()?, rest),
    }
}

/// Writes the variables of ours over `table`; a value is read as the type that the key has in `defaults`.
///
/// # Errors
/// When a variable begins like ours and is none, or its value has another type. The message shows no value.
pub(super) fn overlay(
    table: &mut Table,
    defaults: &Table,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let keys = keys(defaults);
    let is_ours = |name: &str| name.starts_with(PREFIX) && !OF_CLIENTS.contains(&name);
    for (name, text) in variables.filter(|(name, _)| is_ours(name)) {
        let Some(key) = keys.iter().find(|key| variable(key) == name) else {
            bail!("the environment variable {name} names no key of the configuration");
        };
        let value = match lookup(defaults, key) {
            Some(Value::Integer(_)) => {
                Value::Integer(text.parse().with_context(|| format!("{name} must be a number"))?)
            }
            Some(Value::Float(_)) => Value::Float(text.parse().with_context(|| format!("{name} must be a number"))?),
            Some(Value::Boolean(_)) => {
                Value::Boolean(text.parse().with_context(|| format!("{name} must be true or false"))?)
            }
            // Lists of tables are written as a configuration file writes them on one line.
            Some(Value::Array(_)) => {
                let line: Result<Table, _> = format!("value = {text}").parse();
                let value = line.ok().and_then(|mut table| table.remove("value"));
                value.with_context(|| format!("{name} must be a list in TOML"))?
            }
            _ => Value::String(text),
        };
        insert(table, key, value);
    }
    Ok(())
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                insert(section, rest, value);
            }
        }
    }
}
