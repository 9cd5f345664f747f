//! The customers of another day as a model of churn sees them.

use super::ChurnModel;
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::drift::Drift;
use crate::models::examples::{self, ChurnExamples};
use crate::models::features::{self, FEATURES, View};

/// The customers of today beside those of a model's test.
pub struct ChurnToday<'a> {
    model: &'a ChurnModel,
    drift: Drift,
    customers: u64,
    probabilities: f64,
}

impl<'a> ChurnToday<'a> {
    /// Nobody yet, beside the customers that the model's card tells of; `None` where it tells of none.
    pub fn new(model: &'a ChurnModel, card: &Map) -> Option<Self> {
        Some(Self { model, drift: Drift::from_card(card)?, customers: 0, probabilities: 0.0 })
    }

    /// Counts a customer as of `now`, unless they have no part in the question.
    pub fn add(&mut self, state: &State, now: Timestamp) {
        let view = View::new(state, now, &self.model.meaning.qualifying_events);
        if !examples::has_part(self.model.meaning.kind, state, &view) {
            return;
        }
        self.drift.add(|feature| FEATURES[features::position(feature)?].of(&view));
        self.customers += 1;
        self.probabilities += self.model.probability(&self.model.scorer.values(&view));
    }

    /// What a card says about it.
    pub fn describe(&self) -> Map {
        let mut described = self.drift.describe();
        let mean = self.probabilities / self.customers.max(1) as f64;
        described.insert("mean_probability".to_owned(), card::number(mean));
        described
    }
}

impl ChurnExamples {
    /// How far the customers of the test are from those that the card of an earlier model tells of; `None` where it
    /// tells of none.
    pub fn drift_from(&self, card: &Map) -> Option<Map> {
        let mut drift = Drift::from_card(card)?;
        for row in self.rows.iter().filter(|row| row.is_test) {
            drift.add(|feature| row.values[features::position(feature)?]);
        }
        Some(drift.describe())
    }
}
