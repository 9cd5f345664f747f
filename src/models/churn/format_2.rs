//! Models of churn as format 2 of artifacts has them: without traits, and without anything learned from a label.

use std::time::Duration;

use serde::Deserialize;

use super::rhythm::Rhythm;
use super::scorer::Scorer;
use super::trees::{Column, Part, Trees};
use crate::domain::settings::ChurnKind;
use crate::models::boosting::Forest;
use crate::models::calibration::Calibration;
use crate::models::features::{self, FEATURES};
use crate::models::plan;
use crate::models::regression::{self, Effect, Piece};
use crate::models::scaling::Scale;
use crate::models::schema::{Schema, Shape};

/// A model of churn.
#[derive(Deserialize)]
pub(in crate::models) struct ChurnModel {
    meaning: Meaning,
    base_rate: f64,
    scorer: OldScorer,
    calibration: Calibration,
}

#[derive(Deserialize)]
pub(super) struct Meaning {
    kind: ChurnKind,
    horizon: Duration,
    qualifying_events: Vec<String>,
}

#[derive(Deserialize)]
enum OldScorer {
    Linear(Regression),
    Trees(OldTrees),
    Rhythm(Rhythm),
}

#[derive(Deserialize)]
pub(super) struct Regression {
    intercept: f64,
    terms: Vec<Term>,
}

/// Each feature had one curve, whose shape was that of its unit.
#[derive(Deserialize)]
struct Term {
    name: String,
    scale: Scale,
    coefficient: f64,
    missing_share: f64,
    missing_coefficient: f64,
}

/// Each feature had one column.
#[derive(Deserialize)]
struct OldTrees {
    columns: Vec<OldColumn>,
    forest: Forest,
}

#[derive(Deserialize)]
struct OldColumn {
    name: String,
}

impl From<ChurnModel> for super::ChurnModel {
    fn from(ChurnModel { meaning, base_rate, scorer, calibration }: ChurnModel) -> Self {
        let scorer = match scorer {
            OldScorer::Linear(regression) => Scorer::Linear(regression.into()),
            OldScorer::Trees(trees) => Scorer::Trees(trees.into()),
            OldScorer::Rhythm(rhythm) => Scorer::Rhythm(rhythm),
        };
        let schema = Schema::default();
        Self { meaning: meaning.into(), base_rate, schema, scorer, calibration, held_out_loss: None }
    }
}

impl From<Meaning> for plan::Meaning {
    fn from(Meaning { kind, horizon, qualifying_events }: Meaning) -> Self {
        Self { kind, horizon, qualifying_events, label: None }
    }
}

impl From<Regression> for regression::Regression {
    fn from(Regression { intercept, terms }: Regression) -> Self {
        Self { intercept, terms: terms.into_iter().map(Into::into).collect() }
    }
}

impl From<Term> for regression::Term {
    fn from(Term { name, scale, coefficient, missing_share, missing_coefficient }: Term) -> Self {
        // A feature that this release does not have is found out when the name is looked up.
        let shapes = features::position(&name).map_or(&[Shape::Plain][..], |index| FEATURES[index].unit.shapes());
        let pieces = shapes.iter().map(|shape| Piece { shape: *shape, scale, coefficient }).collect();
        Self { name, index: 0, effect: Effect::Curve { pieces, missing_share, missing_coefficient } }
    }
}

impl From<OldTrees> for Trees {
    fn from(OldTrees { columns, forest }: OldTrees) -> Self {
        let column = |OldColumn { name }| Column { name, part: Part::Value, index: 0 };
        Self { columns: columns.into_iter().map(column).collect(), forest }
    }
}
