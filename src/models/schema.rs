//! What a model knows about a customer: the features that every company has, and the workspace's own traits.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::features::{self, FEATURES, View};
use super::traits::{self, Stated, TraitFeature, TraitKind, Words};
use crate::domain::prediction::Contribution;
use crate::domain::reading::Reading;

/// What is known of a customer, by the positions of a [`Schema`]; `None` where there is no such value.
pub(super) type Known = [Option<f64>];

/// The features of one model. Positions up to those of [`FEATURES`] are theirs, traits come after.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Schema {
    /// In the order of their keys.
    traits: Vec<TraitFeature>,
}

/// How a linear model looks at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// By `ln(1 + |x|)` with its sign, for amounts that span orders of magnitude.
    Logarithmic,
}

impl Shape {
    /// The value on this scale.
    pub(super) fn apply(self, value: f64) -> f64 {
        match self {
            Self::Plain => value,
            Self::Logarithmic => value.abs().ln_1p().copysign(value),
        }
    }
}

impl Schema {
    pub(super) fn new(traits: Vec<TraitFeature>) -> Self {
        Self { traits }
    }

    /// How many features there are.
    pub(super) fn len(&self) -> usize {
        FEATURES.len() + self.traits.len()
    }

    /// The position of a feature.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let of_trait = || self.traits.iter().position(|feature| feature.name() == name).map(|at| FEATURES.len() + at);
        features::position(name).or_else(of_trait)
    }

    /// The name for programs.
    pub(super) fn name(&self, position: usize) -> SmolStr {
        match self.trait_at(position) {
            Some(feature) => feature.name().clone(),
            None => SmolStr::new_static(FEATURES[position].name),
        }
    }

    /// The name for people.
    pub(super) fn display_name(&self, position: usize) -> SmolStr {
        match self.trait_at(position) {
            Some(feature) => feature.key().clone(),
            None => SmolStr::new_static(FEATURES[position].display_name),
        }
    }

    /// A value with its unit; `currency` is only named for money.
    pub(super) fn reading(&self, position: usize, value: Option<f64>, currency: &str) -> Reading {
        match self.trait_at(position) {
            Some(feature) => feature.reading(value),
            None => FEATURES[position].reading(value, currency),
        }
    }

    /// What a value adds to a score, as a reason.
    pub(super) fn reason(&self, position: usize, known: &Known, currency: &str, contribution: f64) -> Contribution {
        let value = known[position];
        match self.trait_at(position) {
            Some(feature) => Contribution {
                feature: feature.name().clone(),
                display_name: feature.key().clone(),
                value: feature.reading(value),
                contribution,
            },
            None => Contribution {
                feature: SmolStr::new_static(FEATURES[position].name),
                display_name: SmolStr::new_static(FEATURES[position].display_name),
                value: FEATURES[position].reading(value, currency),
                contribution,
            },
        }
    }

    /// How many codes the feature has, where it is a category.
    pub(super) fn codes(&self, position: usize) -> Option<usize> {
        self.trait_at(position)?.codes()
    }

    /// How a linear model looks at the values of a feature. Nothing is known about a trait that is a number, so that it
    /// is looked at both ways, and the fit decides.
    pub(super) fn shapes(&self, position: usize) -> &'static [Shape] {
        match self.trait_at(position).map(|feature| &feature.kind) {
            None => FEATURES[position].unit.shapes(),
            Some(TraitKind::Number) => &[Shape::Plain, Shape::Logarithmic],
            Some(TraitKind::Flag) => &[Shape::Plain],
            Some(TraitKind::Category(_)) => &[],
        }
    }

    /// The features at `positions`, as the model serves them.
    pub(super) fn serve(&self, view: &View<'_>, positions: impl Iterator<Item = usize>) -> Vec<Option<f64>> {
        let mut known = vec![None; self.len()];
        for position in positions.filter(|position| *position < FEATURES.len()) {
            known[position] = FEATURES[position].of(view);
        }
        self.read(traits::cells(view.traits()), &mut known);
        known
    }

    /// All features of a customer of a training.
    pub(super) fn train(&self, values: &features::Values, stated: &[Stated], words: &Words) -> Vec<Option<f64>> {
        let mut known = values.to_vec();
        known.resize(self.len(), None);
        self.read(words.cells(stated), &mut known);
        known
    }

    fn read<'a>(&self, stated: impl Iterator<Item = (&'a str, traits::Cell<'a>)>, known: &mut Known) {
        if !self.traits.is_empty() {
            traits::read_all(&self.traits, stated, |position, value| known[FEATURES.len() + position] = value);
        }
    }

    fn trait_at(&self, position: usize) -> Option<&TraitFeature> {
        self.traits.get(position.checked_sub(FEATURES.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::State;
    use crate::domain::value::Value;
    use crate::models::fixture::{day, identify, purchase, state};

    fn schema() -> Schema {
        let stated = [("plan", traits::Cell::Text("pro")), ("seats", traits::Cell::Number(2.0))];
        Schema::new(traits::learn((0..20).map(|customer| (customer, stated.into_iter())), &[]).features)
    }

    fn customer() -> State {
        let stated = [("plan", Value::Text("pro".to_owned())), ("seats", Value::Number(5.0))];
        state(&[purchase(1.0, 10.0), identify(2.0, &stated)])
    }

    #[test]
    fn traits_have_names_that_people_know_and_values_in_words() {
        let schema = schema();
        let plan = schema.position("trait.plan").expect("a feature");
        assert_eq!((schema.name(plan).as_str(), schema.display_name(plan).as_str()), ("trait.plan", "plan"));
        assert_eq!(schema.reading(plan, Some(0.0), "EUR"), Reading::Text("pro".into()));
        assert_eq!(schema.codes(plan), Some(2));
        assert_eq!(schema.name(0), FEATURES[0].name);
        assert_eq!(schema.position("plan"), None);
    }

    #[test]
    fn serving_reads_what_training_read() {
        let (schema, state) = (schema(), customer());
        let view = View::new(&state, day(3.0), &[]);
        let served = schema.serve(&view, 0..schema.len());
        let mut words = Words::default();
        let stated = words.keep(traits::cells(view.traits()));
        assert_eq!(served, schema.train(&features::extract(&view), &stated, &words));
        assert_eq!(served[FEATURES.len()..], [Some(0.0), Some(5.0)]);
    }
}
