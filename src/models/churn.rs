//! Churn: how likely a customer is to leave, as a calibrated probability with its reasons.
//!
//! A scorer makes a score in log-odds whose parts are the reasons; a calibration, fitted on scores of customers that the
//! scorer had not seen, turns the score into a probability. Several kinds of scorers compete (`candidates`): the
//! transparent one answers unless another one is better beyond chance on customers that none of them has seen.

use serde::{Deserialize, Serialize};

use self::candidates::Candidate;
use self::scorer::Scorer;
use super::calibration::Calibration;
use super::error::{Error, Progress, report};
use super::evaluation::Scores;
use super::examples::{self, ChurnExamples, Example};
use super::features::{FEATURES, Feature, Values, View};
use super::plan::Meaning;
use crate::domain::prediction::{Band, ChurnPrediction, Contribution, PredictionStatus, largest};
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;

mod candidates;
mod curves;
pub(super) mod format_1;
mod gate;
mod outcomes;
mod rhythm;
mod scorer;
mod selection;
#[cfg(test)]
mod tests;
mod today;
mod trees;

pub use today::ChurnToday;

/// Customers of either outcome below which nothing is learned or judged.
pub const CLASS_MIN: usize = 100;
/// Parts of the training customers, each scored by a model of the others to fit the calibration.
const FOLDS: u64 = 5;

/// A trained model of churn. Serving needs nothing but its plain arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChurnModel {
    meaning: Meaning,
    base_rate: f64,
    scorer: Scorer,
    calibration: Calibration,
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
    /// without a qualifying event, or for contractual churn without a live subscription.
    pub fn predict(&self, state: &State, now: Timestamp) -> ChurnPrediction {
        let view = View::new(state, now, &self.meaning.qualifying_events);
        if !examples::has_part(self.meaning.kind, state, &view) {
            return self.no_answer();
        }
        let values = self.scorer.values(&view);
        let explanation = self.scorer.explain(&values);
        let contribution = |(index, part): &(usize, f64)| {
            let Feature { name, display_name, .. } = FEATURES[*index];
            let value = FEATURES[*index].format(values[*index], view.currency());
            Contribution { feature: name, display_name, value, contribution: *part }
        };
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
            contributions: largest(explanation.parts.iter().map(contribution).collect(), explanation.parts.len()),
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

    fn probability(&self, values: &Values) -> f64 {
        self.calibration.apply(self.scorer.log_odds(values))
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        self.scorer.resolve() && self.base_rate.is_finite() && self.calibration.is_sound()
    }
}

/// Trains models on the earlier cut-offs, picks one of them by the test cut-off, and compares it with the `previous` one.
///
/// # Errors
/// [`Error::NotEnoughData`] with fewer than [`CLASS_MIN`] customers of either outcome in training or test,
/// [`Error::Cancelled`] when `progress` asks to stop.
pub fn train(
    examples: &ChurnExamples,
    previous: Option<&ChurnModel>,
    progress: &dyn Progress,
) -> Result<TrainedChurn, Error> {
    let rows = examples.sorted();
    let (test, training): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_test);
    check_classes(&training, "training")?;
    check_classes(&test, "the test")?;
    let candidates = candidates::fit(&examples.plan, &training, progress)?;
    report(progress, 0.9)?;
    let trained = gate::judge(examples, candidates, previous);
    report(progress, 1.0)?;
    Ok(trained)
}

/// Scores every customer by a model that has not seen them: the customers are split by hash into `folds` parts, and
/// each part is scored by a model of the others, calibration and choice of the model included. For examples of one
/// cut-off. Returns the probabilities, and the recency of the same rows as the baseline.
///
/// # Errors
/// Like [`train`].
pub fn cross_validate(
    examples: &ChurnExamples,
    folds: u64,
    progress: &dyn Progress,
) -> Result<(Scores, Scores), Error> {
    let rows = examples.sorted();
    let (mut model_scores, mut baseline) = (Scores::default(), Scores::default());
    for fold in 0..folds {
        let (test, training): (Vec<_>, Vec<_>) = rows.iter().partition(|row| fold_of(row, folds) == fold);
        check_classes(&training, "training")?;
        let left: Vec<bool> = training.iter().map(|row| row.left).collect();
        let model = pick(candidates::fit(&examples.plan, &training, progress)?, &left, examples.plan.seed);
        for row in test {
            model_scores.scores.push(model.probability(&row.values));
            model_scores.outcomes.push(row.left);
            baseline.scores.push(row.recency_days);
            baseline.outcomes.push(row.left);
        }
    }
    Ok((model_scores, baseline))
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

/// Folds look at other bits of the hash than the choice of the test customers does.
fn fold_of(row: &Example, folds: u64) -> u64 {
    (row.customer >> 16 & 0xffff) % folds.max(1)
}

/// The candidate that does best on the rows that it was trained on, each told by a model without its fold.
fn pick(mut candidates: Vec<Candidate>, left: &[bool], seed: u64) -> ChurnModel {
    let losses: Vec<_> = candidates.iter().map(|candidate| selection::losses(&candidate.held_out, left)).collect();
    let picked = selection::select(&losses, seed).picked;
    candidates.swap_remove(picked).model
}
