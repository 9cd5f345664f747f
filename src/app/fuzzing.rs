//! Ways in for whoever throws bytes at what reads tokens and keys. Nothing else calls them.

use super::keyring;
use super::page::Binding;
use super::watch_profiles::Position;
use crate::domain::id::ProfileId;

/// Reads the text as tokens of several methods. None of them gave it out.
///
/// # Panics
/// Where it is taken for one.
pub fn token(text: &str) {
    let binding = Binding::new("Fuzzed", "acme", &());
    assert_eq!(binding.open::<ProfileId>(text), None);
    assert!(binding.open::<Position>(text).is_none());
    assert!(binding.open::<(String, u32)>(text).is_none());
}

/// Reads the text as a key that programs show. Of those that are one there is one form.
///
/// # Panics
/// Where the same key has another one.
pub fn key(text: &str) {
    if let Some((id, secret)) = keyring::parse(text) {
        assert_eq!(keyring::compose(id, &secret), text);
    }
}
