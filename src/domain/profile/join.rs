//! Two histories of one customer whose events are not kept any more, as one state.
//!
//! Where events are there, histories are joined by folding the events of both in their order, which is exact. A join is
//! what is left where they are not: it adds up what can be added, takes the later of what only the latest counts, and
//! is near the truth elsewhere. The same states give the same join in whatever order and in whatever groups they come,
//! so that a replay, and every server, comes to the same bytes. What is near and not exact:
//!
//! - Traits: a statement that one history has cleared is back where the other one has made it too, and of two "once"
//!   statements the later one holds.
//! - Gaps between purchases: those within each history are summed. A gap from the one history to the other is missing,
//!   and one that a purchase of the other history has cut is still there as a whole.
//! - The first currency: where the histories began with different ones, the first by its code.
//! - Episodes: one that both histories tell of by the same case counts twice.
//! - Names, currencies and episodes beyond what a profile keeps apart: which ones stay apart is chosen from both.
//! - The subscription: the one that entered its status later holds, with the changes of both.

use litemap::LiteMap;

use super::State;

/// Sums are rounded to this share of one, so that they are the same in whatever order they are made.
const STEPS: f64 = (1_u32 << 20) as f64;

impl State {
    /// Takes over what another history of the customer adds up to.
    pub fn join(&mut self, other: Self) {
        self.last = self.last.take().max(other.last);
        self.activity.join(other.activity);
        super::traits::join(&mut self.traits, other.traits);
        either(&mut self.purchases, other.purchases, super::purchases::Purchases::join);
        either(&mut self.support, other.support, super::support::Support::join);
        self.surveys.join(other.surveys);
        both(&mut self.subscription, other.subscription, super::subscription::Subscription::join);
        self.days.join(&other.days);
    }
}

/// Joins what is there on both sides; beside nothing, something stays what it is to the last bit.
fn either<T: Default + PartialEq>(own: &mut T, other: T, join: impl FnOnce(&mut T, T)) {
    if *own == T::default() {
        *own = other;
    } else if other != T::default() {
        join(own, other);
    }
}

/// The same for what may be missing.
pub(super) fn both<T>(own: &mut Option<T>, other: Option<T>, join: impl FnOnce(&mut T, T)) {
    match (own.as_mut(), other) {
        (Some(own), Some(other)) => join(own, other),
        (None, other) => *own = other,
        (Some(_), None) => {}
    }
}

/// Adds figures that are no whole numbers. Multiples of a power of two are added exactly, up to billions, and so in any
/// order.
pub(super) fn sum(one: f64, other: f64) -> f64 {
    let round = |figure: f64| (figure * STEPS).round() / STEPS;
    round(one) + round(other)
}

/// Joins what is counted by name. Of more names than are kept apart the first ones stay, and the rest goes to `rest`:
/// a name that stays in the end was among the first of every part, so that the order of joining does not matter.
pub(super) fn by_name<K: Ord + Clone, V>(
    own: &mut LiteMap<K, V>,
    other: LiteMap<K, V>,
    (limit, rest): (usize, &K),
    join: impl Fn(&mut V, V),
) {
    let put = |own: &mut LiteMap<K, V>, name: K, value: V| match own.get_mut(&name) {
        Some(known) => join(known, value),
        None => drop(own.insert(name, value)),
    };
    for (name, value) in other {
        put(own, name, value);
    }
    while own.len() - usize::from(own.contains_key(rest)) > limit {
        let last = own.keys().rev().find(|name| *name != rest).cloned();
        let Some(value) = last.and_then(|last| own.remove(&last)) else { return };
        put(own, rest.clone(), value);
    }
}
