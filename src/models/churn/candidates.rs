//! The models that compete, each fitted on all training rows and calibrated on scores of folds that it had not seen.

use super::rhythm::Rhythm;
use super::scorer::Scorer;
use super::trees::Trees;
use super::{ChurnModel, FOLDS};
use crate::domain::settings::ChurnKind;
use crate::models::calibration::Calibration;
use crate::models::error::{Error, Part, Progress, report};
use crate::models::examples::{ChurnExamples, ChurnPlan, Example};
use crate::models::regression::Design;
use crate::models::schema::{Known, Schema};
use crate::models::traits::{Learned, learn};

/// Fits the transparent model first, then its challengers. A challenger that cannot be fitted does not compete.
pub(super) fn fit(
    examples: &ChurnExamples,
    rows: &[&Example],
    progress: &dyn Progress,
) -> Result<Vec<ChurnModel>, Error> {
    let learned = traits_of(examples, rows);
    let schema = Schema::new(learned.features);
    let known: Vec<Vec<Option<f64>>> =
        rows.iter().map(|row| schema.train(&row.values, &row.stated, &examples.words)).collect();
    let training = Training::new((&examples.plan, &schema), rows, &known);
    let mut scored = vec![training.table.linear(&Part::new(progress, 0.0, 0.2))?];
    scored.extend(challenger(training.table.trees(&Part::new(progress, 0.2, 0.7)))?);
    if examples.plan.meaning.kind == ChurnKind::Inactivity && examples.plan.meaning.label.is_none() {
        scored.extend(challenger(training.rhythm(&Part::new(progress, 0.7, 0.9)))?);
    }
    Ok(scored.into_iter().map(|scored| training.model(scored)).collect())
}

/// What the traits of some rows are to a model that learns from them.
pub(super) fn traits_of(examples: &ChurnExamples, rows: &[&Example]) -> Learned {
    let stated = rows.iter().map(|row| (row.customer, examples.words.cells(&row.stated)));
    learn(stated, &examples.plan.excluded)
}

/// A scorer, and the score of each training row by scorers that were fitted without its fold.
pub(in crate::models) type Scored = (Scorer, Vec<f64>);

/// A challenger has no part where it cannot be fitted; that training was to stop goes on.
pub(in crate::models) fn challenger(fitted: Result<Scored, Error>) -> Result<Option<Scored>, Error> {
    match fitted {
        Ok(scored) => Ok(Some(scored)),
        Err(Error::NotEnoughData(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows of a training, as every kind of scorer learns from them.
pub(in crate::models) struct Table<'a, T> {
    pub(in crate::models) schema: &'a Schema,
    pub(in crate::models) known: Vec<&'a Known>,
    /// Whether, or by which share from 0 to 1, each row is positive.
    pub(in crate::models) targets: Vec<T>,
    /// The fold of each row; all rows of a customer, and of those who belong together, share one.
    pub(in crate::models) folds: Vec<usize>,
}

impl<T: Copy + Into<f64>> Table<'_, T> {
    /// Fits the transparent kind.
    pub(in crate::models) fn linear(&self, progress: &dyn Progress) -> Result<Scored, Error> {
        let design = Design::new(self.schema, &self.known);
        report(progress, 0.0)?;
        let penalty = design.penalty(&self.targets, &self.folds)?;
        let fit = |rows: &[usize]| Ok(Scorer::Linear(design.fit(rows, &self.targets, penalty)?));
        self.cross_fit(&Part::new(progress, 0.5, 1.0), fit)
    }

    /// Grows trees.
    pub(in crate::models) fn trees(&self, progress: &dyn Progress) -> Result<Scored, Error> {
        let (trees, scores) = Trees::fit((self.schema, &self.known), &self.targets, &self.folds, progress)?;
        Ok((Scorer::Trees(trees), scores))
    }

    /// Fits all rows, and scores each fold by a fit of the others.
    fn cross_fit(
        &self,
        progress: &dyn Progress,
        fit: impl Fn(&[usize]) -> Result<Scorer, Error>,
    ) -> Result<Scored, Error> {
        let mut scores = vec![0.0; self.known.len()];
        for fold in 0..FOLDS as usize {
            report(progress, fold as f64 / FOLDS as f64)?;
            let (held_out, others): (Vec<_>, Vec<_>) = (0..self.known.len()).partition(|row| self.folds[*row] == fold);
            let scorer = fit(&others)?;
            held_out.into_iter().for_each(|row| scores[row] = scorer.log_odds(self.known[row]));
        }
        let everyone: Vec<usize> = (0..self.known.len()).collect();
        Ok((fit(&everyone)?, scores))
    }
}

/// The rows that all candidates are fitted on, with what they are about.
struct Training<'a> {
    plan: &'a ChurnPlan,
    rows: &'a [&'a Example],
    table: Table<'a, bool>,
}

impl<'a> Training<'a> {
    fn new(
        (plan, schema): (&'a ChurnPlan, &'a Schema),
        rows: &'a [&'a Example],
        known: &'a [Vec<Option<f64>>],
    ) -> Self {
        let table = Table {
            schema,
            known: known.iter().map(Vec::as_slice).collect(),
            targets: rows.iter().map(|row| row.left).collect(),
            folds: rows.iter().map(|row| ((row.group >> 16 & 0xffff) % FOLDS) as usize).collect(),
        };
        Self { plan, rows, table }
    }

    fn model(&self, (scorer, scores): Scored) -> ChurnModel {
        let Table { schema, targets, folds, .. } = &self.table;
        let calibration = Calibration::fit(&scores, targets, folds);
        let base_rate = targets.iter().filter(|left| **left).count() as f64 / targets.len().max(1) as f64;
        let (meaning, schema) = (self.plan.meaning.clone(), (*schema).clone());
        ChurnModel { meaning, base_rate, schema, scorer, calibration, held_out_loss: None }
    }

    fn rhythm(&self, progress: &dyn Progress) -> Result<Scored, Error> {
        let horizon_days = self.plan.meaning.horizon.as_secs_f64() / 86_400.0;
        self.table.cross_fit(progress, |rows| {
            // The cut-offs of a customer follow each other: the last one knows most.
            let customers = rows.chunk_by(|a, b| self.rows[*a].customer == self.rows[*b].customer);
            let latest: Vec<&Known> = customers.filter_map(<[usize]>::last).map(|row| self.table.known[*row]).collect();
            Ok(Scorer::Rhythm(Rhythm::fit(&latest, horizon_days)?))
        })
    }
}
