//! Logistic regression with a ridge penalty, fitted by Newton's method.
//!
//! Minimises Σ ln(1 + exp(−sᵢ(b + w·xᵢ))) + λ/2 · |w|², where sᵢ is 1 for a positive row and −1 for a negative one (le
//! Cessie and van Houwelingen 1992). A row can also be positive by a share, such as an answer on a scale from its lowest to
//! its highest value; its loss is then that of both kinds of rows in these parts, and the fit is of the mean share (Papke
//! and Wooldridge 1996). The intercept b is not penalised. Newton's steps are those of iteratively
//! reweighted least squares (Green 1984), halved until the loss falls, and end by the Newton decrement (Boyd and
//! Vandenberghe 2004, section 9.5). With λ > 0 the loss has one minimum, also where the classes can be separated or
//! columns are constant or repeat each other.

use super::error::Error;

/// Half the squared Newton decrement per row, which is how far the loss is from its minimum, from which one more step
/// is the last: the error of the next is about the square of this one.
const TOLERANCE: f64 = 1e-8;
/// Share of the loss that may be rounding.
const ROUNDING: f64 = 1e-12;
/// Newton's method needs about six steps; more mean that the numbers are beyond what it can work with.
const STEPS_MAX: usize = 100;
/// Halvings of one step.
const HALVINGS_MAX: i32 = 40;
/// Rows from which a part of them, one of so many, is fitted first: what it finds is one or two steps from the end.
const MANY: usize = 10_000;
const PART: usize = 10;
/// Rows that are added to the Hessian in one go, so that each of its cells is read and written once for all of them.
const BLOCK: usize = 4;

/// A row to learn from, and whether it is positive, or by which share from 0 to 1.
pub type Row<'a, T = bool> = (&'a [f64], T);

/// A fitted regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Log-odds of a row of zeros.
    pub intercept: f64,
    /// Log-odds per unit of each column.
    pub weights: Vec<f64>,
}

impl Logistic {
    /// Fits rows of equal width; `penalty` is λ, above zero. The columns should be of about the same scale: the penalty
    /// looks at all weights alike.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] without a row of either class; [`Error::Internal`] for rows of different widths and for
    /// cells that are not finite or too large to be squared, and for shares that are none.
    pub fn fit<T: Copy + Into<f64>>(rows: &[Row<'_, T>], penalty: f64) -> Result<Self, Error> {
        let width = check(rows, penalty)?;
        let mut weights = start(rows, penalty, width);
        let mut here = Expansion::at(rows, &weights, penalty);
        for _ in 0..STEPS_MAX {
            let step = solve(&here.hessian, &here.gradient).ok_or_else(overflow)?;
            let decrement: f64 = step.iter().zip(&here.gradient).map(|(step, slope)| step * slope).sum();
            if !decrement.is_finite() {
                return Err(overflow());
            }
            if decrement / 2.0 <= TOLERANCE * rows.len() as f64 {
                weights.iter_mut().zip(&step).for_each(|(weight, step)| *weight -= step);
                return Ok(Self { intercept: weights[0], weights: weights.split_off(1) });
            }
            (weights, here) = descend(rows, penalty, (&weights, &here), &step)?;
        }
        Err(Error::Internal("logistic regression did not converge".to_owned()))
    }

    /// The log-odds of a row.
    pub fn log_odds(&self, row: &[f64]) -> f64 {
        self.intercept + self.weights.iter().zip(row).map(|(weight, cell)| weight * cell).sum::<f64>()
    }
}

/// The width of the rows, once they are known to be fit for fitting.
fn check<T: Copy + Into<f64>>(rows: &[Row<'_, T>], penalty: f64) -> Result<usize, Error> {
    let positives = positives(rows);
    let (Some((first, _)), true) = (rows.first(), positives > 0.0 && positives < rows.len() as f64) else {
        let message =
            format!("logistic regression needs rows of both classes, but {positives} of {} are positive", rows.len());
        return Err(Error::NotEnoughData(message));
    };
    if rows.iter().any(|(cells, _)| cells.len() != first.len()) {
        return Err(Error::Internal("logistic regression was given rows of different widths".to_owned()));
    }
    let is_share = |row: &Row<'_, T>| (0.0..=1.0).contains(&row.1.into());
    let sound = penalty.is_finite() && penalty > 0.0 && rows.iter().all(is_share);
    if !sound || rows.iter().any(|(cells, _)| cells.iter().any(|cell| !cell.is_finite())) {
        return Err(Error::Internal(
            "logistic regression was given a cell, a share or a penalty that it cannot work with".to_owned(),
        ));
    }
    Ok(first.len())
}

/// The rows that are positive, parts of them included.
fn positives<T: Copy + Into<f64>>(rows: &[Row<'_, T>]) -> f64 {
    rows.iter().map(|row| row.1.into()).sum()
}

/// Where the search begins; the intercept is the first of the weights.
fn start<T: Copy + Into<f64>>(rows: &[Row<'_, T>], penalty: f64, width: usize) -> Vec<f64> {
    if rows.len() >= MANY {
        let part: Vec<Row<'_, T>> = rows.iter().copied().step_by(PART).collect();
        // A part may lack a class.
        if let Ok(found) = Logistic::fit(&part, penalty / PART as f64) {
            return std::iter::once(found.intercept).chain(found.weights).collect();
        }
    }
    let positives = positives(rows);
    let mut weights = vec![0.0; width + 1];
    weights[0] = (positives / (rows.len() as f64 - positives)).ln();
    weights
}

fn overflow() -> Error {
    Error::Internal("logistic regression was given cells that are too large or too small".to_owned())
}

/// The weights after a step, shortened until the loss does not rise.
fn descend<T: Copy + Into<f64>>(
    rows: &[Row<'_, T>],
    penalty: f64,
    (weights, here): (&[f64], &Expansion),
    step: &[f64],
) -> Result<(Vec<f64>, Expansion), Error> {
    for halvings in 0..HALVINGS_MAX {
        let share = 0.5f64.powi(halvings);
        let moved: Vec<f64> = weights.iter().zip(step).map(|(weight, step)| weight - share * step).collect();
        let there = Expansion::at(rows, &moved, penalty);
        if there.loss <= here.loss * (1.0 + ROUNDING) {
            return Ok((moved, there));
        }
    }
    Err(overflow())
}

/// The loss around some weights, up to the second order. The intercept is the first of the weights.
struct Expansion {
    loss: f64,
    gradient: Vec<f64>,
    /// The upper triangle, row by row, of a square of all weights.
    hessian: Vec<f64>,
}

impl Expansion {
    fn at<T: Copy + Into<f64>>(rows: &[Row<'_, T>], weights: &[f64], penalty: f64) -> Self {
        let width = weights.len();
        let mut expansion = Self { loss: 0.0, gradient: vec![0.0; width], hessian: vec![0.0; width * width] };
        let mut block = vec![0.0; BLOCK * width];
        for rows in rows.chunks(BLOCK) {
            let mut curvatures = [0.0; BLOCK];
            for ((cells, row), curvature) in block.chunks_mut(width).zip(rows).zip(&mut curvatures) {
                cells[0] = 1.0;
                cells[1..].copy_from_slice(row.0);
                *curvature = expansion.add_row(cells, row.1.into(), weights);
            }
            expansion.add_curvatures(&block, &curvatures);
        }
        for (index, weight) in weights.iter().enumerate().skip(1) {
            expansion.loss += penalty / 2.0 * weight * weight;
            expansion.gradient[index] += penalty * weight;
            expansion.hessian[index * width + index] += penalty;
        }
        expansion
    }

    /// Adds a row to loss and gradient, and returns its weight in the Hessian.
    fn add_row(&mut self, cells: &[f64], positive: f64, weights: &[f64]) -> f64 {
        let log_odds: f64 = cells.iter().zip(weights).map(|(cell, weight)| cell * weight).sum();
        // The smaller one of the two odds, so that nothing overflows.
        let odds = (-log_odds.abs()).exp();
        let unlikely = odds / (1.0 + odds);
        let probability = if log_odds > 0.0 { 1.0 - unlikely } else { unlikely };
        let surprising = if log_odds > 0.0 { 1.0 - positive } else { positive };
        self.loss += odds.ln_1p() + surprising * log_odds.abs();
        let residual = probability - positive;
        for (slope, cell) in self.gradient.iter_mut().zip(cells) {
            *slope += residual * cell;
        }
        unlikely * (1.0 - unlikely)
    }

    /// Adds Σ curvature · xxᵀ over the rows of a block.
    fn add_curvatures(&mut self, block: &[f64], curvatures: &[f64; BLOCK]) {
        let width = self.gradient.len();
        let rows: [&[f64]; BLOCK] = std::array::from_fn(|row| &block[row * width..(row + 1) * width]);
        for (column, cells) in self.hessian.chunks_mut(width).enumerate() {
            let factors: [f64; BLOCK] = std::array::from_fn(|row| curvatures[row] * rows[row][column]);
            let [a, b, c, d] = rows.map(|row| &row[column..]);
            for ((((cell, a), b), c), d) in cells[column..].iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *cell += (factors[0] * a + factors[1] * b) + (factors[2] * c + factors[3] * d);
            }
        }
    }
}

/// Solves a symmetric system, given by its upper triangle, by Cholesky's decomposition UᵀU; `None` where the matrix is
/// not positive definite.
fn solve(upper: &[f64], right: &[f64]) -> Option<Vec<f64>> {
    let width = right.len();
    let (mut u, mut solution) = (upper.to_vec(), right.to_vec());
    for pivot in 0..width {
        let root = u[pivot * width + pivot];
        if !(root.is_finite() && root > 0.0) {
            return None;
        }
        let root = root.sqrt();
        u[pivot * width + pivot..(pivot + 1) * width].iter_mut().for_each(|cell| *cell /= root);
        for row in pivot + 1..width {
            let factor = u[pivot * width + row];
            for column in row..width {
                u[row * width + column] -= factor * u[pivot * width + column];
            }
        }
    }
    for row in 0..width {
        let known: f64 = (0..row).map(|column| u[column * width + row] * solution[column]).sum();
        solution[row] = (solution[row] - known) / u[row * width + row];
    }
    for row in (0..width).rev() {
        let known: f64 = (row + 1..width).map(|column| u[row * width + column] * solution[column]).sum();
        solution[row] = (solution[row] - known) / u[row * width + row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::models::sampling::{Purpose, generator};

    /// Rows of three columns, of which the first two matter.
    fn sample(rows: usize) -> Vec<([f64; 3], bool)> {
        let mut random = generator(7, Purpose::Rows, 0);
        let mut row = || {
            let cells: [f64; 3] = std::array::from_fn(|_| 2.0 * random.r#gen::<f64>() - 1.0);
            let log_odds = 2.0 * cells[0] - cells[1] - 1.0;
            (cells, random.r#gen::<f64>() < 1.0 / (1.0 + (-log_odds).exp()))
        };
        (0..rows).map(|_| row()).collect()
    }

    fn fit<const N: usize>(rows: &[([f64; N], bool)], penalty: f64) -> Result<Logistic, Error> {
        Logistic::fit(&rows.iter().map(|(cells, label)| (&cells[..], *label)).collect::<Vec<_>>(), penalty)
    }

    #[test]
    fn at_the_minimum_the_loss_has_no_slope() {
        for count in [1_001, 2 * MANY] {
            has_no_slope(sample(count), 3.0);
        }
    }

    fn has_no_slope(rows: Vec<([f64; 3], bool)>, penalty: f64) {
        let found = fit(&rows, penalty).expect("two classes");
        let residual =
            |row: &([f64; 3], bool)| 1.0 / (1.0 + (-found.log_odds(&row.0)).exp()) - f64::from(u8::from(row.1));
        let rounding = 1e-8 * rows.len() as f64;
        assert!(rows.iter().map(residual).sum::<f64>().abs() < rounding);
        for (column, weight) in found.weights.iter().enumerate() {
            let slope: f64 = rows.iter().map(|row| residual(row) * row.0[column]).sum::<f64>() + penalty * weight;
            assert!(slope.abs() < rounding, "column {column} has a slope of {slope}");
        }
        assert!(found.weights[0] > 1.0 && found.weights[1] < -0.5 && found.weights[2].abs() < 0.3, "{found:?}");
    }

    #[test]
    fn a_table_of_four_cells_gives_its_log_odds() {
        // 30 of 40 positive with the mark, 20 of 60 without: ln(30/10) and ln(20/40).
        let cells = [(1.0, true, 30), (1.0, false, 10), (0.0, true, 20), (0.0, false, 40)];
        let rows: Vec<_> = cells.iter().flat_map(|(x, y, count)| std::iter::repeat_n(([*x], *y), *count)).collect();
        let found = fit(&rows, 1e-9).expect("two classes");
        assert!((found.intercept - 0.5f64.ln()).abs() < 1e-5, "{found:?}");
        assert!((found.weights[0] - 6.0f64.ln()).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn classes_that_can_be_separated_have_finite_weights() {
        let rows: Vec<_> = (-50..50).map(|x| ([f64::from(x) + 0.5], x >= 0)).collect();
        for penalty in [30.0, 1e-3] {
            let found = fit(&rows, penalty).expect("one minimum");
            assert!(found.weights[0] > 0.0 && found.weights[0].is_finite());
            assert!(found.intercept.abs() < 1e-6, "the rows are symmetric: {found:?}");
        }
    }

    #[test]
    fn a_part_without_a_class_is_no_fault() {
        let rows: Vec<_> = (0..MANY).map(|row| ([row as f64 / MANY as f64], row % PART == 1)).collect();
        assert!(fit(&rows, 1.0).is_ok_and(|found| found.weights[0].is_finite()));
    }

    #[test]
    fn a_constant_column_gets_nothing_and_a_repeated_one_half() {
        let rows: Vec<_> = sample(500).into_iter().map(|(x, y)| ([x[0], x[0], 5.0, 0.0], y)).collect();
        let found = fit(&rows, 1.0).expect("one minimum");
        assert!((found.weights[0] - found.weights[1]).abs() < 1e-6);
        assert!(found.weights[2].abs() < 1e-6 && found.weights[3] == 0.0, "{found:?}");
    }

    #[test]
    fn a_share_is_as_many_rows_of_either_class() {
        // Each row is four, of which as many are positive as its share says; the penalty is of four times the rows.
        let shares: [Row<'_, f64>; 3] = [(&[1.0], 0.75), (&[2.0], 0.5), (&[4.0], 0.25)];
        let parts: Vec<Row<'_>> = [(1.0, 3), (2.0, 2), (4.0, 1)]
            .iter()
            .flat_map(|(cell, positive)| (0..4).map(move |part| (std::slice::from_ref(cell), part < *positive)))
            .collect();
        let (by_shares, by_parts) = (Logistic::fit(&shares, 0.1), Logistic::fit(&parts, 0.4));
        let (by_shares, by_parts) = (by_shares.expect("fits"), by_parts.expect("fits"));
        assert!((by_shares.intercept - by_parts.intercept).abs() < 1e-6, "{by_shares:?} {by_parts:?}");
        assert!((by_shares.weights[0] - by_parts.weights[0]).abs() < 1e-6 && by_shares.weights[0] < 0.0);
        for share in [-0.1, 1.1, f64::NAN] {
            let rows: [Row<'_, f64>; 2] = [(&[1.0], share), (&[2.0], 0.5)];
            assert!(Logistic::fit(&rows, 1.0).is_err(), "{share}");
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_an_error() {
        assert!(matches!(Logistic::fit::<bool>(&[], 1.0), Err(Error::NotEnoughData(_))));
        assert!(matches!(fit(&[([1.0], true), ([2.0], true)], 1.0), Err(Error::NotEnoughData(_))));
        for cell in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(matches!(fit(&[([cell], true), ([0.5], false)], 1.0), Err(Error::Internal(_))), "{cell}");
        }
        for penalty in [0.0, -1.0, f64::NAN] {
            assert!(matches!(fit(&sample(50), penalty), Err(Error::Internal(_))));
        }
        let ragged: [Row<'_>; 2] = [(&[1.0, 2.0], true), (&[1.0], false)];
        assert!(matches!(Logistic::fit(&ragged, 1.0), Err(Error::Internal(_))));
    }
}
