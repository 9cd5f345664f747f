//! The rules by which events are given to profiles.

use std::collections::{BTreeSet, HashMap};

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Invalid, Reason, Result};
use super::request::{NamedRequest, Repeat, WriteMode};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult};
use crate::domain::id::{MergeId, Revision};
use crate::domain::identity::Resolver;
use crate::domain::identity_rules::{IdentifierRule, IdentityRules};
use crate::domain::limits;
use crate::domain::merge::MergeCause;
use crate::domain::profile::Profile;
use crate::domain::rehearsal::{Rehearsal, RulesPreview};
use crate::domain::settings::Settings;
use crate::domain::violation::Violations;
use crate::store::Precondition;

/// Rules as a caller sees them.
#[derive(Debug, Clone)]
pub struct RulesView {
    /// All rules in force, the strongest type first.
    pub rules: Vec<IdentifierRule>,
    /// Names this state of them.
    pub etag: String,
    /// What was read, or written.
    pub revision: Revision,
}

/// The rules that a caller wants.
#[derive(Debug, Clone)]
pub struct IdentityRulesRequest {
    /// The rules; a type that they say nothing about has its default.
    pub rules: IdentityRules,
    /// The state that the caller has seen; empty is any.
    pub etag: String,
    /// The caller's name for the request; empty is none.
    pub request_id: String,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// Rules that were changed, or would be.
#[derive(Debug, Clone)]
pub struct RulesChange {
    /// The rules.
    pub view: RulesView,
    /// What they would have made of the customers of today; only where nothing was changed.
    pub preview: Option<RulesPreview>,
}

/// Profiles that a preview reads at a time.
const AT_ONCE: usize = 200;

impl App {
    /// The rules in force.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get_identity_rules(&self, caller: &Caller, at_least: Option<Revision>) -> Result<RulesView> {
        let revision = self.require_revision(at_least)?;
        let stored = self.stored_settings(&caller.workspace).await?;
        Ok(RulesView { rules: stored.value.identity.complete(), etag: stored.revision.to_string(), revision })
    }

    /// Replaces the rules. They hold for events that are accepted from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values out of range, [`Error::Conflict`] for a stale etag or a lost race.
    pub async fn update_identity_rules(
        &self,
        caller: &Caller,
        change: IdentityRulesRequest,
        mode: WriteMode,
    ) -> Result<RulesChange> {
        let mut faults = change.faults.clone();
        faults.within("rules", |faults| change.rules.check(faults));
        Invalid::check(faults)?;
        let content = (&change.rules, &change.etag);
        let named = match self.find_repeat(caller, &change.request_id, "UpdateIdentityRules", &content).await? {
            _ if mode == WriteMode::ValidateOnly => NamedRequest::none(),
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::Settings(settings), revision) => {
                let (rules, etag) = (settings.identity.complete(), revision.to_string());
                return Ok(RulesChange { view: RulesView { rules, etag, revision }, preview: None });
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let IdentityRulesRequest { rules, etag, .. } = change;
        let stored = self.stored_settings(&caller.workspace).await?;
        if !etag.is_empty() && etag != stored.revision.to_string() {
            return Err(Error::Conflict(Reason::EtagMismatch));
        }
        let complete = rules.complete();
        if mode == WriteMode::ValidateOnly {
            let resolver = Resolver::new(&Settings { identity: rules, ..stored.value });
            let (today, _) = self.resolver(&caller.workspace).await?;
            let preview = Some(self.rehearse(caller, Rehearsal::new(&today, &resolver)).await?);
            let (etag, revision) = (stored.revision.to_string(), self.store.revision());
            return Ok(RulesChange { view: RulesView { rules: complete, etag, revision }, preview });
        }
        let mut commit = self.new_commit(caller);
        let seen = (stored.revision != Revision::default()).then_some(stored.revision);
        commit.preconditions.push(Precondition::Document(DocumentKey::settings(), seen));
        let settings = Settings { identity: rules, ..stored.value };
        commit.facts.push(Fact::Document(Document::Settings(settings.clone())));
        named.record(RequestResult::Settings(settings), &mut commit);
        let revision = self.store.commit(commit).await?;
        let view = RulesView { rules: complete, etag: revision.to_string(), revision };
        Ok(RulesChange { view, preview: None })
    }

    /// Resolves the customers of today under other rules.
    async fn rehearse(&self, caller: &Caller, mut rehearsal: Rehearsal<'_>) -> Result<RulesPreview> {
        let (mut seen, mut after, mut is_complete) = (0, None, false);
        while seen < limits::PREVIEW_PROFILES && !is_complete {
            let page = self.store.scan_profiles(&caller.workspace, after, AT_ONCE).await?;
            is_complete = page.is_empty();
            after = page.last().map(|profile| profile.id).or(after);
            seen += page.len();
            let histories = self.histories(&caller.workspace, &page.iter().collect::<Vec<_>>()).await?;
            for (profile, history) in page.iter().zip(histories) {
                let by_operators = self.operator_merges(caller, profile).await?;
                rehearsal.add(profile, history.events, &by_operators);
            }
            // Others may have their turn: a page takes some milliseconds.
            tokio::task::yield_now().await;
        }
        let wanted = rehearsal.wanted();
        let owners = self.store.owners(&caller.workspace, &wanted).await?;
        let owners: HashMap<_, _> =
            wanted.into_iter().zip(owners).filter_map(|(id, owner)| Some((id, owner?))).collect();
        let ids: BTreeSet<_> = rehearsal.wanting().chain(owners.values().copied()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let profiles = self.store.profiles(&caller.workspace, &ids).await?;
        let profiles = profiles.into_iter().flatten().map(|profile| (profile.id, profile)).collect();
        Ok(rehearsal.finish(&owners, &profiles, is_complete))
    }

    async fn operator_merges(&self, caller: &Caller, profile: &Profile) -> Result<Vec<MergeId>> {
        let mut merges = Vec::new();
        for link in &profile.links {
            let record = self.merge_record(caller, link.merge).await?.value;
            if matches!(record.cause, MergeCause::Operator { .. }) {
                merges.push(link.merge);
            }
        }
        Ok(merges)
    }
}
