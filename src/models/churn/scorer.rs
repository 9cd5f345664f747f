//! What scores a customer in log-odds, with the reasons that sum to them.

use serde::{Deserialize, Serialize};

use super::rhythm::Rhythm;
use super::trees::Trees;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::features::{FEATURES, Values, View};
use crate::models::regression::Regression;

/// The kinds of models that compete for churn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) enum Scorer {
    /// Logistic regression: the transparent one that the others must beat.
    Linear(Regression),
    /// Gradient boosted trees.
    Trees(Trees),
    /// BG/NBD: how often and when last.
    Rhythm(Rhythm),
}

/// A score and its parts.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::models) struct Explanation {
    /// Log-odds of a customer without any particularity.
    pub(in crate::models) baseline: f64,
    /// What features, by their position in [`FEATURES`], add to it.
    pub(in crate::models) parts: Vec<(usize, f64)>,
}

impl Explanation {
    /// The baseline and all parts.
    pub(in crate::models) fn log_odds(&self) -> f64 {
        self.baseline + self.parts.iter().map(|part| part.1).sum::<f64>()
    }
}

impl Scorer {
    /// The name for programs, on cards.
    pub(in crate::models) fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "logistic_regression",
            Self::Trees(_) => "boosted_trees",
            Self::Rhythm(_) => "bg_nbd",
        }
    }

    /// What it needs to know about a customer, and nothing else.
    pub(in crate::models) fn values(&self, view: &View<'_>) -> Values {
        let mut values = [None; FEATURES.len()];
        let mut know = |index: usize| values[index] = FEATURES[index].of(view);
        match self {
            Self::Linear(regression) => regression.terms.iter().for_each(|term| know(term.index)),
            Self::Trees(trees) => trees.features().for_each(know),
            Self::Rhythm(rhythm) => rhythm.features().into_iter().for_each(know),
        }
        values
    }

    /// The score of a customer with its parts.
    pub(in crate::models) fn explain(&self, values: &Values) -> Explanation {
        match self {
            Self::Linear(regression) => Explanation {
                baseline: regression.intercept,
                parts: regression
                    .terms
                    .iter()
                    .map(|term| (term.index, term.contribution(values[term.index])))
                    .collect(),
            },
            Self::Trees(trees) => trees.explain(values),
            Self::Rhythm(rhythm) => rhythm.explain(values),
        }
    }

    /// The score of a customer.
    pub(in crate::models) fn log_odds(&self, values: &Values) -> f64 {
        match self {
            Self::Linear(regression) => regression.log_odds(values),
            Self::Trees(_) | Self::Rhythm(_) => self.explain(values).log_odds(),
        }
    }

    /// Finds the features of a scorer that was read; false where this release cannot serve it.
    pub(in crate::models) fn resolve(&mut self) -> bool {
        match self {
            Self::Linear(regression) => {
                regression.intercept.is_finite() && regression.terms.iter_mut().all(|term| term.resolve())
            }
            Self::Trees(trees) => trees.resolve(),
            Self::Rhythm(rhythm) => rhythm.resolve(),
        }
    }

    /// What a card says about it.
    pub(in crate::models) fn describe(&self) -> Map {
        match self {
            Self::Linear(regression) => card::map([
                ("features", card::list(regression.terms.iter().map(|term| term.describe()))),
                ("baseline_log_odds", card::number(regression.intercept)),
            ]),
            Self::Trees(trees) => trees.describe(),
            Self::Rhythm(rhythm) => rhythm.describe(),
        }
    }
}
