//! What a workspace may decide for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::identity_rules::IdentityRules;
use super::limits;
use super::money::Currency;
use super::payload::Payload;
use super::phone;
use super::time::days;
use super::violation::Violations;

/// What stands before the name of a `Track` event in a list of qualifying events.
const TRACK_PREFIX: &str = "track:";

/// Settings of one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// What leaving means.
    pub churn: ChurnDefinition,
    /// The currency that summaries are stated in; empty is each customer's first.
    pub currency: Currency,
    /// ISO 3166-1 alpha-2 code of the region of phone numbers that are written without their country code; empty is none.
    pub default_phone_region: String,
    /// What is said about types of identifiers.
    pub identity: IdentityRules,
    /// How much sources count where two say something of the same moment; 0 for those that are not named.
    pub source_priorities: BTreeMap<String, i32>,
}

/// What it means that a customer left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnDefinition {
    /// Cancelled, or gone quiet.
    pub kind: ChurnKind,
    /// How far ahead a prediction looks, and how long a quiet customer must be quiet.
    pub horizon: Duration,
    /// Events that show a customer is still here: kinds of payloads, or `track:` and the name of a `Track` event.
    /// Empty means purchases where the workspace has any, all events otherwise.
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
        if !self.default_phone_region.is_empty() && !phone::is_region(&self.default_phone_region) {
            violations
                .add("default_phone_region", "must be a code of ISO 3166-1 alpha-2 with phone numbers, such as DE");
        }
        let (count, limit) = (self.source_priorities.len(), limits::SOURCE_PRIORITIES);
        if count > limit {
            violations.add("source_priorities", format!("has {count} items; the limit is {limit}"));
        }
        for (source, priority) in self.source_priorities.iter().take(limit) {
            if source.is_empty() || source.len() > limits::EVENT_KEY_BYTES {
                let bytes = limits::EVENT_KEY_BYTES;
                violations.add("source_priorities", format!("must name sources by 1 to {bytes} bytes"));
            } else if !limits::SOURCE_PRIORITY.contains(priority) {
                let (low, high) = (limits::SOURCE_PRIORITY.start(), limits::SOURCE_PRIORITY.end());
                violations.add(&format!("source_priorities.{source}"), format!("must be from {low} to {high}"));
            }
        }
        violations.within("churn", |violations| {
            if !limits::HORIZON.contains(&self.churn.horizon) {
                violations.add("horizon", "must be from 1 day to 730 days");
            }
            let names = &self.churn.qualifying_events;
            if names.len() > limits::QUALIFYING_EVENTS {
                let limit = limits::QUALIFYING_EVENTS;
                violations.add("qualifying_events", format!("has {} items; the limit is {limit}", names.len()));
            }
            for (position, name) in names.iter().take(limits::QUALIFYING_EVENTS).enumerate() {
                let field = format!("qualifying_events[{position}]");
                match name.strip_prefix(TRACK_PREFIX) {
                    Some(name) => violations.check_required_text(&field, name, limits::NAME_BYTES),
                    None if Payload::KINDS.contains(&name.as_str()) => {}
                    None => violations.add(&field, "must be a kind of event payload, or track: and a name"),
                }
            }
        });
    }
}

/// Whether a payload shows that its customer is still here, by a list of kinds and `track:` names. A refund never does.
pub fn is_qualifying(payload: &Payload, qualifying_events: &[String]) -> bool {
    qualifying_events.iter().any(|wanted| match (payload, wanted.strip_prefix(TRACK_PREFIX)) {
        (Payload::Purchase(purchase), _) if purchase.refund => false,
        (Payload::Track(track), Some(name)) => name == track.name,
        (_, Some(_)) => false,
        (payload, None) => wanted == payload.kind(),
    })
}
