//! What a customer subscribes to.

use serde::{Deserialize, Serialize};

use crate::domain::money::{Currency, Money};
use crate::domain::payload::{SubscriptionChange, SubscriptionStatus};
use crate::domain::time::Timestamp;

/// The customer's subscription as of its last change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// The plan, may be empty.
    pub plan: String,
    /// What it costs per month.
    pub monthly_amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// When the customer first subscribed.
    pub start: Timestamp,
    /// Since when it stands where it stands.
    pub since: Timestamp,
    /// How many changes there were.
    pub changes: u64,
}

impl Subscription {
    /// Takes over what another history of the customer adds up to.
    pub(super) fn join(&mut self, other: Self) {
        let (start, changes) = (self.start.min(other.start), self.changes + other.changes);
        let terms = |of: &Self| (of.since, of.status, of.monthly_amount, of.plan.clone(), of.currency.clone());
        if terms(self) < terms(&other) {
            *self = other;
        }
        (self.start, self.changes) = (start, changes);
    }
}

pub(in crate::domain) fn fold(subscription: &mut Option<Subscription>, change: &SubscriptionChange, time: Timestamp) {
    let before = subscription.as_ref();
    let same_status = before.filter(|before| before.status == change.status);
    *subscription = Some(Subscription {
        status: change.status,
        plan: change.plan.clone(),
        monthly_amount: change.monthly_amount,
        currency: change.currency.clone(),
        start: before.map_or(time, |before| before.start),
        since: same_status.map_or(time, |before| before.since),
        changes: before.map_or(0, |before| before.changes) + 1,
    });
}
