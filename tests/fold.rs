//! Folding is deterministic and does not depend on the order of arrival.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;
use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fact::{EventFact, Fact, MergeFact, MergedSource};
use rapport::domain::fold;
use rapport::domain::id::{MergeId, ProfileId};
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{
    ContactKind, Identify, Payload, Purchase, SubscriptionChange, SubscriptionStatus, SupportContact, SurveyKind,
    SurveyResponse, Track,
};
use rapport::domain::profile::Profile;
use rapport::domain::projection::{self, Before};
use rapport::domain::time::Timestamp;
use rapport::domain::value::{Map, Value};

/// A store of one profile's past, as far as a projection asks for it.
#[derive(Default)]
struct Past {
    profiles: HashMap<ProfileId, Profile>,
    timelines: HashMap<ProfileId, Vec<Event>>,
}

impl Before for Past {
    type Error = Infallible;

    fn profile(&self, id: ProfileId) -> Result<Option<Profile>, Infallible> {
        Ok(self.profiles.get(&id).cloned())
    }

    fn timeline(&self, id: ProfileId) -> Result<Vec<Event>, Infallible> {
        Ok(self.timelines.get(&id).cloned().unwrap_or_default())
    }
}

impl Past {
    /// Commits one batch of events of one profile.
    fn accept(&mut self, profile: ProfileId, batch: &[Event]) {
        let fact = |event: &Event| EventFact {
            creates: false,
            profile,
            part: profile,
            event: event.clone(),
            claims: vec![],
            released: vec![],
            authenticated: vec![],
            demoted: vec![],
        };
        let facts: Vec<Fact> = batch.iter().map(|event| Fact::Event(fact(event))).collect();
        self.apply(&facts);
        self.timelines.entry(profile).or_default().extend_from_slice(batch);
    }

    fn apply(&mut self, facts: &[Fact]) {
        let projection = projection::project(facts, at(0), self).unwrap_or_else(|never| match never {});
        self.profiles.extend(projection.profiles.into_iter().map(|profile| (profile.id, profile)));
    }

    fn state(&self, id: ProfileId) -> Vec<u8> {
        postcard::to_allocvec(&self.profiles[&id].state).expect("encodes")
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute * 60_000_000)
}

fn id(number: u8) -> ProfileId {
    ProfileId::from_bytes([number; 16])
}

fn payload() -> impl Strategy<Value = Payload> {
    let key = prop::sample::select(vec!["plan", "city", "seats"]);
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::Text(String::new())),
        (0..5_u8).prop_map(|n| Value::Text(n.to_string())),
        (0..5_u8).prop_map(|n| Value::Number(f64::from(n))),
    ];
    let traits = prop::collection::btree_map(key.prop_map(str::to_owned), value, 0..3);
    prop_oneof![
        (traits.clone(), traits).prop_map(|(traits, traits_once)| Payload::Identify(Identify { traits, traits_once })),
        (0..3_u8).prop_map(|n| Payload::Track(Track { name: format!("name {n}"), properties: Map::new() })),
        (0..10_000_u32, any::<bool>(), 0..3_usize).prop_map(|(cents, refund, currency)| {
            Payload::Purchase(Purchase {
                order_id: String::new(),
                revenue: Money::from_units(f64::from(cents) / 100.0).expect("small"),
                currency: Currency::parse(["EUR", "USD", ""][currency]).expect("a code"),
                items: vec![],
                refund,
            })
        }),
        (0..8_usize, 0..3_u8, 0..2_u8).prop_map(|(kind, case, topic)| {
            use ContactKind::{Closed, Escalated, Message, Opened, Reopened, Resolved, SelfServiceFailure, Transfer};
            let kinds = [Opened, Message, Transfer, Escalated, Resolved, Reopened, Closed, SelfServiceFailure];
            Payload::SupportContact(SupportContact {
                case_id: if case == 0 { String::new() } else { case.to_string() },
                topic: topic.to_string(),
                agent: String::new(),
                kind: kinds[kind],
                transfers: 0,
                resolved: false,
                reopened: false,
                wait_seconds: 30.5,
                handle_seconds: 0.1,
                text: String::new(),
            })
        }),
        (1..5_u8).prop_map(|score| Payload::SurveyResponse(SurveyResponse {
            kind: SurveyKind::Csat,
            score: f64::from(score),
            comment: String::new(),
            case_id: String::new(),
        })),
        any::<bool>().prop_map(|active| Payload::SubscriptionChange(SubscriptionChange {
            status: if active { SubscriptionStatus::Active } else { SubscriptionStatus::Cancelled },
            plan: "pro".to_owned(),
            monthly_amount: Money::ZERO,
            currency: Currency::default(),
        })),
    ]
}

/// Events with distinct keys over two months, several of them at the same minute.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let event =
        (payload(), 0..90_000_i64, 0..3_usize).prop_map(|(payload, minute, channel)| (payload, minute, channel));
    prop::collection::vec(event, 1..30).prop_map(|events| {
        let number = |(number, (payload, minute, channel)): (usize, (Payload, i64, usize))| Event {
            key: EventKey { source: "test".to_owned(), event_id: number.to_string() },
            identifiers: vec![],
            times: EventTimes {
                original: None,
                sent: None,
                received: at(0),
                event: at(minute / 7 * 7),
                clamped: false,
            },
            channel: ["", "web", "phone"][channel].to_owned(),
            source_priority: 0,
            touchpoint: String::new(),
            payload,
        };
        events.into_iter().enumerate().map(number).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_and_the_batches_of_arrival_do_not_matter(
        (events, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        batch in 1..8_usize,
    ) {
        let (mut one_by_one, mut in_batches) = (Past::default(), Past::default());
        events.iter().for_each(|event| one_by_one.accept(id(1), std::slice::from_ref(event)));
        shuffled.chunks(batch).for_each(|batch| in_batches.accept(id(1), batch));
        prop_assert_eq!(one_by_one.state(id(1)), in_batches.state(id(1)));
    }

    #[test]
    fn a_merged_profile_is_what_one_profile_would_have_become(events in events(), of_second in any::<u32>()) {
        let (mut apart, mut together) = (Past::default(), Past::default());
        for (position, event) in events.iter().enumerate() {
            let owner = if of_second >> (position % 32) & 1 == 1 { id(2) } else { id(1) };
            apart.accept(owner, std::slice::from_ref(event));
            together.accept(id(1), std::slice::from_ref(event));
        }
        let source = MergedSource { profile: id(2), part: id(2), to: id(1) };
        let merge = MergeFact { id: MergeId::from_bytes([0; 16]), survivor: id(1), sources: vec![source] };
        apart.apply(&[Fact::Merge(merge)]);
        prop_assert_eq!(apart.state(id(1)), together.state(id(1)));
    }

    #[test]
    fn a_state_is_the_refold_of_its_timeline(mut events in events()) {
        let mut past = Past::default();
        events.iter().for_each(|event| past.accept(id(1), std::slice::from_ref(event)));
        fold::sort(&mut events);
        prop_assert_eq!(&past.profiles[&id(1)].state, &fold::refold(&events));
    }
}
