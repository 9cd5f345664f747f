//! Letting models of churn compete on customers that none of them has seen.

use super::{ChurnModel, candidates, check_classes};
use crate::models::error::{Error, Part, Progress};
use crate::models::evaluation::Scores;
use crate::models::examples::{ChurnExamples, Example};
use crate::models::plan::Split;

/// The models, and what judges them.
pub(super) struct Contest<'a> {
    /// The transparent one first.
    pub(super) entries: Vec<Entry>,
    pub(super) test: Vec<&'a Example>,
}

/// A model that may come to answer.
pub(super) struct Entry {
    pub(super) model: ChurnModel,
    /// What its kind says about each of the test rows, without having seen it.
    pub(super) scores: Scores,
}

impl<'a> Contest<'a> {
    /// Fits every kind of model.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] with too few customers of either outcome where something is learned or judged,
    /// [`Error::Cancelled`] when `progress` asks to stop.
    pub(super) fn hold(examples: &'a ChurnExamples, progress: &dyn Progress) -> Result<Self, Error> {
        let rows = examples.sorted();
        if let Split::Folds(folds) = examples.plan.split {
            return Self::by_folds(examples, rows, folds, progress);
        }
        let (test, training): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_test);
        check_classes(&training, "training")?;
        check_classes(&test, "the test")?;
        let entry = |model: ChurnModel| Entry { scores: model.scores(examples, &test), model };
        let entries = candidates::fit(examples, &training, progress)?.into_iter().map(entry).collect();
        Ok(Self { entries, test })
    }

    /// Every part of the customers is scored by models of the others, calibration and all; the models themselves are
    /// fitted on everybody. What is told is how well this way of making models does.
    fn by_folds(
        examples: &'a ChurnExamples,
        rows: Vec<&'a Example>,
        folds: u64,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        check_classes(&rows, "training")?;
        let part = |turn: u64| (turn as f64 / (folds + 1) as f64, (turn + 1) as f64 / (folds + 1) as f64);
        let fit = |rows: &[&Example], turn: u64| {
            let (from, to) = part(turn);
            candidates::fit(examples, rows, &Part::new(progress, from, to))
        };
        let mut entries: Vec<Entry> =
            fit(&rows, 0)?.into_iter().map(|model| Entry { model, scores: Scores::default() }).collect();
        let mut judges = Vec::new();
        for fold in 0..folds {
            let (held_out, others): (Vec<&Example>, Vec<&Example>) =
                rows.iter().partition(|row| fold_of(row, folds) == fold);
            check_classes(&others, "every part of the folds")?;
            let models = fit(&others, fold + 1)?;
            for entry in &mut entries {
                // A kind that cannot be fitted without some fold has no figures that could be compared.
                let Some(model) = models.iter().find(|model| model.kind() == entry.model.kind()) else { continue };
                entry.scores.extend(model.scores(examples, &held_out));
            }
            judges.extend(held_out);
        }
        entries.retain(|entry| entry.scores.len() == judges.len());
        Ok(Self { entries, test: judges })
    }
}

/// Other bits of the number than the folds within a training look at, so that those stay of equal size.
fn fold_of(row: &Example, folds: u64) -> u64 {
    (row.group >> 40 & 0xffff) % folds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::features::FEATURES;
    use crate::models::sampling::mix;

    fn row(customer: u64, group: u64) -> Example {
        let values = [None; FEATURES.len()];
        Example { customer, group, is_test: false, left: false, recency_days: 0.0, values, stated: Vec::new() }
    }

    #[test]
    fn who_belongs_together_is_judged_together_and_the_others_spread_evenly() {
        let mut rows = [0; 5];
        for number in 0..1_000 {
            let group = mix(number);
            let fold = fold_of(&row(mix(number + 5_000), group), 5);
            assert_eq!(fold, fold_of(&row(mix(number + 9_000), group), 5));
            rows[fold as usize] += 1;
        }
        assert!(rows.iter().all(|rows| (150..250).contains(rows)), "{rows:?}");
    }
}
