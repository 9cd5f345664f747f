//! What the index holds of one profile.

use serde::{Deserialize, Serialize};

use super::codec;
use super::index::{Bytes, Source, keys};
use super::journal::EventRef;
use super::vault::{Opened, Place, Slot, Vault};
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::profile::Profile;
use crate::store::{Error, Result};

const WHAT: &str = "a profile's entry";
/// What most heads take, which have few places.
const HEAD_BYTES: usize = 64;
/// Merges that an id may lead through. More can only be a circle.
const MERGES_MAX: usize = 10_000;

/// Everything but the profile itself, so that a commit can be checked and placed without decoding that. It begins with
/// the revision and the survivor, which are read alone too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The commit that last changed the profile.
    pub(super) revision: Revision,
    /// Whose part the profile became. It keeps its own events, so that a merge can be undone.
    pub(super) survivor: Option<ProfileId>,
    /// Whether the customer is forgotten: the id stands for nobody then.
    pub(super) erased: bool,
    /// Blocks of older places of events.
    pub(super) blocks: u32,
    /// The places of the latest events.
    pub(super) tail: Vec<EventRef>,
    /// What its events are sealed with; `None` before the first of them.
    pub(super) slot: Option<Slot>,
}

/// A profile's entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) head: Head,
    profile: Bytes,
}

impl Entry {
    /// The entry of a profile, not following merges.
    pub(super) fn find(source: &impl Source, workspace: &WorkspaceId, id: ProfileId) -> Result<Option<Self>> {
        source.get(&keys::profile(workspace, id))?.map(|bytes| Self::decode(&bytes)).transpose()
    }

    /// The entry of the profile that an id stands for today, with that profile's id.
    pub(super) fn resolve(
        source: &impl Source,
        workspace: &WorkspaceId,
        id: ProfileId,
    ) -> Result<Option<(ProfileId, Self)>> {
        let found = survivor(source, workspace, id)?;
        found.map(|(id, bytes)| Ok((id, Self::decode(&bytes)?))).transpose()
    }

    /// The profile that an id stands for today.
    pub(super) fn resolve_id(
        source: &impl Source,
        workspace: &WorkspaceId,
        id: ProfileId,
    ) -> Result<Option<ProfileId>> {
        Ok(survivor(source, workspace, id)?.map(|(id, _)| id))
    }

    /// The commit that last changed the profile; `None` where it does not exist or is part of another.
    pub(super) fn revision(source: &impl Source, workspace: &WorkspaceId, id: ProfileId) -> Result<Option<Revision>> {
        let Some(bytes) = source.get(&keys::profile(workspace, id))? else { return Ok(None) };
        revision_of(&bytes)
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self> {
        let (head, profile) = codec::decode_first(WHAT, bytes)?;
        Ok(Self { head, profile: bytes.subslice(bytes.len() - profile.len(), profile.len()) })
    }

    /// The bytes of an entry; a merged profile has no profile of its own any more.
    pub(super) fn encode(head: &Head, profile: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = codec::encode_after(Vec::with_capacity(HEAD_BYTES + profile.len()), head)?;
        bytes.extend_from_slice(profile);
        Ok(bytes)
    }

    /// The profile as it lies in the entry, sealed.
    pub(super) fn sealed_profile(&self) -> &Bytes {
        &self.profile
    }

    /// The profile of the entry under `key`; `None` for one that is part of another.
    pub(super) fn profile(&self, vault: &Vault, workspace: &WorkspaceId, key: &[u8]) -> Result<Option<Profile>> {
        profile((&self.head, &self.profile), vault, workspace, key)
    }

    /// The profile of an entry that is read where it lies; else the same.
    pub(super) fn profile_of(
        entry: &[u8],
        vault: &Vault,
        workspace: &WorkspaceId,
        key: &[u8],
    ) -> Result<Option<Profile>> {
        let (head, sealed) = codec::decode_first(WHAT, entry)?;
        profile((&head, sealed), vault, workspace, key)
    }

    /// What the events of a part are sealed with.
    pub(super) fn slot(source: &impl Source, workspace: &WorkspaceId, part: ProfileId) -> Result<Option<Slot>> {
        Ok(Self::find(source, workspace, part)?.and_then(|entry| entry.head.slot))
    }
}

fn profile(
    (head, sealed): (&Head, &[u8]),
    vault: &Vault,
    workspace: &WorkspaceId,
    key: &[u8],
) -> Result<Option<Profile>> {
    if head.survivor.is_some() || sealed.is_empty() {
        return Ok(None);
    }
    let Some(profile) = open(vault, workspace, key, sealed)? else { return Ok(None) };
    let mut profile = decode_profile(&profile)?;
    profile.revision = head.revision;
    Ok(Some(profile))
}

/// Opens what lies sealed in the entry under `key`; `None` where it was about a customer who is forgotten.
pub(super) fn open(vault: &Vault, workspace: &WorkspaceId, key: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>> {
    match vault.open_sealed(Place { workspace, label: key }, sealed) {
        Ok(Opened::Content(content)) => Ok(Some(content)),
        Ok(Opened::Forgotten) => Ok(None),
        Err(what) => Err(Error::Index(what.to_owned())),
    }
}

/// The commit that last changed the profile of an entry; `None` also where the entry cannot be read, as readers will say.
pub(super) fn revision(entry: &[u8]) -> Option<Revision> {
    revision_of(entry).ok().flatten()
}

fn revision_of(entry: &[u8]) -> Result<Option<Revision>> {
    let (revision, survivor, erased) = beginning(entry)?;
    Ok((survivor.is_none() && !erased).then_some(revision))
}

/// Whether an entry is that of a customer who is forgotten.
pub(super) fn is_erased(entry: &[u8]) -> bool {
    beginning(entry).is_ok_and(|(_, _, erased)| erased)
}

/// What a head begins with: all that most readers want to know of it.
fn beginning(entry: &[u8]) -> Result<(Revision, Option<ProfileId>, bool)> {
    Ok(codec::decode_first(WHAT, entry)?.0)
}

/// The profile that an id stands for today, with its entry; `None` also for one that is forgotten.
fn survivor(source: &impl Source, workspace: &WorkspaceId, mut id: ProfileId) -> Result<Option<(ProfileId, Bytes)>> {
    for _ in 0..MERGES_MAX {
        let Some(bytes) = source.get(&keys::profile(workspace, id))? else { return Ok(None) };
        match beginning(&bytes)? {
            (_, _, true) => return Ok(None),
            (_, None, false) => return Ok(Some((id, bytes))),
            (_, Some(survivor), false) => id = survivor,
        }
    }
    Err(Error::Index("a merged profile leads back to itself".to_owned()))
}

/// Encodes a profile before its revision is known; the entry's head has it.
pub(super) fn encode_profile(buffer: Vec<u8>, profile: Profile) -> Result<Vec<u8>> {
    let profile = Profile { revision: Revision::default(), ..profile };
    let bytes = codec::encode_after(buffer, &profile)?;
    if profile.consents.is_empty() { Ok(bytes) } else { codec::encode_after(bytes, &profile.consents) }
}

/// What [`encode_profile`] made.
pub(super) fn decode_profile(bytes: &[u8]) -> Result<Profile> {
    let (mut profile, consents): (Profile, &[u8]) = codec::decode_first("a profile", bytes)?;
    if !consents.is_empty() {
        profile.consents = codec::decode("consents", consents)?;
    }
    Ok(profile)
}
