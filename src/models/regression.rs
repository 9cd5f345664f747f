//! Logistic regression on shaped, winsorised and standardised features, served from plain arrays.

use serde::{Deserialize, Serialize};

use super::card;
use super::error::Error;
use super::features::{self, FEATURES, Feature, Values};
use super::logistic::{Logistic, Row};
use super::scaling::{Scale, correlation};
use crate::domain::value::Map;

/// Weight of the squared coefficients against the summed loss: the one of 1, 3, 10, 30 and 100 with the least log loss
/// over windows within the training rows of a shop's history.
const PENALTY: f64 = 30.0;
/// Share of extreme values that is winsorised at either end of a feature.
const TAIL: f64 = 0.005;
/// Correlation from which a column says the same as one before it.
const SAME: f64 = 0.99;
/// Shares of rows without a value between which the absence itself is a signal.
const MISSING: std::ops::RangeInclusive<f64> = 0.01..=0.99;

/// What a feature adds to the log-odds. Both parts are centred: over the training rows they add nothing on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Term {
    /// The feature's name.
    pub(super) name: String,
    /// Its position in [`FEATURES`], found anew when a model is read.
    #[serde(skip)]
    pub(super) index: usize,
    /// The scale of its values.
    pub(super) scale: Scale,
    /// Log-odds per standard deviation.
    pub(super) coefficient: f64,
    /// Share of training rows without a value.
    pub(super) missing_share: f64,
    /// Log-odds of having no value against having one.
    pub(super) missing_coefficient: f64,
}

impl Term {
    /// What a value adds to the log-odds.
    pub(super) fn contribution(&self, value: Option<f64>) -> f64 {
        match value {
            Some(value) => {
                let shaped = self.feature().unit.shape(value);
                self.coefficient * self.scale.apply(shaped) - self.missing_coefficient * self.missing_share
            }
            None => self.missing_coefficient * (1.0 - self.missing_share),
        }
    }

    /// The feature that it looks at.
    pub(super) fn feature(&self) -> &'static Feature {
        &FEATURES[self.index]
    }

    /// What a card says about it.
    pub(super) fn describe(&self) -> Map {
        card::map([
            ("feature", card::text(self.name.as_str())),
            ("display_name", card::text(self.feature().display_name)),
            ("coefficient", card::number(self.coefficient)),
            ("missing_coefficient", card::number(self.missing_coefficient)),
            ("missing_share", card::number(self.missing_share)),
            ("mean", card::number(self.scale.mean)),
            ("deviation", card::number(self.scale.deviation)),
        ])
    }

    /// Finds the feature by its name; false where this release has no such feature or a figure is no number.
    pub(super) fn resolve(&mut self) -> bool {
        let position = features::position(&self.name);
        self.index = position.unwrap_or(0);
        let numbers = [self.coefficient, self.missing_share, self.missing_coefficient];
        position.is_some() && self.scale.is_sound() && numbers.iter().all(|number| number.is_finite())
    }
}

/// A fitted regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Regression {
    /// Log-odds of a customer without any particularity.
    pub(super) intercept: f64,
    /// What the features add.
    pub(super) terms: Vec<Term>,
}

impl Regression {
    /// The log-odds of leaving.
    pub(super) fn log_odds(&self, values: &Values) -> f64 {
        let contributions: f64 = self.terms.iter().map(|term| term.contribution(values[term.index])).sum();
        self.intercept + contributions
    }
}

/// Columns that are ready to be fitted, for all rows of a training.
pub(super) struct Design {
    columns: Vec<Column>,
    /// The cells of all rows, row by row.
    cells: Vec<f64>,
}

/// One column of the matrix.
struct Column {
    index: usize,
    part: Part,
    scale: Scale,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Value,
    Missing,
}

impl Column {
    fn of(&self, values: &Values) -> f64 {
        match (self.part, values[self.index]) {
            (Part::Value, None) => 0.0,
            (Part::Value, Some(value)) => self.scale.apply(FEATURES[self.index].unit.shape(value)),
            (Part::Missing, value) => self.scale.apply(f64::from(u8::from(value.is_none()))),
        }
    }
}

impl Design {
    /// Chooses the columns that vary and differ from those before them, and computes them for all rows.
    pub(super) fn new(rows: &[&Values]) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        for column in (0..FEATURES.len()).flat_map(|index| candidates(index, rows)) {
            let cells: Vec<f64> = rows.iter().map(|values| column.of(values)).collect();
            if kept.iter().all(|other| correlation(other, &cells).abs() < SAME) {
                columns.push(column);
                kept.push(cells);
            }
        }
        let cells = (0..rows.len()).flat_map(|row| kept.iter().map(move |column| column[row])).collect();
        Self { columns, cells }
    }

    /// Fits the rows at `positions`; `targets` says for each row of the design whether the customer left, or where from 0
    /// to 1 the answer lies.
    pub(super) fn fit<T: Copy + Into<f64>>(&self, positions: &[usize], targets: &[T]) -> Result<Regression, Error> {
        let rows: Vec<Row<'_, T>> =
            positions.iter().map(|position| (self.row(*position), targets[*position])).collect();
        let Logistic { intercept, weights } = Logistic::fit(&rows, PENALTY)?;
        Ok(self.regression(intercept, &weights))
    }

    fn row(&self, position: usize) -> &[f64] {
        let width = self.columns.len();
        &self.cells[position * width..(position + 1) * width]
    }

    /// Gathers the weights of the columns by feature, in units that serve raw values.
    fn regression(&self, intercept: f64, weights: &[f64]) -> Regression {
        let mut terms: Vec<Term> = Vec::new();
        for (column, weight) in self.columns.iter().zip(weights) {
            if terms.last().is_none_or(|term| term.index != column.index) {
                terms.push(Term::empty(column));
            }
            let Some(term) = terms.last_mut() else { continue };
            match column.part {
                Part::Value => (term.scale, term.coefficient) = (column.scale, *weight),
                Part::Missing => {
                    term.missing_share = column.scale.mean;
                    term.missing_coefficient = weight / column.scale.deviation;
                }
            }
        }
        Regression { intercept, terms }
    }
}

impl Term {
    /// A term that adds nothing yet.
    fn empty(column: &Column) -> Self {
        let scale = Scale { low: 0.0, high: 0.0, mean: 0.0, deviation: 1.0 };
        let name = FEATURES[column.index].name.to_owned();
        Self { name, index: column.index, scale, coefficient: 0.0, missing_share: 0.0, missing_coefficient: 0.0 }
    }
}

/// The columns that a feature may have: its value, and its absence where that is neither rare nor usual.
fn candidates(index: usize, rows: &[&Values]) -> Vec<Column> {
    let unit = FEATURES[index].unit;
    let shaped = rows.iter().filter_map(|values| values[index]).map(|value| unit.shape(value)).collect();
    let value = Scale::fit(shaped, TAIL).map(|scale| Column { index, part: Part::Value, scale });
    let share = rows.iter().filter(|values| values[index].is_none()).count() as f64 / rows.len().max(1) as f64;
    let missing = MISSING.contains(&share).then(|| {
        let deviation = (share * (1.0 - share)).sqrt();
        Column { index, part: Part::Missing, scale: Scale { low: 0.0, high: 1.0, mean: share, deviation } }
    });
    value.into_iter().chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECENCY: usize = 0;
    const PURCHASES: usize = 1;
    const NPS: &str = "nps_last";

    fn values(cells: &[(usize, f64)]) -> Values {
        let mut values = [None; FEATURES.len()];
        for (index, cell) in cells {
            values[*index] = Some(*cell);
        }
        values
    }

    /// Customers of whom one in `parts` left: those who were long away.
    fn rows(parts: usize) -> (Vec<Values>, Vec<bool>) {
        let left: Vec<bool> = (0..600).map(|row| row % parts == 0).collect();
        let recency = |row: usize| if left[row] { 60.0 } else { 20.0 } + (row * 37 % 41) as f64;
        let rows = (0..600).map(|row| values(&[(RECENCY, recency(row)), (PURCHASES, 3.0)])).collect();
        (rows, left)
    }

    fn fit_all(rows: &[Values], left: &[bool]) -> (Design, Regression) {
        let design = Design::new(&rows.iter().collect::<Vec<_>>());
        let everyone: Vec<usize> = (0..rows.len()).collect();
        let regression = design.fit(&everyone, left).expect("two classes");
        (design, regression)
    }

    #[test]
    fn leaving_is_positive_whether_it_is_rare_or_usual() {
        for parts in [4, 2] {
            let (rows, mut left) = rows(parts);
            for usual in [false, true] {
                if usual {
                    left.iter_mut().enumerate().for_each(|(row, left)| *left = *left || row % 4 == 1);
                }
                let (_, regression) = fit_all(&rows, &left);
                let risk = |recency| regression.log_odds(&values(&[(RECENCY, recency), (PURCHASES, 3.0)]));
                assert!(risk(100.0) > risk(10.0), "one in {parts}, usual: {usual}");
            }
        }
    }

    #[test]
    fn what_does_not_vary_and_what_repeats_has_no_term() {
        let (mut rows, left) = rows(3);
        let twin = features::position("active_recency_days").expect("a feature");
        rows.iter_mut().for_each(|row| row[twin] = row[RECENCY]);
        let (_, regression) = fit_all(&rows, &left);
        let names: Vec<&str> = regression.terms.iter().map(|term| term.name.as_str()).collect();
        assert_eq!(names, ["purchase_recency_days"]);
    }

    #[test]
    fn the_absence_of_a_value_is_a_signal_of_its_own_and_served_as_it_was_fitted() {
        let (mut rows, left) = rows(3);
        let nps = features::position(NPS).expect("a feature");
        for (row, left) in rows.iter_mut().zip(&left) {
            row[nps] = (!left).then_some(7.0);
        }
        for (number, row) in rows.iter_mut().take(100).enumerate() {
            row[nps] = Some((number % 11) as f64);
        }
        let (design, regression) = fit_all(&rows, &left);
        let term = regression.terms.iter().find(|term| term.name == NPS).expect("varies");
        assert!(term.contribution(None) > 0.0 && term.contribution(Some(7.0)) < term.contribution(None));
        let mean: f64 = rows.iter().map(|row| term.contribution(row[nps])).sum::<f64>() / rows.len() as f64;
        assert!(mean.abs() < 1e-9, "contributions are centred, but their mean is {mean}");
        // Recency, the score itself, and its absence.
        assert_eq!(design.columns.len(), 3);
    }

    #[test]
    fn one_class_is_an_error_and_no_panic() {
        let (rows, _) = rows(3);
        let design = Design::new(&rows.iter().collect::<Vec<_>>());
        assert!(matches!(design.fit(&[0, 1, 2], &[true; 600]), Err(Error::NotEnoughData(_))));
    }
}
