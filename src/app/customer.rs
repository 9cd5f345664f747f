//! Naming and reading one customer.

use std::collections::HashSet;
use std::sync::Arc;

use super::application::App;
use super::concern::Concern;
use super::error::{Error, Invalid, Reason, Resource, Result};
use crate::domain::access::{Principal, Scope, Scopes};
use crate::domain::consent::Consents;
use crate::domain::history::Whole;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::domain::violation::{ViolationReason, Violations};

/// Who asks: everything that a credential says.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data they may see.
    pub workspace: WorkspaceId,
    /// What they may do with them.
    pub scopes: Scopes,
    /// Whether they run the server: they may back it up and make keys for every workspace.
    pub operator: bool,
    /// What the call turns out to be about, for the audit log.
    pub concern: Concern,
}

impl Caller {
    /// Somebody who may do everything: the server itself, and whoever asks one that asks nobody for a credential.
    pub fn unrestricted(workspace: WorkspaceId) -> Self {
        Self { workspace, scopes: Scopes::ALL, operator: true, concern: Concern::default() }
    }

    /// Whoever speaks for a principal. Those who administer the default workspace run the server.
    pub fn of(principal: &Principal) -> Self {
        let (workspace, scopes) = (principal.workspace.clone(), principal.scopes);
        let operator = scopes.has(Scope::Admin) && workspace == WorkspaceId::default_workspace();
        Self { workspace, scopes, operator, concern: Concern::default() }
    }
}

/// A customer, named by any identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerRef {
    /// By our own id, also one that was merged away.
    Profile(ProfileId),
    /// By something that a caller knows.
    Identifier(Identifier),
    /// By a text that is no id of ours, and therefore nobody's.
    Nobody,
}

/// How a read wants to read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// What the data are for; empty is what the workspace says of the method.
    pub purpose: String,
    /// See at least this commit.
    pub at_least: Option<Revision>,
    /// See the customer as of this event time; `None` is now.
    pub as_of: Option<Timestamp>,
    /// Reasons that an answer lists, the largest first, beside the one that sums up the others; `None` is all. Those that
    /// nobody asked for are never put into words.
    pub reasons: Option<usize>,
    /// What of the request could not be read, with something harmless in its place. The use case refuses it together
    /// with what it finds itself, so that a caller hears of all faults at once.
    pub faults: Violations,
}

impl Read {
    /// Reasons that an answer lists.
    pub(super) fn reasons(&self) -> usize {
        self.reasons.unwrap_or(usize::MAX)
    }
}

/// A customer that was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// The profile, as of the time that was asked for.
    pub profile: Arc<Profile>,
    /// The time at which features of it are to be evaluated.
    pub now: Timestamp,
}

impl Found {
    /// A profile as it was read, for features at `now`.
    pub(super) fn new(profile: Profile, now: Timestamp) -> Self {
        Self { profile: Arc::new(profile), now }
    }
}

impl CustomerRef {
    /// What may be said about the name in an error: an id, or the type of an identifier, never its value.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Profile(id) => id.to_string(),
            Self::Identifier(identifier) => identifier.kind().to_owned(),
            // The text may be anything, an address even, so the error names only where it stood.
            Self::Nobody => "profile_id".to_owned(),
        }
    }

    /// What ties a page token to this customer.
    pub(super) fn binding(&self) -> (Option<ProfileId>, Option<&Identifier>) {
        match self {
            Self::Profile(id) => (Some(*id), None),
            Self::Identifier(identifier) => (None, Some(identifier)),
            Self::Nobody => (None, None),
        }
    }

    pub(super) fn not_found(&self) -> Error {
        Error::not_found(Resource::Customer, self.describe())
    }
}

impl App {
    /// Checks how a read wants to read: the time and the revision.
    pub(super) fn check_read(&self, read: &Read) -> Result<Revision> {
        self.check_with(read, read.faults.clone())
    }

    /// The same with the faults that the use case has added. What is wrong with the request itself comes before what
    /// the state of the workspace refuses, since the caller can mend it alone.
    pub(super) fn check_with(&self, read: &Read, mut faults: Violations) -> Result<Revision> {
        if read.as_of.is_some_and(|time| time > self.context.now()) {
            faults.add("as_of_time", "must not be in the future");
        }
        Invalid::check(faults)?;
        self.require_revision(read.at_least)
    }

    /// The customer, where their consent covers what the read is for. It counts as of now, also for a read of the past.
    pub(super) fn permit(&self, caller: &Caller, found: Found, read: &Read) -> Result<Found> {
        self.permit_use(caller, &found.profile.consents, read)?;
        Ok(found)
    }

    /// The same by what they have said alone.
    pub(super) fn permit_use(&self, caller: &Caller, consents: &Consents, read: &Read) -> Result<()> {
        let rules = &self.kept_settings.of(&caller.workspace).privacy;
        let purpose = if read.purpose.is_empty() { rules.purpose_of(caller.concern.method()) } else { &read.purpose };
        caller.concern.is_for(purpose);
        if consents.allow(purpose, self.context.now()) {
            return Ok(());
        }
        self.refusals.count(&caller.workspace, purpose);
        if !caller.concern.has_subject() {
            self.note_left_out(caller);
        }
        Err(Error::Forbidden(Reason::ConsentDenied { purpose: purpose.to_owned() }))
    }

    /// Reads one customer for what the read says.
    pub(super) async fn find_permitted(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<Found> {
        self.permit(caller, self.find(caller, customer, read).await?, read)
    }

    /// The time at which features are evaluated for a read.
    pub(super) fn reading_time(&self, read: &Read) -> Timestamp {
        read.as_of.unwrap_or_else(|| self.context.now())
    }

    /// Reads one customer, whatever their consent: for what has to be done with the customer, and not told.
    pub(super) async fn find(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<Found> {
        let mut found = self.find_all(caller, std::slice::from_ref(customer), read).await?;
        match found.pop().flatten() {
            Some(found) => {
                caller.concern.is_about(found.profile.id);
                Ok(found)
            }
            None => Err(self.nobody(caller, customer).await?),
        }
    }

    /// Why a reference leads to nobody: it may be a phone number that cannot be read, which the caller can mend.
    async fn nobody(&self, caller: &Caller, customer: &CustomerRef) -> Result<Error> {
        if let CustomerRef::Identifier(identifier) = customer
            && identifier.needs_region()
            && self.resolver(&caller.workspace).await?.0.normalise(identifier.clone()).is_none()
        {
            let description = "is no valid phone number; without + and country code it needs default_phone_region";
            let reason = ViolationReason::IdentifierInvalid;
            return Ok(Error::invalid_because(reason, "customer.identifier", description));
        }
        Ok(customer.not_found())
    }

    /// Reads customers in their order, whatever their consent; `None` for those that do not exist, or had no event yet at that time.
    pub(super) async fn find_all(
        &self,
        caller: &Caller,
        customers: &[CustomerRef],
        read: &Read,
    ) -> Result<Vec<Option<Found>>> {
        let ids = self.ids_of(caller, customers).await?;
        let known: Vec<ProfileId> = ids.iter().flatten().copied().collect();
        let profiles = self.store.profiles(&caller.workspace, &known).await?;
        let mut profiles = self.as_of(caller, profiles, read).await?.into_iter();
        let now = self.reading_time(read);
        let answers =
            ids.iter().map(|id| id.and_then(|_| profiles.next().flatten()).map(|profile| Found::new(profile, now)));
        Ok(answers.collect())
    }

    async fn ids_of(&self, caller: &Caller, customers: &[CustomerRef]) -> Result<Vec<Option<ProfileId>>> {
        let identifiers: Vec<Identifier> = customers
            .iter()
            .filter_map(|customer| match customer {
                CustomerRef::Identifier(identifier) => Some(identifier.clone()),
                CustomerRef::Profile(_) | CustomerRef::Nobody => None,
            })
            .collect();
        let mut owners = self.owners(&caller.workspace, identifiers).await?.into_iter();
        Ok(customers
            .iter()
            .map(|customer| match customer {
                CustomerRef::Profile(id) => Some(*id),
                CustomerRef::Identifier(_) => owners.next().flatten(),
                CustomerRef::Nobody => None,
            })
            .collect())
    }

    /// Who owns identifiers as callers write them. A phone number that is none is nobody's.
    async fn owners(&self, workspace: &WorkspaceId, mut written: Vec<Identifier>) -> Result<Vec<Option<ProfileId>>> {
        if written.is_empty() {
            return Ok(Vec::new());
        }
        if written.iter().any(Identifier::needs_region) {
            let (resolver, _) = self.resolver(workspace).await?;
            for identifier in &mut written {
                *identifier = resolver.normalise(identifier.clone()).unwrap_or_else(|| identifier.clone());
            }
        }
        Ok(self.store.owners(workspace, &written).await?)
    }

    /// What is kept of the events of customers, in their order, each complete over merges.
    pub(super) async fn histories(&self, workspace: &WorkspaceId, profiles: &[&Profile]) -> Result<Vec<Whole>> {
        let parts: Vec<ProfileId> = profiles.iter().flat_map(|profile| &profile.parts).map(|part| part.id).collect();
        let histories = self.store.histories(workspace, &parts).await?;
        let mut by_part = parts.into_iter().zip(histories);
        let history = |profile: &&Profile| Whole::of(by_part.by_ref().take(profile.parts.len()).collect());
        Ok(profiles.iter().map(history).collect())
    }

    /// The profiles as they were at the time that a read asks for: their events up to then, folded again.
    pub(super) async fn as_of(
        &self,
        caller: &Caller,
        profiles: Vec<Option<Profile>>,
        read: &Read,
    ) -> Result<Vec<Option<Profile>>> {
        let Some(time) = read.as_of else { return Ok(profiles) };
        let known: Vec<&Profile> = profiles.iter().flatten().collect();
        let mut histories = self.histories(&caller.workspace, &known).await?.into_iter();
        // Looked at behind them: what has expired then cannot have been missing from what was read.
        self.history_kept(&caller.workspace).await?.check(time)?;
        let (resolver, _) = self.resolver(&caller.workspace).await?;
        let past = profiles.into_iter().map(|profile| {
            let mut profile = profile?;
            let history = histories.next()?;
            let known = history.events.iter().filter(|event| event.times.event <= time);
            let expired = history.base.iter().flat_map(|base| &base.carried);
            let sent = known.flat_map(|event| &event.identifiers).chain(expired);
            let carried: HashSet<Identifier> = sent.filter_map(|sent| resolver.carried(sent)).collect();
            profile.retain_identifiers(|identifier| carried.contains(identifier));
            profile.state = history.refold_until(time);
            profile.state.last.is_some().then_some(profile)
        });
        Ok(past.collect())
    }
}
