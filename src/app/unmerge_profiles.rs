//! An operator undoes a merge.

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::{Error, Reason, Resource, Result};
use super::request::{NamedRequest, Repeat, WriteMode};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult, UnmergeFact};
use crate::domain::id::{MergeId, ProfileId, Revision};
use crate::domain::limits;
use crate::domain::merge::MergeRecord;
use crate::domain::profile::Profile;
use crate::store::{self, Commit, Precondition, Versioned};

/// Which merge to undo.
#[derive(Debug, Clone)]
pub struct UnmergeRequest {
    /// The merge.
    pub merge: MergeId,
    /// The caller's name for the request; empty is none.
    pub request_id: String,
}

/// What became of an undone merge, or would.
#[derive(Debug, Clone)]
pub struct Unmerged {
    /// The profiles that the customer fell apart into, the one that keeps the present id first.
    pub found: Vec<Found>,
    /// The commit.
    pub revision: Revision,
}

impl App {
    /// Undoes a merge: each side gets back what was its own, and what has come since with its identifiers.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown merge, [`Error::Precondition`] for one that was undone before,
    /// [`Error::OutOfRange`] for one whose history has expired.
    pub async fn unmerge_profiles(
        &self,
        caller: &Caller,
        request: &UnmergeRequest,
        mode: WriteMode,
    ) -> Result<Unmerged> {
        let merge = request.merge;
        for _ in 0..limits::CONFLICT_RETRIES {
            // Decided before it is asked whether the request was carried out: where it is sent twice at the same moment,
            // a decision that the other one has made wrong is never the answer.
            let decided = self.decide_unmerge(caller, merge).await;
            let mut named = NamedRequest::none();
            if mode == WriteMode::Commit {
                match self.find_repeat(caller, &request.request_id, "UnmergeProfiles", &merge).await? {
                    Repeat::No(new) => named = new,
                    Repeat::Yes(RequestResult::Unmerge(ids), revision) => {
                        return self.unmerged_before(caller, ids, revision).await;
                    }
                    Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
                }
            }
            let (mut commit, first) = decided?;
            let now = self.context.now();
            let mut profiles = commit.projection.profiles.clone();
            profiles.sort_by_key(|profile| (profile.id != first, profile.id));
            if mode == WriteMode::ValidateOnly {
                let found = profiles.into_iter().map(|profile| Found::new(profile, now)).collect();
                return Ok(Unmerged { found, revision: self.store.revision() });
            }
            let ids = profiles.iter().map(|profile| profile.id).collect();
            named.record(RequestResult::Unmerge(ids), &mut commit);
            match self.store.commit(commit).await {
                Ok(revision) => {
                    let found = |profile| Found::new(Profile { revision, ..profile }, now);
                    return Ok(Unmerged { found: profiles.into_iter().map(found).collect(), revision });
                }
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    /// What undoing comes to, and the profile that keeps the present id.
    async fn decide_unmerge(&self, caller: &Caller, merge: MergeId) -> Result<(Commit, ProfileId)> {
        let Versioned { revision, value: record } = self.merge_record(caller, merge).await?;
        if record.undo_time.is_some() {
            return Err(Error::Precondition(Reason::MergeUndone));
        }
        let kept = self.history_kept(&caller.workspace).await?;
        kept.check(record.time)?;
        let holder = CustomerRef::Profile(record.part);
        let whole = self.find(caller, &holder, &Read::default()).await?.profile;
        let groups = whole.groups_without(merge);
        let mut commit = self.new_commit(caller);
        commit.preconditions.push(Precondition::Document(DocumentKey::merge(merge), Some(revision)));
        commit.preconditions.push(Precondition::Profile(whole.id, Some(whole.revision)));
        commit.preconditions.push(kept.precondition);
        let first = whole.id;
        commit.facts.push(Fact::Unmerge(UnmergeFact { merge, profile: first, groups }));
        commit.projection = self.project(caller, &commit.facts, commit.time, [(first, whole)].into()).await?;
        let undone = MergeRecord { undo_time: Some(commit.time), ..record };
        commit.facts.push(Fact::Document(Document::Merge(undone)));
        Ok((commit, first))
    }

    /// The answer to a request that was carried out before, with the customers as they are now.
    async fn unmerged_before(&self, caller: &Caller, ids: Vec<ProfileId>, revision: Revision) -> Result<Unmerged> {
        let customers: Vec<_> = ids.into_iter().map(CustomerRef::Profile).collect();
        let found = self.find_all(caller, &customers, &Read::default()).await?;
        Ok(Unmerged { found: found.into_iter().flatten().collect(), revision })
    }

    /// The record of a merge.
    pub(super) async fn merge_record(&self, caller: &Caller, id: MergeId) -> Result<Versioned<MergeRecord>> {
        let stored = self.store.document(&caller.workspace, &DocumentKey::merge(id)).await?;
        match stored {
            Some(Versioned { revision, value: Document::Merge(value) }) => Ok(Versioned { revision, value }),
            _ => Err(Error::not_found(Resource::Merge, id.to_string())),
        }
    }
}
