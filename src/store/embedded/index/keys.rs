//! The keys of the index. Every key is made here.
//!
//! ```text
//! 0 meta                                    what the index is and how far it has come
//! 0 workspaces name                         a workspace that had a commit
//! 0 run list · 0 run block · 0 run fences   seen events
//! length workspace kind …                   everything of one workspace, kinds below
//! 255 key number                            a part of a value that is too large for one
//! ```
//! A workspace's name has 1 to 63 bytes, so that its length tells its keys from the others, and no workspace's keys
//! begin with another's.

use crate::domain::event::EventKey;
use crate::domain::fact::{DocumentKey, DocumentKind};
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::identifier::Identifier;

pub(in crate::store::embedded) const META: [u8; 2] = [0, b'm'];
pub(in crate::store::embedded) const WORKSPACES: [u8; 2] = [0, b'w'];
pub(in crate::store::embedded) const RUN_LIST: [u8; 2] = [0, b'r'];
const RUN_BLOCKS: [u8; 2] = [0, b'b'];
const RUN_FENCES: [u8; 2] = [0, b'f'];
const PART: u8 = u8::MAX;

const PROFILE: u8 = b'p';
const TIMELINE: u8 = b't';
const OWNER: u8 = b'i';
const DOCUMENT: u8 = b'd';

/// A key, or what keys begin with.
pub(in crate::store::embedded) type Key = Vec<u8>;

/// Stands for an event key of a workspace.
pub(in crate::store::embedded) type EventHash = [u8; 16];

pub(in crate::store::embedded) fn workspace(workspace: &WorkspaceId) -> Key {
    [&WORKSPACES, workspace.as_str().as_bytes()].concat()
}

/// The workspace that a key of [`workspace`] names.
pub(in crate::store::embedded) fn parse_workspace(key: &[u8]) -> Option<WorkspaceId> {
    std::str::from_utf8(key.strip_prefix(&WORKSPACES)?).ok()?.parse().ok()
}

/// Whether a key belongs to one workspace: it begins with the length of the workspace's name.
pub(super) fn is_of_a_workspace(key: &[u8]) -> bool {
    key.first().is_some_and(|length| !matches!(*length, 0 | PART))
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

/// The digest keeps keys short and values out of the index; 128 bits are not met twice by accident.
pub(in crate::store::embedded) fn owner(workspace: &WorkspaceId, identifier: &Identifier) -> Key {
    let mut key = of(workspace, OWNER);
    key.extend(digest(&[identifier.kind().as_bytes(), identifier.value().as_bytes()]));
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

pub(in crate::store::embedded) fn run_blocks(run: u64) -> Key {
    [RUN_BLOCKS.as_slice(), &run.to_be_bytes()].concat()
}

pub(in crate::store::embedded) fn run_block(run: u64, number: u32) -> Key {
    [run_blocks(run).as_slice(), &number.to_be_bytes()].concat()
}

pub(in crate::store::embedded) fn run_fences(run: u64) -> Key {
    [RUN_FENCES.as_slice(), &run.to_be_bytes()].concat()
}

pub(in crate::store::embedded) fn run_fence(run: u64, number: u32) -> Key {
    [run_fences(run).as_slice(), &number.to_be_bytes()].concat()
}

/// A part of the value of `key`.
pub(in crate::store::embedded) fn part(key: &[u8], number: u16) -> Key {
    [[PART].as_slice(), key, &number.to_be_bytes()].concat()
}

fn of(workspace: &WorkspaceId, kind: u8) -> Key {
    let name = workspace.as_str().as_bytes();
    let mut key = Vec::with_capacity(name.len() + 24);
    key.push(u8::try_from(name.len()).unwrap_or(PART));
    key.extend(name);
    key.push(kind);
    key
}

/// A digest of parts, each with its length, so that no two lists of parts look alike.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
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
        let key = |source: &str, id: &str| EventKey { source: source.to_owned(), event_id: id.to_owned() };
        assert_ne!(event(&workspace, &key("ab", "c")), event(&workspace, &key("a", "bc")));
    }
}
