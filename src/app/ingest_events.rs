//! Taking events in: skip what we know, decide whose each one is, commit all decisions as one, answer each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result};
use super::event_batch::{Batch, Checked, Decided};
use super::history_kept::HistoryKept;
use super::request::WriteMode;
use crate::domain::decision::{Decider, Known};
use crate::domain::event::{Draft, Event, EventKey};
use crate::domain::fact::{Document, DocumentKey, Fact};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::identifier::Identifier;
use crate::domain::identity::{Candidates, Demotion, DemotionReason, Resolver};
use crate::domain::limits;
use crate::domain::projection::Projection;
use crate::domain::rejection::{Rejection, Rejections};
use crate::domain::time::Timestamp;
use crate::domain::violation::{ViolationReason, Violations};
use crate::store::{self, Commit, Precondition, StoredEvent};

/// An event as it came, with the faults that its conversion found.
#[derive(Debug)]
pub struct IncomingEvent {
    /// The event, with something harmless in the place of what could not be converted.
    pub draft: Draft,
    /// What could not be converted; paths begin at the request.
    pub violations: Violations,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Ingested {
    /// One for each event, in their order.
    pub outcomes: Vec<Outcome>,
    /// A read that asks for this revision sees all accepted events.
    pub revision: Revision,
}

/// What became of one event.
#[derive(Debug)]
pub struct Outcome {
    /// The event's name, as it came.
    pub event_id: String,
    /// What became of it.
    pub status: OutcomeStatus,
}

/// What became of one event.
#[derive(Debug)]
pub enum OutcomeStatus {
    /// It is kept for ever and belongs to this customer.
    Accepted(ProfileId),
    /// It would be accepted, for this customer or, where there is none, for a new one.
    Acceptable(Option<ProfileId>),
    /// It was accepted before and belongs to this customer, who is none yet where it comes twice and nothing is kept.
    Duplicate(Option<ProfileId>),
    /// It was not taken, and why.
    Rejected(Error),
}

/// What one round of deciding came to.
struct Round {
    statuses: HashMap<usize, OutcomeStatus>,
    facts: Vec<Fact>,
    projection: Projection,
    preconditions: Vec<Precondition>,
}

impl Round {
    /// What would become of each event. The ids of profiles that would be new were made up and are left out.
    fn into_forecast(self) -> HashMap<usize, OutcomeStatus> {
        let exists = |id: &ProfileId| {
            let read = |seen: &Precondition| matches!(seen, Precondition::Profile(seen, Some(_)) if seen == id);
            self.preconditions.iter().any(read)
        };
        let decided = self.facts.iter().filter_map(|fact| match fact {
            Fact::Event(fact) => Some(fact.profile),
            _ => None,
        });
        let made_up: HashSet<ProfileId> = decided.filter(|id| !exists(id)).collect();
        let known = |id: &ProfileId| !made_up.contains(id);
        let forecast = |status| match status {
            OutcomeStatus::Accepted(id) => OutcomeStatus::Acceptable(Some(id).filter(known)),
            OutcomeStatus::Duplicate(id) => OutcomeStatus::Duplicate(id.filter(known)),
            other => other,
        };
        self.statuses.into_iter().map(|(position, status)| (position, forecast(status))).collect()
    }
}

impl App {
    /// Accepts a batch of events: all accepted ones durably and at once, each rejected one with its reason.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch over the limit, [`Error::Conflict`] when others kept changing the same
    /// customers, [`Error::Unavailable`] when the store takes no writes. No event was accepted then.
    pub async fn ingest_events(
        &self,
        caller: &Caller,
        events: Vec<IncomingEvent>,
        mode: WriteMode,
    ) -> Result<Ingested> {
        let batch = Batch::new(events, self.context.now())?;
        let keys = batch.keys.clone();
        match mode {
            WriteMode::Commit => {
                let decided = self.decide_with_others(caller, batch).await?;
                Ok(self.ingested(keys, decided))
            }
            WriteMode::ValidateOnly => {
                let decided = self.decide_and_commit(caller, &batch, mode).await?;
                Ok(decided.with(batch.rejected).outcomes(keys))
            }
        }
    }

    /// The same for whoever has more batches: those that name the same identifiers are decided in the order in which their
    /// turns come, and `on_turn` is called once the next one cannot overtake this one there any more.
    ///
    /// # Errors
    /// As for [`ingest_events`](Self::ingest_events).
    pub async fn ingest_events_in_turn(
        &self,
        caller: &Caller,
        events: Vec<IncomingEvent>,
        on_turn: impl FnOnce() + Send,
    ) -> Result<Ingested> {
        let batch = Batch::new(events, self.context.now())?;
        let keys = batch.keys.clone();
        let decided = self.decide_in_turn(caller, &batch, on_turn).await?;
        Ok(self.ingested(keys, decided.with(batch.rejected)))
    }

    fn ingested(&self, keys: Vec<EventKey>, decided: Decided) -> Ingested {
        let ingested = decided.outcomes(keys);
        self.event_counts.count(&ingested.outcomes);
        ingested
    }

    /// Decides on a batch and commits it once nobody else is deciding on the same identifiers.
    pub(super) async fn decide_in_turn(
        &self,
        caller: &Caller,
        batch: &Batch,
        on_turn: impl FnOnce() + Send,
    ) -> Result<Decided> {
        let identifiers = batch.checked.iter().flat_map(|one| &one.identifiers);
        let _turns = self.lanes.enter(&caller.workspace, identifiers).await;
        on_turn();
        self.decide_and_commit(caller, batch, WriteMode::Commit).await
    }

    /// Decides on what is known now and commits; decides again when somebody else was faster.
    async fn decide_and_commit(&self, caller: &Caller, batch: &Batch, mode: WriteMode) -> Result<Decided> {
        for _ in 0..limits::CONFLICT_RETRIES {
            let read_at = Some(self.store.revision());
            let mut round = self.decide(caller, &batch.checked, batch.received).await?;
            if mode == WriteMode::ValidateOnly {
                return Ok(Decided { statuses: round.into_forecast(), revision: self.store.revision() });
            }
            let refused = self.rejections(batch, &round);
            if round.facts.is_empty() {
                // Nothing was decided that somebody else could have changed.
                round.preconditions.clear();
            }
            round.facts.extend(refused);
            if round.facts.is_empty() {
                // Nothing was refused either.
                return Ok(Decided { statuses: round.statuses, revision: self.store.revision() });
            }
            let commit = Commit {
                workspace: caller.workspace.clone(),
                time: batch.received,
                preconditions: round.preconditions,
                read_at,
                facts: round.facts,
                projection: round.projection,
            };
            match self.store.commit(commit).await {
                Ok(revision) => return Ok(Decided { statuses: round.statuses, revision }),
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    /// What the batch is refused, for those who ask later. What names a customer's identifiers is kept apart, so that it goes
    /// with the customer.
    fn rejections(&self, batch: &Batch, round: &Round) -> Vec<Fact> {
        let status = |position: usize| round.statuses.get(&position).or_else(|| batch.rejected.get(&position));
        let of_event = |(position, key): (usize, &EventKey)| match status(position) {
            Some(OutcomeStatus::Rejected(error)) => {
                let (reason, fields) = error.as_rejection();
                Some(Rejection::of_event(&key.source, &key.event_id, reason, fields))
            }
            _ => None,
        };
        let of_identifiers = |fact: &Fact| match fact {
            Fact::Event(fact) => Rejection::of_identifiers(&fact.event, fact.profile, &fact.demoted).collect(),
            _ => Vec::new(),
        };
        let events = batch.keys.iter().enumerate().filter_map(of_event);
        let mut by_subject: BTreeMap<Option<ProfileId>, Vec<Rejection>> = BTreeMap::new();
        for item in events.chain(round.facts.iter().flat_map(of_identifiers)) {
            by_subject.entry(item.subject()).or_default().push(item);
        }
        let document = |items| Document::Rejections(Rejections::new(batch.received, self.context.new_id(), items));
        by_subject.into_values().map(|items| Fact::Document(document(items))).collect()
    }

    async fn decide(&self, caller: &Caller, checked: &[Checked], received: Timestamp) -> Result<Round> {
        let keys: Vec<EventKey> = checked.iter().map(|one| one.event.key.clone()).collect();
        let stored = self.store.find_events(&caller.workspace, &keys).await?;
        let (new, mut statuses) = sort_out_repeats(checked, stored);
        let ((resolver, settings), kept) =
            tokio::try_join!(self.resolver(&caller.workspace), self.history_kept(&caller.workspace))?;
        let (new, too_old) = sort_out_too_old(&kept, new);
        statuses.extend(too_old);
        let (new, nameless) = sort_out_nameless(&resolver, new);
        statuses.extend(nameless);
        let (known, mut preconditions) = self.load_known(caller, &new).await?;
        // Read behind the settings, whose precondition holds it: the rules only change together with them.
        let (new, erased) = if self.stored_privacy_rules(&caller.workspace).await?.erased_may_return {
            (new, HashMap::new())
        } else {
            sort_out_erased(&self.erased_among(caller, &new, &known).await?, new)
        };
        statuses.extend(erased);
        preconditions.extend([settings, kept.precondition]);
        let before = known.profiles.clone();

        let mut new_id = || self.context.new_id();
        let mut decider = Decider::new(&resolver, known, &mut new_id);
        let mut first_in_batch: HashMap<&EventKey, (&Event, ProfileId)> = HashMap::new();
        for (one, identifiers) in &new {
            let status = match first_in_batch.get(&one.event.key) {
                Some((first, profile)) => repeat_of(first, *profile, &one.event),
                None => match decider.decide(one.event_by(&resolver), identifiers.clone()) {
                    Ok(profile) => {
                        first_in_batch.insert(&one.event.key, (&one.event, profile));
                        preconditions.push(Precondition::EventAbsent(one.event.key.clone()));
                        OutcomeStatus::Accepted(profile)
                    }
                    Err(refusal) => OutcomeStatus::Rejected(Error::Precondition(Reason::Refused(refusal))),
                },
            };
            statuses.insert(one.position, status);
        }
        let (mut facts, merges) = decider.finish();
        follow_merges(&facts, &mut statuses);
        let projection = self.project(caller, &facts, received, before).await?;
        for merge in merges {
            let after = projection.profiles.iter().find(|profile| profile.id == merge.fact.survivor);
            facts.extend(merge.record(after, received).documents());
        }
        Ok(Round { statuses, facts, projection, preconditions })
    }

    /// The identifiers of events that nobody has, because whoever had them is forgotten.
    async fn erased_among(
        &self,
        caller: &Caller,
        events: &[(&Checked, Candidates)],
        known: &Known,
    ) -> Result<HashSet<Identifier>> {
        let mut erased = HashSet::new();
        for identifier in events.iter().flat_map(|(_, candidates)| &candidates.usable) {
            if known.owners.contains_key(identifier) || erased.contains(identifier) {
                continue;
            }
            let mark = self.store.mark(&caller.workspace, identifier)?;
            if self.store.document(&caller.workspace, &DocumentKey::tombstone(mark)).await?.is_some() {
                erased.insert(identifier.clone());
            }
        }
        Ok(erased)
    }

    /// Looks up who owns the identifiers of the events, and remembers what was looked up.
    async fn load_known(
        &self,
        caller: &Caller,
        events: &[(&Checked, Candidates)],
    ) -> Result<(Known, Vec<Precondition>)> {
        let mut identifiers: Vec<Identifier> =
            events.iter().flat_map(|(_, identifiers)| identifiers.usable.iter().cloned()).collect();
        identifiers.sort();
        identifiers.dedup();
        let owners = self.store.owners(&caller.workspace, &identifiers).await?;
        let mut ids: Vec<ProfileId> = owners.iter().flatten().copied().collect();
        ids.sort();
        ids.dedup();
        let profiles = self.store.profiles(&caller.workspace, &ids).await?;

        let mut preconditions = Vec::with_capacity(identifiers.len() + profiles.len());
        let mut known = Known::default();
        for (identifier, owner) in identifiers.into_iter().zip(owners) {
            preconditions.push(Precondition::Owner(identifier.clone(), owner));
            known.owners.extend(owner.map(|owner| (identifier, owner)));
        }
        for profile in profiles.into_iter().flatten() {
            preconditions.push(Precondition::Profile(profile.id, Some(profile.revision)));
            known.profiles.insert(profile.id, Arc::new(profile));
        }
        Ok((known, preconditions))
    }
}

/// Separates events that were accepted before from new ones.
fn sort_out_repeats(
    checked: &[Checked],
    stored: Vec<Option<StoredEvent>>,
) -> (Vec<&Checked>, HashMap<usize, OutcomeStatus>) {
    let mut new = Vec::with_capacity(checked.len());
    let mut statuses = HashMap::with_capacity(checked.len());
    for (one, stored) in checked.iter().zip(stored) {
        match stored {
            None => new.push(one),
            Some(first) => {
                statuses.insert(one.position, repeat_of(&first.event, first.profile, &one.event));
            }
        }
    }
    (new, statuses)
}

/// Separates events that happened before the history that is kept.
fn sort_out_too_old<'a>(
    kept: &HistoryKept,
    events: Vec<&'a Checked>,
) -> (Vec<&'a Checked>, HashMap<usize, OutcomeStatus>) {
    let (recent, too_old): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|one| kept.check(one.event.times.event).is_ok());
    let refused = |one: &Checked| {
        (one.position, OutcomeStatus::Rejected(Error::OutOfRange(Reason::EventTooOld { oldest: kept.before })))
    };
    (recent, too_old.into_iter().map(refused).collect())
}

/// Separates events that no identifier gives a customer.
fn sort_out_nameless<'a>(
    resolver: &Resolver,
    events: Vec<&'a Checked>,
) -> (Vec<(&'a Checked, Candidates)>, HashMap<usize, OutcomeStatus>) {
    let mut named = Vec::with_capacity(events.len());
    let mut nameless = HashMap::new();
    for one in events {
        let identifiers = resolver.sort_out(one.identifiers.clone());
        if identifiers.usable.is_empty() {
            let description = "has no usable identifier: each value stands for nobody or is no valid phone number";
            let field = format!("events[{}].identifiers", one.index);
            let error = Error::invalid_because(ViolationReason::IdentifierRequired, &field, description);
            nameless.insert(one.position, OutcomeStatus::Rejected(error));
        } else {
            named.push((one, identifiers));
        }
    }
    (named, nameless)
}

/// Takes the identifiers of forgotten customers away from events, and separates those that have no others.
fn sort_out_erased<'a>(
    erased: &HashSet<Identifier>,
    events: Vec<(&'a Checked, Candidates)>,
) -> (Vec<(&'a Checked, Candidates)>, HashMap<usize, OutcomeStatus>) {
    let (mut named, mut refused) = (Vec::with_capacity(events.len()), HashMap::new());
    for (one, mut candidates) in events {
        let gone: Vec<Identifier> = candidates.usable.extract_if(.., |one| erased.contains(one)).collect();
        candidates
            .demoted
            .extend(gone.into_iter().map(|identifier| Demotion { identifier, reason: DemotionReason::Forgotten }));
        if candidates.usable.is_empty() {
            refused.insert(one.position, OutcomeStatus::Rejected(Error::Precondition(Reason::CustomerErased)));
        } else {
            named.push((one, candidates));
        }
    }
    (named, refused)
}

fn repeat_of(first: &Event, profile: ProfileId, repeat: &Event) -> OutcomeStatus {
    if first.has_same_content(repeat) {
        OutcomeStatus::Duplicate(Some(profile))
    } else {
        OutcomeStatus::Rejected(Error::AlreadyExists(Reason::EventIdReused))
    }
}

/// An event may have been given to a profile that a later event of the same batch merged away.
fn follow_merges(facts: &[Fact], statuses: &mut HashMap<usize, OutcomeStatus>) {
    for fact in facts {
        let Fact::Merge(merge) = fact else { continue };
        for status in statuses.values_mut() {
            if let OutcomeStatus::Accepted(profile) | OutcomeStatus::Duplicate(Some(profile)) = status
                && merge.sources.iter().any(|source| source.profile == *profile)
            {
                *profile = merge.survivor;
            }
        }
    }
}
