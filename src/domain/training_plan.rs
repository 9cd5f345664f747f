//! When a workspace trains by itself.

use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::model::ModelKind;
use super::time::Timestamp;
use super::training::TrainingParameters;
use super::value::Map;
use super::violation::Violations;

/// Population stability indices from which drift may begin a training; 0 is never.
pub const DRIFT_INDEX: std::ops::RangeInclusive<f64> = 0.05..=10.0;
/// Parameters that name a time. A schedule trains on what is known whenever it comes.
const TIMES: [&str; 2] = ["as_of_time", "cutoff_times"];

/// When a workspace trains by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingPlan {
    /// Times that come again, at most one schedule for each kind.
    pub schedules: Vec<Schedule>,
    /// The population stability index of any feature from which a kind is trained anew; 0 is never.
    pub drift_index: f64,
    /// When the plan was made: a time before it was not missed.
    pub since: Timestamp,
}

impl Default for TrainingPlan {
    fn default() -> Self {
        Self { schedules: Vec::new(), drift_index: 0.0, since: Timestamp::MIN }
    }
}

/// A kind that is trained at times that come again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// What is trained.
    pub kind: ModelKind,
    /// When, as [`Cron`] reads it.
    pub cron: String,
    /// How, as for any training.
    pub parameters: Map,
}

impl Schedule {
    /// The first time after another one.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        Cron::parse(&self.cron).ok()?.next_after(time)
    }
}

impl TrainingPlan {
    /// Checks everything that the types do not already rule out.
    pub fn check(&self, violations: &mut Violations) {
        if self.drift_index != 0.0 && !DRIFT_INDEX.contains(&self.drift_index) {
            let (low, high) = (DRIFT_INDEX.start(), DRIFT_INDEX.end());
            violations.add("drift_index", format!("must be 0, which is never, or from {low} to {high}"));
        }
        for (position, schedule) in self.schedules.iter().enumerate() {
            violations.within(format_args!("schedules[{position}]"), |violations| {
                if self.schedules[..position].iter().any(|before| before.kind == schedule.kind) {
                    violations.add("kind", "has a schedule already; there is at most one for each");
                }
                if let Err(fault) = Cron::parse(&schedule.cron) {
                    violations.add("cron", fault);
                }
                violations.within("parameters", |violations| {
                    TrainingParameters::parse(schedule.kind, &schedule.parameters, violations);
                    for time in TIMES.into_iter().filter(|time| schedule.parameters.contains_key(*time)) {
                        violations.add(time, "must not be set: a schedule trains on what is known when it comes");
                    }
                });
            });
        }
    }

    /// The parameters that a kind is trained with.
    pub fn parameters(&self, kind: ModelKind) -> Map {
        let schedule = self.schedules.iter().find(|schedule| schedule.kind == kind);
        schedule.map_or_else(Map::new, |schedule| schedule.parameters.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::Value;

    fn schedule(kind: ModelKind, cron: &str, parameters: &[(&str, Value)]) -> Schedule {
        let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Schedule { kind, cron: cron.to_owned(), parameters }
    }

    fn faults(plan: &TrainingPlan) -> Vec<String> {
        let mut violations = Violations::new();
        plan.check(&mut violations);
        violations.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn every_fault_of_a_plan_is_named() {
        let text = |text: &str| Value::Text(text.to_owned());
        let plan = TrainingPlan {
            schedules: vec![
                schedule(ModelKind::Churn, "0 3 * * 1", &[("horizon_days", Value::Number(60.0))]),
                schedule(
                    ModelKind::Churn,
                    "0 3 * *",
                    &[("k", Value::Number(3.0)), ("as_of_time", text("2026-01-01T00:00:00Z"))],
                ),
            ],
            drift_index: 0.01,
            since: Timestamp::MIN,
        };
        let expected = [
            "drift_index",
            "schedules[1].cron",
            "schedules[1].kind",
            "schedules[1].parameters.as_of_time",
            "schedules[1].parameters.k",
        ];
        let mut found = faults(&plan);
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(faults(&TrainingPlan { drift_index: f64::NAN, ..TrainingPlan::default() }), ["drift_index"]);
        assert_eq!(faults(&TrainingPlan::default()), Vec::<String>::new());
    }
}
