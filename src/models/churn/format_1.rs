//! Models of churn as format 1 of artifacts has them.

use serde::Deserialize;

use super::format_2::{Meaning, Regression};
use super::scorer::Scorer;
use crate::models::calibration::{Calibration, Isotonic};
use crate::models::schema::Schema;

/// There was one kind of scorer and one of calibration.
#[derive(Deserialize)]
pub(in crate::models) struct ChurnModel {
    meaning: Meaning,
    base_rate: f64,
    regression: Regression,
    calibration: Isotonic,
}

impl From<ChurnModel> for super::ChurnModel {
    fn from(ChurnModel { meaning, base_rate, regression, calibration }: ChurnModel) -> Self {
        Self {
            meaning: meaning.into(),
            base_rate,
            schema: Schema::default(),
            scorer: Scorer::Linear(regression.into()),
            calibration: Calibration::Isotonic(calibration),
            held_out_loss: None,
        }
    }
}
