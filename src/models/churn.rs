//! Churn: how likely a customer is to leave, as a calibrated probability with its reasons.
//!
//! A logistic regression makes a score in log-odds whose parts are the reasons; an isotonic calibration, fitted on
//! scores of customers that the scoring model had not seen, turns the score into a probability.

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::error::{Error, Progress, report};
use super::evaluation::Scores;
use super::examples::{self, ChurnExamples, ChurnPlan, Example};
use super::features::{Values, View};
use super::plan::Meaning;
use super::regression::{Design, Regression};
use crate::domain::prediction::{Band, ChurnPrediction, Contribution, PredictionStatus, largest};
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;

mod gate;
#[cfg(test)]
mod tests;

/// Customers of either outcome below which nothing is learned or judged.
pub const CLASS_MIN: usize = 100;
/// Parts of the training customers, each scored by a model of the others to fit the calibration.
const FOLDS: u64 = 5;

/// A trained model of churn. Serving needs nothing but its plain arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChurnModel {
    meaning: Meaning,
    base_rate: f64,
    regression: Regression,
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
        let contributions = self.regression.terms.iter().map(|term| {
            let value = term.feature().of(&view);
            Contribution {
                feature: term.feature().name,
                display_name: term.feature().display_name,
                value: term.feature().format(value, view.currency()),
                contribution: term.contribution(value),
            }
        });
        let contributions: Vec<Contribution> = contributions.collect();
        let total: f64 = contributions.iter().map(|contribution| contribution.contribution).sum();
        let log_odds = self.regression.intercept + total;
        let probability = self.calibration.apply(log_odds);
        let every_one = contributions.len();
        ChurnPrediction {
            status: PredictionStatus::Ok,
            probability,
            base_rate: self.base_rate,
            band: self.band(probability),
            horizon: self.meaning.horizon,
            baseline_log_odds: self.regression.intercept,
            log_odds,
            contributions: largest(contributions, every_one),
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
        self.calibration.apply(self.regression.log_odds(values))
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        let terms = self.regression.terms.iter_mut().all(|term| term.resolve());
        terms && self.regression.intercept.is_finite() && self.base_rate.is_finite() && self.calibration.is_sound()
    }
}

/// Trains a model on the earlier cut-offs, judges it on the test cut-off and compares it with the `previous` one.
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
    let model = fit(&examples.plan, &training, progress)?;
    report(progress, 0.8)?;
    let judged = gate::judge(examples, &model, previous);
    report(progress, 1.0)?;
    Ok(judged.into_trained(model))
}

/// Scores every customer by a model that has not seen them: the customers are split by hash into `folds` parts, and
/// each part is scored by a model, calibration included, of the others. For examples of one cut-off. Returns the
/// probabilities, and the recency of the same rows as the baseline.
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
        let model = fit(&examples.plan, &training, progress)?;
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

fn fit(plan: &ChurnPlan, training: &[&Example], progress: &dyn Progress) -> Result<ChurnModel, Error> {
    let values: Vec<&Values> = training.iter().map(|row| &row.values).collect();
    let left: Vec<bool> = training.iter().map(|row| row.left).collect();
    let design = Design::new(&values);
    let mut scores = vec![0.0; training.len()];
    for fold in 0..FOLDS {
        report(progress, 0.1 + 0.1 * fold as f64)?;
        let (held_out, others): (Vec<_>, Vec<_>) =
            (0..training.len()).partition(|row| fold_of(training[*row], FOLDS) == fold);
        let regression = design.fit(&others, &left)?;
        for row in held_out {
            scores[row] = regression.log_odds(values[row]);
        }
    }
    report(progress, 0.1 + 0.1 * FOLDS as f64)?;
    let everyone: Vec<usize> = (0..training.len()).collect();
    Ok(ChurnModel {
        meaning: plan.meaning.clone(),
        base_rate: left.iter().filter(|left| **left).count() as f64 / left.len().max(1) as f64,
        regression: design.fit(&everyone, &left)?,
        calibration: Calibration::fit(&scores, &left),
    })
}
