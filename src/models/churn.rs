//! Churn: how likely a customer is to leave, as a calibrated probability with its reasons.
//!
//! A scorer makes a score in log-odds whose parts are the reasons; a calibration, fitted on scores of customers that the
//! scorer had not seen, turns the score into a probability. Several kinds of scorers compete (`candidates`): the
//! transparent one answers unless another one is better beyond chance on customers that none of them has seen.

use serde::{Deserialize, Serialize};

use self::contest::Contest;
use self::scorer::Scorer;
use super::calibration::Calibration;
use super::error::{Error, Part, Progress, report};
use super::evaluation::Scores;
use super::examples::{ChurnExamples, Example};
use super::plan::Meaning;
use super::schema::{Known, Schema};
use crate::domain::prediction::{Band, ChurnPrediction, PredictionStatus, largest};
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;

pub(super) mod candidates;
mod contest;
mod curves;
pub(super) mod format_1;
pub(super) mod format_2;
mod gate;
mod outcomes;
mod rhythm;
pub(super) mod scorer;
pub(super) mod selection;
#[cfg(test)]
mod tests;
mod today;
pub(super) mod trees;

pub use today::ChurnToday;

/// Customers of either outcome below which nothing is learned or judged.
pub const CLASS_MIN: usize = 100;
/// Parts of the training customers, each scored by a model of the others to fit the calibration.
pub(super) const FOLDS: u64 = 5;

/// A trained model of churn. Serving needs nothing but its plain arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChurnModel {
    meaning: Meaning,
    base_rate: f64,
    schema: Schema,
    scorer: Scorer,
    calibration: Calibration,
    /// Within which its log loss on customers that it had not seen lies, in 95 of 100 cases. A later model that knows no
    /// customers whom this one has not seen is compared with it by that.
    held_out_loss: Option<(f64, f64)>,
}

/// What a training of churn made.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedChurn {
    /// The model.
    pub model: ChurnModel,
    /// What it was trained on and how good it is.
    pub card: Map,
    /// The figures of the card, each with its 95 % interval.
    pub metrics: Map,
    /// Whether it is good enough to answer.
    pub promote: bool,
}

impl ChurnModel {
    /// The prediction for a customer at `now`. `INSUFFICIENT_DATA` for a customer who has no part in the question:
    /// without a qualifying event, or for contractual churn without a live subscription. The `limit` largest reasons are
    /// listed.
    pub fn predict(&self, state: &State, now: Timestamp, limit: usize) -> ChurnPrediction {
        let view = self.meaning.view(state, now);
        if !self.meaning.concerns(state, &view) {
            return self.no_answer();
        }
        let known = self.scorer.look(&self.schema, &view);
        let explanation = self.scorer.explain(&known);
        let log_odds = explanation.log_odds();
        let probability = self.calibration.apply(log_odds);
        ChurnPrediction {
            status: PredictionStatus::Ok,
            probability,
            base_rate: self.base_rate,
            band: self.band(probability),
            horizon: self.meaning.horizon,
            baseline_log_odds: explanation.baseline,
            log_odds,
            contributions: largest(explanation.parts, limit, |position, part| {
                self.schema.reason(position, &known, view.currency(), part)
            }),
        }
    }

    fn no_answer(&self) -> ChurnPrediction {
        ChurnPrediction {
            status: PredictionStatus::InsufficientData,
            probability: 0.0,
            base_rate: self.base_rate,
            band: Band::Low,
            horizon: self.meaning.horizon,
            baseline_log_odds: 0.0,
            log_odds: 0.0,
            contributions: Vec::new(),
        }
    }

    fn band(&self, probability: f64) -> Band {
        if probability < self.base_rate {
            Band::Low
        } else if probability >= 2.0 * self.base_rate {
            Band::High
        } else {
            Band::Medium
        }
    }

    fn probability(&self, known: &Known) -> f64 {
        self.calibration.apply(self.scorer.log_odds(known))
    }

    /// What it knows of an example.
    fn known(&self, examples: &ChurnExamples, row: &Example) -> Vec<Option<f64>> {
        self.schema.train(&row.values, &row.stated, &examples.words)
    }

    /// What it says about examples, and what became of them.
    fn scores(&self, examples: &ChurnExamples, rows: &[&Example]) -> Scores {
        Scores {
            scores: rows.iter().map(|row| self.probability(&self.known(examples, row))).collect(),
            outcomes: rows.iter().map(|row| row.left).collect(),
        }
    }

    /// Which kind of model it is, for programs.
    fn kind(&self) -> &'static str {
        self.scorer.name()
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        self.scorer.resolve(&self.schema) && self.base_rate.is_finite() && self.calibration.is_sound()
    }
}

/// Trains models on the earlier cut-offs, picks one of them by the test cut-off, and compares it with the `previous` one.
/// With a single cut-off, a part of the customers takes the place of the later one, or each part in turn.
///
/// # Errors
/// [`Error::NotEnoughData`] with fewer than [`CLASS_MIN`] customers of either outcome in training or test,
/// [`Error::Cancelled`] when `progress` asks to stop.
pub fn train(
    examples: &ChurnExamples,
    previous: Option<&ChurnModel>,
    progress: &dyn Progress,
) -> Result<TrainedChurn, Error> {
    let contest = Contest::hold(examples, &Part::new(progress, 0.0, 0.9))?;
    report(progress, 0.9)?;
    let trained = gate::judge(examples, contest, previous);
    report(progress, 1.0)?;
    Ok(trained)
}

fn check_classes(rows: &[&Example], place: &str) -> Result<(), Error> {
    let left = rows.iter().filter(|row| row.left).count();
    let stayed = rows.len() - left;
    if left.min(stayed) >= CLASS_MIN {
        return Ok(());
    }
    Err(Error::NotEnoughData(format!(
        "{place} needs {CLASS_MIN} examples of customers who left and {CLASS_MIN} of those who stayed, but has {left} \
         and {stayed}"
    )))
}
