//! What scores a customer in log-odds, with the reasons that sum to them.

use serde::{Deserialize, Serialize};

use super::rhythm::Rhythm;
use super::trees::Trees;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::features::View;
use crate::models::regression::Regression;
use crate::models::schema::{Known, Schema};

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
    /// What features, by their position in the schema, add to it.
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

    /// What it needs to know about a customer, and nothing else of what takes computing.
    pub(in crate::models) fn look(&self, schema: &Schema, view: &View<'_>) -> Vec<Option<f64>> {
        match self {
            Self::Linear(regression) => schema.serve(view, regression.terms.iter().map(|term| term.index)),
            Self::Trees(trees) => schema.serve(view, trees.features()),
            Self::Rhythm(rhythm) => schema.serve(view, rhythm.features().into_iter()),
        }
    }

    /// The score of a customer with its parts.
    pub(in crate::models) fn explain(&self, known: &Known) -> Explanation {
        match self {
            Self::Linear(regression) => Explanation {
                baseline: regression.intercept,
                parts: regression.terms.iter().map(|term| (term.index, term.contribution(known[term.index]))).collect(),
            },
            Self::Trees(trees) => trees.explain(known),
            Self::Rhythm(rhythm) => rhythm.explain(known),
        }
    }

    /// The score of a customer.
    pub(in crate::models) fn log_odds(&self, known: &Known) -> f64 {
        match self {
            Self::Linear(regression) => regression.log_odds(known),
            Self::Trees(_) | Self::Rhythm(_) => self.explain(known).log_odds(),
        }
    }

    /// Finds the features of a scorer that was read; false where this release cannot serve it.
    pub(in crate::models) fn resolve(&mut self, schema: &Schema) -> bool {
        match self {
            Self::Linear(regression) => {
                regression.intercept.is_finite() && regression.terms.iter_mut().all(|term| term.resolve(schema))
            }
            Self::Trees(trees) => trees.resolve(schema),
            Self::Rhythm(rhythm) => rhythm.resolve(),
        }
    }

    /// What a card says about it.
    pub(in crate::models) fn describe(&self, schema: &Schema) -> Map {
        match self {
            Self::Linear(regression) => card::map([
                ("features", card::list(regression.terms.iter().map(|term| term.describe(schema)))),
                ("baseline_log_odds", card::number(regression.intercept)),
            ]),
            Self::Trees(trees) => trees.describe(schema),
            Self::Rhythm(rhythm) => rhythm.describe(),
        }
    }
}
