//! Serving trees from plain arrays.

use serde::{Deserialize, Serialize};

use super::bins::Edges;
use super::tree::{Node, Tree};
use crate::models::error::Error;

/// Boosted trees that answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// Log-odds of the mean row.
    baseline: f64,
    /// Where the bins of each column end.
    edges: Vec<Edges>,
    /// Where each tree begins.
    roots: Vec<u32>,
    /// The nodes of all trees.
    nodes: Vec<Node>,
}

/// The log-odds of a row with what each column adds to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Log-odds of the mean row.
    pub baseline: f64,
    /// What each column adds.
    pub contributions: Vec<f64>,
    /// The baseline and all contributions.
    pub log_odds: f64,
}

impl Forest {
    /// Puts trees one behind the other.
    pub(super) fn new(edges: Vec<Edges>, prior: f64, trees: &[Tree]) -> Self {
        let baseline = prior + trees.iter().map(|tree| tree.mean).sum::<f64>();
        let mut forest = Self { baseline, edges, roots: Vec::new(), nodes: Vec::new() };
        for tree in trees {
            let root = forest.nodes.len() as u32;
            forest.roots.push(root);
            let moved = |node: &Node| if node.is_leaf() { *node } else { Node { left: node.left + root, ..*node } };
            forest.nodes.extend(tree.nodes.iter().map(moved));
        }
        forest
    }

    /// How many trees there are.
    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    /// The log-odds of a row in the columns that it was fitted on; what is no finite number is missing.
    ///
    /// # Errors
    /// [`Error::Internal`] for a row of another width.
    pub fn log_odds(&self, row: &[f64]) -> Result<f64, Error> {
        Ok(self.explain(row)?.log_odds)
    }

    /// The log-odds of a row, and what each column adds to them.
    ///
    /// # Errors
    /// Like [`Forest::log_odds`].
    pub fn explain(&self, row: &[f64]) -> Result<Explanation, Error> {
        if row.len() != self.edges.len() {
            let message = format!("boosting was fitted on {} columns and asked about {}", self.edges.len(), row.len());
            return Err(Error::Internal(message));
        }
        let codes: Vec<u8> = self.edges.iter().zip(row).map(|(edges, value)| edges.code(*value)).collect();
        let mut contributions = vec![0.0; row.len()];
        for root in &self.roots {
            let mut node = &self.nodes[*root as usize];
            while !node.is_leaf() {
                let column = usize::from(node.column);
                node = &self.nodes[node.child(codes[column])];
                contributions[column] += node.step;
            }
        }
        let log_odds = self.baseline + contributions.iter().sum::<f64>();
        Ok(Explanation { baseline: self.baseline, contributions, log_odds })
    }

    /// Whether every row of so many columns has finite log-odds: no node leads astray, back or in a circle.
    pub fn is_sound(&self, columns: usize) -> bool {
        let leads_on = |(index, node): (usize, &Node)| {
            let is_placed = node.is_leaf()
                || (node.left as usize > index
                    && (node.left as usize) < self.nodes.len() - 1
                    && usize::from(node.column) < columns);
            is_placed && node.step.is_finite() && node.offset <= 1
        };
        self.baseline.is_finite()
            && self.edges.len() == columns
            && self.edges.iter().all(Edges::is_sound)
            && self.roots.iter().all(|root| (*root as usize) < self.nodes.len())
            && self.nodes.iter().enumerate().all(leads_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::boosting::{Binned, Parameters, fit};

    /// 400 rows of two columns that both matter, the first sometimes missing.
    fn forest() -> (Forest, Vec<[f64; 2]>) {
        let cell = |row: u32, by: u32| if row % 17 == by { f64::NAN } else { f64::from(row * by % 101) };
        let rows: Vec<[f64; 2]> = (0..400).map(|row| [cell(row, 7), cell(row, 53)]).collect();
        let labels: Vec<bool> =
            rows.iter().enumerate().map(|(at, row)| row[0] + row[1] > 90.0 || at % 9 == 0).collect();
        let columns = [0, 1].map(|column| rows.iter().map(|row| row[column]).collect::<Vec<_>>());
        let parameters = Parameters { rows_min: 5, ..Parameters::default() };
        (fit(&Binned::new(columns).expect("a table"), &labels, &parameters, 40).expect("two classes"), rows)
    }

    #[test]
    fn what_the_columns_add_sums_to_the_log_odds_and_to_nothing_on_average() {
        let (forest, rows) = forest();
        let mut sums = [0.0; 2];
        for row in &rows {
            let Explanation { baseline, contributions, log_odds } = forest.explain(row).expect("two columns");
            assert!((baseline + contributions.iter().sum::<f64>() - log_odds).abs() < 1e-9);
            sums.iter_mut().zip(contributions).for_each(|(sum, part)| *sum += part / 400.0);
        }
        assert!((sums[0] + sums[1]).abs() < 1e-9, "{sums:?}");
        assert!(forest.trees() == 40 && forest.is_sound(2));
    }

    #[test]
    fn a_row_of_another_width_is_an_error_and_a_strange_value_none() {
        let (forest, _) = forest();
        for row in [&[][..], &[1.0], &[1.0; 3]] {
            assert!(matches!(forest.log_odds(row), Err(Error::Internal(_))));
        }
        for cell in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, -0.0] {
            assert!(forest.log_odds(&[cell, cell]).expect("two columns").is_finite());
        }
    }

    #[test]
    fn a_forest_that_leads_astray_is_not_sound() {
        let (forest, _) = forest();
        let inner = forest.nodes.iter().position(|node| !node.is_leaf()).expect("an inner node");
        let last = forest.nodes.len() as u32 - 1;
        let broken: [fn(&mut Node, u32); 6] = [
            |node, last| node.left = last,
            |node, last| node.left = last + 7,
            |node, _| node.column = 2,
            |node, _| node.step = f64::NAN,
            |node, _| node.offset = 2,
            |node, _| node.left = u32::MAX,
        ];
        for breaks in broken {
            let mut forest = forest.clone();
            breaks(&mut forest.nodes[inner], last);
            assert!(!forest.is_sound(2));
        }
        let mut circle = forest.clone();
        let later = circle.nodes.iter().rposition(|node| !node.is_leaf()).expect("another");
        circle.nodes[later].left = later as u32;
        assert!(!circle.is_sound(2));
        assert!(!forest.is_sound(3));
    }
}
