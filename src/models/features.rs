//! Features: what models know about a customer, as a pure function of the state and `now`.
//!
//! Training and serving go through the same table, so they cannot differ. Windows and ages are evaluated at `now`:
//! a feature changes with time although nothing is written.

use super::schema::Shape;
use crate::domain::buckets::Counts;
use crate::domain::money::Currency;
use crate::domain::payload::SubscriptionStatus;
use crate::domain::profile::State;
use crate::domain::profile::activity::Tally;
use crate::domain::profile::purchases::Totals;
use crate::domain::profile::surveys::Scores;
use crate::domain::profile::traits::Traits;
use crate::domain::reading::Reading;
use crate::domain::time::Timestamp;

/// One thing that models know about a customer.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// The name for programs, stored in models: it never changes its meaning.
    pub name: &'static str,
    /// The name for people.
    pub display_name: &'static str,
    /// What the value counts.
    pub unit: Unit,
    extract: fn(&View<'_>) -> Option<f64>,
}

/// What a value counts, which also says how models look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Days with their fraction.
    Days,
    /// Hours with their fraction.
    Hours,
    /// Money in the customer's first currency.
    Money,
    /// How many times as much.
    Ratio,
    /// A part of a whole, 0 to 1.
    Share,
    /// A difference of two counts.
    Change,
    /// An answer on a survey's scale.
    Score,
    /// 1 for yes, 0 for no.
    Flag,
}

/// A customer at a point in time, as features look at them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    state: &'a State,
    now: Timestamp,
    active: Option<Tally>,
    whole_days: bool,
    /// The money in the customer's first currency.
    money: Totals,
    /// What happened within each of [`WINDOWS`].
    windows: [Counts; WINDOWS.len()],
}

/// Days up to now that features look at, ascending.
const WINDOWS: [i32; 5] = [30, 60, 90, 180, 365];

/// The values of all [`FEATURES`], in their order and units; `None` where the customer has no such value.
pub type Values = [Option<f64>; FEATURES.len()];

/// All features. Where two of them are the same thing for a workspace, training keeps the one that comes first.
pub const FEATURES: &[Feature] = &[
    // Purchases.
    feature("purchase_recency_days", "Days since last purchase", Unit::Days, |v| v.age(v.state.purchases.last)),
    feature("purchases", "Purchases so far", Unit::Count, |v| Some(v.state.purchases.count as f64)),
    feature("purchase_tenure_days", "Days since first purchase", Unit::Days, |v| v.age(v.state.purchases.first)),
    feature("purchase_gap_days", "Usual days between purchases", Unit::Days, |v| Some(v.purchase_gap()?.0)),
    feature("purchase_irregularity", "Irregularity of purchases", Unit::Ratio, |v| v.purchase_irregularity()),
    feature("purchase_lateness", "Wait since last purchase against the usual gap", Unit::Ratio, |v| {
        Some(v.age(v.state.purchases.last)? / v.purchase_gap()?.0)
    }),
    feature("purchases_30d", "Purchases in the last 30 days", Unit::Count, |v| Some(v.purchases_within(30))),
    feature("purchases_90d", "Purchases in the last 90 days", Unit::Count, |v| Some(v.purchases_within(90))),
    feature("purchases_365d", "Purchases in the last 365 days", Unit::Count, |v| Some(v.purchases_within(365))),
    feature("purchases_change_90d", "Purchases of the last 90 days less those of the 90 before", Unit::Change, |v| {
        Some(2.0 * v.purchases_within(90) - v.purchases_within(180))
    }),
    feature("net_revenue", "Net spend so far", Unit::Money, |v| Some(v.net_revenue())),
    feature("net_revenue_90d", "Net spend in the last 90 days", Unit::Money, |v| Some(v.within(90).revenue.as_units())),
    feature("order_value", "Average order value", Unit::Money, |v| v.order_value()),
    feature("last_order_value", "Value of the last purchase", Unit::Money, |v| {
        v.money.last.map(|_| v.money.last_amount.as_units())
    }),
    feature("items_per_purchase", "Items per purchase", Unit::Count, |v| {
        ratio(v.state.purchases.items, v.state.purchases.count as f64)
    }),
    feature("refund_share", "Share of refunds", Unit::Share, |v| {
        let refunds = v.state.purchases.refunds as f64;
        ratio(refunds, refunds + v.state.purchases.count as f64)
    }),
    // The events that show a customer is still here.
    feature("active_recency_days", "Days since last sign of life that counts", Unit::Days, |v| {
        v.age(Some(v.active?.last))
    }),
    feature("active_count", "Signs of life that count", Unit::Count, |v| Some(v.active.map_or(0, |t| t.events) as f64)),
    feature("active_tenure_days", "Days since first sign of life that counts", Unit::Days, |v| {
        v.age(Some(v.active?.first))
    }),
    feature("active_lateness", "Wait since last sign of life against the usual gap", Unit::Ratio, |v| {
        v.active_lateness()
    }),
    // All events.
    feature("event_recency_days", "Days since any activity", Unit::Days, |v| v.age(Some(v.all()?.last))),
    feature("events", "Activities so far", Unit::Count, |v| Some(v.state.activity.events() as f64)),
    feature("tenure_days", "Days since first seen", Unit::Days, |v| v.age(Some(v.all()?.first))),
    feature("active_days", "Days with any activity", Unit::Count, |v| Some(v.state.days.active_days() as f64)),
    feature("events_30d", "Activities in the last 30 days", Unit::Count, |v| Some(v.events_within(30))),
    feature("events_90d", "Activities in the last 90 days", Unit::Count, |v| Some(v.events_within(90))),
    feature("events_change_30d", "Activities of the last 30 days less those of the 30 before", Unit::Change, |v| {
        Some(2.0 * v.events_within(30) - v.events_within(60))
    }),
    feature("channels", "Channels used", Unit::Count, |v| Some(v.state.activity.channels.len() as f64)),
    // Support.
    feature("support_contacts", "Contacts with support", Unit::Count, |v| Some(v.state.support.totals.contacts.into())),
    feature("support_steps_90d", "Support activity in the last 90 days", Unit::Count, |v| {
        Some(v.within(90).support.into())
    }),
    feature("support_recency_days", "Days since last contact with support", Unit::Days, |v| {
        v.age(v.state.support.last)
    }),
    feature("open_episodes", "Concerns without a solution", Unit::Count, |v| {
        Some(v.state.support.open_episodes() as f64)
    }),
    feature("repeat_contact_share", "Share of contacts that were repeats", Unit::Share, |v| {
        let signals = &v.state.support.totals;
        ratio(signals.repeat_contacts.into(), signals.contacts.into())
    }),
    feature("support_handovers", "Transfers, escalations and re-openings", Unit::Count, |v| {
        let signals = &v.state.support.totals;
        Some(f64::from(signals.transfers) + f64::from(signals.escalations) + f64::from(signals.reopens))
    }),
    feature("self_service_failures", "Failed self-service", Unit::Count, |v| {
        Some(v.state.support.totals.self_service_failures.into())
    }),
    feature("resolution_hours", "Average time to a solution", Unit::Hours, |v| {
        ratio(v.state.support.resolution_seconds / 3_600.0, v.state.support.resolved_episodes as f64)
    }),
    // Surveys.
    feature("nps_last", "Last recommendation score (0 to 10)", Unit::Score, |v| last(&v.state.surveys.nps)),
    feature("csat_last", "Last satisfaction score (1 to 5)", Unit::Score, |v| last(&v.state.surveys.csat)),
    feature("ces_last", "Last ease score (1 to 7)", Unit::Score, |v| last(&v.state.surveys.ces)),
    // Subscription.
    feature("subscription_tenure_days", "Days since first subscribed", Unit::Days, |v| {
        v.age(Some(v.state.subscription.as_ref()?.start))
    }),
    feature("subscription_status_days", "Days in the present subscription status", Unit::Days, |v| {
        v.age(Some(v.state.subscription.as_ref()?.since))
    }),
    feature("subscription_trial", "Trial subscription", Unit::Flag, |v| v.has_status(SubscriptionStatus::Trial)),
    feature("subscription_past_due", "Payment overdue", Unit::Flag, |v| v.has_status(SubscriptionStatus::PastDue)),
    feature("subscription_amount", "Subscription price per month", Unit::Money, |v| {
        Some(v.state.subscription.as_ref()?.monthly_amount.as_units())
    }),
    feature("subscription_changes", "Changes of the subscription", Unit::Count, |v| {
        Some(v.state.subscription.as_ref()?.changes as f64)
    }),
];

/// All features of a customer at a point in time.
pub fn extract(view: &View<'_>) -> Values {
    std::array::from_fn(|index| FEATURES[index].of(view))
}

/// The position of a feature in [`FEATURES`].
pub fn position(name: &str) -> Option<usize> {
    FEATURES.iter().position(|feature| feature.name == name)
}

impl Feature {
    /// The customer's value in the feature's unit; `None` where there is none. Never NaN or infinite.
    pub fn of(&self, view: &View<'_>) -> Option<f64> {
        (self.extract)(view).filter(|value| value.is_finite())
    }

    /// A value with its unit; `currency` is only named for money.
    pub fn reading(&self, value: Option<f64>, currency: &str) -> Reading {
        let Some(value) = value else { return Reading::Unknown };
        match self.unit {
            Unit::Count | Unit::Score => Reading::Amount(value),
            Unit::Days => Reading::Days(value),
            Unit::Hours => Reading::Hours(value),
            Unit::Money => Reading::Money(value, currency.into()),
            Unit::Ratio => Reading::Times(value),
            Unit::Share => Reading::Share(value),
            Unit::Change => Reading::Change(value),
            Unit::Flag => Reading::Flag(value > 0.5),
        }
    }
}

impl Unit {
    /// The value as linear models and distances look at it: amounts that span orders of magnitude on a logarithmic scale,
    /// everything bounded as it is.
    pub fn shape(self, value: f64) -> f64 {
        self.shapes().iter().fold(value, |value, shape| shape.apply(value))
    }

    /// The one way in which they look at it.
    pub(super) fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Count | Self::Days | Self::Hours | Self::Money | Self::Ratio | Self::Change => &[Shape::Logarithmic],
            Self::Share | Self::Score | Self::Flag => &[Shape::Plain],
        }
    }
}

impl<'a> View<'a> {
    /// A customer at `now`; `qualifying_events` names the events that show they are still here.
    pub fn new(state: &'a State, now: Timestamp, qualifying_events: &[String]) -> Self {
        let windows = state.days.windows(now, WINDOWS);
        let money = state.purchases.main_totals(&Currency::default());
        Self { state, now, active: qualifying(state, qualifying_events), whole_days: false, money, windows }
    }

    /// The same customer with ages in whole days. Data without dates happen when they are imported: what lies between
    /// two of their events says in which order they came, and nothing about the customers.
    pub fn in_whole_days(self) -> Self {
        Self { whole_days: true, ..self }
    }

    /// What sources say about the customer.
    pub(super) fn traits(&self) -> &'a Traits {
        &self.state.traits
    }

    /// Qualifying events so far, with their first and last time.
    pub fn active(&self) -> Option<Tally> {
        self.active
    }

    /// The currency of the customer's money.
    pub fn currency(&self) -> &'a str {
        self.state.purchases.first_currency.as_str()
    }

    /// Days since a time; an event of this very moment, or one that a clock put ahead of us, is 0 days old.
    fn age(&self, time: Option<Timestamp>) -> Option<f64> {
        let age = self.now.days_since(time?).max(0.0);
        Some(if self.whole_days { age.floor() } else { age })
    }

    fn all(&self) -> Option<Tally> {
        self.state.activity.all
    }

    fn purchases_within(&self, days: i32) -> f64 {
        self.within(days).purchases.into()
    }

    fn events_within(&self, days: i32) -> f64 {
        self.within(days).events.into()
    }

    /// What happened within one of [`WINDOWS`].
    fn within(&self, days: i32) -> Counts {
        let window = WINDOWS.iter().position(|window| *window == days);
        window.map_or_else(|| self.state.days.window(self.now, days), |window| self.windows[window])
    }

    /// Mean and deviation of the gaps. A mean below a day says no more than a day: it is a divisor.
    fn purchase_gap(&self) -> Option<(f64, f64)> {
        self.state.purchases.gap_days().map(|(mean, deviation)| (mean.max(1.0), deviation))
    }

    fn purchase_irregularity(&self) -> Option<f64> {
        // Two purchases have one gap, and one gap has no spread.
        let (mean, deviation) = self.purchase_gap().filter(|_| self.state.purchases.count > 2)?;
        Some(deviation / mean)
    }

    fn net_revenue(&self) -> f64 {
        self.money.net().as_units()
    }

    fn order_value(&self) -> Option<f64> {
        ratio(self.net_revenue(), self.state.purchases.count as f64)
    }

    fn active_lateness(&self) -> Option<f64> {
        let active = self.active.filter(|active| active.events > 1)?;
        let gap = active.last.days_since(active.first) / (active.events - 1) as f64;
        Some(self.age(Some(active.last))? / gap.max(1.0))
    }

    fn has_status(&self, status: SubscriptionStatus) -> Option<f64> {
        self.state.subscription.as_ref().map(|subscription| f64::from(u8::from(subscription.status == status)))
    }
}

const fn feature(
    name: &'static str,
    display_name: &'static str,
    unit: Unit,
    extract: fn(&View<'_>) -> Option<f64>,
) -> Feature {
    Feature { name, display_name, unit, extract }
}

/// Qualifying events that a state has seen, with their first and last time; the counterpart of
/// [`crate::domain::settings::is_qualifying`] for folded events. Names beyond those that a profile counts apart
/// ([`crate::domain::limits::COUNTED_NAMES`]) are not seen.
fn qualifying(state: &State, names: &[String]) -> Option<Tally> {
    let activity = &state.activity;
    let all_tracks = names.iter().any(|name| name == "track");
    let tally = |name: &String| match name.strip_prefix("track:") {
        // Who counts all of them need not count one of them again.
        Some(_) if all_tracks => None,
        Some(name) => activity.names.get(name).copied(),
        None if name == "purchase" => purchases(state),
        None => activity.kinds.get(name.as_str()).copied(),
    };
    names.iter().filter_map(tally).reduce(|a, b| Tally {
        events: a.events + b.events,
        first: a.first.min(b.first),
        last: a.last.max(b.last),
    })
}

/// Purchases without refunds, which a tally by kind would count as well.
fn purchases(state: &State) -> Option<Tally> {
    let purchases = &state.purchases;
    Some(Tally { events: purchases.count, first: purchases.first?, last: purchases.last? })
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn last(scores: &Option<Scores>) -> Option<f64> {
    scores.map(|scores| scores.last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold::fold;
    use crate::domain::payload::ContactKind;
    use crate::domain::settings::is_qualifying;
    use crate::models::fixture::{contact, day, purchase, refund, state, track};

    fn value(name: &str, state: &State, now: f64) -> Option<f64> {
        let view = View::new(state, day(now), &["purchase".to_owned()]);
        extract(&view)[position(name).expect("a feature")]
    }

    #[test]
    fn names_are_unique_lower_snake_words() {
        for (index, feature) in FEATURES.iter().enumerate() {
            assert_eq!(position(feature.name), Some(index), "{}", feature.name);
            assert!(feature.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        }
    }

    #[test]
    fn purchases_give_recency_gaps_and_windows_by_hand() {
        let state = state(&[purchase(0.0, 10.0), purchase(10.0, 20.0), purchase(30.0, 30.0), refund(40.0, 15.0)]);
        for (name, expected) in [
            ("purchase_recency_days", 30.0),
            ("purchases", 3.0),
            ("purchase_tenure_days", 60.0),
            ("purchase_gap_days", 15.0),
            ("purchase_irregularity", 5.0 / 15.0),
            ("purchase_lateness", 2.0),
            ("purchases_30d", 0.0),
            ("purchases_90d", 3.0),
            ("net_revenue", 45.0),
            ("order_value", 15.0),
            ("last_order_value", 30.0),
            ("refund_share", 0.25),
            ("active_recency_days", 30.0),
            ("event_recency_days", 20.0),
            ("channels", 1.0),
        ] {
            let found = value(name, &state, 60.0).expect("known");
            assert!((found - expected).abs() < 1e-9, "{name} is {found}, not {expected}");
        }
    }

    #[test]
    fn the_same_state_ages_although_nothing_is_written() {
        let state = state(&[purchase(0.0, 10.0)]);
        assert_eq!(value("purchases_30d", &state, 29.0), Some(1.0));
        assert_eq!(value("purchases_30d", &state, 30.0), Some(0.0));
        assert!(value("purchase_recency_days", &state, 31.0) > value("purchase_recency_days", &state, 30.0));
    }

    #[test]
    fn an_unknown_customer_and_a_clock_that_is_behind_give_no_strange_numbers() {
        for state in [State::default(), state(&[purchase(50.0, 0.0)]), state(&[refund(50.0, 5.0)])] {
            for found in extract(&View::new(&state, day(0.0), &[])).into_iter().flatten() {
                assert!(found.is_finite());
            }
        }
        assert_eq!(value("purchase_recency_days", &state(&[purchase(50.0, 1.0)]), 0.0), Some(0.0));
    }

    #[test]
    fn what_qualifies_in_a_state_is_what_qualifies_event_by_event() {
        let timeline = [
            track(1.0, "login"),
            purchase(2.0, 5.0),
            contact(3.0, "chat", ContactKind::Opened),
            track(4.0, "search"),
            refund(5.0, 5.0),
        ];
        for names in [&["purchase"][..], &["track"], &["track:login"], &["track", "track:login"], &["support_contact"]]
        {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut state = State::default();
            timeline.iter().for_each(|event| fold(&mut state, event));
            let expected: Vec<_> = timeline.iter().filter(|event| is_qualifying(&event.payload, &names)).collect();
            let found = qualifying(&state, &names).expect("one of them");
            assert_eq!(found.events, expected.len() as u64, "{names:?}");
            assert_eq!(Some(found.last), expected.last().map(|event| event.times.event), "{names:?}");
        }
        assert_eq!(qualifying(&state(&[refund(1.0, 1.0)]), &["purchase".to_owned()]), None);
    }

    #[test]
    fn values_are_written_for_people() {
        let reading = |name: &str, value| FEATURES[position(name).expect("a feature")].reading(value, "EUR");
        let format = |name, value| reading(name, value).to_string();
        assert_eq!(format("purchase_recency_days", Some(41.3)), "41 days");
        assert_eq!(format("purchase_recency_days", Some(1.0)), "1 day");
        assert_eq!(format("net_revenue", Some(129.9)), "129.90 EUR");
        assert_eq!(format("refund_share", Some(0.125)), "12 %");
        assert_eq!(format("purchases_change_90d", Some(-2.0)), "-2");
        assert_eq!(format("nps_last", None), "unknown");
        assert_eq!(format("subscription_trial", Some(1.0)), "yes");
    }
}
