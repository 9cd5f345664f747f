//! Boosted trees over the features of a customer.

use serde::{Deserialize, Serialize};

use super::scorer::Explanation;
use crate::domain::value::Map;
use crate::models::boosting::{Binned, CrossFit, Forest, Parameters, cross_fit, fit};
use crate::models::card;
use crate::models::error::{Error, Progress};
use crate::models::schema::{Known, Schema};

/// A forest with the names of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) struct Trees {
    /// Those of a feature follow each other.
    pub(super) columns: Vec<Column>,
    pub(super) forest: Forest,
}

/// A column of the forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    /// The feature's name.
    pub(super) name: String,
    pub(super) part: Part,
    /// Its position in the schema, found anew when a model is read.
    #[serde(skip)]
    pub(super) index: usize,
}

/// What of a feature a column looks at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Part {
    /// The number.
    Value,
    /// Whether it is this category. The order of categories means nothing, so that no tree may split by it.
    Level(u16),
}

impl Column {
    /// A value as the forest takes it: what is missing is no number.
    fn of(&self, known: &Known) -> f64 {
        match (known[self.index], self.part) {
            (None, _) => f64::NAN,
            (Some(value), Part::Value) => value,
            (Some(code), Part::Level(level)) => f64::from(u8::from(code == f64::from(level))),
        }
    }
}

impl Trees {
    /// Fits all rows to labels or shares, with as many trees as are best on held-out folds; also returns the log-odds of
    /// each row by trees that were grown without its fold.
    ///
    /// # Errors
    /// Those of [`cross_fit`].
    pub(in crate::models) fn fit<T: Copy + Into<f64>>(
        (schema, rows): (&Schema, &[&Known]),
        targets: &[T],
        folds: &[usize],
        progress: &dyn Progress,
    ) -> Result<(Self, Vec<f64>), Error> {
        let cells = |column: &Column| rows.iter().map(|known| column.of(known)).collect::<Vec<f64>>();
        let of_feature = |index| columns(schema, index);
        let columns: Vec<Column> =
            (0..schema.len()).flat_map(of_feature).filter(|column| varies(&cells(column))).collect();
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

    /// The score of a customer with its parts, one for each feature; what adds nothing at all is none.
    pub(super) fn explain(&self, known: &Known) -> Explanation {
        let row: Vec<f64> = self.columns.iter().map(|column| column.of(known)).collect();
        let explained =
            self.forest.explain(&row).expect("the row has the columns of the forest, which `resolve` holds it to");
        let mut parts: Vec<(usize, f64)> = Vec::new();
        for (index, added) in self.features().zip(explained.contributions) {
            match parts.last_mut() {
                Some((last, sum)) if *last == index => *sum += added,
                _ => parts.push((index, added)),
            }
        }
        parts.retain(|part| part.1 != 0.0);
        Explanation { baseline: explained.baseline, parts }
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self, schema: &Schema) -> bool {
        let found = self.columns.iter_mut().all(|column| {
            let position = schema.position(&column.name);
            column.index = position.unwrap_or(0);
            position.is_some()
        });
        found && self.forest.is_sound(self.columns.len())
    }

    pub(super) fn describe(&self, schema: &Schema) -> Map {
        let feature = |columns: &[Column]| {
            card::map([
                ("feature", card::text(columns[0].name.as_str())),
                ("display_name", card::text(schema.display_name(columns[0].index))),
            ])
        };
        card::map([
            ("features", card::list(self.columns.chunk_by(|a, b| a.index == b.index).map(feature))),
            ("trees", card::count(self.forest.trees())),
        ])
    }
}

/// The columns of a feature: one for a number, one for each category.
fn columns(schema: &Schema, index: usize) -> Vec<Column> {
    let column = |part| Column { name: schema.name(index).into(), part, index };
    match schema.codes(index) {
        None => vec![column(Part::Value)],
        Some(codes) => (0..codes as u16).map(|code| column(Part::Level(code))).collect(),
    }
}

/// Whether any two customers differ; what is missing is like what is missing.
fn varies(cells: &[f64]) -> bool {
    cells.windows(2).any(|pair| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan()))
}
