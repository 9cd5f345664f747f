//! Point-in-time examples: what was known about a customer at a cut-off, and what became of them.

use super::features::{self, Values, View};
pub use super::plan::{Census, ChurnParameters, ChurnPlan};
use super::sampling;
use crate::domain::event::Event;
use crate::domain::fold::fold;
use crate::domain::id::ProfileId;
use crate::domain::payload::{Payload, SubscriptionStatus};
use crate::domain::profile::State;
use crate::domain::settings::{ChurnKind, is_qualifying};
use crate::domain::time::Timestamp;

/// Examples that are kept. Beyond them every second customer, chosen by hash, is given up, so that the memory of a
/// training is bounded and the rest is still a fair sample.
const ROWS_MAX: usize = 200_000;
/// With a single cut-off one customer in so many is the test.
const TEST_PARTS: u64 = 5;

/// The examples of one training.
#[derive(Debug, Clone)]
pub struct ChurnExamples {
    pub(super) plan: ChurnPlan,
    pub(super) rows: Vec<Example>,
    /// Customers whose hash ends in so many zero bits are kept.
    kept_bits: u32,
    rows_max: usize,
}

/// A customer at a cut-off.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    /// Stands for the customer: equal for all examples of one, otherwise random.
    pub(super) customer: u64,
    /// Whether the example is for testing.
    pub(super) is_test: bool,
    /// Whether the customer left within the horizon after the cut-off.
    pub(super) left: bool,
    /// Days since the last qualifying event, the baseline that every model must beat.
    pub(super) recency_days: f64,
    /// What was known at the cut-off.
    pub(super) values: Values,
}

impl ChurnExamples {
    /// No examples yet.
    pub fn new(plan: ChurnPlan) -> Self {
        Self { plan, rows: Vec::new(), kept_bits: 0, rows_max: ROWS_MAX }
    }

    /// Adds a customer by their whole timeline, in canonical order. One progressive fold gives the examples of all
    /// cut-offs; it never sees an event after the cut-off that it stands at.
    pub fn add(&mut self, customer: ProfileId, timeline: &[Event]) {
        let hash = sampling::hash(customer, self.plan.seed);
        if !self.keeps(hash) {
            return;
        }
        let mut state = State::default();
        let mut past = 0;
        for cutoff in self.plan.cutoffs().collect::<Vec<_>>() {
            let known = past + timeline[past..].partition_point(|event| event.times.event <= cutoff);
            for event in &timeline[past..known] {
                fold(&mut state, event);
            }
            past = known;
            self.rows.extend(self.example(hash, cutoff, &state, &timeline[past..]));
        }
        self.thin_out();
    }

    /// The example of a customer at a cut-off, unless they have no part in the question.
    fn example(&self, customer: u64, cutoff: Timestamp, state: &State, future: &[Event]) -> Option<Example> {
        let meaning = &self.plan.meaning;
        let view = View::new(state, cutoff, &meaning.qualifying_events);
        if !has_part(meaning.kind, state, &view) {
            return None;
        }
        let end = cutoff.plus(meaning.horizon);
        let mut window = future.iter().take_while(|event| event.times.event <= end);
        let left = match meaning.kind {
            ChurnKind::Inactivity => !window.any(|event| is_qualifying(&event.payload, &meaning.qualifying_events)),
            ChurnKind::Contractual => window.any(|event| ends_subscription(&event.payload)),
        };
        let last = view.active().or(state.activity.all).map(|tally| tally.last)?;
        Some(Example {
            customer,
            is_test: if self.plan.has_single_cutoff() {
                (customer >> 32) % TEST_PARTS == 0
            } else {
                cutoff == self.plan.test
            },
            left,
            recency_days: cutoff.days_since(last).max(0.0),
            values: features::extract(&view),
        })
    }

    fn keeps(&self, customer: u64) -> bool {
        customer.trailing_zeros() >= self.kept_bits
    }

    fn thin_out(&mut self) {
        while self.rows.len() > self.rows_max {
            self.kept_bits += 1;
            let bits = self.kept_bits;
            self.rows.retain(|row| row.customer.trailing_zeros() >= bits);
        }
    }

    /// The examples in an order that does not depend on the order in which customers came.
    pub(super) fn sorted(&self) -> Vec<&Example> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        // Stable, so that the cut-offs of one customer keep their order.
        rows.sort_by_key(|row| row.customer);
        rows
    }

    /// The share of customers that is kept, 1 for all.
    pub(super) fn kept_share(&self) -> f64 {
        0.5f64.powi(self.kept_bits.min(64) as i32)
    }
}

/// Whether the question of leaving makes sense for a customer: who never was active cannot go quiet, and who has no
/// live subscription cannot cancel it.
pub(super) fn has_part(kind: ChurnKind, state: &State, view: &View<'_>) -> bool {
    match kind {
        ChurnKind::Inactivity => view.active().is_some(),
        ChurnKind::Contractual => state.subscription.as_ref().is_some_and(|s| s.status.is_live()),
    }
}

fn ends_subscription(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::SubscriptionChange(change)
            if matches!(change.status, SubscriptionStatus::Cancelled | SubscriptionStatus::Lapsed)
    )
}
