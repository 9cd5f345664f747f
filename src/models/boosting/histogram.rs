//! Sums of gradients by bin, and the split that gains most.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use super::bins::{BLOCK, Binned, MISSING};
use super::training::Parameters;

/// Units of one in a gradient, which is between −1 and 1.
const GRADIENT_ONE: f64 = (1u64 << 30) as f64;
/// Units of one in a curvature, which is at most a quarter: those of less than 2²¹ rows fit into 42 bits.
const CURVATURE_ONE: f64 = (1u64 << 23) as f64;
/// Bits of a sum of curvatures; those above count rows.
const CURVATURE_BITS: u32 = 42;
/// Codes that a column may have.
const CODES: usize = 256;
/// Rows whose codes are fetched before any of them is added: they lie apart, and so the waits for them overlap.
pub(super) const AHEAD: usize = 64;
/// Curvature below which a side of a split says nothing.
const CURVATURE_MIN: f64 = 1e-3;
/// Gain below which a split is rounding.
const GAIN_MIN: f64 = 1e-9;

/// Gradients and curvatures of some rows, and how many these are. All three are integers: sums are exact, and the same
/// in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    gradient: i64,
    /// Rows and curvature in one number, so that a row costs two additions.
    rows_and_curvature: i64,
}

impl Sum {
    /// One row with a probability, and by which share it is positive. Its curvature is at least one unit, so that no sum of rows is without any.
    pub(super) fn of_row(probability: f64, positive: f64) -> Self {
        let gradient = probability - positive;
        let curvature = (probability * (1.0 - probability) * CURVATURE_ONE).round() as i64;
        Self {
            gradient: (gradient * GRADIENT_ONE).round() as i64,
            rows_and_curvature: (1 << CURVATURE_BITS) + curvature.max(1),
        }
    }

    pub(super) fn rows(self) -> u32 {
        (self.rows_and_curvature >> CURVATURE_BITS) as u32
    }

    fn gradient(self) -> f64 {
        self.gradient as f64 / GRADIENT_ONE
    }

    fn curvature(self) -> f64 {
        (self.rows_and_curvature & ((1 << CURVATURE_BITS) - 1)) as f64 / CURVATURE_ONE
    }

    /// How far the rows want to move together: one step of Newton's method.
    pub(super) fn newton_step(self, penalty: f64) -> f64 {
        -self.gradient() / (self.curvature() + penalty)
    }

    /// Twice the loss that this step takes away, to the second order.
    fn score(self, penalty: f64) -> f64 {
        self.gradient() * self.gradient() / (self.curvature() + penalty)
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            rows_and_curvature: self.rows_and_curvature + other.rows_and_curvature,
        }
    }
}

impl Sub for Sum {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            rows_and_curvature: self.rows_and_curvature - other.rows_and_curvature,
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Sum {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// Sums of some rows by block of columns, column and code.
#[derive(Debug, Clone)]
pub(super) struct Histogram(Vec<[[Sum; CODES]; BLOCK]>);

/// Where a node is cut in two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    pub(super) gain: f64,
    pub(super) column: usize,
    /// The largest code of a value that goes left.
    pub(super) code: u8,
    /// Whether rows without a value go left as well.
    pub(super) is_missing_left: bool,
    pub(super) left: Sum,
    pub(super) right: Sum,
}

impl Histogram {
    /// Sums of no rows.
    pub(super) fn new(binned: &Binned) -> Self {
        Self(vec![[[Sum::default(); CODES]; BLOCK]; binned.blocks.len()])
    }

    /// Takes the place of what was here with the sums of some rows.
    pub(super) fn fill(&mut self, binned: &Binned, rows: &[u32], sums: &[Sum]) {
        for (columns, block) in self.0.iter_mut().zip(&binned.blocks) {
            *columns = [[Sum::default(); CODES]; BLOCK];
            for (rows, sums) in rows.chunks(AHEAD).zip(sums.chunks(AHEAD)) {
                let mut codes = [[MISSING; BLOCK]; AHEAD];
                codes.iter_mut().zip(rows).for_each(|(codes, row)| *codes = block[*row as usize]);
                for (codes, sum) in codes.iter().zip(sums) {
                    for (cells, code) in columns.iter_mut().zip(codes) {
                        cells[usize::from(*code)] += *sum;
                    }
                }
            }
        }
    }

    /// Leaves what is not in a part of the rows: cheaper than adding the other rows up.
    pub(super) fn subtract(&mut self, part: &Self) {
        let cells = self.0.as_flattened_mut().as_flattened_mut();
        cells.iter_mut().zip(part.0.as_flattened().as_flattened()).for_each(|(cell, part)| *cell -= *part);
    }

    /// The split with the largest gain; of equal ones, the first.
    pub(super) fn best_split(&self, binned: &Binned, total: Sum, parameters: &Parameters) -> Option<Split> {
        let mut search = Search { total, parameters, parent: total.score(parameters.penalty), best: None };
        for (column, (cells, edges)) in self.0.as_flattened().iter().zip(&binned.edges).enumerate() {
            search.visit(column, &cells[..=usize::from(edges.code_max())]);
        }
        search.best
    }
}

/// Looks for the best split of one node.
struct Search<'a> {
    total: Sum,
    parameters: &'a Parameters,
    parent: f64,
    best: Option<Split>,
}

impl Search<'_> {
    fn visit(&mut self, column: usize, cells: &[Sum]) {
        let missing = cells[usize::from(MISSING)];
        let mut values = Sum::default();
        for (code, cell) in cells.iter().enumerate().skip(1) {
            if cell.rows() == 0 {
                continue;
            }
            values += *cell;
            self.consider(column, code as u8, (values, false));
            if missing.rows() > 0 {
                self.consider(column, code as u8, (values + missing, true));
            }
        }
    }

    fn consider(&mut self, column: usize, code: u8, (left, is_missing_left): (Sum, bool)) {
        let right = self.total - left;
        let Parameters { rows_min, penalty, .. } = *self.parameters;
        if left.rows().min(right.rows()) < rows_min || left.curvature().min(right.curvature()) < CURVATURE_MIN {
            return;
        }
        let gain = left.score(penalty) + right.score(penalty) - self.parent;
        if gain > self.best.map_or(GAIN_MIN, |best| best.gain) {
            self.best = Some(Split { gain, column, code, is_missing_left, left, right });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::boosting::bins::ROWS_MAX;

    fn sums(rows: &[(f64, bool)]) -> Vec<Sum> {
        rows.iter().map(|(probability, label)| Sum::of_row(*probability, f64::from(*label))).collect()
    }

    fn parameters() -> Parameters {
        Parameters { rows_min: 1, penalty: 0.0, ..Parameters::default() }
    }

    fn filled(binned: &Binned, sums: &[Sum]) -> (Histogram, Sum) {
        let mut histogram = Histogram::new(binned);
        let rows: Vec<u32> = (0..sums.len() as u32).collect();
        histogram.fill(binned, &rows, sums);
        (histogram, sums.iter().fold(Sum::default(), |total, sum| total + *sum))
    }

    #[test]
    fn a_sum_of_as_many_rows_as_a_table_may_have_keeps_its_parts_apart() {
        let (row, count) = (Sum::of_row(0.5, 1.0), ROWS_MAX as i64);
        let total = Sum { gradient: row.gradient * count, rows_and_curvature: row.rows_and_curvature * count };
        assert_eq!(total.rows() as usize, ROWS_MAX);
        assert_eq!((total.gradient(), total.curvature()), (-0.5 * count as f64, 0.25 * count as f64));
        // Nobody is certain enough to divide by nothing.
        assert!(Sum::of_row(1.0, 1.0).newton_step(0.0).is_finite());
    }

    #[test]
    fn what_is_left_after_subtracting_is_the_sum_of_the_others() {
        let binned = Binned::new([(0..100).map(|row| f64::from(row * 37 % 11)).collect::<Vec<_>>()]).expect("a table");
        let sums = sums(&(0..100).map(|row| (f64::from(row) / 101.0, row % 3 == 0)).collect::<Vec<_>>());
        let (mut all, _) = filled(&binned, &sums);
        let rows: Vec<u32> = (0..100).collect();
        let (mut part, mut rest) = (Histogram::new(&binned), Histogram::new(&binned));
        part.fill(&binned, &rows[..30], &sums[..30]);
        rest.fill(&binned, &rows[30..], &sums[30..]);
        all.subtract(&part);
        assert_eq!(all.0, rest.0);
    }

    #[test]
    fn the_best_split_parts_the_classes_and_gains_what_the_formula_says() {
        let binned = Binned::new([vec![7.0; 4], vec![1.0, 2.0, 3.0, 4.0]]).expect("a table");
        let (histogram, total) = filled(&binned, &sums(&[(0.5, false), (0.5, false), (0.5, true), (0.5, true)]));
        let split = histogram.best_split(&binned, total, &parameters()).expect("one helps");
        assert_eq!((split.column, split.code), (1, 2));
        // Both sides: G = 1 or -1, H = 1/2. Together: G = 0.
        assert!((split.gain - 4.0).abs() < 1e-6);
        assert!((split.left.newton_step(0.0) + 2.0).abs() < 1e-6);
    }

    #[test]
    fn missing_values_go_where_they_fit_also_all_on_their_own() {
        let of = |cells: [f64; 4], labels: [bool; 4]| {
            let binned = Binned::new([cells.to_vec()]).expect("a table");
            let (histogram, total) = filled(&binned, &sums(&labels.map(|label| (0.5, label))));
            let split = histogram.best_split(&binned, total, &parameters()).expect("one helps");
            (split.code, split.is_missing_left, split.left.rows())
        };
        let (none, yes) = (f64::NAN, true);
        assert_eq!(of([none, 1.0, 2.0, 2.0], [yes, yes, false, false]), (1, true, 2));
        assert_eq!(of([none, 1.0, 2.0, 2.0], [yes, false, yes, yes]), (1, false, 1));
        assert_eq!(of([none, none, 1.0, 2.0], [yes, yes, false, false]), (2, false, 2));
    }

    #[test]
    fn a_side_with_too_few_rows_is_no_split() {
        let binned = Binned::new([vec![1.0, 2.0, 2.0, 2.0]]).expect("a table");
        let (histogram, total) = filled(&binned, &sums(&[(0.5, true), (0.5, false), (0.5, false), (0.5, false)]));
        let strict = Parameters { rows_min: 2, ..Parameters::default() };
        assert_eq!(histogram.best_split(&binned, total, &strict), None);
        assert!(histogram.best_split(&binned, total, &parameters()).is_some());
    }
}
