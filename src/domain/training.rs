//! Training runs: what was asked for, and what came of it.

use serde::{Deserialize, Serialize};

use super::id::RunId;
use super::model::{ModelKind, ModelVersion};
use super::time::Timestamp;
use super::value::Map;

/// One run of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// Names the run.
    pub id: RunId,
    /// What is trained.
    pub kind: ModelKind,
    /// How far it is.
    pub state: TrainingState,
    /// The parameters as they were asked for.
    pub parameters: Map,
    /// The caller's key for repeating the request safely, may be empty.
    pub request_id: String,
    /// The share of the work that is done, 0 to 1.
    pub progress: f64,
    /// The model that was made, once the run succeeded.
    pub model_version: Option<ModelVersion>,
    /// Whether that model answers now: the gate may keep the one before.
    pub promoted: bool,
    /// How good the model is; the card's figures.
    pub metrics: Map,
    /// Why the run failed.
    pub failure: Option<TrainingFailure>,
    /// When it was asked for.
    pub create_time: Timestamp,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingState {
    /// Waits for its turn.
    Pending,
    /// At work.
    Running,
    /// Made a model.
    Succeeded,
    /// Made none; [`TrainingRun::failure`] says why.
    Failed,
    /// Was stopped by a caller.
    Cancelled,
}

impl TrainingState {
    /// True once nothing more will happen.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why a run failed. The message names no customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingFailure {
    /// What a program would tell apart.
    pub reason: TrainingFailureReason,
    /// What to do about it, for people.
    pub message: String,
}

/// Why a run failed, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingFailureReason {
    /// Too few customers or outcomes to learn from.
    NotEnoughData,
    /// The server stopped while the run was at work.
    Interrupted,
    /// A fault of ours.
    Internal,
}
