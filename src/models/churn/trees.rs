//! Boosted trees over the features of a customer.

use serde::{Deserialize, Serialize};

use super::scorer::Explanation;
use crate::domain::value::Map;
use crate::models::boosting::{Binned, CrossFit, Forest, Parameters, cross_fit, fit};
use crate::models::card;
use crate::models::error::{Error, Progress};
use crate::models::features::{self, FEATURES, Values};

/// A forest with the names of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) struct Trees {
    columns: Vec<Column>,
    forest: Forest,
}

/// A column of the forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Column {
    /// The feature's name.
    name: String,
    /// Its position in [`FEATURES`], found anew when a model is read.
    #[serde(skip)]
    index: usize,
}

impl Trees {
    /// Fits all rows to labels or shares, with as many trees as are best on held-out folds; also returns the log-odds of each row by trees
    /// that were grown without its fold.
    ///
    /// # Errors
    /// Those of [`cross_fit`].
    pub(in crate::models) fn fit<T: Copy + Into<f64>>(
        rows: &[&Values],
        targets: &[T],
        folds: &[usize],
        progress: &dyn Progress,
    ) -> Result<(Self, Vec<f64>), Error> {
        let columns: Vec<Column> = (0..FEATURES.len()).filter(|index| varies(rows, *index)).map(column).collect();
        let cells = |column: &Column| rows.iter().map(|values| cell(values, column.index)).collect();
        let binned = Binned::new(columns.iter().map(cells))?;
        let parameters = Parameters::default();
        let CrossFit { trees, scores, .. } = cross_fit(&binned, targets, folds, &parameters, progress)?;
        let forest = fit(&binned, targets, &parameters, trees)?;
        Ok((Self { columns, forest }, scores))
    }

    /// The positions of the features that it looks at.
    pub(super) fn features(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.index)
    }

    /// The score of a customer with its parts; what adds nothing at all is none.
    pub(super) fn explain(&self, values: &Values) -> Explanation {
        let row: Vec<f64> = self.features().map(|index| cell(values, index)).collect();
        let explained =
            self.forest.explain(&row).expect("the row has the columns of the forest, which `resolve` holds it to");
        let parts = self.features().zip(explained.contributions).filter(|part| part.1 != 0.0).collect();
        Explanation { baseline: explained.baseline, parts }
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        let found = self.columns.iter_mut().all(|column| {
            let position = features::position(&column.name);
            column.index = position.unwrap_or(0);
            position.is_some()
        });
        found && self.forest.is_sound(self.columns.len())
    }

    pub(super) fn describe(&self) -> Map {
        let feature = |column: &Column| {
            card::map([
                ("feature", card::text(column.name.as_str())),
                ("display_name", card::text(FEATURES[column.index].display_name)),
            ])
        };
        card::map([
            ("features", card::list(self.columns.iter().map(feature))),
            ("trees", card::count(self.forest.trees())),
        ])
    }
}

fn column(index: usize) -> Column {
    Column { name: FEATURES[index].name.to_owned(), index }
}

/// Whether any two customers differ in a feature.
fn varies(rows: &[&Values], index: usize) -> bool {
    rows.windows(2).any(|pair| pair[0][index] != pair[1][index])
}

/// A value as the forest takes it: what is missing is no number.
fn cell(values: &Values, index: usize) -> f64 {
    values[index].unwrap_or(f64::NAN)
}
