//! What a workspace may decide for itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits;
use super::money::Currency;
use super::payload::Payload;
use super::time::days;
use super::violation::Violations;

/// Settings of one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// What leaving means.
    pub churn: ChurnDefinition,
    /// The currency that summaries are stated in; empty is each customer's first.
    pub currency: Currency,
}

/// What it means that a customer left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnDefinition {
    /// Cancelled, or gone quiet.
    pub kind: ChurnKind,
    /// How far ahead a prediction looks, and how long a quiet customer must be quiet.
    pub horizon: Duration,
    /// Events that show a customer is still here: kinds of payloads or names of `Track` events. Empty means purchases
    /// where the workspace has any, all events otherwise.
    pub qualifying_events: Vec<String>,
}

impl Default for ChurnDefinition {
    fn default() -> Self {
        Self { kind: ChurnKind::Inactivity, horizon: days(90), qualifying_events: Vec::new() }
    }
}

/// The two ways to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChurnKind {
    /// A subscription was cancelled or lapsed.
    Contractual,
    /// No qualifying event within the horizon.
    Inactivity,
}

impl Settings {
    /// Checks everything that the types do not already rule out.
    pub fn check(&self, violations: &mut Violations) {
        violations.within("churn", |violations| {
            if !limits::HORIZON.contains(&self.churn.horizon) {
                violations.add("horizon", "must be from 1 day to 1095 days");
            }
            let names = &self.churn.qualifying_events;
            if names.len() > limits::QUALIFYING_EVENTS {
                let limit = limits::QUALIFYING_EVENTS;
                violations.add("qualifying_events", format!("has {} items; the limit is {limit}", names.len()));
            }
            for (position, name) in names.iter().take(limits::QUALIFYING_EVENTS).enumerate() {
                violations.check_required_text(&format!("qualifying_events[{position}]"), name, limits::NAME_BYTES);
            }
        });
    }
}

/// Whether a payload shows that its customer is still here, by a list of kinds and names. A refund never does.
pub fn is_qualifying(payload: &Payload, qualifying_events: &[String]) -> bool {
    qualifying_events.iter().any(|wanted| match payload {
        Payload::Purchase(purchase) if purchase.refund => false,
        Payload::Track(track) => wanted == &track.name || wanted == "track",
        payload => wanted == payload.kind(),
    })
}
