//! Logistic regression on shaped, winsorised and standardised features, served from plain arrays.

use serde::{Deserialize, Serialize};

use super::card;
use super::error::Error;
use super::evaluation::share_log_loss;
use super::logistic::{Logistic, Row};
use super::scaling::{Scale, correlation};
use super::schema::{Known, Schema, Shape};
use super::traits::CUSTOMERS_MIN;
use crate::domain::value::{Map, Value};

/// Weights of the squared coefficients against the summed loss that are tried. On shops' histories 30 is the best of
/// them; what is told from traits, of which each says something of its own, can bear less.
const PENALTIES: [f64; 4] = [3.0, 10.0, 30.0, 100.0];
/// Rows that the penalty is chosen by: with more, all penalties do equally well.
const PENALTY_ROWS_MAX: usize = 20_000;
/// Share of extreme values that is winsorised at either end of a feature.
const TAIL: f64 = 0.005;
/// Correlation from which a column says the same as one before it.
const SAME: f64 = 0.99;
/// Shares of rows without a value between which the absence itself is a signal.
const MISSING: std::ops::RangeInclusive<f64> = 0.01..=0.99;

/// What a feature adds to the log-odds. All parts are centred: over the training rows they add nothing on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Term {
    /// The feature's name.
    pub(super) name: String,
    /// Its position in the schema, found anew when a model is read.
    #[serde(skip)]
    pub(super) index: usize,
    pub(super) effect: Effect,
}

/// How a feature's value becomes log-odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Effect {
    /// A number.
    Curve {
        /// Their sum is what the number adds.
        pieces: Vec<Piece>,
        /// Share of training rows without a value.
        missing_share: f64,
        /// Log-odds of having no value against having one.
        missing_coefficient: f64,
    },
    /// One of some categories.
    Levels {
        /// What each code adds.
        by_code: Vec<f64>,
        /// What it adds to have none.
        missing: f64,
    },
}

/// One way to look at a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) shape: Shape,
    /// The scale of the shaped values.
    pub(super) scale: Scale,
    /// Log-odds per standard deviation.
    pub(super) coefficient: f64,
}

impl Term {
    /// What a value adds to the log-odds.
    pub(super) fn contribution(&self, value: Option<f64>) -> f64 {
        match (&self.effect, value) {
            (Effect::Curve { pieces, missing_share, missing_coefficient }, Some(value)) => {
                let sum: f64 =
                    pieces.iter().map(|piece| piece.coefficient * piece.scale.apply(piece.shape.apply(value))).sum();
                sum - missing_coefficient * missing_share
            }
            (Effect::Curve { missing_share, missing_coefficient, .. }, None) => {
                missing_coefficient * (1.0 - missing_share)
            }
            (Effect::Levels { by_code, missing }, value) => {
                value.and_then(|code| by_code.get(code as usize)).copied().unwrap_or(*missing)
            }
        }
    }

    /// What a card says about it.
    pub(super) fn describe(&self, schema: &Schema) -> Map {
        let mut about = card::map([
            ("feature", card::text(self.name.as_str())),
            ("display_name", card::text(schema.display_name(self.index))),
        ]);
        about.extend(match &self.effect {
            Effect::Curve { pieces, missing_share, missing_coefficient } => {
                let piece = |piece: &Piece| {
                    card::map([
                        ("logarithmic", Value::Bool(piece.shape == Shape::Logarithmic)),
                        ("coefficient", card::number(piece.coefficient)),
                        ("mean", card::number(piece.scale.mean)),
                        ("deviation", card::number(piece.scale.deviation)),
                    ])
                };
                card::map([
                    ("curve", card::list(pieces.iter().map(piece))),
                    ("missing_coefficient", card::number(*missing_coefficient)),
                    ("missing_share", card::number(*missing_share)),
                ])
            }
            Effect::Levels { by_code, missing } => {
                let level = |(code, log_odds): (usize, &f64)| {
                    card::map([
                        ("value", card::text(schema.reading(self.index, Some(code as f64), "").to_string())),
                        ("log_odds", card::number(*log_odds)),
                    ])
                };
                card::map([
                    ("levels", card::list(by_code.iter().enumerate().map(level))),
                    ("missing_log_odds", card::number(*missing)),
                ])
            }
        });
        about
    }

    /// Finds the feature by its name; false where the schema has no such feature or a figure is no number.
    pub(super) fn resolve(&mut self, schema: &Schema) -> bool {
        let position = schema.position(&self.name);
        self.index = position.unwrap_or(0);
        position.is_some()
            && match &self.effect {
                Effect::Curve { pieces, missing_share, missing_coefficient } => {
                    pieces.iter().all(|piece| piece.scale.is_sound() && piece.coefficient.is_finite())
                        && missing_share.is_finite()
                        && missing_coefficient.is_finite()
                }
                Effect::Levels { by_code, missing } => by_code.iter().chain([missing]).all(|number| number.is_finite()),
            }
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
    pub(super) fn log_odds(&self, known: &Known) -> f64 {
        let contributions: f64 = self.terms.iter().map(|term| term.contribution(known[term.index])).sum();
        self.intercept + contributions
    }
}

/// Columns that are ready to be fitted, for all rows of a training.
pub(super) struct Design<'a> {
    schema: &'a Schema,
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
    Value(Shape),
    Level(usize),
    Missing,
}

impl Column {
    /// A column that is 1 for a share of the rows and 0 for the others.
    fn indicator(index: usize, part: Part, share: f64) -> Self {
        let deviation = (share * (1.0 - share)).sqrt();
        Self { index, part, scale: Scale { low: 0.0, high: 1.0, mean: share, deviation } }
    }

    fn of(&self, value: Option<f64>) -> f64 {
        let indicator = |is_so: bool| self.scale.apply(f64::from(u8::from(is_so)));
        match (self.part, value) {
            (Part::Value(_), None) => 0.0,
            (Part::Value(shape), Some(value)) => self.scale.apply(shape.apply(value)),
            (Part::Level(code), value) => indicator(value == Some(code as f64)),
            (Part::Missing, value) => indicator(value.is_none()),
        }
    }
}

impl<'a> Design<'a> {
    /// Chooses the columns that vary and differ from those before them, and computes them for all rows.
    pub(super) fn new(schema: &'a Schema, rows: &[&Known]) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        for column in (0..schema.len()).flat_map(|index| candidates(schema, index, rows)) {
            let cells: Vec<f64> = rows.iter().map(|known| column.of(known[column.index])).collect();
            if kept.iter().all(|other| correlation(other, &cells).abs() < SAME) {
                columns.push(column);
                kept.push(cells);
            }
        }
        let cells = (0..rows.len()).flat_map(|row| kept.iter().map(move |column| column[row])).collect();
        Self { schema, columns, cells }
    }

    /// Fits the rows at `positions`; `targets` says for each row of the design whether the customer left, or where from 0
    /// to 1 the answer lies.
    pub(super) fn fit<T: Copy + Into<f64>>(
        &self,
        positions: &[usize],
        targets: &[T],
        penalty: f64,
    ) -> Result<Regression, Error> {
        let Logistic { intercept, weights } = self.logistic(positions, targets, penalty)?;
        Ok(self.regression(intercept, &weights))
    }

    /// The penalty with the least log loss on rows whose fold was not fitted; `folds` has the fold of each row.
    ///
    /// # Errors
    /// Those of [`Logistic::fit`].
    pub(super) fn penalty<T: Copy + Into<f64>>(&self, targets: &[T], folds: &[usize]) -> Result<f64, Error> {
        let rows = targets.len().min(PENALTY_ROWS_MAX);
        let mut best = (f64::INFINITY, PENALTIES[0]);
        for penalty in PENALTIES {
            // Of a part of the rows, so that the weight against their loss is the one that it will be.
            let scaled = penalty * rows as f64 / targets.len() as f64;
            let mut loss = 0.0;
            for fold in 0..=folds.iter().max().copied().unwrap_or(0) {
                let (held_out, others): (Vec<_>, Vec<_>) = (0..rows).partition(|row| folds[*row] == fold);
                let fitted = self.logistic(&others, targets, scaled)?;
                let probability = |row: usize| 1.0 / (1.0 + (-fitted.log_odds(self.row(row))).exp());
                loss +=
                    held_out.into_iter().map(|row| share_log_loss(probability(row), targets[row].into())).sum::<f64>();
            }
            if loss < best.0 {
                best = (loss, penalty);
            }
        }
        Ok(best.1)
    }

    fn logistic<T: Copy + Into<f64>>(
        &self,
        positions: &[usize],
        targets: &[T],
        penalty: f64,
    ) -> Result<Logistic, Error> {
        let rows: Vec<Row<'_, T>> =
            positions.iter().map(|position| (self.row(*position), targets[*position])).collect();
        Logistic::fit(&rows, penalty)
    }

    fn row(&self, position: usize) -> &[f64] {
        let width = self.columns.len();
        &self.cells[position * width..(position + 1) * width]
    }

    /// Gathers the weights of the columns by feature, in units that serve raw values.
    fn regression(&self, intercept: f64, weights: &[f64]) -> Regression {
        let weighted: Vec<(&Column, f64)> = self.columns.iter().zip(weights.iter().copied()).collect();
        let of_feature = weighted.chunk_by(|a, b| a.0.index == b.0.index);
        Regression { intercept, terms: of_feature.map(|columns| self.term(columns)).collect() }
    }

    fn term(&self, columns: &[(&Column, f64)]) -> Term {
        let index = columns[0].0.index;
        let added = |value| columns.iter().map(|(column, weight)| weight * column.of(value)).sum::<f64>();
        let effect = match self.schema.codes(index) {
            Some(codes) => Effect::Levels {
                by_code: (0..codes).map(|code| added(Some(code as f64))).collect(),
                missing: added(None),
            },
            None => curve(columns),
        };
        Term { name: self.schema.name(index).into(), index, effect }
    }
}

/// The weights of a number's columns.
fn curve(columns: &[(&Column, f64)]) -> Effect {
    let (mut pieces, mut missing_share, mut missing_coefficient) = (Vec::new(), 0.0, 0.0);
    for (Column { part, scale, .. }, weight) in columns {
        match part {
            Part::Value(shape) => pieces.push(Piece { shape: *shape, scale: *scale, coefficient: *weight }),
            Part::Missing => (missing_share, missing_coefficient) = (scale.mean, weight / scale.deviation),
            // Only categories have levels.
            Part::Level(_) => {}
        }
    }
    Effect::Curve { pieces, missing_share, missing_coefficient }
}

/// The columns that a feature may have: its value or its categories, and its absence where that is neither rare nor
/// usual.
fn candidates(schema: &Schema, index: usize, rows: &[&Known]) -> Vec<Column> {
    let value = |shape: &Shape| {
        let shaped = rows.iter().filter_map(|known| known[index]).map(|value| shape.apply(value)).collect();
        Scale::fit(shaped, TAIL).map(|scale| Column { index, part: Part::Value(*shape), scale })
    };
    let mut columns: Vec<Column> = schema.shapes(index).iter().filter_map(value).collect();
    let count = |wanted: Option<f64>| rows.iter().filter(|known| known[index] == wanted).count();
    let share = |rows_so: usize| rows_so as f64 / rows.len().max(1) as f64;
    for code in 0..schema.codes(index).unwrap_or(0) {
        let having = count(Some(code as f64));
        if having.min(rows.len() - having) >= CUSTOMERS_MIN {
            columns.push(Column::indicator(index, Part::Level(code), share(having)));
        }
    }
    let missing = share(count(None));
    if MISSING.contains(&missing) {
        columns.push(Column::indicator(index, Part::Missing, missing));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::features::{self, FEATURES, Values};
    use crate::models::sampling::mix;
    use crate::models::traits::{self, Cell};

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

    fn design<'a>(schema: &'a Schema, rows: &[Values]) -> Design<'a> {
        Design::new(schema, &rows.iter().map(<[_; _]>::as_slice).collect::<Vec<_>>())
    }

    fn fit_all(rows: &[Values], left: &[bool]) -> Regression {
        let everyone: Vec<usize> = (0..rows.len()).collect();
        design(&Schema::default(), rows).fit(&everyone, left, 30.0).expect("two classes")
    }

    #[test]
    fn leaving_is_positive_whether_it_is_rare_or_usual() {
        for parts in [4, 2] {
            let (rows, mut left) = rows(parts);
            for usual in [false, true] {
                if usual {
                    left.iter_mut().enumerate().for_each(|(row, left)| *left = *left || row % 4 == 1);
                }
                let regression = fit_all(&rows, &left);
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
        let regression = fit_all(&rows, &left);
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
        let regression = fit_all(&rows, &left);
        let term = regression.terms.iter().find(|term| term.name == NPS).expect("varies");
        assert!(term.contribution(None) > 0.0 && term.contribution(Some(7.0)) < term.contribution(None));
        let mean: f64 = rows.iter().map(|row| term.contribution(row[nps])).sum::<f64>() / rows.len() as f64;
        assert!(mean.abs() < 1e-9, "contributions are centred, but their mean is {mean}");
        // Recency, the score itself, and its absence.
        assert_eq!(design(&Schema::default(), &rows).columns.len(), 3);
    }

    #[test]
    fn one_class_is_an_error_and_no_panic() {
        let (rows, _) = rows(3);
        let schema = Schema::default();
        let design = design(&schema, &rows);
        assert!(matches!(design.fit(&[0, 1, 2], &[true; 600], 30.0), Err(Error::NotEnoughData(_))));
        assert!(matches!(design.penalty(&[true; 600], &[0; 600]), Err(Error::NotEnoughData(_))));
    }

    /// A schema of one category, and rows of it in three states, of which the last is missing.
    fn categories() -> (Schema, Vec<Vec<Option<f64>>>, Vec<bool>) {
        let plan = |row: u64| [("plan", Cell::Text(if row.is_multiple_of(2) { "basic" } else { "pro" }))];
        let learned = traits::learn((0..100).map(|row| (row, plan(row).into_iter())), &[]);
        let schema = Schema::new(learned.features);
        let value = |row: usize| [Some(0.0), Some(1.0), None][row % 3];
        let known = |row: usize| [vec![None; FEATURES.len()], vec![value(row)]].concat();
        // Who has the first plan leaves in nine of ten cases, who has none in five of ten, who has the second in one.
        let left = |row: usize| (row / 3 % 10) < [9, 1, 5][row % 3];
        (schema, (0..900).map(known).collect(), (0..900).map(left).collect())
    }

    #[test]
    fn a_category_adds_what_its_customers_do_and_all_of_them_nothing_on_average() {
        let (schema, rows, left) = categories();
        let design = Design::new(&schema, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut regression = design.fit(&(0..900).collect::<Vec<_>>(), &left, 3.0).expect("two classes");
        assert_eq!((regression.terms.len(), regression.terms[0].name.as_str()), (1, "trait.plan"));
        let term = &regression.terms[0];
        let [basic, pro, missing] = [Some(0.0), Some(1.0), None].map(|value| term.contribution(value));
        assert!(basic > 1.5 && pro < -1.5 && missing.abs() < 0.2, "{term:?}");
        assert!((basic + pro + missing).abs() < 1e-9, "each has a third of the rows");
        // A category that nobody had is like a row of none: it has no column of its own.
        let [other, unheard] = [Some(2.0), Some(7.0)].map(|value| term.contribution(value));
        assert!(other.is_finite() && unheard == missing);
        assert!(regression.terms[0].resolve(&schema) && !regression.terms[0].resolve(&Schema::default()));
    }

    #[test]
    fn the_penalty_is_the_one_that_does_best_on_other_rows() {
        let (schema, rows, mut left) = categories();
        let known: Vec<&Known> = rows.iter().map(Vec::as_slice).collect();
        let folds: Vec<usize> = (0..900).map(|row| row / 30 % 5).collect();
        assert_eq!(Design::new(&schema, &known).penalty(&left, &folds), Ok(PENALTIES[0]));
        // Where nothing can be told, the most cautious one.
        left.iter_mut().zip(0..).for_each(|(left, row)| *left = mix(row).is_multiple_of(2));
        assert_eq!(Design::new(&schema, &known).penalty(&left, &folds), Ok(PENALTIES[3]));
    }
}
