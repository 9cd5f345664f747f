//! What a commit will do to the index, as far as it can be said before the commit has its place in the journal.

use super::index::Source;
use super::index::keys::{self, EventHash, Key};
use super::seals::Seals;
use super::vault::Slot;
use crate::domain::erasure::Remains;
use crate::domain::fact::Fact;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::projection::Projection;
use crate::domain::time::Timestamp;
use crate::store::Result;

/// The effects of one commit. Made in the caller's thread, or by replay from what the journal says.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) workspace: WorkspaceId,
    pub(super) time: Timestamp,
    pub(super) events: Vec<Accepted>,
    pub(super) owners: Vec<(Key, ProfileId)>,
    /// Ids that stand for another profile from now on, each with that profile, or again for themselves.
    pub(super) redirects: Vec<(ProfileId, ProfileId)>,
    /// Profiles, sealed.
    pub(super) profiles: Vec<(ProfileId, Vec<u8>)>,
    /// Documents, sealed.
    pub(super) documents: Vec<(Key, Vec<u8>)>,
    /// All bases of parts, sealed.
    pub(super) bases: Vec<(Key, Vec<u8>)>,
    /// Parts whose events before a time are forgotten.
    pub(super) forgotten: Vec<(ProfileId, Timestamp)>,
    /// Parts that are no more.
    pub(super) erased: Vec<ProfileId>,
}

/// An event that the commit accepts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) part: ProfileId,
    pub(super) hash: EventHash,
    /// Which of the commit's facts it is.
    pub(super) fact: usize,
    /// What it is sealed with.
    pub(super) slot: Option<Slot>,
}

impl Effects {
    /// The effects of facts whose projection is known.
    pub(super) fn of(
        (workspace, time): (&WorkspaceId, Timestamp),
        facts: &[Fact],
        projection: Projection,
        seals: &mut Seals<'_, impl Source>,
    ) -> Result<Self> {
        let (mut events, mut owners, mut documents) = (Vec::new(), Vec::new(), Vec::new());
        for (position, fact) in facts.iter().enumerate() {
            match fact {
                Fact::Event(fact) => {
                    let hash = keys::event(workspace, &fact.event.key);
                    let slot = seals.of_new(fact.part)?;
                    events.push(Accepted { part: fact.part, hash, fact: position, slot });
                    owners
                        .extend(fact.claims.iter().map(|claim| (keys::owner(workspace, seals.mark(claim)), fact.part)));
                }
                Fact::Document(document) => {
                    let key = keys::document(workspace, &document.key());
                    let document = seals.document(&key, document)?;
                    documents.push((key, document));
                }
                // What went to somebody who is forgotten went from those who had it before.
                Fact::Forgotten(Remains::Event(event)) => {
                    owners.extend(event.released.iter().map(|(_, mark)| (keys::owner(workspace, *mark), event.part)));
                }
                Fact::Forgotten(Remains::Document) => {}
                // What these do is in the projection.
                Fact::Merge(_) | Fact::Unmerge(_) | Fact::Expire(_) | Fact::Consent(_) | Fact::Erase(_) => {}
            }
        }
        let bases = projection.bases.into_iter().map(|(part, bases)| {
            let key = keys::bases(workspace, part);
            let bases = seals.of_part(&key, part, &bases)?;
            Ok((key, bases))
        });
        let bases = bases.collect::<Result<_>>()?;
        let profiles = projection.profiles.into_iter().map(|profile| Ok((profile.id, seals.profile(profile)?)));
        let profiles = profiles.collect::<Result<_>>()?;
        let Projection { redirects, forgotten, erased, .. } = projection;
        let workspace = workspace.clone();
        Ok(Self { workspace, time, events, owners, redirects, profiles, documents, bases, forgotten, erased })
    }
}
