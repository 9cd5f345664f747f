//! Adding trees, and choosing how many.

use super::bins::Binned;
use super::forest::Forest;
use super::growing::Grower;
use super::tree::Tree;
use crate::models::error::{Error, Progress, report};

/// Mean squared error that a tree must save to be worth keeping.
const GAIN_MIN: f64 = 1e-7;

/// How trees are grown. The defaults are those of scikit-learn's HistGradientBoostingClassifier, but for a penalty of 1
/// (that of XGBoost): without any, a few rows of one class that are all well explained move without bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Share of each tree's values that is added.
    pub learning_rate: f64,
    /// Leaves of a tree.
    pub leaves_max: usize,
    /// Rows of a leaf.
    pub rows_min: u32,
    /// Weight of half the squared values of the leaves against the summed loss.
    pub penalty: f64,
    /// Trees that cross-validation tries.
    pub trees_max: usize,
    /// Trees without a gain after which cross-validation stops.
    pub patience: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { learning_rate: 0.1, leaves_max: 31, rows_min: 20, penalty: 1.0, trees_max: 200, patience: 30 }
    }
}

/// What cross-validation found.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossFit {
    /// How many trees have the smallest squared error on rows that they were not grown on. Not the log loss: it turns
    /// early, at probabilities that are too sure of themselves, and those a calibration mends.
    pub trees: usize,
    /// Log-odds of every row by so many trees that were grown without its fold.
    pub scores: Vec<f64>,
    error: f64,
}

/// Fits trees to all rows; `labels` says which are positive, or by which share from 0 to 1 each is.
///
/// # Errors
/// [`Error::NotEnoughData`] without a row of either class; [`Error::Internal`] where there is not one label per row, or
/// one is no share.
pub fn fit<L: Copy + Into<f64>>(
    binned: &Binned,
    labels: &[L],
    parameters: &Parameters,
    trees: usize,
) -> Result<Forest, Error> {
    let everyone = (0..binned.rows() as u32).collect();
    let mut booster = Booster::new(binned, labels, parameters, everyone)?;
    let grown: Vec<Tree> = (0..trees).map(|_| booster.grow()).collect();
    Ok(Forest::new(binned.edges.clone(), booster.prior, &grown))
}

/// Grows trees without each of the folds in turn, and finds how many are best; `folds` has the fold of each row.
///
/// # Errors
/// Like [`fit`], also where a class is in one fold only; [`Error::Cancelled`] when `progress` asks to stop.
pub fn cross_fit<L: Copy + Into<f64>>(
    binned: &Binned,
    labels: &[L],
    folds: &[usize],
    parameters: &Parameters,
    progress: &dyn Progress,
) -> Result<CrossFit, Error> {
    if folds.len() != binned.rows() {
        return Err(Error::Internal("boosting was given more or fewer folds than rows".to_owned()));
    }
    let mut folds = folds_of(folds);
    let mut boosters = Vec::new();
    let mut scores = vec![0.0; binned.rows()];
    for (held_out, others) in &mut folds {
        let booster = Booster::new(binned, labels, parameters, std::mem::take(others))?;
        held_out.iter().for_each(|row| scores[*row] = booster.prior);
        boosters.push(booster);
    }
    let mut best = CrossFit { trees: 0, error: squared_error(&scores, labels), scores: scores.clone() };
    for trees in 1..=parameters.trees_max {
        for ((held_out, _), booster) in folds.iter().zip(&mut boosters) {
            let tree = booster.grow();
            held_out.iter().for_each(|row| scores[*row] += tree.value(|column| binned.code(column, *row)));
        }
        let error = squared_error(&scores, labels);
        if error < best.error - GAIN_MIN {
            best = CrossFit { trees, error, scores: scores.clone() };
        } else if trees - best.trees >= parameters.patience {
            break;
        }
        report(progress, trees as f64 / parameters.trees_max as f64)?;
    }
    Ok(best)
}

/// The rows of each fold, and all others. A number that no row has is no fold.
fn folds_of(folds: &[usize]) -> Vec<(Vec<usize>, Vec<u32>)> {
    let mut numbers = folds.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let rows_of = |number| {
        let held_out = (0..folds.len()).filter(|row| folds[*row] == number).collect();
        (held_out, (0..folds.len() as u32).filter(|row| folds[*row as usize] != number).collect())
    };
    numbers.into_iter().map(rows_of).collect()
}

/// Adds one tree after the other.
struct Booster<'a, L> {
    labels: &'a [L],
    grower: Grower<'a>,
    /// Log-odds of the rows that it learns from, by the trees so far.
    scores: Vec<f64>,
    /// Log-odds before the first tree.
    prior: f64,
}

impl<'a, L: Copy + Into<f64>> Booster<'a, L> {
    fn new(binned: &'a Binned, labels: &'a [L], parameters: &'a Parameters, rows: Vec<u32>) -> Result<Self, Error> {
        if labels.len() != binned.rows() {
            return Err(Error::Internal("boosting was given more or fewer labels than rows".to_owned()));
        }
        if !labels.iter().all(|label| (0.0..=1.0).contains(&(*label).into())) {
            return Err(Error::Internal("boosting was given a label that is no share".to_owned()));
        }
        let positives: f64 = rows.iter().map(|row| labels[*row as usize].into()).sum();
        let negatives = rows.len() as f64 - positives;
        if positives.min(negatives) <= 0.0 {
            let message = format!("boosting needs rows of both classes, but has {positives} and {negatives}");
            return Err(Error::NotEnoughData(message));
        }
        let prior = (positives / negatives).ln();
        let scores = vec![prior; binned.rows()];
        Ok(Self { labels, grower: Grower::new(binned, parameters, rows), scores, prior })
    }

    fn grow(&mut self) -> Tree {
        self.grower.grow(self.labels, &mut self.scores)
    }
}

/// The probability of log-odds.
pub(super) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// The mean squared error of the probabilities of log-odds (Brier 1950).
fn squared_error<L: Copy + Into<f64>>(scores: &[f64], labels: &[L]) -> f64 {
    let of_row = |(score, label): (&f64, &L)| (probability(*score) - (*label).into()).powi(2);
    scores.iter().zip(labels).map(of_row).sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use rand::Rng;

    use super::*;
    use crate::models::evaluation::{Scores, auc};
    use crate::models::sampling::{Purpose, generator};

    /// Positive mostly where exactly one of two columns is high, which no linear model sees; a third column is noise,
    /// and the first is missing in a tenth of the rows.
    fn exclusive_or(rows: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<bool>) {
        let mut random = generator(seed, Purpose::Rows, 0);
        let (mut columns, mut labels) = (vec![Vec::new(); 3], Vec::new());
        for row in 0..rows {
            let cells: [f64; 3] = std::array::from_fn(|_| random.r#gen());
            let is_likely = (cells[0] > 0.5) != (cells[1] > 0.5);
            labels.push(random.r#gen_bool(if is_likely { 0.9 } else { 0.1 }));
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(cell);
            }
            if row % 10 == 0 {
                columns[0][row] = f64::NAN;
            }
        }
        (columns, labels)
    }

    fn row(columns: &[Vec<f64>], row: usize) -> Vec<f64> {
        columns.iter().map(|column| column[row]).collect()
    }

    #[test]
    fn trees_see_what_two_columns_say_together() {
        let (columns, labels) = exclusive_or(2_000, 1);
        let forest =
            fit(&Binned::new(columns).expect("a table"), &labels, &Parameters::default(), 50).expect("two classes");
        let (columns, outcomes) = exclusive_or(2_000, 2);
        let scores = (0..2_000).map(|at| forest.log_odds(&row(&columns, at)).expect("three columns")).collect();
        let found = auc(&Scores { scores, outcomes });
        assert!(found > 0.84, "{found}");
    }

    #[test]
    fn serving_says_what_training_said_of_the_same_rows() {
        let (columns, labels) = exclusive_or(500, 3);
        let binned = Binned::new(columns.clone()).expect("a table");
        let parameters = Parameters::default();
        let mut booster = Booster::new(&binned, &labels, &parameters, (0..500).collect()).expect("two classes");
        let trees: Vec<Tree> = (0..20).map(|_| booster.grow()).collect();
        let forest = Forest::new(binned.edges.clone(), booster.prior, &trees);
        for at in 0..500 {
            let served = forest.log_odds(&row(&columns, at)).expect("three columns");
            assert!((served - booster.scores[at]).abs() < 1e-9, "row {at}: {served} and {}", booster.scores[at]);
            let walked: f64 = trees.iter().map(|tree| tree.value(|column| binned.code(column, at))).sum();
            assert!((booster.prior + walked - served).abs() < 1e-9);
        }
    }

    #[test]
    fn the_order_of_the_rows_changes_no_bit() {
        let (columns, labels) = exclusive_or(700, 4);
        let forest = |columns: Vec<Vec<f64>>, labels: &[bool]| {
            fit(&Binned::new(columns).expect("a table"), labels, &Parameters::default(), 10).expect("two classes")
        };
        let turned = columns.iter().map(|column| column.iter().rev().copied().collect()).collect();
        let turned_labels: Vec<bool> = labels.iter().rev().copied().collect();
        assert_eq!(forest(columns, &labels), forest(turned, &turned_labels));
    }

    #[test]
    fn cross_validation_stops_where_more_trees_learn_noise() {
        let (columns, labels) = exclusive_or(600, 5);
        let binned = Binned::new(columns).expect("a table");
        let folds: Vec<usize> = (0..600).map(|row| row % 5).collect();
        let parameters = Parameters::default();
        let found = cross_fit(&binned, &labels, &folds, &parameters, &()).expect("two classes");
        assert!((5..100).contains(&found.trees), "{}", found.trees);
        let more = Parameters { trees_max: found.trees + 10, patience: 1_000, ..parameters };
        let again = cross_fit(&binned, &labels, &folds, &more, &()).expect("two classes");
        assert_eq!((again.trees, &again.scores), (found.trees, &found.scores));
        assert!(auc(&Scores { scores: found.scores, outcomes: labels.clone() }) > 0.8);
        // Where nothing can be learned there is no tree.
        let constant = Binned::new([vec![1.0; 600]]).expect("a table");
        assert_eq!(cross_fit(&constant, &labels, &folds, &parameters, &()).expect("two classes").trees, 0);
    }

    #[test]
    fn no_fold_is_scored_by_trees_that_saw_it() {
        let (columns, mut labels) = exclusive_or(600, 6);
        let binned = Binned::new(columns).expect("a table");
        let folds: Vec<usize> = (0..600).map(|row| row % 3).collect();
        let parameters = Parameters { trees_max: 5, patience: 5, ..Parameters::default() };
        let before = cross_fit(&binned, &labels, &folds, &parameters, &()).expect("two classes");
        labels.iter_mut().zip(&folds).filter(|row| *row.1 == 0).for_each(|(label, _)| *label = !*label);
        let after = cross_fit(&binned, &labels, &folds, &Parameters { trees_max: before.trees, ..parameters }, &());
        let after = after.expect("two classes");
        let same = |fold| (0..600).filter(|row| folds[*row] == fold).all(|row| before.scores[row] == after.scores[row]);
        assert!(after.trees < before.trees || (same(0) && !same(1)));
    }

    #[test]
    fn what_cannot_be_learned_from_is_an_error() {
        let binned = Binned::new([vec![1.0, 2.0, 3.0]]).expect("a table");
        let parameters = Parameters::default();
        let fit = |labels: &[bool]| fit(&binned, labels, &parameters, 3);
        assert!(matches!(fit(&[true; 3]), Err(Error::NotEnoughData(_))));
        assert!(matches!(fit(&[true, false]), Err(Error::Internal(_))));
        let folds = |folds: &[usize]| cross_fit(&binned, &[true, false, false], folds, &parameters, &());
        assert!(matches!(folds(&[0, 1, 1]), Err(Error::NotEnoughData(_))), "the only positive row is held out");
        assert!(matches!(folds(&[0, 1]), Err(Error::Internal(_))));
        assert!(matches!(folds(&[7, 7, 7]), Err(Error::NotEnoughData(_))));
        // Too few rows to split are no fault: everybody gets the base rate.
        let forest = fit(&[true, false, false]).expect("two classes");
        assert_eq!(forest.log_odds(&[9.0]), Ok(0.5f64.ln()));
    }

    #[test]
    fn training_stops_when_it_is_asked_to() {
        struct Impatient;
        impl Progress for Impatient {
            fn report(&self, _done: f64) -> ControlFlow<()> {
                ControlFlow::Break(())
            }
        }
        let (columns, labels) = exclusive_or(200, 7);
        let binned = Binned::new(columns).expect("a table");
        let folds: Vec<usize> = (0..200).map(|row| row % 2).collect();
        let stopped = cross_fit(&binned, &labels, &folds, &Parameters::default(), &Impatient);
        assert_eq!(stopped, Err(Error::Cancelled));
    }
}
