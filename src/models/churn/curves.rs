//! What a card needs for its pictures: whom one reaches by going through the customers from the top, what moves the
//! score and which way, and how the customers of the test are spread over the features.

use std::collections::BTreeMap;

use super::ChurnModel;
use crate::domain::value::{Map, Value};
use crate::models::card;
use crate::models::drift::{self, Spread};
use crate::models::evaluation::{Ranking, Scores};
use crate::models::examples::{ChurnExamples, Example};
use crate::models::scaling::correlation;
use crate::models::schema::Schema;

/// Points of a curve: every twentieth of the customers.
const POINTS: usize = 20;
/// Customers whose reasons are looked at.
const EXPLAINED: usize = 2_000;
/// Features that a card lists.
const FEATURES_MAX: usize = 20;

/// The curves, the reasons and the population of a model's test.
pub(super) fn describe(model: &ChurnModel, scores: &Scores, (examples, test): (&ChurnExamples, &[&Example])) -> Map {
    let known: Vec<Vec<Option<f64>>> = test.iter().map(|row| model.known(examples, row)).collect();
    let reasons = Reasons::of(model, &known);
    card::map([
        ("gain", gain(scores)),
        ("contributions", reasons.describe()),
        (drift::POPULATION, reasons.population(&known)),
    ])
}

/// Of all who left, the share among so many customers with the highest scores; and how many times that is more than
/// among as many who are drawn by lot.
fn gain(scores: &Scores) -> Value {
    let (ranking, weights) = (Ranking::new(scores), vec![1.0; scores.len()]);
    let point = |step: usize| {
        let share = step as f64 / POINTS as f64;
        let captured = ranking.captured(&weights, share);
        card::map([
            ("share", card::number(share)),
            ("captured", card::number(captured)),
            ("lift", card::number(captured / share)),
        ])
    };
    card::list((1..=POINTS).map(point))
}

/// The parts of the scores of some customers, feature by feature.
struct Reasons<'a> {
    schema: &'a Schema,
    customers: usize,
    by_feature: BTreeMap<usize, Vec<(Option<f64>, f64)>>,
}

impl<'a> Reasons<'a> {
    /// Rows come in the order of a digest, so that the first ones are a fair sample.
    fn of(model: &'a ChurnModel, test: &[Vec<Option<f64>>]) -> Self {
        let (schema, customers) = (&model.schema, test.len().min(EXPLAINED));
        let mut reasons = Self { schema, customers, by_feature: BTreeMap::new() };
        for known in test.iter().take(EXPLAINED) {
            for (feature, part) in model.scorer.explain(known).parts {
                reasons.by_feature.entry(feature).or_default().push((known[feature], part));
            }
        }
        reasons
    }

    /// Of each feature the mean absolute contribution to the log-odds, a customer to whom it adds nothing counting 0, and
    /// the correlation of value and contribution: near 1 more of it speaks for leaving, near −1 for staying, and
    /// between them it depends. The strongest come first.
    fn describe(&self) -> Value {
        let mut reasons: Vec<(f64, Map)> =
            self.by_feature.iter().map(|(feature, parts)| self.reason(*feature, parts)).collect();
        reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
        card::list(reasons.into_iter().take(FEATURES_MAX).map(|reason| reason.1))
    }

    fn reason(&self, feature: usize, parts: &[(Option<f64>, f64)]) -> (f64, Map) {
        let mean_absolute = parts.iter().map(|part| part.1.abs()).sum::<f64>() / self.customers.max(1) as f64;
        let known: Vec<(f64, f64)> = parts.iter().filter_map(|(value, part)| Some(((*value)?, *part))).collect();
        // Categories have no order, and so no direction.
        let direction = self.schema.shapes(feature).last().map(|shape| {
            let values = centred(known.iter().map(|pair| shape.apply(pair.0)).collect());
            correlation(&values, &centred(known.iter().map(|pair| pair.1).collect()))
        });
        let described = card::map([
            ("feature", card::text(self.schema.name(feature))),
            ("display_name", card::text(self.schema.display_name(feature))),
            ("mean_absolute", card::number(mean_absolute)),
            ("direction", direction.map_or(Value::Null, card::number)),
        ]);
        (mean_absolute, described)
    }

    /// How the customers of the test are spread over the features that the model looks at.
    fn population(&self, test: &[Vec<Option<f64>>]) -> Value {
        drift::describe(self.by_feature.keys().map(|feature| {
            let values: Vec<Option<f64>> = test.iter().map(|known| known[*feature]).collect();
            Spread::of(&self.schema.name(*feature), &values)
        }))
    }
}

fn centred(mut column: Vec<f64>) -> Vec<f64> {
    let mean = column.iter().sum::<f64>() / column.len().max(1) as f64;
    column.iter_mut().for_each(|value| *value -= mean);
    column
}
