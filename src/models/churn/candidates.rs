//! The models that compete, each fitted on all training rows and calibrated on scores of folds that it had not seen.

use super::rhythm::Rhythm;
use super::scorer::Scorer;
use super::trees::Trees;
use super::{ChurnModel, FOLDS, fold_of};
use crate::domain::settings::ChurnKind;
use crate::models::calibration::{Calibrated, Calibration};
use crate::models::error::{Error, Part, Progress, report};
use crate::models::examples::{ChurnPlan, Example};
use crate::models::features::Values;
use crate::models::regression::Design;

/// A model that may come to answer.
pub(super) struct Candidate {
    pub(super) model: ChurnModel,
    /// The probability of each training row, by models and calibrations that were fitted without its fold.
    pub(super) held_out: Vec<f64>,
}

/// A scorer, and the score of each training row by scorers that were fitted without its fold.
pub(in crate::models) type Scored = (Scorer, Vec<f64>);

/// Fits the transparent model first, then its challengers. A challenger that cannot be fitted does not compete.
pub(super) fn fit(plan: &ChurnPlan, rows: &[&Example], progress: &dyn Progress) -> Result<Vec<Candidate>, Error> {
    let training = Training::new(plan, rows);
    let mut scored = vec![linear(&training.values, &training.left, &training.folds, &Part::new(progress, 0.0, 0.2))?];
    let forest = trees(&training.values, &training.left, &training.folds, &Part::new(progress, 0.2, 0.7));
    scored.extend(challenger(forest)?);
    if plan.meaning.kind == ChurnKind::Inactivity {
        scored.extend(challenger(training.rhythm(&Part::new(progress, 0.7, 0.9)))?);
    }
    Ok(scored.into_iter().map(|scored| training.candidate(scored)).collect())
}

/// A challenger has no part where it cannot be fitted; that training was to stop goes on.
pub(in crate::models) fn challenger(fitted: Result<Scored, Error>) -> Result<Option<Scored>, Error> {
    match fitted {
        Ok(scored) => Ok(Some(scored)),
        Err(Error::NotEnoughData(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows that all candidates are fitted on.
struct Training<'a> {
    plan: &'a ChurnPlan,
    rows: &'a [&'a Example],
    values: Vec<&'a Values>,
    left: Vec<bool>,
    /// The fold of each row; all rows of a customer share one.
    folds: Vec<usize>,
}

impl<'a> Training<'a> {
    fn new(plan: &'a ChurnPlan, rows: &'a [&'a Example]) -> Self {
        Self {
            plan,
            rows,
            values: rows.iter().map(|row| &row.values).collect(),
            left: rows.iter().map(|row| row.left).collect(),
            folds: rows.iter().map(|row| fold_of(row, FOLDS) as usize).collect(),
        }
    }

    fn candidate(&self, (scorer, scores): Scored) -> Candidate {
        let Calibrated { calibration, held_out } = Calibration::fit(&scores, &self.left, &self.folds);
        let base_rate = self.left.iter().filter(|left| **left).count() as f64 / self.left.len().max(1) as f64;
        let model = ChurnModel { meaning: self.plan.meaning.clone(), base_rate, scorer, calibration };
        Candidate { model, held_out }
    }

    fn rhythm(&self, progress: &dyn Progress) -> Result<Scored, Error> {
        let horizon_days = self.plan.meaning.horizon.as_secs_f64() / 86_400.0;
        cross_fit(&self.values, &self.folds, progress, |rows| {
            // The cut-offs of a customer follow each other: the last one knows most.
            let customers = rows.chunk_by(|a, b| self.rows[*a].customer == self.rows[*b].customer);
            let latest: Vec<&Values> = customers.filter_map(<[usize]>::last).map(|row| self.values[*row]).collect();
            Ok(Scorer::Rhythm(Rhythm::fit(&latest, horizon_days)?))
        })
    }
}

/// Fits the transparent model to labels or shares.
pub(in crate::models) fn linear<T: Copy + Into<f64>>(
    values: &[&Values],
    targets: &[T],
    folds: &[usize],
    progress: &dyn Progress,
) -> Result<Scored, Error> {
    let design = Design::new(values);
    cross_fit(values, folds, progress, |rows| Ok(Scorer::Linear(design.fit(rows, targets)?)))
}

/// Grows trees on labels or shares.
pub(in crate::models) fn trees<T: Copy + Into<f64>>(
    values: &[&Values],
    targets: &[T],
    folds: &[usize],
    progress: &dyn Progress,
) -> Result<Scored, Error> {
    let (trees, scores) = Trees::fit(values, targets, folds, progress)?;
    Ok((Scorer::Trees(trees), scores))
}

/// Fits all rows, and scores each fold by a fit of the others.
fn cross_fit(
    values: &[&Values],
    folds: &[usize],
    progress: &dyn Progress,
    fit: impl Fn(&[usize]) -> Result<Scorer, Error>,
) -> Result<Scored, Error> {
    let mut scores = vec![0.0; values.len()];
    for fold in 0..FOLDS as usize {
        report(progress, fold as f64 / FOLDS as f64)?;
        let (held_out, others): (Vec<_>, Vec<_>) = (0..values.len()).partition(|row| folds[*row] == fold);
        let scorer = fit(&others)?;
        held_out.into_iter().for_each(|row| scores[row] = scorer.log_odds(values[row]));
    }
    let everyone: Vec<usize> = (0..values.len()).collect();
    Ok((fit(&everyone)?, scores))
}
