use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::purchases::Purchases;
use super::subscription::Subscription;
use super::support::Support;
use super::surveys::Surveys;
use super::traits::Traits;
use crate::domain::buckets::Buckets;
use crate::domain::event::OrderKey;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::identifier::Identifier;
use crate::domain::time::Timestamp;

/// One customer, as of the last commit that touched them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The customer, for ever.
    pub id: ProfileId,
    /// The commit that last changed the profile.
    pub revision: Revision,
    /// When the profile came to be, by our clock; the earliest of its parts after a merge.
    pub create_time: Timestamp,
    /// When the profile last changed, by our clock.
    pub update_time: Timestamp,
    /// What the customer is known by, sorted.
    pub identifiers: Vec<Identifier>,
    /// What the events add up to.
    pub state: State,
}

impl Profile {
    /// A customer of whom nothing has happened yet.
    pub fn new(id: ProfileId, create_time: Timestamp) -> Self {
        Self {
            id,
            revision: Revision::default(),
            create_time,
            update_time: create_time,
            identifiers: Vec::new(),
            state: State::default(),
        }
    }

    /// Adds identifiers, keeping them sorted and each once.
    pub fn claim(&mut self, identifiers: impl IntoIterator<Item = Identifier>) {
        self.identifiers.extend(identifiers);
        self.identifiers.sort();
        self.identifiers.dedup();
    }
}

/// The fold of a customer's events in canonical order; a pure function of that set of events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// The latest event folded in; an event that orders before it needs a refold.
    pub last: Option<OrderKey>,
    /// What the customer did, by channel, kind and name.
    pub activity: Activity,
    /// What sources say about the customer.
    pub traits: Traits,
    /// What the customer bought.
    pub purchases: Purchases,
    /// How the customer was helped.
    pub support: Support,
    /// What the customer answered.
    pub surveys: Surveys,
    /// What the customer subscribes to.
    pub subscription: Option<Subscription>,
    /// Counts by day, from which windows are evaluated at any later `now`.
    pub days: Buckets,
}
