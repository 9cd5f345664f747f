//! Which customers, cut-offs and outcomes churn is learned from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::features::View;
use crate::domain::payload::Payload;
use crate::domain::profile::{Profile, State};
use crate::domain::settings::{ChurnDefinition, ChurnKind};
use crate::domain::time::{Timestamp, days};

/// Days between two training cut-offs.
const CUTOFF_STEP: Duration = days(30);
/// Training cut-offs that are chosen where the caller names none.
const CUTOFFS: usize = 6;
/// Shortest history before a cut-off that is chosen.
const HISTORY: Duration = days(30);
/// Folds where a label is given and no number of them.
const LABEL_FOLDS: u64 = 5;

/// What a workspace holds, as far as a plan depends on it. One pass over the profiles fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Customers with any event.
    pub customers: u64,
    /// The first event of any customer.
    pub first_time: Option<Timestamp>,
    /// The last event of any customer.
    pub last_time: Option<Timestamp>,
    /// Whether anybody ever bought.
    pub has_purchases: bool,
}

impl Census {
    /// Counts one customer.
    pub fn add(&mut self, profile: &Profile) {
        let Some(all) = profile.state.activity.all else { return };
        self.customers += 1;
        self.first_time = Some(self.first_time.map_or(all.first, |first| first.min(all.first)));
        self.last_time = Some(self.last_time.map_or(all.last, |last| last.max(all.last)));
        self.has_purchases |= profile.state.purchases.count > 0;
    }
}

/// What a caller may choose for one training of churn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChurnParameters {
    /// Points in time to learn from; the latest is the test. Empty: chosen from the data.
    pub cutoff_times: Vec<Timestamp>,
    /// Takes the place of the workspace's horizon.
    pub horizon: Option<Duration>,
    /// No cut-off that is chosen is earlier: what was known before cannot be told any more.
    pub earliest: Timestamp,
    /// Where all randomness comes from.
    pub seed: u64,
    /// The trait that says of each customer whether they left, where events do not.
    pub label: Option<String>,
    /// Parts of the customers, each of which is told by models of the others. Needs a label or one cut-off; a label alone
    /// means five.
    pub folds: Option<u64>,
    /// The trait whose values say which customers belong together: they are never in different parts.
    pub group_by: Option<String>,
    /// Traits that are no features.
    pub excluded: Vec<String>,
}

impl Default for ChurnParameters {
    fn default() -> Self {
        Self {
            cutoff_times: Vec::new(),
            horizon: None,
            earliest: Timestamp::MIN,
            seed: 0,
            label: None,
            folds: None,
            group_by: None,
            excluded: Vec::new(),
        }
    }
}

/// What leaving means to a model. Two models with the same meaning can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meaning {
    /// Cancelled, or gone quiet.
    pub(super) kind: ChurnKind,
    /// How far ahead the outcome lies.
    pub(super) horizon: Duration,
    /// Events that show a customer is still here, never empty.
    pub(super) qualifying_events: Vec<String>,
    /// The trait that says who left; events say nothing about it then.
    pub(super) label: Option<String>,
}

impl Meaning {
    /// A customer as models of this meaning look at them. Training and serving both come through here.
    pub(super) fn view<'a>(&self, state: &'a State, now: Timestamp) -> View<'a> {
        let view = View::new(state, now, &self.qualifying_events);
        // Where a label is needed, events often have no dates of their own.
        if self.label.is_some() { view.in_whole_days() } else { view }
    }

    /// Whether the question of leaving makes sense for a customer: who never was active cannot go quiet, and who has no
    /// live subscription cannot cancel it. A label may be asked about of everybody who is known.
    pub(super) fn concerns(&self, state: &State, view: &View<'_>) -> bool {
        match (&self.label, self.kind) {
            (Some(_), _) => state.activity.all.is_some(),
            (None, ChurnKind::Inactivity) => view.active().is_some(),
            (None, ChurnKind::Contractual) => state.subscription.as_ref().is_some_and(|s| s.status.is_live()),
        }
    }
}

/// How what is learned is kept apart from what it is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Judged at a later cut-off.
    LaterWindow,
    /// Judged by a fifth of the customers.
    Fifth,
    /// Every part of the customers is judged by models of the others.
    Folds(u64),
}

/// A resolved definition of churn with the points in time to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChurnPlan {
    pub(super) meaning: Meaning,
    /// Ascending. Empty where the test cut-off is the only one.
    pub(super) training: Vec<Timestamp>,
    pub(super) test: Timestamp,
    /// Cut-offs that were asked for and end less than a horizon before the test.
    pub(super) dropped: Vec<Timestamp>,
    pub(super) split: Split,
    pub(super) group_by: Option<String>,
    /// Traits that are no features: the label, what groups, and what the caller leaves out.
    pub(super) excluded: Vec<String>,
    pub(super) seed: u64,
}

impl ChurnPlan {
    /// Resolves the definition and chooses or checks the cut-offs.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] where the data do not reach over a cut-off and the horizon after it.
    pub fn new(definition: &ChurnDefinition, parameters: &ChurnParameters, census: &Census) -> Result<Self, Error> {
        let horizon = parameters.horizon.unwrap_or(definition.horizon);
        let (Some(first), Some(last)) = (census.first_time, census.last_time) else {
            return Err(Error::NotEnoughData("there are no events to learn from".to_owned()));
        };
        let mut asked = parameters.cutoff_times.clone();
        asked.sort_unstable();
        asked.dedup();
        let (test, training, dropped) = match (&parameters.label, asked.pop()) {
            // All that is known may be looked at: the outcome is no event.
            (Some(_), _) => (last, Vec::new(), Vec::new()),
            (None, Some(test)) => checked(test, asked, horizon, last)?,
            (None, None) => chosen(first.plus(HISTORY.max(horizon / 2)).max(parameters.earliest), last, horizon)?,
        };
        let split = match (parameters.folds.or(parameters.label.as_ref().map(|_| LABEL_FOLDS)), training.is_empty()) {
            (_, false) => Split::LaterWindow,
            (None, true) => Split::Fifth,
            (Some(folds), true) => Split::Folds(folds),
        };
        let qualifying_events = qualifying_events(definition, census);
        let meaning = Meaning { kind: definition.kind, horizon, qualifying_events, label: parameters.label.clone() };
        let group_by = parameters.group_by.clone();
        let excluded = [&parameters.label, &group_by].into_iter().flatten().chain(&parameters.excluded);
        let excluded = excluded.cloned().collect();
        Ok(Self { meaning, training, test, dropped, split, group_by, excluded, seed: parameters.seed })
    }

    /// All cut-offs, ascending; the last one is the test.
    pub(super) fn cutoffs(&self) -> impl Iterator<Item = Timestamp> {
        self.training.iter().copied().chain([self.test])
    }
}

/// The named events, else purchases where anybody bought, else all kinds.
fn qualifying_events(definition: &ChurnDefinition, census: &Census) -> Vec<String> {
    if !definition.qualifying_events.is_empty() {
        return definition.qualifying_events.clone();
    }
    let kinds: &[&str] = if census.has_purchases { &["purchase"] } else { &Payload::KINDS };
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

type Cutoffs = (Timestamp, Vec<Timestamp>, Vec<Timestamp>);

/// Splits the cut-offs that were asked for into those that end a horizon before the test and the others.
fn checked(test: Timestamp, earlier: Vec<Timestamp>, horizon: Duration, last: Timestamp) -> Result<Cutoffs, Error> {
    if test.plus(horizon) > last {
        return Err(Error::NotEnoughData(format!(
            "the outcome of the cut-off {} is known at {}, but the events end at {}",
            test.rfc3339(),
            test.plus(horizon).rfc3339(),
            last.rfc3339()
        )));
    }
    let asked = earlier.len();
    let (training, dropped): (Vec<_>, Vec<_>) = earlier.into_iter().partition(|time| time.plus(horizon) <= test);
    if asked > 0 && training.is_empty() {
        return Err(Error::NotEnoughData(format!(
            "none of {asked} cut-offs ends one horizon before the test cut-off {}",
            test.rfc3339()
        )));
    }
    Ok((test, training, dropped))
}

/// The latest test that the data allow, and training cut-offs every 30 days from one horizon before it, as far as
/// there is a history of half a horizon, at least 30 days, before them: from `earliest` on.
fn chosen(earliest: Timestamp, last: Timestamp, horizon: Duration) -> Result<Cutoffs, Error> {
    let test = last.minus(horizon);
    if test < earliest {
        return Err(Error::NotEnoughData(format!(
            "the first cut-off with a history before it would be {}, and with a horizon of {:.0} days the events must \
             reach to {}; they end at {}",
            earliest.rfc3339(),
            horizon.as_secs_f64() / 86_400.0,
            earliest.plus(horizon).rfc3339(),
            last.rfc3339()
        )));
    }
    let steps = std::iter::successors(Some(test.minus(horizon)), |time| Some(time.minus(CUTOFF_STEP)));
    let mut training: Vec<_> = steps.take(CUTOFFS).take_while(|time| *time >= earliest).collect();
    training.reverse();
    Ok((test, training, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000)
    }

    fn census(last: i64) -> Census {
        Census { customers: 9, first_time: Some(day(0)), last_time: Some(day(last)), has_purchases: true }
    }

    fn plan(cutoffs: &[i64], last: i64) -> Result<ChurnPlan, Error> {
        let cutoff_times = cutoffs.iter().map(|at| day(*at)).collect();
        let parameters = ChurnParameters { cutoff_times, ..Default::default() };
        ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census(last))
    }

    #[test]
    fn training_cutoffs_end_one_horizon_before_the_test_and_leave_a_history() {
        let plan = plan(&[], 373).expect("long enough");
        assert_eq!(plan.test, day(283));
        assert_eq!(plan.training, [73, 103, 133, 163, 193].map(day));
        assert!(plan.training.iter().all(|time| time.plus(plan.meaning.horizon) <= plan.test));
    }

    #[test]
    fn a_short_history_leaves_a_single_cutoff_and_a_shorter_one_none() {
        let plan_of_one = plan(&[], 200).expect("one cut-off");
        assert_eq!(plan_of_one.split, Split::Fifth);
        assert!(matches!(plan(&[], 130), Err(Error::NotEnoughData(_))));
    }

    #[test]
    fn cutoffs_that_are_asked_for_are_sorted_and_those_too_late_are_dropped() {
        let plan = plan(&[200, 110, 50, 150, 50], 300).expect("fits");
        assert_eq!((plan.test, plan.training, plan.dropped), (day(200), vec![day(50), day(110)], vec![day(150)]));
    }

    #[test]
    fn cutoffs_without_an_outcome_or_without_an_earlier_window_are_refused() {
        assert!(matches!(plan(&[250], 300), Err(Error::NotEnoughData(_))));
        assert!(matches!(plan(&[150, 200], 300), Err(Error::NotEnoughData(_))));
        assert_eq!(plan(&[200], 300).expect("one").split, Split::Fifth);
    }

    #[test]
    fn a_label_has_one_cut_off_that_knows_everything_and_folds() {
        let parameters = ChurnParameters {
            label: Some("left".to_owned()),
            group_by: Some("household".to_owned()),
            excluded: vec!["reason".to_owned()],
            ..Default::default()
        };
        let plan = |parameters: &ChurnParameters| {
            ChurnPlan::new(&ChurnDefinition::default(), parameters, &census(1)).expect("a label needs no history")
        };
        let found = plan(&parameters);
        assert_eq!((found.test, found.training.len(), found.split), (day(1), 0, Split::Folds(LABEL_FOLDS)));
        assert_eq!(found.excluded, ["left", "household", "reason"]);
        assert_eq!(plan(&ChurnParameters { folds: Some(3), ..parameters }).split, Split::Folds(3));
    }

    #[test]
    fn what_qualifies_is_what_was_named_else_purchases_else_everything() {
        let mut census = census(300);
        let mut definition = ChurnDefinition::default();
        assert_eq!(qualifying_events(&definition, &census), ["purchase"]);
        census.has_purchases = false;
        assert_eq!(qualifying_events(&definition, &census), Payload::KINDS);
        definition.qualifying_events = vec!["track:login".to_owned()];
        assert_eq!(qualifying_events(&definition, &census), ["track:login"]);
    }
}
