//! The features that segments of one model are made of.

use serde::{Deserialize, Serialize};

use super::{CustomerKey, Row, Scale};
use crate::models::features::{self, FEATURES, Feature};
use crate::models::persona::{WORDINGS, feature_at};
use crate::models::scaling::{correlation, quantile};

/// Share of extreme values that is winsorised at either end.
const TAIL: f64 = 0.01;
/// A feature with one value for all but so many at either end does not make segments, but freaks.
const COMMON: f64 = 0.025;
/// Correlation from which a feature repeats one before it, and would count it twice.
const SAME: f64 = 0.9;
/// Deviation on the logarithmic scale below which customers are alike: a fifth more or less.
const ALIKE: f64 = 0.2;

/// One dimension: a feature, shaped, winsorised and standardised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Dimension {
    /// The feature's name.
    pub(super) name: String,
    /// Its position in [`WORDINGS`], found anew when a model is read.
    #[serde(skip)]
    pub(super) position: usize,
    /// The scale of its shaped values.
    pub(super) scale: Scale,
}

impl Dimension {
    /// The standardised figure of a customer.
    pub(super) fn of(&self, row: &Row) -> f64 {
        self.scale.apply(shaped(self.position, row, &self.scale))
    }

    /// The feature behind it.
    pub(super) fn feature(&self) -> &'static Feature {
        &FEATURES[features::position(&self.name).unwrap_or(0)]
    }

    /// Finds the feature by its name; false where this release has none of that name.
    pub(super) fn resolve(&mut self) -> bool {
        let position = WORDINGS.iter().position(|wording| wording.feature == self.name);
        self.position = position.unwrap_or(0);
        position.is_some() && features::position(&self.name).is_some() && self.scale.is_sound()
    }
}

/// A customer's value on the scale of distances. Who has no value is like the extreme that its absence means.
fn shaped(position: usize, row: &Row, scale: &Scale) -> f64 {
    let wording = &WORDINGS[position];
    let absent = if wording.absent_is_high { scale.high } else { scale.low };
    match (row[position], feature_at(position)) {
        (Some(value), Some(feature)) => feature.unit.shape(value),
        _ => absent,
    }
}

/// The features in which these customers differ, without those that repeat an earlier one.
pub(super) fn choose(customers: &[(CustomerKey, Row)]) -> Vec<Dimension> {
    let mut chosen = Vec::new();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for position in 0..WORDINGS.len() {
        let Some(dimension) = dimension(position, customers) else { continue };
        let column: Vec<f64> = customers.iter().map(|(_, row)| dimension.of(row)).collect();
        if columns.iter().all(|other| correlation(other, &column).abs() < SAME) {
            chosen.push(dimension);
            columns.push(column);
        }
    }
    chosen
}

fn dimension(position: usize, customers: &[(CustomerKey, Row)]) -> Option<Dimension> {
    let wording = &WORDINGS[position];
    let feature = &FEATURES[features::position(wording.feature)?];
    let mut known: Vec<f64> =
        customers.iter().filter_map(|(_, row)| row[position]).map(|value| feature.unit.shape(value)).collect();
    known.sort_unstable_by(f64::total_cmp);
    let absent = if wording.absent_is_high { *known.last()? } else { known.first()?.min(0.0) };
    known.resize(customers.len(), absent);
    known.sort_unstable_by(f64::total_cmp);
    if quantile(&known, 1.0 - COMMON) - quantile(&known, COMMON) <= f64::EPSILON {
        return None;
    }
    let scale = Scale::fit(known, TAIL)?;
    let is_bounded = feature.unit.shape(10.0) == 10.0;
    let differs = is_bounded || scale.deviation >= ALIKE;
    differs.then(|| Dimension { name: feature.name.to_owned(), position, scale })
}
