//! Trained models, as everyone but the `models` room sees them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::MalformedId;
use super::time::Timestamp;
use super::value::Map;

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ModelKind {
    /// Which segment a customer is in.
    Segments,
    /// How likely a customer is to leave.
    Churn,
    /// How easy a customer would say it was.
    Effort,
    /// How satisfied a customer would say to be.
    Satisfaction,
    /// What a customer will buy, and what that is worth.
    Value,
}

impl ModelKind {
    /// All kinds that can be trained.
    pub const ALL: [Self; 5] = [Self::Segments, Self::Churn, Self::Effort, Self::Satisfaction, Self::Value];

    /// The kind's word in keys, versions and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Churn => "churn",
            Self::Effort => "effort",
            Self::Satisfaction => "satisfaction",
            Self::Value => "value",
        }
    }
}

/// Names one trained model within its workspace, such as `churn-0193f7c2-…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelVersion(String);

impl ModelVersion {
    /// The version that a run of training makes.
    pub fn of_run(kind: ModelKind, run: super::id::RunId) -> Self {
        Self(format!("{}-{run}", kind.name()))
    }

    /// The word of the kind of model that it names; the whole text where it names none.
    pub fn kind_name(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(kind, _)| kind)
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ModelVersion {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(word) {
            Err(MalformedId)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// Which model gave an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// What it answers.
    pub kind: ModelKind,
    /// Which one.
    pub version: ModelVersion,
    /// When it was trained, by our clock.
    pub train_time: Timestamp,
}

/// A trained model with its card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Which model.
    pub reference: ModelRef,
    /// What it was trained on and how good it is.
    pub card: Map,
}
