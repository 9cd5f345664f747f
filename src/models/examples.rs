//! Point-in-time examples: what was known about a customer at a cut-off, and what became of them.

use super::customer_key::CustomerKey;
use super::features::{self, Values};
use super::plan::Split;
pub use super::plan::{Census, ChurnParameters, ChurnPlan};
use super::traits::{self, Stated, Words};
use crate::domain::event::Event;
use crate::domain::fold::fold;
use crate::domain::history::{Base, Whole};
use crate::domain::payload::{Payload, SubscriptionStatus};
use crate::domain::profile::State;
use crate::domain::settings::{ChurnKind, is_qualifying};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// Examples that are kept. Beyond them every second customer, chosen by hash, is given up, so that the memory of a
/// training is bounded and the rest is still a fair sample.
const ROWS_MAX: usize = 200_000;
/// Traits that are kept of all examples together, likewise.
const TRAITS_MAX: usize = 8_000_000;
/// With a single cut-off one customer in so many is the test.
const TEST_PARTS: u64 = 5;

/// The examples of one training.
#[derive(Debug, Clone)]
pub struct ChurnExamples {
    pub(super) plan: ChurnPlan,
    pub(super) rows: Vec<Example>,
    /// What the traits of the rows are made of.
    pub(super) words: Words,
    /// Traits of all rows.
    traits: usize,
    /// Customers whose hash ends in so many zero bits are kept.
    kept_bits: u32,
    rows_max: usize,
}

/// A customer at a cut-off.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    /// Stands for the customer: equal for all examples of one, and otherwise as good as random.
    pub(super) customer: u64,
    /// Equal for all who belong together, and otherwise as good as random; of most customers, their own number.
    pub(super) group: u64,
    /// Whether the example is for testing.
    pub(super) is_test: bool,
    /// Whether the customer left within the horizon after the cut-off.
    pub(super) left: bool,
    /// Days since the last qualifying event, the baseline that every model must beat.
    pub(super) recency_days: f64,
    /// What was known at the cut-off.
    pub(super) values: Values,
    /// What sources said about the customer until then.
    pub(super) stated: Vec<Stated>,
}

impl ChurnExamples {
    /// No examples yet.
    pub fn new(plan: ChurnPlan) -> Self {
        Self { plan, rows: Vec::new(), words: Words::default(), traits: 0, kept_bits: 0, rows_max: ROWS_MAX }
    }

    /// Adds a customer by their whole timeline, in canonical order.
    pub fn add(&mut self, customer: impl Into<CustomerKey>, timeline: &[Event]) {
        self.add_since(customer.into(), None, timeline);
    }

    /// Adds a customer of whose events some may have expired. At a cut-off before that there is no example.
    pub fn add_history(&mut self, customer: impl Into<CustomerKey>, history: &Whole) {
        self.add_since(customer.into(), history.base.as_ref(), &history.events);
    }

    /// One progressive fold gives the examples of all cut-offs; it never sees an event after the cut-off that it stands
    /// at.
    fn add_since(&mut self, customer: CustomerKey, base: Option<&Base>, timeline: &[Event]) {
        let hash = customer.seeded(self.plan.seed);
        if !self.keeps(hash) {
            return;
        }
        let mut state = base.map(|base| base.state.clone()).unwrap_or_default();
        let mut past = 0;
        let cutoffs = self.plan.cutoffs().filter(|cutoff| base.is_none_or(|base| base.before <= *cutoff));
        for cutoff in cutoffs.collect::<Vec<_>>() {
            let known = past + timeline[past..].partition_point(|event| event.times.event <= cutoff);
            for event in &timeline[past..known] {
                fold(&mut state, event);
            }
            past = known;
            let example = self.example(hash, cutoff, &state, &timeline[past..]);
            self.traits += example.as_ref().map_or(0, |example| example.stated.len());
            self.rows.extend(example);
        }
        self.thin_out();
    }

    /// The example of a customer at a cut-off, unless they have no part in the question.
    fn example(&mut self, customer: u64, cutoff: Timestamp, state: &State, future: &[Event]) -> Option<Example> {
        let meaning = &self.plan.meaning;
        let view = meaning.view(state, cutoff);
        if !meaning.concerns(state, &view) {
            return None;
        }
        let end = cutoff.plus(meaning.horizon);
        let mut window = future.iter().take_while(|event| event.times.event <= end);
        let left = match (&meaning.label, meaning.kind) {
            (Some(label), _) => stated_label(&state.traits.get(label)?.value)?,
            (None, ChurnKind::Inactivity) => {
                !window.any(|event| is_qualifying(&event.payload, &meaning.qualifying_events))
            }
            (None, ChurnKind::Contractual) => window.any(|event| ends_subscription(&event.payload)),
        };
        let last = view.active().or(state.activity.all).map(|tally| tally.last)?;
        let group = self.plan.group_by.as_ref().and_then(|key| state.traits.get(key));
        let group = group.map_or(customer, |group| CustomerKey::of_group(&group.value).seeded(self.plan.seed));
        Some(Example {
            customer,
            group,
            is_test: match self.plan.split {
                Split::LaterWindow => cutoff == self.plan.test,
                Split::Fifth => (group >> 32).is_multiple_of(TEST_PARTS),
                Split::Folds(_) => false,
            },
            left,
            recency_days: cutoff.days_since(last).max(0.0),
            values: features::extract(&view),
            stated: self.words.keep(traits::cells(view.traits())),
        })
    }

    fn keeps(&self, customer: u64) -> bool {
        customer.trailing_zeros() >= self.kept_bits
    }

    fn thin_out(&mut self) {
        while self.rows.len() > self.rows_max || self.traits > TRAITS_MAX {
            self.kept_bits += 1;
            let bits = self.kept_bits;
            self.rows.retain(|row| row.customer.trailing_zeros() >= bits);
            let mut words = Words::default();
            for row in &mut self.rows {
                row.stated = self.words.moved(&row.stated, &mut words);
            }
            self.words = words;
            self.traits = self.rows.iter().map(|row| row.stated.len()).sum();
        }
    }

    /// The examples in an order that does not depend on the order in which customers came.
    pub(super) fn sorted(&self) -> Vec<&Example> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        // Stable, so that the cut-offs of one customer keep their order.
        rows.sort_by_key(|row| row.customer);
        rows
    }

    /// Those that a model is judged by.
    pub(super) fn judges(&self) -> impl Iterator<Item = &Example> {
        let is_anybody = matches!(self.plan.split, Split::Folds(_));
        self.rows.iter().filter(move |row| row.is_test || is_anybody)
    }

    /// The share of customers that is kept, 1 for all.
    pub(super) fn kept_share(&self) -> f64 {
        0.5f64.powi(self.kept_bits.min(64) as i32)
    }
}

/// Whether a trait says that the customer left: true or false, or 1 or 0. Anything else says nothing.
fn stated_label(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(left) => Some(*left),
        Value::Number(1.0) => Some(true),
        Value::Number(0.0) => Some(false),
        _ => None,
    }
}

fn ends_subscription(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::SubscriptionChange(change)
            if matches!(change.status, SubscriptionStatus::Cancelled | SubscriptionStatus::Lapsed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold::refold;
    use crate::domain::payload::ContactKind;
    use crate::domain::settings::ChurnDefinition;
    use crate::domain::time::days;
    use crate::models::features::View;
    use crate::models::fixture::{contact, day, id, identify, purchase, refund, shop, subscription};

    /// Cut-offs at day 100 and 200 with a horizon of 90 days.
    fn plan(kind: ChurnKind) -> ChurnPlan {
        let census =
            Census { customers: 1, first_time: Some(day(0.0)), last_time: Some(day(400.0)), has_purchases: true };
        let definition = ChurnDefinition { kind, horizon: days(90), qualifying_events: Vec::new() };
        let cutoff_times = vec![day(100.0), day(200.0)];
        let parameters = ChurnParameters { cutoff_times, seed: 1, ..Default::default() };
        ChurnPlan::new(&definition, &parameters, &census).expect("fits")
    }

    /// Everything that customers state, told by the trait `left`; `home` says who belongs together.
    fn labelled(customers: &[&[Event]]) -> ChurnExamples {
        let census =
            Census { customers: 1, first_time: Some(day(0.0)), last_time: Some(day(400.0)), has_purchases: true };
        let [label, group_by] = ["left", "home"].map(|key| Some(key.to_owned()));
        let parameters = ChurnParameters { label, group_by, seed: 1, ..Default::default() };
        let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census).expect("fits");
        let mut examples = ChurnExamples::new(plan);
        (1..).zip(customers).for_each(|(number, timeline)| examples.add(id(number), timeline));
        examples
    }

    fn rows(kind: ChurnKind, timeline: &[Event]) -> Vec<Example> {
        let mut examples = ChurnExamples::new(plan(kind));
        examples.add(id(1), timeline);
        examples.rows
    }

    #[test]
    fn no_event_after_the_cutoff_leaks_into_the_features() {
        let known = [purchase(10.0, 5.0), purchase(90.0, 5.0)];
        let mut planted = known.to_vec();
        // Everything here would show in some feature.
        planted.extend([
            contact(100.000_001, "phone", ContactKind::Escalated),
            refund(101.0, 5.0),
            subscription(102.0, SubscriptionStatus::Cancelled),
            purchase(103.0, 1e6),
            identify(104.0, &[("closed_because", Value::Text("moved".to_owned()))]),
        ]);
        let (before, after) = (rows(ChurnKind::Inactivity, &known), rows(ChurnKind::Inactivity, &planted));
        assert_eq!((&before[0].values, &before[0].stated), (&after[0].values, &after[0].stated));
        assert_eq!((after[0].stated.len(), after[1].stated.len()), (0, 1));
        assert_eq!((before[0].left, after[0].left), (true, false));
        assert_ne!(before[1].values, after[1].values, "at the next cut-off they are known");
    }

    #[test]
    fn the_outcome_looks_at_the_time_after_the_cutoff_up_to_and_with_the_horizon() {
        let left = |at| rows(ChurnKind::Inactivity, &[purchase(50.0, 1.0), purchase(at, 1.0)])[0].left;
        assert!(left(100.0), "an event at the cut-off is the past");
        assert!(!left(100.000_001));
        assert!(!left(190.0));
        assert!(left(190.000_001));
    }

    #[test]
    fn a_trait_is_known_as_it_was_at_the_cutoff() {
        let plan = |at, plan: &str| identify(at, &[("plan", Value::Text(plan.to_owned()))]);
        let timeline = [purchase(1.0, 5.0), plan(50.0, "basic"), plan(150.0, "pro"), plan(250.0, "gone")];
        let mut examples = ChurnExamples::new(super::tests::plan(ChurnKind::Inactivity));
        examples.add(id(1), &timeline);
        let known = |row: usize| examples.words.cells(&examples.rows[row].stated).collect::<Vec<_>>();
        assert_eq!([known(0), known(1)], ["basic", "pro"].map(|text| vec![("plan", traits::Cell::Text(text))]));
    }

    #[test]
    fn a_label_is_what_the_trait_says_and_who_states_none_is_no_example() {
        let customer = |value: Value| [purchase(1.0, 5.0), identify(2.0, &[("left", value)])];
        let stated = [
            customer(Value::Bool(true)),
            customer(Value::Number(0.0)),
            customer(Value::Number(1.0)),
            customer(Value::Text("yes".to_owned())),
            customer(Value::Number(2.0)),
            customer(Value::List(Vec::new())),
        ];
        let nothing = [purchase(1.0, 5.0)];
        let customers: Vec<&[Event]> = stated.iter().map(<[_; _]>::as_slice).chain([&nothing[..]]).collect();
        let left: Vec<bool> = labelled(&customers).rows.iter().map(|row| row.left).collect();
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn who_belongs_together_has_one_group_and_everybody_else_their_own() {
        let home = |home: Value| [identify(2.0, &[("left", Value::Bool(true)), ("home", home)])];
        let customers = ["a", "b", "a"].map(|text| home(Value::Text(text.to_owned())));
        let alone = [identify(2.0, &[("left", Value::Bool(false))])];
        let rows = labelled(&[&customers[0], &customers[1], &customers[2], &alone]).rows;
        let groups: Vec<u64> = rows.iter().map(|row| row.group).collect();
        assert!(groups[0] == groups[2] && groups[0] != groups[1] && groups[3] == rows[3].customer, "{groups:?}");
    }

    #[test]
    fn what_has_no_dates_says_nothing_by_the_order_in_which_it_came() {
        let customer = |at| [purchase(at, 5.0), identify(at + 0.001, &[("left", Value::Bool(true))])];
        let rows = labelled(&[&customer(399.5), &customer(399.9)]).rows;
        assert_eq!(rows[0].values, rows[1].values);
    }

    #[test]
    fn a_refund_is_no_sign_of_life_and_who_never_bought_cannot_go_quiet() {
        assert!(rows(ChurnKind::Inactivity, &[purchase(50.0, 1.0), refund(110.0, 1.0)])[0].left);
        assert!(rows(ChurnKind::Inactivity, &[contact(50.0, "chat", ContactKind::Opened)]).is_empty());
    }

    #[test]
    fn a_contract_is_lost_when_it_is_cancelled_or_lapses_while_it_was_live() {
        let of = |status| {
            let timeline = [subscription(10.0, SubscriptionStatus::Trial), subscription(150.0, status)];
            rows(ChurnKind::Contractual, &timeline).iter().map(|row| row.left).collect::<Vec<_>>()
        };
        assert_eq!(of(SubscriptionStatus::Cancelled), [true], "at day 200 there is nothing to lose");
        assert_eq!(of(SubscriptionStatus::Lapsed), [true]);
        assert_eq!(of(SubscriptionStatus::PastDue), [false, false]);
        assert!(rows(ChurnKind::Contractual, &[purchase(1.0, 1.0)]).is_empty());
    }

    #[test]
    fn one_progressive_fold_sees_what_a_fold_up_to_each_cutoff_sees() {
        for (customer, timeline) in shop(50, 4) {
            let mut examples = ChurnExamples::new(plan(ChurnKind::Inactivity));
            examples.add(customer, &timeline);
            let mut found = examples.rows.iter();
            for cutoff in [day(100.0), day(200.0)] {
                let known: Vec<_> = timeline.iter().filter(|event| event.times.event <= cutoff).collect();
                if known.is_empty() {
                    continue;
                }
                let state = refold(known);
                let view = View::new(&state, cutoff, &["purchase".to_owned()]);
                assert_eq!(found.next().map(|row| row.values), Some(features::extract(&view)));
            }
        }
    }

    #[test]
    fn beyond_the_bound_a_fair_part_of_the_customers_is_kept_whole() {
        let mut examples = ChurnExamples { rows_max: 200, ..ChurnExamples::new(plan(ChurnKind::Inactivity)) };
        for number in 0..1_000 {
            examples.add(id(number), &[purchase(1.0, 1.0)]);
        }
        assert!((90..=200).contains(&examples.rows.len()), "{}", examples.rows.len());
        assert_eq!(examples.kept_share(), 0.5f64.powi(examples.kept_bits as i32));
        let kept = examples.sorted();
        assert!(kept.chunks(2).all(|pair| pair[0].customer == pair[1].customer && pair[1].is_test));
    }
}
