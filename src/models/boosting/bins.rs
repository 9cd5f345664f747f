//! Columns as small numbers.

use serde::{Deserialize, Serialize};

use crate::models::error::Error;

/// Bins of a column that hold values.
const BINS_MAX: usize = 255;
/// The code of a value that is missing; the others begin at 1.
pub(super) const MISSING: u8 = 0;
/// Columns whose codes are kept together. The histograms of so many fit into the nearest cache.
pub(super) const BLOCK: usize = 8;
/// Rows of a table: their sums must fit into the cells of a histogram.
pub(super) const ROWS_MAX: usize = (1 << 21) - 1;
/// Columns of a table: a node keeps the number of its own in 16 bits.
const COLUMNS_MAX: usize = 1 << 16;

/// Where the bins of a column end, ascending. A value that equals an edge lies before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Edges(Vec<f64>);

impl Edges {
    /// Edges halfway between the distinct values, or where those are too many, at quantiles.
    fn fit(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let mut distinct = values.clone();
        distinct.dedup();
        let mut edges: Vec<f64> = if distinct.len() <= BINS_MAX {
            distinct.windows(2).map(|pair| between(pair[0], pair[1])).collect()
        } else {
            let positions = (1..BINS_MAX).map(|bin| bin * values.len() / BINS_MAX);
            positions.map(|at| between(values[at - 1], values[at])).collect()
        };
        edges.dedup();
        Self(edges)
    }

    /// The bin of a value, from 1; [`MISSING`] for what is no finite number.
    pub(super) fn code(&self, value: f64) -> u8 {
        if value.is_finite() { self.0.partition_point(|edge| *edge < value) as u8 + 1 } else { MISSING }
    }

    /// The largest code of a value.
    pub(super) fn code_max(&self) -> u8 {
        self.0.len() as u8 + 1
    }

    /// Whether every value has a code.
    pub(super) fn is_sound(&self) -> bool {
        self.0.len() < BINS_MAX && self.0.iter().all(|edge| edge.is_finite()) && self.0.is_sorted()
    }
}

/// A number that is at least `a` and less than a larger `b`.
fn between(a: f64, b: f64) -> f64 {
    let middle = a / 2.0 + b / 2.0;
    if a <= middle && middle < b { middle } else { a }
}

/// A table of columns in bins.
#[derive(Debug, Clone)]
pub struct Binned {
    pub(super) edges: Vec<Edges>,
    /// The codes of each row in a few neighbouring columns, side by side because they are read together.
    pub(super) blocks: Vec<Vec<[u8; BLOCK]>>,
    rows: usize,
}

impl Binned {
    /// Cuts columns of the same length into bins, one column at a time. What is no finite number is missing.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] without rows; [`Error::Internal`] for columns of different lengths and for too many rows
    /// or columns.
    pub fn new(columns: impl IntoIterator<Item = Vec<f64>>) -> Result<Self, Error> {
        let mut binned = Self { edges: Vec::new(), blocks: Vec::new(), rows: 0 };
        for column in columns {
            if binned.edges.is_empty() {
                binned.rows = column.len();
            }
            if column.len() != binned.rows || column.len() > ROWS_MAX || binned.edges.len() == COLUMNS_MAX {
                let message = "boosting was given columns that do not form a table it can hold";
                return Err(Error::Internal(message.to_owned()));
            }
            binned.add(column);
        }
        if binned.rows == 0 {
            return Err(Error::NotEnoughData("boosting needs rows and columns to learn from".to_owned()));
        }
        Ok(binned)
    }

    fn add(&mut self, column: Vec<f64>) {
        let place = self.edges.len() % BLOCK;
        if place == 0 {
            self.blocks.push(vec![[MISSING; BLOCK]; self.rows]);
        }
        let edges = Edges::fit(column.clone());
        if let Some(block) = self.blocks.last_mut() {
            block.iter_mut().zip(&column).for_each(|(codes, value)| codes[place] = edges.code(*value));
        }
        self.edges.push(edges);
    }

    /// The block of a column, and where the column is in it.
    pub(super) fn place(&self, column: usize) -> (&[[u8; BLOCK]], usize) {
        (&self.blocks[column / BLOCK], column % BLOCK)
    }

    /// The code of a row in a column.
    pub(super) fn code(&self, column: usize, row: usize) -> u8 {
        let (block, place) = self.place(column);
        block[row][place]
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_what_is_missing_has_its_own() {
        let edges = Edges::fit(vec![3.0, 1.0, f64::NAN, 1.0, 2.0, f64::INFINITY]);
        assert_eq!(edges.0, [1.5, 2.5]);
        assert_eq!([1.0, 1.5, 1.6, 2.0, 99.0, -99.0].map(|value| edges.code(value)), [1, 1, 2, 2, 3, 1]);
        assert_eq!([f64::NAN, f64::INFINITY].map(|value| edges.code(value)), [MISSING; 2]);
        assert_eq!(edges.code_max(), 3);
    }

    #[test]
    fn many_values_fill_the_bins_evenly() {
        let values: Vec<f64> = (0..10_000).map(|row| f64::from(row * 7_919 % 10_007)).collect();
        let edges = Edges::fit(values.clone());
        let mut rows = [0; 256];
        values.iter().for_each(|value| rows[usize::from(edges.code(*value))] += 1);
        assert_eq!((edges.code_max(), rows[0]), (255, 0));
        assert!(rows[1..].iter().all(|rows| (38..=41).contains(rows)), "{rows:?}");
    }

    #[test]
    fn a_value_that_most_rows_share_takes_one_bin() {
        let values: Vec<f64> = (0..10_000).map(|row| if row % 10 == 0 { f64::from(row) } else { 5.0 }).collect();
        let edges = Edges::fit(values);
        assert!(edges.is_sound() && edges.0.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(edges.code(5.0) < edges.code(4_000.0) && edges.code(4_000.0) < edges.code(9_000.0));
    }

    #[test]
    fn neighbouring_and_enormous_numbers_stay_apart() {
        for (a, b) in [(1.0, 1.0f64.next_up()), (f64::MIN, f64::MAX), (-0.0, f64::MIN_POSITIVE / 4.0)] {
            let edges = Edges::fit(vec![a, b]);
            assert_eq!((edges.code(a), edges.code(b)), (1, 2), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(matches!(Binned::new([]), Err(Error::NotEnoughData(_))));
        assert!(matches!(Binned::new([vec![], vec![]]), Err(Error::NotEnoughData(_))));
        assert!(matches!(Binned::new([vec![1.0, 2.0], vec![1.0]]), Err(Error::Internal(_))));
        let constant = Binned::new([vec![4.0; 3], vec![f64::NAN; 3]]).expect("a table");
        assert_eq!([0, 1].map(|column| constant.code(column, 2)), [1, MISSING]);
    }
}
