//! The keys of the index. Every key is made here.
//!
//! The keys of sled:
//! ```text
//! m                         what the index is and how far it has come
//! family list               which tables the family has
//! ```
//! The keys of entries, in the tables of their family:
//! ```text
//! 0 name                    a workspace that had a commit
//! length workspace kind …   everything of one workspace, kinds below
//! ```
//! A workspace's name has 1 to 63 bytes, so that its length tells its keys from the list, and no workspace's keys begin
//! with another's. The keys of seen events are their hashes.

use crate::domain::erasure::Mark;
use crate::domain::event::EventKey;
use crate::domain::fact::{DocumentKey, DocumentKind};
use crate::domain::id::{ProfileId, WorkspaceId};

pub(in crate::store::embedded) const META: [u8; 1] = *b"m";
pub(in crate::store::embedded) const WORKSPACES: [u8; 1] = [0];
const LIST: u8 = b'l';

const PROFILE: u8 = b'p';
const TIMELINE: u8 = b't';
const BASES: u8 = b'b';
const OWNER: u8 = b'i';
const DOCUMENT: u8 = b'd';

/// A key, or what keys begin with.
pub(in crate::store::embedded) type Key = Vec<u8>;

/// What tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::embedded) enum Family {
    /// What readers ask for.
    Entries = b'e' as isize,
    /// Which events were accepted lately.
    Seen = b's' as isize,
}

impl Family {
    pub(in crate::store::embedded) const ALL: [Self; 2] = [Self::Entries, Self::Seen];

    /// Stands for the family where bytes tell it from others.
    pub(in crate::store::embedded) fn byte(self) -> u8 {
        self as u8
    }

    /// What the names of the family's files begin with.
    pub(in crate::store::embedded) fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Seen => "seen",
        }
    }
}

/// Stands for an event key of a workspace.
pub(in crate::store::embedded) type EventHash = [u8; 16];

pub(in crate::store::embedded) fn workspace(workspace: &WorkspaceId) -> Key {
    [&WORKSPACES, workspace.as_str().as_bytes()].concat()
}

/// The workspace that a key of [`workspace`] names.
pub(in crate::store::embedded) fn parse_workspace(key: &[u8]) -> Option<WorkspaceId> {
    std::str::from_utf8(key.strip_prefix(&WORKSPACES)?).ok()?.parse().ok()
}

pub(in crate::store::embedded) fn profiles(workspace: &WorkspaceId) -> Key {
    of(workspace, PROFILE)
}

pub(in crate::store::embedded) fn profile(workspace: &WorkspaceId, id: ProfileId) -> Key {
    let mut key = profiles(workspace);
    key.extend(id.as_bytes());
    key
}

/// The profile that a key of [`profile`] names.
pub(in crate::store::embedded) fn parse_profile(key: &[u8]) -> Option<ProfileId> {
    key.last_chunk().map(|id| ProfileId::from_bytes(*id))
}

pub(in crate::store::embedded) fn timeline_block(workspace: &WorkspaceId, id: ProfileId, number: u32) -> Key {
    let mut key = of(workspace, TIMELINE);
    key.extend(id.as_bytes());
    key.extend(number.to_be_bytes());
    key
}

/// What the expired events of a part, and of others with it, add up to.
pub(in crate::store::embedded) fn bases(workspace: &WorkspaceId, part: ProfileId) -> Key {
    let mut key = of(workspace, BASES);
    key.extend(part.as_bytes());
    key
}

/// What an entry is that says where events lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::embedded) enum Placing {
    /// The entry of a profile.
    Profile,
    /// A block of a timeline.
    Block,
}

/// Whether an entry says where events lie; `None` for another one.
pub(in crate::store::embedded) fn placing(key: &[u8]) -> Option<Placing> {
    let (name_bytes, rest) = key.split_first()?;
    match *rest.get(usize::from(*name_bytes)).filter(|_| *name_bytes > 0)? {
        PROFILE => Some(Placing::Profile),
        TIMELINE => Some(Placing::Block),
        _ => None,
    }
}

/// What an entry is about, where that can be a customer who is forgotten.
pub(in crate::store::embedded) enum About<'a> {
    /// The part whose profile's entry has this key.
    Part(Key),
    /// Whoever this is sealed for.
    Sealed(&'a [u8]),
}

/// What an entry is about.
pub(in crate::store::embedded) fn about<'a>(key: &[u8], value: &'a [u8]) -> Option<About<'a>> {
    const ID_BYTES: usize = 16;
    let (name_bytes, rest) = key.split_first()?;
    let (of_workspace, rest) = (key.get(..=usize::from(*name_bytes))?, rest.get(usize::from(*name_bytes)..)?);
    let (kind, rest) = rest.split_first().filter(|_| *name_bytes > 0)?;
    let part = match *kind {
        TIMELINE | BASES => rest.get(..ID_BYTES)?,
        OWNER => value.get(..ID_BYTES)?,
        // The revision stands before what is sealed.
        DOCUMENT => return Some(About::Sealed(value.get(8..)?)),
        _ => return None,
    };
    Some(About::Part([of_workspace, &[PROFILE], part].concat()))
}

/// The mark keeps keys short and values out of the index; 128 bits are not met twice by accident.
pub(in crate::store::embedded) fn owner(workspace: &WorkspaceId, mark: Mark) -> Key {
    let mut key = of(workspace, OWNER);
    key.extend(mark.0);
    key
}

pub(in crate::store::embedded) fn documents(workspace: &WorkspaceId, kind: DocumentKind) -> Key {
    let mut key = of(workspace, DOCUMENT);
    key.push(kind as u8);
    key
}

pub(in crate::store::embedded) fn document(workspace: &WorkspaceId, document: &DocumentKey) -> Key {
    let mut key = documents(workspace, document.kind);
    // A name may be empty, and no key may be what others begin with.
    key.push(0);
    key.extend(document.name.as_bytes());
    key
}

pub(in crate::store::embedded) fn event(workspace: &WorkspaceId, event: &EventKey) -> EventHash {
    digest(&[workspace.as_str().as_bytes(), event.source.as_bytes(), event.event_id.as_bytes()])
}

/// Which tables a family has.
pub(in crate::store::embedded) fn table_list(family: Family) -> Key {
    vec![family.byte(), LIST]
}

fn of(workspace: &WorkspaceId, kind: u8) -> Key {
    let name = workspace.as_str().as_bytes();
    let mut key = Vec::with_capacity(name.len() + 24);
    key.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    key.extend(name);
    key.push(kind);
    key
}

/// A digest of parts, each with its length, so that no two lists of parts look alike.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut text = Vec::with_capacity(parts.iter().map(|part| part.len() + size_of::<u64>()).sum());
    for part in parts {
        text.extend((part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(&text).as_bytes()[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workspace_sees_keys_of_another_that_begins_like_it() {
        let [a, ab] = ["a", "ap"].map(|name| name.parse::<WorkspaceId>().expect("well-formed"));
        assert!(!profile(&ab, ProfileId::MIN).starts_with(&profiles(&a)));
        assert!(!profile(&a, ProfileId::MIN).starts_with(&profiles(&ab)));
    }

    #[test]
    fn events_whose_parts_join_to_the_same_text_differ() {
        let workspace = WorkspaceId::default_workspace();
        let key = |source: &str, id: &str| EventKey { source: source.into(), event_id: id.into() };
        assert_ne!(event(&workspace, &key("ab", "c")), event(&workspace, &key("a", "bc")));
    }
}
