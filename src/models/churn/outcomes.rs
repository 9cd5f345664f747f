//! Realised outcomes: what a model says as of a time, beside what came of it.
//!
//! Answers are kept nowhere. They are made again from what was known at the time, as time travel makes them, for every
//! customer who had a part in the question then, and compared with what happened within the horizon after it.

use super::{CLASS_MIN, ChurnModel, gate};
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};
use crate::models::card;
use crate::models::evaluation::Scores;
use crate::models::examples::{ChurnExamples, ChurnPlan, Example};
use crate::models::plan::Split;

impl ChurnModel {
    /// The examples to ask for: one cut-off, with the model's own meaning of leaving.
    pub fn outcomes_as_of(&self, time: Timestamp) -> ChurnPlan {
        ChurnPlan {
            meaning: self.meaning.clone(),
            training: Vec::new(),
            test: time,
            dropped: Vec::new(),
            split: Split::LaterWindow,
            group_by: None,
            excluded: Vec::new(),
            seed: 0,
        }
    }

    /// Whether a trait says who left: that has no date, so that no answer can be held against what came after it.
    pub fn is_labelled(&self) -> bool {
        self.meaning.label.is_some()
    }

    /// How far ahead the model looks.
    pub fn horizon(&self) -> std::time::Duration {
        self.meaning.horizon
    }

    /// What a card says about the model's answers as of the one cut-off of some examples: the figures of the card with
    /// their intervals, and the mean of the probabilities beside the share who really left. Too few customers of either
    /// outcome give no figures, and `status` says so.
    pub fn outcomes(&self, examples: &ChurnExamples) -> Map {
        let rows: Vec<&Example> = examples.sorted();
        let scores = self.scores(examples, &rows);
        let left = scores.outcomes.iter().filter(|left| **left).count();
        let mut described = card::map([
            ("as_of_time", card::text(examples.plan.test.rfc3339())),
            ("until_time", card::text(examples.plan.test.plus(self.meaning.horizon).rfc3339())),
            ("left", card::count(left)),
            ("sampled_share", card::number(examples.kept_share())),
        ]);
        if left.min(rows.len() - left) < CLASS_MIN {
            described.extend(card::map([("status", card::text("not_enough_data")), ("rows", card::count(rows.len()))]));
            return described;
        }
        described.insert("status".to_owned(), card::text("measured"));
        described.extend(gate::metrics(&scores, examples.plan.seed));
        described.insert("predicted_rate".to_owned(), card::number(mean(&scores)));
        described.insert("observed_rate".to_owned(), described.get("base_rate").cloned().unwrap_or(Value::Null));
        described.insert("reliability".to_owned(), gate::reliability_bins(&scores));
        described
    }
}

fn mean(scores: &Scores) -> f64 {
    scores.scores.iter().sum::<f64>() / scores.len().max(1) as f64
}
