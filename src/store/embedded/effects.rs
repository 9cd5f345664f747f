//! What a commit will do to the index, as far as it can be said before the commit has its place in the journal.

use super::codec;
use super::entry;
use super::index::keys::{self, EventHash, Key};
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
    /// Sources, each with its survivor.
    pub(super) merged: Vec<(ProfileId, ProfileId)>,
    /// Profiles, encoded.
    pub(super) profiles: Vec<(ProfileId, Vec<u8>)>,
    /// Documents, encoded.
    pub(super) documents: Vec<(Key, Vec<u8>)>,
}

/// An event that the commit accepts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) profile: ProfileId,
    pub(super) hash: EventHash,
    /// Which of the commit's facts it is.
    pub(super) fact: usize,
}

impl Effects {
    /// The effects of facts whose projection is known.
    pub(super) fn of(workspace: WorkspaceId, time: Timestamp, facts: &[Fact], projection: Projection) -> Result<Self> {
        let (mut events, mut owners, mut documents) = (Vec::new(), Vec::new(), Vec::new());
        for (position, fact) in facts.iter().enumerate() {
            match fact {
                Fact::Event(fact) => {
                    let hash = keys::event(&workspace, &fact.event.key);
                    events.push(Accepted { profile: fact.profile, hash, fact: position });
                    owners.extend(fact.claims.iter().map(|claim| (keys::owner(&workspace, claim), fact.profile)));
                }
                Fact::Document(document) => {
                    documents.push((keys::document(&workspace, &document.key()), codec::encode(document)?));
                }
                // What a merge does is in the projection.
                Fact::Merge(_) => {}
            }
        }
        let profiles = projection.profiles.into_iter().map(|profile| Ok((profile.id, entry::encode_profile(profile)?)));
        let profiles = profiles.collect::<Result<_>>()?;
        Ok(Self { workspace, time, events, owners, merged: projection.merged, profiles, documents })
    }
}
