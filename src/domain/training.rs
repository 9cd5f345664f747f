//! Training runs: what was asked for, and what came of it.

use serde::{Deserialize, Serialize};

use super::id::RunId;
use super::limits;
use super::model::{ModelKind, ModelVersion};
use super::time::Timestamp;
use super::value::{Map, Value};
use super::violation::Violations;

/// One run of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// Names the run.
    pub id: RunId,
    /// What is trained.
    pub kind: ModelKind,
    /// How far it is.
    pub state: TrainingState,
    /// The parameters as they were asked for.
    pub parameters: Map,
    /// The share of the work that is done, 0 to 1.
    pub progress: f64,
    /// The model that was made, once the run succeeded.
    pub model_version: Option<ModelVersion>,
    /// Whether that model answers now: the gate may keep the one before.
    pub promoted: bool,
    /// Why it does or does not, in a sentence.
    pub promotion_note: String,
    /// How good the model is; the card's figures.
    pub metrics: Map,
    /// Why the run failed.
    pub failure: Option<TrainingFailure>,
    /// When it was asked for.
    pub create_time: Timestamp,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// What began it. Runs of earlier releases were stored without it, so that it has a document of its own.
    #[serde(skip)]
    pub origin: RunOrigin,
}

/// What began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum RunOrigin {
    /// Somebody asked for it.
    #[default]
    Request,
    /// Its time had come.
    Schedule,
    /// Customers had moved away from those that the model was trained on.
    Drift,
}

impl TrainingRun {
    /// A run that waits for its turn.
    pub fn new(id: RunId, kind: ModelKind, parameters: Map, create_time: Timestamp) -> Self {
        Self {
            id,
            kind,
            state: TrainingState::Pending,
            parameters,
            progress: 0.0,
            model_version: None,
            promoted: false,
            promotion_note: String::new(),
            metrics: Map::new(),
            failure: None,
            create_time,
            start_time: None,
            end_time: None,
            origin: RunOrigin::Request,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingState {
    /// Waits for its turn.
    Pending,
    /// At work.
    Running,
    /// Made a model.
    Succeeded,
    /// Made none; [`TrainingRun::failure`] says why.
    Failed,
    /// Was stopped by a caller.
    Cancelled,
}

impl TrainingState {
    /// True once nothing more will happen.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why a run failed. The message names no customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingFailure {
    /// What a program would tell apart.
    pub reason: TrainingFailureReason,
    /// What to do about it, for people.
    pub message: String,
}

impl TrainingFailure {
    /// A fault of ours.
    pub fn internal() -> Self {
        let message = "training failed for a reason of ours; the server's log names it".to_owned();
        Self { reason: TrainingFailureReason::Internal, message }
    }
}

/// Why a run failed, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingFailureReason {
    /// Too few customers or outcomes to learn from.
    NotEnoughData,
    /// The server stopped while the run was at work.
    Interrupted,
    /// A fault of ours.
    Internal,
}

/// What a caller may choose about a training.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainingParameters {
    /// The "now" of the training: nothing that happened later is used.
    pub as_of: Option<Timestamp>,
    /// Every random choice follows from it.
    pub seed: u64,
    /// How many segments; `None` lets the data choose.
    pub k: Option<usize>,
    /// At which times the churn model looks back and ahead; empty lets the data choose.
    pub cutoffs: Vec<Timestamp>,
    /// How far ahead the models of churn and of value look; `None` is the workspace's setting for churn.
    pub horizon_days: Option<u32>,
    /// The boolean trait that says who left, where events do not.
    pub label: Option<String>,
    /// Parts of the customers, each of which is judged by models of the others.
    pub folds: Option<u32>,
    /// The trait whose values say which customers belong together.
    pub group_by: Option<String>,
    /// Traits that are no features.
    pub excluded_traits: Vec<String>,
    /// The model is only to be looked at: whatever the gate says, another one goes on answering.
    pub is_trial: bool,
}

/// Whole numbers up to here are exact in JSON.
const SEED_MAX: f64 = 9_007_199_254_740_992.0;
/// A key that is longer is no word.
const WORD_BYTES: usize = 32;
/// Numbers of segments that a caller may ask for.
const SEGMENTS: std::ops::RangeInclusive<f64> = 2.0..=20.0;
/// Numbers of folds that a caller may ask for.
const FOLDS: std::ops::RangeInclusive<f64> = 2.0..=20.0;

impl TrainingParameters {
    /// Reads parameters as a caller wrote them; every fault is added to `violations`.
    pub fn parse(kind: ModelKind, map: &Map, violations: &mut Violations) -> Self {
        let mut parameters = Self::default();
        for (position, (key, value)) in map.iter().enumerate() {
            match (key.as_str(), kind) {
                ("as_of_time", _) => parameters.as_of = time(key, value, violations),
                ("seed", _) => {
                    parameters.seed = whole(key, value, 0.0..=SEED_MAX, violations).unwrap_or(0.0) as u64;
                }
                ("k", ModelKind::Segments) => {
                    parameters.k = whole(key, value, SEGMENTS, violations).map(|k| k as usize);
                }
                ("promote", _) => parameters.is_trial = flag(key, value, violations) == Some(false),
                ("cutoff_times", ModelKind::Churn) => parameters.cutoffs = times(key, value, violations),
                ("label", ModelKind::Churn) => parameters.label = trait_key(key, value, violations),
                ("group_by", ModelKind::Churn) => parameters.group_by = trait_key(key, value, violations),
                ("exclude_traits", ModelKind::Churn | ModelKind::Effort | ModelKind::Satisfaction) => {
                    parameters.excluded_traits = trait_keys(key, value, violations);
                }
                ("folds", ModelKind::Churn) => {
                    parameters.folds = whole(key, value, FOLDS, violations).map(|folds| folds as u32);
                }
                ("horizon_days", ModelKind::Churn | ModelKind::Value) => {
                    let days = limits::HORIZON.end().as_secs_f64() / 86_400.0;
                    parameters.horizon_days = whole(key, value, 1.0..=days, violations).map(|days| days as u32);
                }
                _ => violations.add(&named(key, position), format!("is no parameter of {}", kind.name())),
            }
        }
        parameters.check_together(map, violations);
        parameters
    }

    /// What fits alone need not fit together.
    fn check_together(&self, map: &Map, violations: &mut Violations) {
        let has_cutoffs = map.contains_key("cutoff_times");
        if self.label.is_some() && has_cutoffs {
            violations.add("label", "must not come with cutoff_times: it is known at one time, the latest");
        }
        if self.folds.is_some() && self.label.is_none() && self.cutoffs.len() != 1 {
            violations.add("folds", "need a label or exactly one time in cutoff_times: of several, the latest judges");
        }
    }
}

/// An unknown key in a field path. A word was chosen for us to read, so that its writer finds the slip in it; anything
/// else may be a customer's and is named by its place.
fn named(key: &str, position: usize) -> String {
    let is_word = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word && (1..=WORD_BYTES).contains(&key.len()) { key.to_owned() } else { format!("fields[{position}]") }
}

fn whole(key: &str, value: &Value, range: std::ops::RangeInclusive<f64>, violations: &mut Violations) -> Option<f64> {
    match value {
        Value::Number(number) if range.contains(number) && number.fract() == 0.0 => Some(*number),
        _ => {
            violations.add(key, format!("must be a whole number from {} to {}", range.start(), range.end()));
            None
        }
    }
}

fn flag(key: &str, value: &Value, violations: &mut Violations) -> Option<bool> {
    let Value::Bool(flag) = value else {
        violations.add(key, "must be true or false");
        return None;
    };
    Some(*flag)
}

/// The key of a trait. What it names need not exist: training says how many customers state it.
fn trait_key(key: &str, value: &Value, violations: &mut Violations) -> Option<String> {
    match value {
        Value::Text(text) if (1..=limits::VALUE_KEY_BYTES).contains(&text.len()) => Some(text.clone()),
        _ => {
            violations.add(key, format!("must be the key of a trait, of 1 to {} bytes", limits::VALUE_KEY_BYTES));
            None
        }
    }
}

fn trait_keys(key: &str, value: &Value, violations: &mut Violations) -> Vec<String> {
    let Value::List(list) = value else {
        violations.add(key, "must be a list of the keys of traits");
        return Vec::new();
    };
    if list.len() > limits::VALUE_KEYS {
        violations.add(key, format!("has {} items; the limit is {}", list.len(), limits::VALUE_KEYS));
    }
    let keys = list.iter().take(limits::VALUE_KEYS).enumerate();
    keys.filter_map(|(position, item)| trait_key(&format!("{key}[{position}]"), item, violations)).collect()
}

fn time(key: &str, value: &Value, violations: &mut Violations) -> Option<Timestamp> {
    let parsed = match value {
        Value::Text(text) => text.parse::<jiff::Timestamp>().ok(),
        _ => None,
    };
    if parsed.is_none() {
        violations.add(key, "must be an RFC 3339 time with its zone, such as 2025-12-01T00:00:00Z");
    }
    parsed.map(|time| Timestamp::from_micros(time.as_microsecond()))
}

fn times(key: &str, value: &Value, violations: &mut Violations) -> Vec<Timestamp> {
    let Value::List(list) = value else {
        violations.add(key, "must be a list of RFC 3339 times");
        return Vec::new();
    };
    if list.len() > limits::CUTOFFS {
        violations.add(key, format!("has {} items; the limit is {}", list.len(), limits::CUTOFFS));
    }
    let mut times: Vec<Timestamp> = list
        .iter()
        .take(limits::CUTOFFS)
        .enumerate()
        .filter_map(|(position, item)| time(&format!("{key}[{position}]"), item, violations))
        .collect();
    times.sort();
    let before = times.len();
    times.dedup();
    if times.len() < before {
        violations.add(key, "must not name a time twice");
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: ModelKind, entries: &[(&str, Value)]) -> (TrainingParameters, Vec<String>) {
        let map = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut violations = Violations::new();
        let parameters = TrainingParameters::parse(kind, &map, &mut violations);
        (parameters, violations.into_vec().into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn every_fault_is_named() {
        let (_, faults) = parse(
            ModelKind::Churn,
            &[
                ("cutoff_times", Value::List(vec![Value::Text("2025-12-01T00:00:00".into()), Value::Null])),
                ("horizon_days", Value::Number(0.5)),
                ("k", Value::Number(3.0)),
                ("sead", Value::Number(1.0)),
            ],
        );
        assert_eq!(faults, ["cutoff_times[0]", "cutoff_times[1]", "horizon_days", "k", "sead"]);
    }

    #[test]
    fn a_label_comes_with_folds_and_groups_and_without_cut_offs() {
        let text = |text: &str| Value::Text(text.to_owned());
        let entries = [
            ("label", text("left")),
            ("folds", Value::Number(5.0)),
            ("group_by", text("household")),
            ("exclude_traits", Value::List(vec![text("reason")])),
            ("promote", Value::Bool(false)),
        ];
        let (parameters, faults) = parse(ModelKind::Churn, &entries);
        assert!(faults.is_empty() && parameters.is_trial, "{faults:?}");
        assert_eq!((parameters.label.as_deref(), parameters.folds), (Some("left"), Some(5)));
        assert_eq!(
            (parameters.group_by.as_deref(), parameters.excluded_traits),
            (Some("household"), vec!["reason".to_owned()])
        );

        let faulty = [
            ("label", text("")),
            ("folds", Value::Number(1.0)),
            ("group_by", text(&"k".repeat(129))),
            ("exclude_traits", Value::List(vec![text("fine"), Value::Null])),
            ("promote", text("no")),
        ];
        let keys = ["exclude_traits[1]", "folds", "group_by", "label", "promote"];
        assert_eq!(parse(ModelKind::Churn, &faulty).1, keys);
        assert_eq!(parse(ModelKind::Segments, &entries[..4]).1, ["exclude_traits", "folds", "group_by", "label"]);
        assert!(parse(ModelKind::Segments, &entries[4..]).0.is_trial);
        for kind in [ModelKind::Effort, ModelKind::Satisfaction] {
            assert_eq!(parse(kind, &entries[3..4]).0.excluded_traits, ["reason"]);
        }
    }

    #[test]
    fn folds_need_customers_of_one_time() {
        let times = |count: usize| {
            let times = ["2025-12-01T00:00:00Z", "2025-09-01T00:00:00Z"].map(|time| Value::Text(time.to_owned()));
            ("cutoff_times", Value::List(times[..count].to_vec()))
        };
        let folds = || ("folds", Value::Number(5.0));
        let label = || ("label", Value::Text("left".to_owned()));
        assert!(parse(ModelKind::Churn, &[folds(), times(1)]).1.is_empty());
        assert_eq!(parse(ModelKind::Churn, &[folds(), times(2)]).1, ["folds"]);
        assert_eq!(parse(ModelKind::Churn, &[folds()]).1, ["folds"]);
        assert_eq!(parse(ModelKind::Churn, &[label(), times(1)]).1, ["label"]);
    }

    #[test]
    fn cut_offs_come_in_order() {
        let list = ["2025-12-01T00:00:00Z", "2025-09-01T00:00:00+02:00"].map(|time| Value::Text(time.to_owned()));
        let (parameters, faults) = parse(ModelKind::Churn, &[("cutoff_times", Value::List(list.to_vec()))]);
        assert!(faults.is_empty() && parameters.cutoffs[0] < parameters.cutoffs[1], "{faults:?}");
    }

    #[test]
    fn a_cut_off_named_twice_is_refused() {
        let twice = Value::List(vec![Value::Text("2025-12-01T00:00:00Z".into()); 2]);
        assert_eq!(parse(ModelKind::Churn, &[("cutoff_times", twice)]).1, ["cutoff_times"]);
    }
}
