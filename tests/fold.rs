//! Folding is deterministic and does not depend on the order of arrival, nor on what of the history has expired.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;
use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fact::{EventFact, ExpireFact, Fact, MergeFact, MergedSource, UnmergeFact};
use rapport::domain::fold;
use rapport::domain::history::{History, Whole};
use rapport::domain::id::{MergeId, ProfileId};
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{
    ContactKind, Identify, Payload, Purchase, SubscriptionChange, SubscriptionStatus, SupportContact, SurveyKind,
    SurveyResponse, Track,
};
use rapport::domain::profile::{Profile, State};
use rapport::domain::projection::{self, Before};
use rapport::domain::time::Timestamp;
use rapport::domain::value::{Map, Value};

/// A store of one profile's past, as far as a projection asks for it.
#[derive(Default)]
struct Past {
    profiles: HashMap<ProfileId, Profile>,
    histories: HashMap<ProfileId, History>,
}

impl Before for Past {
    type Error = Infallible;

    fn profile(&mut self, id: ProfileId) -> Result<Option<Profile>, Infallible> {
        Ok(self.profiles.get(&id).cloned())
    }

    fn history(&self, part: ProfileId) -> Result<History, Infallible> {
        Ok(self.histories.get(&part).cloned().unwrap_or_default())
    }
}

impl Past {
    /// Commits one batch of events of one profile.
    fn accept(&mut self, part: ProfileId, batch: &[Event]) {
        let profile = self.profile_of(part);
        let fact = |event: &Event| EventFact {
            creates: false,
            profile,
            part,
            event: event.clone(),
            claims: vec![],
            released: vec![],
            authenticated: vec![],
            demoted: vec![],
        };
        let facts: Vec<Fact> = batch.iter().map(|event| Fact::Event(fact(event))).collect();
        self.apply(&facts);
        self.histories.entry(part).or_default().events.extend_from_slice(batch);
    }

    fn apply(&mut self, facts: &[Fact]) {
        let projection = projection::project(facts, at(0), self).unwrap_or_else(|never| match never {});
        for (part, profile) in projection.redirects {
            if part != profile {
                self.profiles.remove(&part);
            }
        }
        self.profiles.extend(projection.profiles.into_iter().map(|profile| (profile.id, profile)));
        for (part, bases) in projection.bases {
            self.histories.entry(part).or_default().bases = bases;
        }
        for (part, before) in projection.forgotten {
            self.histories.entry(part).or_default().events.retain(|event| event.times.event >= before);
        }
    }

    /// The profile that a part belongs to.
    fn profile_of(&self, part: ProfileId) -> ProfileId {
        let holds = |profile: &&Profile| profile.parts.iter().any(|own| own.id == part);
        self.profiles.values().find(holds).map_or(part, |profile| profile.id)
    }

    fn merge(&mut self, number: u8, survivor: ProfileId, source: ProfileId) {
        let [survivor, source] = [survivor, source].map(|part| self.profile_of(part));
        if survivor != source && [survivor, source].iter().all(|id| self.profiles.contains_key(id)) {
            let source = MergedSource { profile: source, part: source, to: survivor };
            self.apply(&[Fact::Merge(MergeFact { id: merge_id(number), survivor, sources: vec![source] })]);
        }
    }

    fn unmerge(&mut self, number: u8) {
        let merge = merge_id(number);
        let whole = self.profiles.values().find(|profile| profile.links.iter().any(|link| link.merge == merge));
        let Some(whole) = whole else { return };
        let (profile, groups) = (whole.id, whole.groups_without(merge));
        self.apply(&[Fact::Unmerge(UnmergeFact { merge, profile, groups })]);
    }

    /// Lets the events of everybody before a time expire, and no merge before `lasting` be undone any more.
    fn expire(&mut self, before: Timestamp, lasting: u8) {
        for (profile, groups) in self
            .profiles
            .values()
            .map(|profile| (profile.id, profile.groups_by(|merge| merge < merge_id(lasting))))
            .collect::<Vec<_>>()
        {
            self.apply(&[Fact::Expire(ExpireFact { profile, before, groups })]);
        }
    }

    /// The states of all profiles.
    fn states(&self) -> HashMap<ProfileId, Vec<u8>> {
        self.profiles.keys().map(|id| (*id, self.state(*id))).collect()
    }

    /// The states of all profiles, folded anew from what is kept.
    fn refolded(&self) -> HashMap<ProfileId, Vec<u8>> {
        let refold = |profile: &Profile| {
            let histories =
                profile.parts.iter().map(|part| (part.id, self.histories.get(&part.id).cloned().unwrap_or_default()));
            bytes(&Whole::of(histories.collect()).refold())
        };
        self.profiles.values().map(|profile| (profile.id, refold(profile))).collect()
    }

    fn state(&self, id: ProfileId) -> Vec<u8> {
        bytes(&self.profiles[&id].state)
    }
}

fn bytes(state: &State) -> Vec<u8> {
    postcard::to_allocvec(state).expect("encodes")
}

fn merge_id(number: u8) -> MergeId {
    MergeId::from_bytes([number; 16])
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
        (0..3_u8).prop_map(|n| Payload::Track(Track { name: format!("name {n}").into(), properties: Map::new() })),
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
            key: EventKey { source: "test".into(), event_id: number.to_string().into() },
            identifiers: vec![],
            times: EventTimes {
                original: None,
                sent: None,
                received: at(0),
                event: at(minute / 7 * 7),
                clamped: false,
            },
            channel: ["", "web", "phone"][channel].into(),
            source_priority: 0,
            touchpoint: Default::default(),
            payload,
        };
        events.into_iter().enumerate().map(number).collect()
    })
}

/// Which merges can be undone is said with each expiry. Where it is said of one that could not be undone the time before, the
/// base that both sides share stays theirs: it was lost once, with everything that had expired.
#[test]
fn sides_that_share_a_base_keep_it_whatever_is_said_of_their_merge_later() {
    let mut past = Past::default();
    for (number, part) in [1, 1, 1, 2, 3].into_iter().enumerate() {
        let payload = Payload::Track(Track { name: format!("step {number}").into(), properties: Map::new() });
        let key = EventKey { source: "test".into(), event_id: number.to_string().into() };
        let times =
            EventTimes { original: None, sent: None, received: at(0), event: at(number as i64), clamped: false };
        let (channel, touchpoint) = Default::default();
        let event = Event { key, identifiers: vec![], times, channel, source_priority: 0, touchpoint, payload };
        past.accept(id(part), &[event]);
    }
    past.merge(3, id(1), id(2));
    past.merge(5, id(1), id(3));
    let states = past.states();
    for lasting in [4, 1, 6, 1] {
        past.expire(at(100), lasting);
        assert_eq!(past.refolded(), states, "once no merge before {lasting} can be undone");
    }
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

    #[test]
    fn expiring_changes_nothing_of_a_customer(
        events in events(),
        horizons in prop::collection::vec(0..90_000_i64, 1..4),
    ) {
        let (mut kept, mut expired) = (Past::default(), Past::default());
        let mut before = at(i64::MIN / 60_000_000);
        let steps = events.len().div_ceil(horizons.len());
        for (events, horizon) in events.chunks(steps).zip(&horizons) {
            // What is older than the horizon is not accepted, however late it comes.
            let events: Vec<Event> = events.iter().filter(|event| event.times.event >= before).cloned().collect();
            for event in &events {
                kept.accept(id(1), std::slice::from_ref(event));
                expired.accept(id(1), std::slice::from_ref(event));
            }
            prop_assert_eq!(kept.states(), expired.states());
            before = before.max(at(*horizon));
            expired.expire(before, 0);
            prop_assert_eq!(kept.states(), expired.states());
            prop_assert_eq!(kept.refolded(), expired.refolded());
        }
        let left = expired.histories.values().flat_map(|history| &history.events);
        prop_assert!(left.into_iter().all(|event| event.times.event >= before));
    }

    #[test]
    fn a_merge_that_is_younger_than_the_horizon_is_undone_as_if_nothing_had_expired(
        (events, later) in (events(), events()),
        of_second in any::<u32>(),
        horizon in 0..90_000_i64,
    ) {
        let (mut kept, mut expired) = (Past::default(), Past::default());
        let owner = |position: usize| if of_second >> (position % 32) & 1 == 1 { id(2) } else { id(1) };
        for past in [&mut kept, &mut expired] {
            events.iter().enumerate().for_each(|(n, event)| past.accept(owner(n), std::slice::from_ref(event)));
            past.merge(1, id(1), id(2));
        }
        expired.expire(at(horizon), 0);
        for (n, event) in later.iter().enumerate().filter(|(_, event)| event.times.event >= at(horizon)) {
            let key = EventKey { source: "later".into(), event_id: n.to_string().into() };
            let event = Event { key, ..event.clone() };
            kept.accept(owner(n), std::slice::from_ref(&event));
            expired.accept(owner(n), std::slice::from_ref(&event));
        }
        prop_assert_eq!(kept.states(), expired.states(), "of the whole");
        expired.expire(at(horizon + 1_000), 0);
        prop_assert_eq!(kept.states(), expired.states(), "once more");
        kept.unmerge(1);
        expired.unmerge(1);
        prop_assert_eq!(kept.states(), expired.states(), "of the sides");
    }

    #[test]
    fn whatever_became_one_and_fell_apart_expiring_never_changes_what_is_said(
        events in events(),
        steps in prop::collection::vec((0..4_u8, 1..5_u8, 1..5_u8, 0..90_000_i64), 1..24),
    ) {
        let (mut past, mut before) = (Past::default(), at(-1));
        let mut events = events.into_iter();
        for (number, (kind, one, other, minute)) in (1..).zip(steps) {
            match kind {
                0 | 1 => {
                    let some: Vec<Event> = events.by_ref().take(3).filter(|event| event.times.event >= before).collect();
                    past.accept(id(one), &some);
                }
                2 => past.merge(number, id(one), id(other)),
                _ if minute % 2 == 0 => past.unmerge(other),
                _ => {
                    let states = past.states();
                    before = before.max(at(minute));
                    past.expire(before, other);
                    prop_assert_eq!(&past.states(), &states);
                    prop_assert_eq!(&past.refolded(), &states);
                }
            }
            prop_assert_eq!(past.refolded(), past.states());
        }
    }

    #[test]
    fn a_join_is_the_same_in_whatever_order_and_groups_it_is_made(
        histories in prop::collection::vec(events(), 3),
    ) {
        let fold = |events: &Vec<Event>| {
            let mut events = events.clone();
            fold::sort(&mut events);
            fold::refold(&events)
        };
        let [a, b, c] = [0, 1, 2].map(|n| fold(&histories[n]));
        let join = |one: &State, other: &State| {
            let mut joined = one.clone();
            joined.join(other.clone());
            joined
        };
        prop_assert_eq!(bytes(&join(&a, &b)), bytes(&join(&b, &a)));
        prop_assert_eq!(bytes(&join(&join(&a, &b), &c)), bytes(&join(&a, &join(&b, &c))));
        prop_assert_eq!(bytes(&join(&a, &State::default())), bytes(&a));
        prop_assert_eq!(bytes(&join(&State::default(), &a)), bytes(&a));
        let events = |state: &State| state.activity.events();
        prop_assert_eq!(events(&join(&a, &b)), events(&a) + events(&b));
    }
}
