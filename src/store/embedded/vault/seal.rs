//! Sealing content and opening it again.

use ring::aead::{Aad, Nonce};

use super::opening::Vault;
use super::root::{Key, cipher};
use super::slots::Slot;
use crate::domain::erasure::Mark;
use crate::domain::id::WorkspaceId;
use crate::domain::identifier::Identifier;
use crate::store::{Error, Result};

/// Bytes of a nonce, and of the tag behind the content.
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The number of slots that says that what follows is not sealed. No profile has so many parts.
const IN_THE_CLEAR: u16 = u16::MAX;

/// The keys that are derived from the root key.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keys of workspaces and customers are derived from it.
    root: Key,
    /// Nonces are.
    nonces: Key,
    /// What stands for identifiers is.
    marks: Key,
}

/// Where content stands. It can be opened there and nowhere else.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::embedded) struct Place<'a> {
    pub(in crate::store::embedded) workspace: &'a WorkspaceId,
    /// What tells it from other places of the workspace.
    pub(in crate::store::embedded) label: &'a [u8],
}

/// What came of opening something.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::embedded) enum Opened {
    /// The content.
    Content(Vec<u8>),
    /// A customer's key is destroyed, so that nobody can tell any more.
    Forgotten,
}

/// Why something cannot be opened that should be.
type Fault = &'static str;

impl Keys {
    pub(super) fn new(root: &Key) -> Self {
        let derived = |purpose| blake3::derive_key(purpose, root);
        Self {
            root: *root,
            nonces: derived("rapport 2026 nonces of sealed content"),
            marks: derived("rapport 2026 marks of identifiers"),
        }
    }

    fn key(&self, workspace: &WorkspaceId, secrets: impl Iterator<Item = Key>) -> Key {
        let name = workspace.as_str().as_bytes();
        let mut hasher = blake3::Hasher::new_keyed(&self.root);
        // The length tells a name from a name and secrets.
        hasher.update(&[u8::try_from(name.len()).unwrap_or(u8::MAX)]).update(name);
        for secret in secrets {
            hasher.update(&secret);
        }
        *hasher.finalize().as_bytes()
    }

    fn nonce(&self, place: &Place<'_>, (slots, content): (&[u8], &[u8])) -> [u8; NONCE_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        for part in [place.workspace.as_str().as_bytes(), place.label, slots] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hasher.update(content).finalize().as_bytes()[..NONCE_BYTES]);
        nonce
    }
}

impl Vault {
    /// Appends what `encode` appends, sealed with the secrets of `slots`, or for none with the key of the workspace:
    ///
    /// ```text
    /// number of slots u16 · each u32 · nonce · content · tag
    /// ```
    pub(in crate::store::embedded) fn seal(
        &self,
        place: Place<'_>,
        slots: &[Slot],
        mut buffer: Vec<u8>,
        encode: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        if !self.seals_anything {
            buffer.extend(IN_THE_CLEAR.to_le_bytes());
            return encode(buffer);
        }
        let sealing = |what: &str| Error::Index(format!("something cannot be sealed: {what}"));
        let count = u16::try_from(slots.len()).map_err(|_| sealing("it speaks of too many customers"))?;
        let start = buffer.len();
        buffer.extend(count.to_le_bytes());
        slots.iter().for_each(|slot| buffer.extend(slot.to_le_bytes()));
        let behind_slots = buffer.len();
        buffer.extend([0; NONCE_BYTES]);
        let content = buffer.len();
        let mut buffer = encode(buffer)?;
        let secrets = self.slots.secrets(slots).map_err(sealing)?.ok_or_else(|| sealing("a key is destroyed"))?;
        let key = self.seals.key(place.workspace, secrets.into_iter());
        let nonce = self.seals.nonce(&place, (&buffer[start..behind_slots], &buffer[content..]));
        let cipher = cipher(&key).ok_or_else(|| sealing("the key has another length"))?;
        let at = Nonce::assume_unique_for_key(nonce);
        let tag = cipher.seal_in_place_separate_tag(at, Aad::from(place.label), &mut buffer[content..]);
        let tag = tag.map_err(|_| sealing("it is too large"))?;
        buffer[behind_slots..content].copy_from_slice(&nonce);
        buffer.extend_from_slice(tag.as_ref());
        Ok(buffer)
    }

    /// Whether something is sealed with a key that is destroyed.
    pub(in crate::store::embedded) fn is_forgotten(&self, sealed: &[u8]) -> bool {
        slots_of(sealed).is_ok_and(|(slots, _)| self.slots.secrets(&slots) == Ok(None))
    }

    /// What stands for an identifier of a workspace.
    pub(in crate::store::embedded) fn mark(&self, workspace: &WorkspaceId, identifier: &Identifier) -> Mark {
        // What is not sealed is to be the same each time.
        let key = if self.seals_anything { &self.seals.marks } else { &[0; 32] };
        let mut hasher = blake3::Hasher::new_keyed(key);
        for part in [workspace.as_str(), identifier.kind(), identifier.value()] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut mark = [0; 16];
        mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Mark(mark)
    }

    /// A key for a purpose beside sealing, the same for as long as there is the store.
    pub(in crate::store::embedded) fn derived_key(&self, purpose: &str) -> Key {
        blake3::derive_key(purpose, &self.seals.root)
    }

    /// Opens what [`Vault::seal`] has made, at the place where it was sealed.
    pub(in crate::store::embedded) fn open_sealed(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> std::result::Result<Opened, Fault> {
        if !self.seals_anything {
            let content = sealed.strip_prefix(&IN_THE_CLEAR.to_le_bytes()).ok_or("something is sealed")?;
            return Ok(Opened::Content(content.to_vec()));
        }
        let (slots, rest) = slots_of(sealed)?;
        let (nonce, content) = rest.split_first_chunk::<NONCE_BYTES>().ok_or("something sealed is cut off")?;
        if content.len() < TAG_BYTES {
            return Err("something sealed is cut off");
        }
        let Some(secrets) = self.slots.secrets(&slots)? else { return Ok(Opened::Forgotten) };
        let key = self.seals.key(place.workspace, secrets.into_iter());
        let cipher = cipher(&key).ok_or("a key has another length")?;
        let mut content = content.to_vec();
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.label), &mut content);
        let bytes = opened.map_err(|_| "something is sealed with another key, or was changed")?.len();
        content.truncate(bytes);
        Ok(Opened::Content(content))
    }
}

/// The slots that something is sealed with, and what follows them.
pub(in crate::store::embedded) fn slots_of(sealed: &[u8]) -> std::result::Result<(Vec<Slot>, &[u8]), Fault> {
    const CUT_OFF: Fault = "something sealed is cut off";
    let (count, rest) = sealed.split_first_chunk().ok_or(CUT_OFF)?;
    if u16::from_le_bytes(*count) == IN_THE_CLEAR {
        return Ok((Vec::new(), rest));
    }
    let (slots, rest) =
        rest.split_at_checked(size_of::<Slot>() * usize::from(u16::from_le_bytes(*count))).ok_or(CUT_OFF)?;
    let slot = |bytes: &[u8; 4]| Slot::from_le_bytes(*bytes);
    Ok((slots.as_chunks().0.iter().map(slot).collect(), rest))
}
