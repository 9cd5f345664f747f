//! With what the key of all stored data is sealed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The master key, from outside of the data directory. At most one of `key` and `key_file` is there; without either, the key
/// of the data lies bare beside them, which is enough to forget customers, and protects nothing from a thief.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Encryption {
    /// 64 hexadecimal digits.
    pub key: Secret,
    /// A file with them, or with 32 bytes; readable by its owner only.
    pub key_file: String,
    /// The file of the key before, for the one start in which the new one takes its place.
    pub previous_key_file: String,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub(in crate::server) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "(hidden)" })
    }
}
