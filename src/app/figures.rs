//! Figures of the whole server, for whoever watches over it: nothing in them says who or which customer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::application::App;
use super::ingest_events::{Outcome, OutcomeStatus};
use crate::domain::id::Revision;
use crate::domain::model::ModelKind;

/// What became of events since the server started.
#[derive(Debug, Default)]
pub(super) struct EventCounts {
    accepted: AtomicU64,
    duplicate: AtomicU64,
    rejected: AtomicU64,
}

/// The figures of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Events since the start by what became of them.
    pub events: [(&'static str, u64); 3],
    /// Reads that were refused for want of consent since the start.
    pub refusals: u64,
    /// The kinds of models that should answer and could not be loaded, once for each workspace.
    pub unserved: Vec<ModelKind>,
    /// Whether writes are taken.
    pub takes_writes: bool,
    /// The last commit.
    pub revision: Revision,
}

impl EventCounts {
    /// Counts what became of a batch; a trial changes nothing, and is not counted.
    pub(super) fn count(&self, outcomes: &[Outcome]) {
        let (mut accepted, mut duplicate, mut rejected) = (0, 0, 0);
        for outcome in outcomes {
            match outcome.status {
                OutcomeStatus::Accepted(_) => accepted += 1,
                OutcomeStatus::Duplicate(_) => duplicate += 1,
                OutcomeStatus::Rejected(_) => rejected += 1,
                OutcomeStatus::Acceptable(_) => {}
            }
        }
        self.accepted.fetch_add(accepted, Ordering::Relaxed);
        self.duplicate.fetch_add(duplicate, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
    }
}

impl App {
    /// The figures of this moment, without a look at the store.
    pub fn figures(&self) -> Figures {
        let EventCounts { accepted, duplicate, rejected } = &self.event_counts;
        let named = [("accepted", accepted), ("duplicate", duplicate), ("rejected", rejected)];
        Figures {
            events: named.map(|(name, count)| (name, count.load(Ordering::Relaxed))),
            refusals: self.refusals.all(),
            unserved: self.registry.unserved(),
            takes_writes: self.store.takes_writes(),
            revision: self.store.revision(),
        }
    }
}
