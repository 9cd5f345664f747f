//! How the customers of another day are spread over the segments of a model.

use super::{SegmentModel, SegmentRows, WORDINGS, row};
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};
use crate::models::card;
use crate::models::drift::Drift;

/// The customers of today beside those of a model's training.
pub struct SegmentsToday<'a> {
    model: &'a SegmentModel,
    drift: Drift,
    /// Customers by the position of their segment.
    customers: Vec<u64>,
    outliers: u64,
}

impl<'a> SegmentsToday<'a> {
    /// Nobody yet, beside the customers that the model's card tells of; `None` where it tells of none.
    pub fn new(model: &'a SegmentModel, card: &Map) -> Option<Self> {
        Some(Self { model, drift: Drift::from_card(card)?, customers: vec![0; model.segments.len()], outliers: 0 })
    }

    /// Counts a customer as of `now`. One without any event is in no segment.
    pub fn add(&mut self, state: &State, now: Timestamp) {
        if state.activity.events() == 0 {
            return;
        }
        let row = row(state, now);
        self.drift.add(|feature| row[position(feature)?]);
        let (segment, distance) = self.model.nearest(&row);
        self.customers[segment] += 1;
        self.outliers += u64::from(self.model.is_outlier(segment, distance) == Some(true));
    }

    /// What a card says about it.
    pub fn describe(&self) -> Map {
        let mut described = self.drift.describe();
        let all = self.customers.iter().sum::<u64>().max(1) as f64;
        let segment = |(segment, customers): (&crate::domain::segment::Segment, &u64)| {
            card::map([
                ("id", card::text(segment.id.as_str())),
                ("share_then", card::number(segment.share)),
                ("share_now", card::number(*customers as f64 / all)),
            ])
        };
        described
            .insert("segments".to_owned(), card::list(self.model.segments.iter().zip(&self.customers).map(segment)));
        let knows_outliers = !self.model.outlier_distances.is_empty();
        let share = if knows_outliers { card::number(self.outliers as f64 / all) } else { Value::Null };
        described.insert("outlier_share".to_owned(), share);
        described
    }
}

impl SegmentRows {
    /// How far these customers are from those that the card of an earlier model tells of; `None` where it tells of none.
    pub fn drift_from(&self, card: &Map) -> Option<Map> {
        let mut drift = Drift::from_card(card)?;
        for (_, row) in &self.rows {
            drift.add(|feature| row[position(feature)?]);
        }
        Some(drift.describe())
    }
}

fn position(feature: &str) -> Option<usize> {
    WORDINGS.iter().position(|wording| wording.feature == feature)
}
