//! The one function that turns a commit into changes of the index: for a live commit and for a replayed one.

use std::collections::BTreeMap;

use super::effects::Effects;
use super::entry::{Entry, Head};
use super::index::{Bytes, Change, Source, keys};
use super::journal::{EventRef, Segments};
use super::timeline;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::store::Result;

/// A commit's place in the journal.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) revision: Revision,
    /// Where each fact lies.
    pub(super) places: Vec<EventRef>,
}

/// What the commit changes in the index that `source` shows, over the events in `segments`. Nothing is changed yet.
pub(super) fn changes(
    (source, segments): (&impl Source, &Segments),
    effects: Effects,
    placed: &Placed,
) -> Result<Change> {
    let mut change = Change { applied: placed.revision, time: Some(effects.time), ..Change::default() };
    let mut drafts = Drafts { source, workspace: &effects.workspace, drafts: BTreeMap::new() };
    // What the commit itself adds cannot be read yet, and is not that old.
    for (part, before) in &effects.forgotten {
        let head = &mut drafts.draft(*part)?.head;
        let blocks = timeline::forget((source, segments), &effects.workspace, (*part, *before), head)?;
        change.entries.extend(blocks);
    }
    for event in &effects.events {
        let at = placed.places[event.fact];
        let head = &mut drafts.draft(event.part)?.head;
        head.slot = head.slot.or(event.slot);
        let block = timeline::push(&effects.workspace, event.part, head, at)?;
        change.entries.extend(block.map(|(key, block)| (key.into(), block.into())));
        change.seen.insert(event.hash, at);
    }
    for (part, profile) in &effects.redirects {
        drafts.draft(*part)?.head.survivor = Some(*profile).filter(|profile| profile != part);
    }
    for (id, profile) in effects.profiles {
        drafts.draft(id)?.profile = profile.into();
    }
    for part in effects.erased {
        *drafts.draft(part)? = Draft { head: Head { erased: true, ..Head::default() }, profile: Bytes::default() };
    }
    for (id, mut draft) in drafts.drafts {
        draft.head.revision = placed.revision;
        let profile = if draft.head.survivor.is_none() { &draft.profile[..] } else { &[] };
        let entry = Entry::encode(&draft.head, profile)?;
        change.entries.push((keys::profile(&effects.workspace, id).into(), entry.into()));
    }
    let workspace = keys::workspace(&effects.workspace);
    if source.get(&workspace)?.is_none() {
        change.entries.push((workspace.into(), Bytes::default()));
    }
    let owners = effects.owners.into_iter().map(|(key, id)| (key.into(), id.as_bytes().into()));
    change.entries.extend(owners);
    let revision = placed.revision.0.to_le_bytes();
    let with_revision = |document: Vec<u8>| [&revision, &document[..]].concat().into();
    change.entries.extend(effects.bases.into_iter().map(|(key, bases)| (key.into(), bases.into())));
    let documents = effects.documents.into_iter().map(|(key, document)| (key.into(), with_revision(document)));
    change.entries.extend(documents);
    Ok(change)
}

/// Entries of profiles on their way through a commit.
struct Drafts<'a, S> {
    source: &'a S,
    workspace: &'a WorkspaceId,
    drafts: BTreeMap<ProfileId, Draft>,
}

#[derive(Default)]
struct Draft {
    head: Head,
    profile: Bytes,
}

impl<S: Source> Drafts<'_, S> {
    fn draft(&mut self, id: ProfileId) -> Result<&mut Draft> {
        Ok(match self.drafts.entry(id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let known = Entry::find(self.source, self.workspace, id)?;
                let draft = known.map(|entry| Draft { profile: entry.sealed_profile().clone(), head: entry.head });
                vacant.insert(draft.unwrap_or_default())
            }
        })
    }
}
