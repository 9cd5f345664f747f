//! An operator says that several profiles are one customer.

use std::sync::Arc;

use serde::Serialize;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::{Error, Invalid, Reason, Result};
use super::request::{NamedRequest, Repeat, WriteMode};
use crate::domain::decision::Refusal;
use crate::domain::fact::{Fact, RequestResult};
use crate::domain::id::{MergeId, Revision};
use crate::domain::limits;
use crate::domain::merge::{Merge, MergeCause, MergeRecord};
use crate::domain::profile::Profile;
use crate::domain::profile::size::{Outgrown, outgrown};
use crate::domain::violation::Violations;
use crate::store::{self, Commit, Precondition};

/// Which profiles to merge, and why.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    /// The profile that stays.
    pub target: CustomerRef,
    /// The profiles that become part of it.
    pub sources: Vec<CustomerRef>,
    /// Why, in the operator's words.
    pub reason: String,
    /// The state of the target that the operator has seen; empty is any.
    pub etag: String,
    /// The caller's name for the request; empty is none.
    pub request_id: String,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// What became of a merge, or would.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The record that is kept of it.
    pub record: MergeRecord,
    /// The customer after it.
    pub found: Found,
    /// The commit.
    pub revision: Revision,
}

/// A merge with everything that it was decided on.
struct Decided {
    commit: Commit,
    record: MergeRecord,
    profile: Profile,
}

impl App {
    /// Makes one customer of several. Nothing is lost by it: [`App::unmerge_profiles`] undoes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a profile that is named twice, [`Error::NotFound`] for an unknown one, [`Error::Conflict`]
    /// for a stale etag, [`Error::Precondition`] for more identifiers, parts or traits than a profile may have.
    pub async fn merge_profiles(&self, caller: &Caller, request: &MergeRequest, mode: WriteMode) -> Result<Merged> {
        request.check()?;
        for _ in 0..limits::CONFLICT_RETRIES {
            // Decided before it is asked whether the request was carried out: where it is sent twice at the same moment,
            // a decision that the other one has made wrong is never the answer.
            let decided = self.decide_merge(caller, request).await;
            let mut named = NamedRequest::none();
            if mode == WriteMode::Commit {
                match self.find_repeat(caller, &request.request_id, "MergeProfiles", &request.content()).await? {
                    Repeat::No(new) => named = new,
                    Repeat::Yes(RequestResult::Merge(id), revision) => {
                        return self.merged_before(caller, id, revision).await;
                    }
                    Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
                }
            }
            let Decided { mut commit, record, profile } = decided?;
            let now = self.context.now();
            if mode == WriteMode::ValidateOnly {
                let found = Found::new(profile, now);
                return Ok(Merged { record, found, revision: self.store.revision() });
            }
            named.record(RequestResult::Merge(record.id), &mut commit);
            match self.store.commit(commit).await {
                Ok(revision) => {
                    let found = Found::new(Profile { revision, ..profile }, now);
                    return Ok(Merged { record, found, revision });
                }
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    async fn decide_merge(&self, caller: &Caller, request: &MergeRequest) -> Result<Decided> {
        let (resolver, settings) = self.resolver(&caller.workspace).await?;
        let target = Arc::unwrap_or_clone(self.find(caller, &request.target, &Read::default()).await?.profile);
        if !request.etag.is_empty() && request.etag != target.revision.to_string() {
            return Err(Error::Conflict(Reason::EtagMismatch));
        }
        let mut sources: Vec<Profile> = Vec::with_capacity(request.sources.len());
        let mut violations = Violations::new();
        for (position, source) in request.sources.iter().enumerate() {
            let source = Arc::unwrap_or_clone(self.find(caller, source, &Read::default()).await?.profile);
            let field = format!("sources[{position}]");
            if source.id == target.id {
                violations.add(&field, "is the target, or part of it already");
            } else if sources.iter().any(|earlier| earlier.id == source.id) {
                violations.add(&field, "is named already");
            }
            sources.push(source);
        }
        Invalid::check(violations)?;
        let all: Vec<&Profile> = sources.iter().chain([&target]).collect();
        // That two users are one customer is what only an operator can know.
        if let Some(exceeded) = resolver.exceeded(&all, &[]).find(|exceeded| !exceeded.is_user()) {
            let kind = exceeded.kind.to_owned();
            return Err(Error::Precondition(Reason::IdentifierLimit { kind, limit: exceeded.limit }));
        }
        match outgrown(&all, 0) {
            Some(Outgrown::Parts) => return Err(Error::Precondition(Reason::PartLimit)),
            Some(Outgrown::Identifiers) => return Err(Error::Precondition(Reason::IdentifierTotal)),
            Some(Outgrown::Traits) => return Err(Error::Precondition(Reason::Refused(Refusal::TraitLimit))),
            None => {}
        }
        let cause = MergeCause::Operator { reason: request.reason.clone() };
        let id = MergeId::from(self.context.new_id());
        let merge = Merge::decide(id, &target, &sources, cause, |profile| profile.id);
        let mut commit = self.new_commit(caller);
        let seen = |profile: &Profile| Precondition::Profile(profile.id, Some(profile.revision));
        commit.preconditions.extend(sources.iter().chain([&target]).map(seen));
        commit.preconditions.push(settings);
        commit.facts.push(Fact::Merge(merge.fact.clone()));
        let before = sources.into_iter().chain([target]).map(|profile| (profile.id, Arc::new(profile))).collect();
        commit.projection = self.project(caller, &commit.facts, commit.time, before).await?;
        let profile = commit.projection.profiles.first().cloned();
        let profile = profile.ok_or_else(|| Error::Internal("a merge made no profile".into()))?;
        let record = merge.record(Some(&profile), commit.time);
        commit.facts.extend(record.clone().documents());
        Ok(Decided { commit, record, profile })
    }

    /// The answer to a request that was carried out before, with the customer as they are now.
    async fn merged_before(&self, caller: &Caller, id: MergeId, revision: Revision) -> Result<Merged> {
        let record = self.merge_record(caller, id).await?.value;
        let survivor = CustomerRef::Profile(record.survivor);
        Ok(Merged { found: self.find(caller, &survivor, &Read::default()).await?, record, revision })
    }
}

impl MergeRequest {
    fn check(&self) -> Result<()> {
        let mut violations = self.faults.clone();
        violations.check_text("reason", &self.reason, limits::REASON_BYTES);
        violations.check_text("request_id", &self.request_id, limits::REQUEST_ID_BYTES);
        match self.sources.len() {
            0 => violations.add("sources", "must name at least one profile"),
            count if count > limits::MERGE_SOURCES => {
                violations.add("sources", format!("has {count} items; the limit is {}", limits::MERGE_SOURCES));
            }
            _ => {}
        }
        Invalid::check(violations)
    }

    /// What makes the request the same when it is sent again.
    fn content(&self) -> impl Serialize + '_ {
        let sources: Vec<_> = self.sources.iter().map(CustomerRef::binding).collect();
        (self.target.binding(), sources, &self.reason, &self.etag)
    }
}
