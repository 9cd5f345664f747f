//! How events become a state: one pure function, applied in canonical order.

use std::borrow::Borrow;

use super::event::Event;
use super::payload::Payload;
use super::profile::{State, subscription, traits};

/// Changes whenever the same events would give another state; a store that finds another version folds anew.
pub const FOLD_VERSION: u32 = 2;

/// Folds one event that orders after everything that `state` holds.
pub fn fold(state: &mut State, event: &Event) {
    let time = event.times.event;
    debug_assert!(
        state.last.as_ref().is_none_or(|last| last.place() < event.place()),
        "events fold in canonical order"
    );
    state.activity.fold(event);
    state.days.fold(event);
    match &event.payload {
        Payload::Identify(identify) => traits::fold(&mut state.traits, identify, &event.key.source, time),
        Payload::Purchase(purchase) => state.purchases.fold(purchase, time),
        Payload::SupportContact(contact) => state.support.fold(contact, &event.channel, time),
        Payload::SurveyResponse(answer) => state.surveys.fold(answer, time),
        Payload::SubscriptionChange(change) => subscription::fold(&mut state.subscription, change, time),
        Payload::Track(_) | Payload::PageView(_) => {}
    }
    state.last = Some(event.order());
}

/// Folds a whole timeline, which must be in canonical order.
pub fn refold<'a>(timeline: impl IntoIterator<Item = &'a Event>) -> State {
    let mut state = State::default();
    for event in timeline {
        fold(&mut state, event);
    }
    state
}

/// Brings events into canonical order.
pub fn sort<E: Borrow<Event>>(timeline: &mut [E]) {
    timeline.sort_by(|a, b| a.borrow().place().cmp(&b.borrow().place()));
}
