//! Customers for the tests of this room.

use rand::Rng;

use super::sampling::{Purpose, generator};
use crate::domain::event::{Event, EventKey, EventTimes};
use crate::domain::fold::refold;
use crate::domain::id::ProfileId;
use crate::domain::identifier::Identifier;
use crate::domain::money::{Currency, Money};
use crate::domain::payload::{
    ContactKind, Identify, Payload, Purchase, SubscriptionChange, SubscriptionStatus, SupportContact, SurveyKind,
    SurveyResponse, Track,
};
use crate::domain::profile::{Profile, State};
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};
use crate::models::examples::{Census, ChurnExamples, ChurnPlan};

/// A customer with their timeline.
pub(super) type Customer = (ProfileId, Vec<Event>);

pub(super) fn day(day: f64) -> Timestamp {
    Timestamp::from_micros((day * 86_400e6) as i64)
}

pub(super) fn id(number: u128) -> ProfileId {
    ProfileId::from_bytes(number.to_be_bytes())
}

/// An event at a day; events of one test differ in their days.
pub(super) fn event(at: f64, channel: &str, payload: Payload) -> Event {
    Event {
        key: EventKey { source: "test".into(), event_id: format!("{at:012.6}").into() },
        identifiers: Vec::new(),
        times: EventTimes::resolve(Some(day(at)), None, day(at)),
        channel: channel.into(),
        source_priority: 0,
        touchpoint: Default::default(),
        payload,
    }
}

pub(super) fn purchase(at: f64, amount: f64) -> Event {
    event(at, "web", Payload::Purchase(order(amount)))
}

pub(super) fn refund(at: f64, amount: f64) -> Event {
    event(at, "web", Payload::Purchase(Purchase { refund: true, ..order(amount) }))
}

fn order(amount: f64) -> Purchase {
    Purchase {
        order_id: String::new(),
        revenue: Money::from_units(amount).expect("small"),
        currency: Currency::parse("EUR").expect("a code"),
        items: Vec::new(),
        refund: false,
    }
}

pub(super) fn identify(at: f64, traits: &[(&str, Value)]) -> Event {
    let traits = traits.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    event(at, "", Payload::Identify(Identify { traits, traits_once: Map::new() }))
}

pub(super) fn track(at: f64, name: &str) -> Event {
    event(at, "app", Payload::Track(Track { name: name.into(), properties: Map::new() }))
}

pub(super) fn contact(at: f64, channel: &str, kind: ContactKind) -> Event {
    let contact = SupportContact {
        case_id: String::new(),
        topic: "billing".to_owned(),
        agent: String::new(),
        kind,
        transfers: 0,
        resolved: false,
        reopened: false,
        wait_seconds: 0.0,
        handle_seconds: 0.0,
        text: String::new(),
    };
    event(at, channel, Payload::SupportContact(contact))
}

pub(super) fn survey(at: f64, kind: SurveyKind, score: f64) -> Event {
    let answer = SurveyResponse { kind, score, comment: String::new(), case_id: String::new() };
    event(at, "email", Payload::SurveyResponse(answer))
}

pub(super) fn subscription(at: f64, status: SubscriptionStatus) -> Event {
    let change = SubscriptionChange {
        status,
        plan: String::new(),
        monthly_amount: Money::from_units(9.0).expect("small"),
        currency: Currency::default(),
    };
    event(at, "web", Payload::SubscriptionChange(change))
}

/// A shop over 400 days: customers come, buy at their own pace, and at some day silently leave.
pub(super) fn shop(customers: u128, seed: u64) -> Vec<Customer> {
    let customer = |number: u128| {
        let mut random = generator(seed, Purpose::Rows, number as u64);
        let pace = 5.0 + 50.0 * random.r#gen::<f64>();
        let leaves = -200.0 * random.r#gen::<f64>().max(1e-9).ln();
        let mut at = 150.0 * random.r#gen::<f64>();
        let end = (at + leaves).min(400.0);
        let mut timeline = vec![purchase(at, 5.0 + 100.0 * random.r#gen::<f64>())];
        loop {
            at += 0.01 - pace * random.r#gen::<f64>().max(1e-9).ln();
            if at > end {
                return (id(number + 1), timeline);
            }
            timeline.push(purchase(at, 5.0 + 100.0 * random.r#gen::<f64>()));
        }
    };
    (0..customers).map(customer).collect()
}

pub(super) fn census(customers: &[Customer]) -> Census {
    let mut census = Census::default();
    for (id, timeline) in customers {
        let mut profile = Profile::new(*id, day(0.0));
        profile.state = state(timeline);
        census.add(&profile);
    }
    census
}

pub(super) fn state(timeline: &[Event]) -> State {
    refold(timeline)
}

pub(super) fn examples(plan: ChurnPlan, customers: &[Customer]) -> ChurnExamples {
    let mut examples = ChurnExamples::new(plan);
    for (id, timeline) in customers {
        examples.add(*id, timeline);
    }
    examples
}

/// The same customers as a server knows them that has drawn profile ids of its own.
pub(super) fn profiles(customers: &[Customer], first_id: u128) -> Vec<(Profile, &[Event])> {
    let profile = |(number, (_, timeline)): (usize, &'_ Customer)| {
        // Ids in another order than the customers.
        let mut profile = Profile::new(id(first_id + (number as u128 * 7_919) % 10_007), day(0.0));
        profile.claim(profile.id, Identifier::parse("user_id", &format!("customer-{number}")));
        profile.state = state(timeline);
        profile
    };
    let timelines = customers.iter().map(|(_, timeline)| timeline.as_slice());
    customers.iter().enumerate().map(profile).zip(timelines).collect()
}

/// A figure of a card, with an interval or without; NaN where it is none.
pub(super) fn value(card: &Map, key: &str) -> f64 {
    match &card[key] {
        Value::Map(figure) => match figure["value"] {
            Value::Number(number) => number,
            _ => f64::NAN,
        },
        Value::Number(number) => *number,
        _ => f64::NAN,
    }
}

/// A text of a card.
pub(super) fn text<'a>(card: &'a Map, key: &str) -> &'a str {
    let Some(Value::Text(text)) = card.get(key) else { panic!("no {key}") };
    text
}
