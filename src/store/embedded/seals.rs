//! Which slots of the vault a commit is sealed with.

use std::collections::BTreeMap;

use super::codec;
use super::entry::{self, Entry};
use super::index::{Source, keys};
use super::vault::{Place, Slot, Vault};
use crate::domain::erasure::{Mark, RemainsOfEvent};
use crate::domain::fact::{Document, EventFact, Fact};
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::identity::Release;
use crate::domain::profile::Profile;
use crate::store::{Error, Result};

/// What the records of the journal are bound to beside their workspace.
const RECORD: &[u8] = b"record";
/// What the content of a sealed record begins with. Records of before there was a vault begin with the kind of their fact,
/// of which there are not that many.
pub(super) const SEALED: u8 = 0xff;
/// The same of an event: what stays when its customer is forgotten comes in between.
pub(super) const SEALED_EVENT: u8 = 0xfe;

/// The slots of the customers of one commit. A part of a profile gets its slot with the first event that is accepted for
/// it, and keeps it, whatever it merges into.
pub(super) struct Seals<'a, S> {
    vault: &'a Vault,
    source: &'a S,
    workspace: &'a WorkspaceId,
    known: BTreeMap<ProfileId, Option<Slot>>,
    /// Whether a part without a slot gets one; a replayed commit says itself what was given then.
    gives: bool,
}

/// The place of every record of the workspace.
pub(super) fn record_place(workspace: &WorkspaceId) -> Place<'_> {
    Place { workspace, label: RECORD }
}

impl<'a, S: Source> Seals<'a, S> {
    /// Those of a new commit.
    pub(super) fn new(source: &'a S, workspace: &'a WorkspaceId) -> Self {
        Self { vault: source.vault(), source, workspace, known: BTreeMap::new(), gives: true }
    }

    /// Those of a commit that was read back, with what its records are sealed with.
    pub(super) fn read_back(
        source: &'a S,
        workspace: &'a WorkspaceId,
        slots: impl Iterator<Item = (ProfileId, Slot)>,
    ) -> Self {
        let known = slots.map(|(part, slot)| (part, Some(slot))).collect();
        Self { vault: source.vault(), source, workspace, known, gives: false }
    }

    /// Appends a fact as the content of a record.
    pub(super) fn append_fact(&mut self, buffer: Vec<u8>, fact: &Fact) -> Result<Vec<u8>> {
        let slots = match fact {
            Fact::Event(fact) => self.of_new(fact.part)?.into_iter().collect(),
            Fact::Document(document) => self.of_document(document)?,
            // They name profiles and purposes, and nothing of what is known about anybody.
            Fact::Merge(_) | Fact::Unmerge(_) | Fact::Expire(_) | Fact::Consent(_) | Fact::Erase(_) => Vec::new(),
            Fact::Forgotten(_) => return Err(Error::Index("what is forgotten cannot be written".to_owned())),
        };
        let buffer = match fact {
            Fact::Event(event) => {
                let left = self.left_of(event);
                let mut buffer = buffer;
                buffer.push(SEALED_EVENT);
                codec::encode_after(buffer, &left)?
            }
            _ => {
                let mut buffer = buffer;
                buffer.push(SEALED);
                buffer
            }
        };
        self.vault.seal(record_place(self.workspace), &slots, buffer, |buffer| codec::encode_after(buffer, fact))
    }

    /// What of an event stays when its customer is forgotten.
    fn left_of(&self, event: &EventFact) -> RemainsOfEvent {
        let mark = |release: &Release| (release.from, self.vault.mark(self.workspace, &release.identifier));
        let released = event.released.iter().map(mark).collect();
        RemainsOfEvent { profile: event.profile, part: event.part, released }
    }

    /// A profile as the content of its entry.
    pub(super) fn profile(&mut self, profile: Profile) -> Result<Vec<u8>> {
        let slots = self.of(profile.parts.iter().map(|part| part.id))?;
        let key = keys::profile(self.workspace, profile.id);
        self.vault.seal(self.place(&key), &slots, Vec::new(), |buffer| entry::encode_profile(buffer, profile))
    }

    /// A document, as the content of the entry under `key`.
    pub(super) fn document(&mut self, key: &[u8], document: &Document) -> Result<Vec<u8>> {
        let slots = self.of_document(document)?;
        self.vault.seal(self.place(key), &slots, Vec::new(), |buffer| codec::encode_after(buffer, document))
    }

    /// Something of a part, as the content of the entry under `key`.
    pub(super) fn of_part<T: serde::Serialize>(&mut self, key: &[u8], part: ProfileId, value: &T) -> Result<Vec<u8>> {
        let slots = self.of([part])?;
        self.vault.seal(self.place(key), &slots, Vec::new(), |buffer| codec::encode_after(buffer, value))
    }

    /// What stands for an identifier.
    pub(super) fn mark(&self, identifier: &Identifier) -> Mark {
        self.vault.mark(self.workspace, identifier)
    }

    /// The slot of a part that has an event in the commit.
    pub(super) fn of_new(&mut self, part: ProfileId) -> Result<Option<Slot>> {
        let known = self.known(part)?;
        if known.is_some() || !self.gives {
            return Ok(known);
        }
        let given = Some(self.vault.draw()?);
        self.known.insert(part, given);
        Ok(given)
    }

    fn of(&mut self, parts: impl IntoIterator<Item = ProfileId>) -> Result<Vec<Slot>> {
        parts.into_iter().filter_map(|part| self.known(part).transpose()).collect()
    }

    fn of_document(&mut self, document: &Document) -> Result<Vec<Slot>> {
        self.of(document.subjects())
    }

    fn known(&mut self, part: ProfileId) -> Result<Option<Slot>> {
        if let Some(known) = self.known.get(&part) {
            return Ok(*known);
        }
        let slot = Entry::slot(self.source, self.workspace, part)?;
        self.known.insert(part, slot);
        Ok(slot)
    }

    fn place<'k>(&self, key: &'k [u8]) -> Place<'k>
    where
        'a: 'k,
    {
        Place { workspace: self.workspace, label: key }
    }
}
