//! The customers of another day as a model of churn sees them.

use super::ChurnModel;
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::drift::Drift;
use crate::models::examples::ChurnExamples;

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
        let view = self.model.meaning.view(state, now);
        if !self.model.meaning.concerns(state, &view) {
            return;
        }
        let known = self.model.scorer.look(&self.model.schema, &view);
        self.drift.add(|feature| known[self.model.schema.position(feature)?]);
        self.customers += 1;
        self.probabilities += self.model.probability(&known);
    }

    /// What a card says about it.
    pub fn describe(&self) -> Map {
        let mut described = self.drift.describe();
        let mean = self.probabilities / self.customers.max(1) as f64;
        described.insert("mean_probability".to_owned(), card::number(mean));
        described
    }
}

impl ChurnModel {
    /// How far the customers of another model's test are from those that this one's card tells of; `None` where it tells
    /// of none.
    pub fn drift_to(&self, examples: &ChurnExamples, card: &Map) -> Option<Map> {
        let mut drift = Drift::from_card(card)?;
        for row in examples.judges() {
            let known = self.known(examples, row);
            drift.add(|feature| known[self.schema.position(feature)?]);
        }
        Some(drift.describe())
    }
}
