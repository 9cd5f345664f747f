//! Models of churn as format 1 of artifacts has them.

use serde::Deserialize;

use super::scorer::Scorer;
use crate::models::calibration::{Calibration, Isotonic};
use crate::models::plan::Meaning;
use crate::models::regression::Regression;

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
        let (scorer, calibration) = (Scorer::Linear(regression), Calibration::Isotonic(calibration));
        Self { meaning, base_rate, scorer, calibration }
    }
}
