//! Drift: how far the customers of one time are from those that a model was trained on, feature by feature.
//!
//! The population stability index compares the shares of both in the same bins: Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ), the symmetric
//! divergence of Kullback and Leibler (1951), as credit scoring uses it (Siddiqi 2006). Bins are the deciles of the
//! training's customers, and one more for those without a value. By chance alone the index of two samples of n and m
//! customers is (1/n + 1/m) times a chi-squared variable of as many degrees of freedom as there are bins less one
//! (Yurdakul and Naranjo 2020), so that an index of few customers counts only where it is beyond that.

use super::card;
use super::features::{self, FEATURES};
use super::scaling::quantile;
use crate::domain::value::{Map, Value};

/// The card's key for how the customers of the training were spread.
pub const POPULATION: &str = "population";
/// From here on a feature has moved.
const MODERATE: f64 = 0.1;
/// From here on a model speaks of other customers.
const LARGE: f64 = 0.25;
/// Bins of known values, as nearly equal in size as ties allow.
const BINS: usize = 10;
/// Customers that every bin has at least in the calculation, so that an empty one is no infinite surprise.
const CUSTOMERS_MIN: f64 = 0.5;

/// How customers were spread over one feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread {
    /// The feature's name.
    feature: String,
    /// Where bins of known values end, ascending; a value that equals an edge lies before it.
    edges: Vec<f64>,
    /// Customers by bin; the last bin has those without a value.
    customers: Vec<u64>,
}

impl Spread {
    /// The spread of values, with deciles as bins.
    pub(super) fn of(feature: &str, values: &[Option<f64>]) -> Self {
        let mut known: Vec<f64> = values.iter().flatten().copied().filter(|value| value.is_finite()).collect();
        known.sort_unstable_by(f64::total_cmp);
        let deciles = (1..BINS).map(|decile| quantile(&known, decile as f64 / BINS as f64));
        let mut edges: Vec<f64> = deciles.filter(|edge| edge.is_finite()).collect();
        edges.dedup();
        let customers = vec![0; edges.len() + 2];
        let mut spread = Self { feature: feature.to_owned(), edges, customers };
        for value in values {
            let bin = spread.bin(*value);
            spread.customers[bin] += 1;
        }
        spread
    }

    fn bin(&self, value: Option<f64>) -> usize {
        match value {
            Some(value) => self.edges.partition_point(|edge| *edge < value),
            None => self.edges.len() + 1,
        }
    }

    fn to_map(&self) -> Map {
        card::map([
            ("feature", card::text(self.feature.as_str())),
            ("display_name", card::text(display_name(&self.feature))),
            ("edges", Value::List(self.edges.iter().map(|edge| card::number(*edge)).collect())),
            ("customers", Value::List(self.customers.iter().map(|count| card::number(*count as f64)).collect())),
        ])
    }

    /// The spread that a card states; `None` where it states none that can be compared with.
    fn from_value(value: &Value) -> Option<Self> {
        let Value::Map(map) = value else { return None };
        let Some(Value::Text(feature)) = map.get("feature") else { return None };
        let edges = numbers(map.get("edges")?)?;
        let customers: Vec<u64> = numbers(map.get("customers")?)?.into_iter().map(|count| count as u64).collect();
        let spread = Self { feature: feature.clone(), edges, customers };
        (spread.customers.len() == spread.edges.len() + 2).then_some(spread)
    }
}

/// Spreads as a card states them.
pub(super) fn describe(spreads: impl IntoIterator<Item = Spread>) -> Value {
    card::list(spreads.into_iter().map(|spread| spread.to_map()))
}

/// The customers of one time beside those of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    columns: Vec<Column>,
    customers: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    then: Spread,
    now: Vec<u64>,
}

impl Drift {
    /// Compares with the customers that a card tells of; `None` where it does not, because an earlier release made it.
    pub fn from_card(card: &Map) -> Option<Self> {
        let Some(Value::List(list)) = card.get(POPULATION) else { return None };
        let spreads: Vec<Spread> = list.iter().filter_map(Spread::from_value).collect();
        let column = |then: Spread| Column { now: vec![0; then.customers.len()], then };
        let columns: Vec<Column> = spreads.into_iter().map(column).collect();
        (!columns.is_empty()).then_some(Self { columns, customers: 0 })
    }

    /// Counts one customer by the values of their features.
    pub(super) fn add(&mut self, value: impl Fn(&str) -> Option<f64>) {
        self.customers += 1;
        for column in &mut self.columns {
            let bin = column.then.bin(value(&column.then.feature).filter(|value| value.is_finite()));
            column.now[bin] += 1;
        }
    }

    /// What a card says about it: the features with their indices, the largest first. `index_max` is the largest index
    /// of those that are beyond chance, 0 where none is.
    pub fn describe(&self) -> Map {
        let mut moved: Vec<Moved<'_>> = self.columns.iter().map(Moved::of).collect();
        moved.sort_by(|a, b| b.index.total_cmp(&a.index));
        let index_max = moved.iter().map(Moved::beyond_chance).fold(0.0, f64::max);
        card::map([
            ("customers", card::number(self.customers as f64)),
            ("index_max", card::number(index_max)),
            ("level", card::text(level(index_max))),
            ("features", card::list(moved.iter().map(Moved::to_map))),
        ])
    }
}

/// The index of one feature.
struct Moved<'a> {
    column: &'a Column,
    index: f64,
    by_chance: f64,
}

impl<'a> Moved<'a> {
    fn of(column: &'a Column) -> Self {
        let (then, now) = (shares(&column.then.customers), shares(&column.now));
        let index = then.iter().zip(now).map(|(then, now)| (now - then) * (now / then).ln()).sum();
        // Empty on both sides, a bin says nothing.
        let filled = column.then.customers.iter().zip(&column.now).filter(|(then, now)| **then + **now > 0).count();
        let [n, m] = [&column.then.customers, &column.now].map(|counts| counts.iter().sum::<u64>().max(1) as f64);
        let by_chance = chi_squared_95(filled.saturating_sub(1)) * (1.0 / n + 1.0 / m);
        Self { column, index, by_chance }
    }

    fn beyond_chance(&self) -> f64 {
        if self.index > self.by_chance { self.index } else { 0.0 }
    }

    fn to_map(&self) -> Map {
        let feature = self.column.then.feature.as_str();
        let list = |counts: &[u64]| Value::List(shares(counts).into_iter().map(card::number).collect());
        card::map([
            ("feature", card::text(feature)),
            ("display_name", card::text(display_name(feature))),
            ("index", card::number(self.index)),
            ("by_chance", card::number(self.by_chance)),
            ("level", card::text(level(self.beyond_chance()))),
            ("shares_then", list(&self.column.then.customers)),
            ("shares_now", list(&self.column.now)),
        ])
    }
}

fn level(index: f64) -> &'static str {
    if index >= LARGE {
        "large"
    } else if index >= MODERATE {
        "moderate"
    } else {
        "small"
    }
}

fn shares(customers: &[u64]) -> Vec<f64> {
    let customers: Vec<f64> = customers.iter().map(|count| (*count as f64).max(CUSTOMERS_MIN)).collect();
    let total: f64 = customers.iter().sum();
    customers.into_iter().map(|count| count / total).collect()
}

/// What 95 % of chi-squared variables lie below, after Wilson and Hilferty (1931); 0 without a degree of freedom.
fn chi_squared_95(freedom: usize) -> f64 {
    const NORMAL_95: f64 = 1.644_853_627;
    if freedom == 0 {
        return 0.0;
    }
    let (k, part) = (freedom as f64, 2.0 / (9.0 * freedom as f64));
    k * (1.0 - part + NORMAL_95 * part.sqrt()).powi(3)
}

fn display_name(feature: &str) -> &str {
    features::position(feature).map_or(feature, |position| FEATURES[position].display_name)
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    let Value::List(list) = value else { return None };
    let number = |value: &Value| match value {
        Value::Number(number) => Some(*number),
        _ => None,
    };
    list.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(range: std::ops::Range<u32>) -> Vec<Option<f64>> {
        range.map(|value| Some(f64::from(value))).collect()
    }

    fn moved(then: &[Option<f64>], now: &[Option<f64>]) -> (f64, String) {
        let card = card::map([(POPULATION, describe([Spread::of("events", then)]))]);
        let mut drift = Drift::from_card(&card).expect("a population");
        now.iter().for_each(|value| drift.add(|_| *value));
        let report = drift.describe();
        let Some(Value::List(features)) = report.get("features") else { panic!("no features") };
        let Value::Map(feature) = &features[0] else { panic!("no feature") };
        let (Value::Number(index), Value::Text(level)) = (&feature["index"], &report["level"]) else {
            panic!("no index: {feature:?}")
        };
        (*index, level.clone())
    }

    #[test]
    fn the_same_customers_have_not_moved_and_others_have_the_more_the_farther_they_are() {
        let by = |by: u32| moved(&values(0..1_000), &values(by..1_000 + by));
        assert!(by(0).0 < 1e-12 && by(10).0 < MODERATE && by(10).0 < by(200).0 && by(200).0 > LARGE);
        assert_eq!([by(10).1, by(200).1], ["small", "large"]);
    }

    #[test]
    fn two_halves_that_change_places_have_the_published_index() {
        // Shares of 0.8 and 0.2 that become 0.2 and 0.8: 2 · 0.6 · ln 4, while nobody is without a value.
        let mix = |first: usize| -> Vec<_> { (0..10_000).map(|row| Some(f64::from(u8::from(row >= first)))).collect() };
        let (index, level) = moved(&mix(8_000), &mix(2_000));
        assert!((index - 1.2 * 4.0f64.ln()).abs() < 0.001 && level == "large", "{index}");
    }

    #[test]
    fn few_customers_differ_by_chance() {
        // A hundred against twenty of the same spread, but not evenly drawn.
        let now: Vec<_> = (0..20).map(|row| Some(f64::from(row * row % 97))).collect();
        let (index, level) = moved(&values(0..100), &now);
        assert!(index > MODERATE, "the draw is no test of chance: {index}");
        assert_eq!(level, "small");
    }

    #[test]
    fn the_quantile_of_chi_squared_is_that_of_the_tables() {
        for (freedom, published) in [(1, 3.841), (5, 11.070), (10, 18.307)] {
            assert!((chi_squared_95(freedom) - published).abs() < 0.1, "{freedom}: {}", chi_squared_95(freedom));
        }
    }

    #[test]
    fn a_value_that_is_lost_is_a_move_and_extremes_give_numbers() {
        let known = values(0..500);
        let lost: Vec<_> = known.iter().enumerate().map(|(row, value)| value.filter(|_| row % 2 == 0)).collect();
        assert_eq!(moved(&known, &lost).1, "large");
        for (then, now) in [(vec![], values(0..5)), (values(0..5), vec![]), (vec![None; 9], vec![Some(f64::MAX); 3])] {
            let (index, _) = moved(&then, &now);
            assert!(index.is_finite() && index >= 0.0);
        }
    }

    #[test]
    fn a_card_that_tells_of_no_customers_is_not_compared_with() {
        assert_eq!(Drift::from_card(&Map::new()), None);
        let broken = card::map([("feature", card::text("events")), ("edges", Value::List(Vec::new()))]);
        assert_eq!(Drift::from_card(&card::map([(POPULATION, card::list([broken]))])), None);
    }
}
