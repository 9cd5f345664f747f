//! What was seen of a model since its training.

use serde::{Deserialize, Serialize};

use super::model::ModelVersion;
use super::time::Timestamp;
use super::value::Map;

/// The last look at a model that was trained before: how far customers have moved since, and what came of its answers.
/// It is kept apart from the model's record, which says what was known at the training and never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    /// Which model.
    pub version: ModelVersion,
    /// When it was looked at.
    pub time: Timestamp,
    /// What was found, with the keys of the card.
    pub findings: Map,
}
