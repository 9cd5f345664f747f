//! The events of a request on their way to a decision, and what came of them.

use std::collections::HashMap;
use std::ops::Range;

use super::error::{Error, Invalid, Result};
use super::ingest_events::{IncomingEvent, Ingested, Outcome, OutcomeStatus};
use crate::domain::event::{Event, EventKey};
use crate::domain::id::Revision;
use crate::domain::identifier::Identifier;
use crate::domain::identity::Resolver;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::domain::violation::ViolationReason;

/// A well-formed event that waits for its decision.
#[derive(Clone)]
pub(super) struct Checked {
    /// Where it stands in its batch.
    pub(super) position: usize,
    /// Where it stands in the request that it came with.
    pub(super) index: usize,
    pub(super) event: Event,
    pub(super) identifiers: Vec<Identifier>,
}

impl Checked {
    /// The event as it is kept.
    pub(super) fn event_by(&self, resolver: &Resolver) -> Event {
        let source_priority = resolver.source_priority(&self.event.key.source);
        Event { source_priority, ..self.event.clone() }
    }
}

/// The events of one request, or of several that are decided as one.
pub(super) struct Batch {
    /// Those that wait for their decision, by position.
    pub(super) checked: Vec<Checked>,
    /// What is not well-formed, by position.
    pub(super) rejected: HashMap<usize, OutcomeStatus>,
    /// The names of all.
    pub(super) keys: Vec<EventKey>,
    pub(super) received: Timestamp,
}

/// What was decided of the events of a batch, by position.
pub(super) struct Decided {
    pub(super) statuses: HashMap<usize, OutcomeStatus>,
    /// A read that asks for this revision sees all accepted events.
    pub(super) revision: Revision,
}

impl Batch {
    /// Sorts out what is not well-formed or names nobody.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn new(events: Vec<IncomingEvent>, received: Timestamp) -> Result<Self> {
        if events.len() > limits::BATCH_EVENTS {
            let description = format!("has {} events; the limit is {}", events.len(), limits::BATCH_EVENTS);
            return Err(Error::invalid_because(ViolationReason::BatchTooLarge, "events", description));
        }
        let mut batch = Self {
            checked: Vec::with_capacity(events.len()),
            rejected: HashMap::new(),
            keys: Vec::with_capacity(events.len()),
            received,
        };
        for (index, IncomingEvent { draft, mut violations }) in events.into_iter().enumerate() {
            batch.keys.push(EventKey { source: draft.source.clone(), event_id: draft.event_id.clone() });
            let accepted =
                violations.within(format_args!("events[{index}]"), |violations| draft.accept(received, violations));
            match accepted {
                Some((event, identifiers)) if violations.is_empty() => {
                    batch.checked.push(Checked { position: index, index, event, identifiers });
                }
                _ => {
                    let error = Error::Invalid(Invalid(violations));
                    batch.rejected.insert(index, OutcomeStatus::Rejected(error));
                }
            }
        }
        Ok(batch)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Several batches as one: first the events of the first. Nothing in them may have been rejected.
    pub(super) fn join(batches: Vec<Self>) -> Self {
        let received = batches.iter().map(|batch| batch.received).max().unwrap_or(Timestamp::MIN);
        let mut joined = Self { checked: Vec::new(), rejected: HashMap::new(), keys: Vec::new(), received };
        for batch in batches {
            let first = joined.len();
            joined
                .checked
                .extend(batch.checked.into_iter().map(|one| Checked { position: first + one.position, ..one }));
            joined.keys.extend(batch.keys);
        }
        joined
    }

    /// The events at some positions as a batch of their own.
    pub(super) fn part(&self, positions: Range<usize>) -> Self {
        let within = self.checked.iter().filter(|one| positions.contains(&one.position)).cloned();
        Self {
            checked: within.map(|one| Checked { position: one.position - positions.start, ..one }).collect(),
            rejected: HashMap::new(),
            keys: self.keys[positions].to_vec(),
            received: self.received,
        }
    }
}

impl Decided {
    /// Adds what was rejected before.
    pub(super) fn with(mut self, rejected: HashMap<usize, OutcomeStatus>) -> Self {
        self.statuses.extend(rejected);
        self
    }

    /// Takes what was decided of the events at some positions.
    pub(super) fn take(&mut self, positions: Range<usize>) -> Self {
        let status = |(to, from)| self.statuses.remove(&from).map(|status| (to, status));
        Self { statuses: positions.enumerate().filter_map(status).collect(), revision: self.revision }
    }

    /// What became of each event, by its name.
    pub(super) fn outcomes(mut self, keys: Vec<EventKey>) -> Ingested {
        let outcome = |(position, key): (usize, EventKey)| {
            self.statuses.remove(&position).map(|status| Outcome { event_id: key.event_id.into(), status })
        };
        Ingested { outcomes: keys.into_iter().enumerate().filter_map(outcome).collect(), revision: self.revision }
    }
}
