//! Identifiers: what callers know a customer by.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, StrExt as _};

use super::limits;

/// A customer's name in some system, normalised so that equal names are equal bytes.
///
/// `Debug` shows the type only: a value is personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    kind: SmolStr,
    value: SmolStr,
}

impl Identifier {
    /// Normalises a pair as it was sent: an e-mail is trimmed and lower-cased, anything else is trimmed. A phone number
    /// takes its normal form when it is resolved, because that needs the workspace's region.
    ///
    /// # Errors
    /// When the type or the value has no acceptable form or length.
    pub fn parse(kind: &str, value: &str) -> Result<Self, IdentifierError> {
        if !is_kind(kind) {
            return Err(IdentifierError::Kind);
        }
        let trimmed = value.trim();
        if trimmed.len() > limits::IDENTIFIER_VALUE_BYTES {
            return Err(IdentifierError::ValueTooLong);
        }
        if trimmed.chars().any(is_unprintable) {
            return Err(IdentifierError::ValueUnprintable);
        }
        let value = match kind {
            "email" => trimmed.to_lowercase_smolstr(),
            _ => SmolStr::new(trimmed),
        };
        Ok(Self { kind: SmolStr::new(kind), value })
    }

    /// The identifier of the same type with a value that a library brought to its normal form.
    pub(super) fn with_value(&self, value: String) -> Option<Self> {
        Self::parse(&self.kind, &value).ok()
    }

    /// Whether the normal form depends on the workspace's region.
    pub fn needs_region(&self) -> bool {
        self.kind == PHONE
    }

    /// The type, such as `email`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The value. Personal data: it goes to callers and to the store, never to a log, a metric or an error.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identifier({}, …)", self.kind)
    }
}

/// The type whose values a library brings to the form of E.164.
pub(super) const PHONE: &str = "phone";

/// Control characters and bidirectional marks make two values look equal that are not.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A type is a lower_snake word, or `crm:` and one.
pub(super) fn is_kind(kind: &str) -> bool {
    let word = kind.strip_prefix("crm:").unwrap_or(kind);
    kind.len() <= limits::IDENTIFIER_TYPE_BYTES
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Why a pair is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// The type is no lower_snake word.
    #[error("the type must be a lower_snake word or crm:<system>, at most {} bytes", limits::IDENTIFIER_TYPE_BYTES)]
    Kind,
    /// The value exceeds the limit.
    #[error("the value must be at most {} bytes", limits::IDENTIFIER_VALUE_BYTES)]
    ValueTooLong,
    /// The value holds control or bidirectional characters.
    #[error("the value must not contain control or text-direction characters")]
    ValueUnprintable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_the_same_however_it_is_written() {
        let one = Identifier::parse("email", " Ann@Example.COM ").expect("well-formed");
        assert_eq!(one, Identifier::parse("email", "ann@example.com").expect("well-formed"));
        assert_ne!(one, Identifier::parse("user_id", "ann@example.com").expect("well-formed"));
    }

    #[test]
    fn a_user_id_keeps_its_case() {
        assert_eq!(Identifier::parse("user_id", " Ann ").expect("well-formed").value(), "Ann");
    }

    #[test]
    fn values_that_look_alike_by_invisible_characters_are_refused() {
        for bad in ["a\0b", "a\u{202e}b", "a\u{200b}", "\u{feff}a"] {
            assert_eq!(Identifier::parse("user_id", bad), Err(IdentifierError::ValueUnprintable));
        }
    }

    #[test]
    fn types_are_lower_snake_words() {
        for good in ["email", "crm:hubspot", "loyalty_id", "x2"] {
            assert!(Identifier::parse(good, "1").is_ok(), "{good}");
        }
        for bad in ["", "Email", "crm:", "crm:A", "2x", "a b", "a:b"] {
            assert_eq!(Identifier::parse(bad, "1"), Err(IdentifierError::Kind), "{bad}");
        }
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let shown = format!("{:?}", Identifier::parse("email", "ann@example.com").expect("well-formed"));
        assert!(!shown.contains("ann"), "{shown}");
    }
}
