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
    /// Ids that stand for another profile from now on, each with that profile, or again for themselves.
    pub(super) redirects: Vec<(ProfileId, ProfileId)>,
    /// Profiles, encoded.
    pub(super) profiles: Vec<(ProfileId, Vec<u8>)>,
    /// Documents, encoded.
    pub(super) documents: Vec<(Key, Vec<u8>)>,
    /// All bases of parts, encoded.
    pub(super) bases: Vec<(Key, Vec<u8>)>,
    /// Parts whose events before a time are forgotten.
    pub(super) forgotten: Vec<(ProfileId, Timestamp)>,
}

/// An event that the commit accepts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) part: ProfileId,
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
                    events.push(Accepted { part: fact.part, hash, fact: position });
                    owners.extend(fact.claims.iter().map(|claim| (keys::owner(&workspace, claim), fact.part)));
                }
                Fact::Document(document) => {
                    documents.push((keys::document(&workspace, &document.key()), codec::encode(document)?));
                }
                // What these do is in the projection.
                Fact::Merge(_) | Fact::Unmerge(_) | Fact::Expire(_) | Fact::Consent(_) => {}
            }
        }
        let bases = projection.bases.into_iter();
        let bases = bases.map(|(part, bases)| Ok((keys::bases(&workspace, part), codec::encode(&bases)?)));
        let bases = bases.collect::<Result<_>>()?;
        let profiles = projection.profiles.into_iter().map(|profile| Ok((profile.id, entry::encode_profile(profile)?)));
        let profiles = profiles.collect::<Result<_>>()?;
        let Projection { redirects, forgotten, .. } = projection;
        Ok(Self { workspace, time, events, owners, redirects, profiles, documents, bases, forgotten })
    }
}
