//! What may happen to a workspace: few names, so that customers often collide, and times in any order.

use proptest::prelude::*;
use rapport::domain::event::{Draft, SentIdentifier};
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{ContactKind, Identify, Payload, Purchase, SupportContact, Track};
use rapport::domain::time::Timestamp;
use rapport::domain::value::{Map, Value};

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A batch of events comes.
    Ingest(Vec<Sent>),
    /// An operator merges some of the parts there ever were, chosen by number, and may think better of it at once.
    Merge { target: usize, sources: Vec<usize>, regret: bool },
    /// An operator undoes one of the merges there ever were, by events or operators, chosen by number.
    Unmerge(usize),
    /// The workspace replaces its rules: limits of types, and a name that stands for nobody from now on.
    Rules { limits: Vec<(usize, u32)>, blocked: Option<Written> },
    /// The server stops and starts again, with its index or without.
    Restart { without_index: bool },
}

/// An event as a careless client sends it.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    /// One that was never sent before.
    New(Content),
    /// One of those sent before, unchanged.
    Again(usize),
    /// Another one under the name of one that was sent before.
    UnderTheNameOf(usize, Content),
}

/// A row and a column of [`NAMES`].
pub(crate) type Written = (usize, usize);

/// What an event says.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) identifiers: Vec<Written>,
    /// Minutes before the time of receipt, if the client has a clock.
    happened: Option<i64>,
    /// Minutes by which the client's clock is ahead, if it says when it sent.
    clock_ahead: Option<i64>,
    payload: (u8, u8),
}

/// A value as clients write it, and its normal form.
type Form = (&'static str, Option<&'static str>);

/// Types with the values that clients write, each beside its normal form, or `None` where it stands for nobody.
pub(crate) const NAMES: [(&str, &[Form]); 6] = [
    ("user_id", &[("ann", Some("ann")), (" bob ", Some("bob")), ("eve", Some("eve")), ("NULL", None)]),
    ("crm:x", &[("c1", Some("c1")), ("c2", Some("c2")), ("c3", Some("c3")), ("0000", None)]),
    ("email", &[("a@b.c", Some("a@b.c")), (" A@B.C", Some("a@b.c")), ("e@b.c", Some("e@b.c")), ("unknown", None)]),
    (
        "phone",
        &[
            ("+49 170 1234567", Some("+491701234567")),
            ("+49 (0)170/1234567", Some("+491701234567")),
            ("+49 170 1234568", Some("+491701234568")),
            ("0170 1234567", None),
        ],
    ),
    ("device_id", &[("d1", Some("d1")), ("d2", Some("d2")), ("d3", Some("d3")), ("-1", None)]),
    ("anonymous_id", &[("v1", Some("v1")), ("v2", Some("v2")), ("v3", Some("v3")), ("anonymous", None)]),
];

impl Content {
    /// The event as it is sent at `now` under a name.
    pub(crate) fn draft(&self, event_id: String, now: Timestamp) -> Draft {
        let minutes = |minutes: i64| now.plus_micros(minutes * 60_000_000);
        let ahead = self.clock_ahead.unwrap_or_default();
        let sent_identifier = |(row, column): &Written| {
            let (kind, values) = NAMES[*row];
            SentIdentifier { kind: kind.into(), value: values[*column].0.into() }
        };
        Draft {
            source: format!("source-{}", event_id.len() % 2).into(),
            event_id: event_id.into(),
            identifiers: self.identifiers.iter().map(sent_identifier).collect(),
            original_time: self.happened.map(|ago| minutes(ahead - ago)),
            sent_time: self.clock_ahead.map(minutes),
            channel: ["web", "phone"][usize::from(self.payload.1 % 2)].into(),
            touchpoint: Default::default(),
            payload: Some(payload(self.payload)),
        }
    }
}

fn payload((kind, number): (u8, u8)) -> Payload {
    match kind {
        0 => {
            let value = match number % 4 {
                0 => Value::Null,
                1 => Value::Text(String::new()),
                other => Value::Text(format!("plan {other}")),
            };
            Payload::Identify(Identify { traits: Map::from([("plan".to_owned(), value)]), traits_once: Map::new() })
        }
        1 => Payload::Purchase(Purchase {
            order_id: String::new(),
            revenue: Money::from_units(f64::from(number) / 100.0).expect("small"),
            currency: Currency::parse("EUR").expect("a code"),
            items: vec![],
            refund: number % 3 == 0,
        }),
        2 => Payload::SupportContact(SupportContact {
            case_id: ["", "case"][usize::from(number % 2)].to_owned(),
            topic: String::new(),
            agent: String::new(),
            kind: [ContactKind::Opened, ContactKind::Transfer, ContactKind::Resolved][usize::from(number % 3)],
            transfers: 0,
            resolved: number % 5 == 0,
            reopened: false,
            wait_seconds: f64::from(number),
            handle_seconds: 0.1,
            text: String::new(),
        }),
        _ => Payload::Track(Track { name: format!("name {}", number % 3).into(), properties: Map::new() }),
    }
}

fn written() -> impl Strategy<Value = Written> {
    // A blocked value is every row's last, and rarer than the others.
    (0..NAMES.len(), 0..10_usize).prop_map(|(row, column)| (row, if column == 9 { 3 } else { column % 3 }))
}

fn contents(identifiers: impl Strategy<Value = Vec<Written>>) -> impl Strategy<Value = Content> {
    let happened = prop::option::weighted(0.9, prop_oneof![-20..20_i64, 0..60_000_i64]);
    let clock_ahead = prop::option::weighted(0.2, -90..90_i64);
    (identifiers, happened, clock_ahead, (0..4_u8, any::<u8>())).prop_map(
        |(identifiers, happened, clock_ahead, payload)| Content { identifiers, happened, clock_ahead, payload },
    )
}

fn content() -> impl Strategy<Value = Content> {
    contents(prop::collection::vec(written(), 1..5))
}

/// What several events of one customer say.
pub(crate) fn of_one_customer() -> impl Strategy<Value = Vec<Content>> {
    prop::collection::vec(contents(Just(vec![(0, 0)])), 1..16)
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        8 => content().prop_map(Sent::New),
        1 => any::<usize>().prop_map(Sent::Again),
        1 => (any::<usize>(), content()).prop_map(|(which, content)| Sent::UnderTheNameOf(which, content)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (which, some) = (any::<usize>(), prop::collection::vec(any::<usize>(), 1..3));
    let limits = prop::collection::vec((0..NAMES.len(), 1..4_u32), 0..6);
    // A raised limit of user ids is rare, since much holds only where there is one.
    let limits = (limits, 0..8_u8).prop_map(|(limits, raise)| {
        limits.into_iter().map(|(row, limit)| (row, if row == 0 && raise > 0 { 1 } else { limit })).collect()
    });
    prop_oneof![
        12 => prop::collection::vec(sent(), 1..6).prop_map(Step::Ingest),
        3 => (which, some, any::<bool>())
            .prop_map(|(target, sources, regret)| Step::Merge { target, sources, regret }),
        4 => any::<usize>().prop_map(Step::Unmerge),
        2 => (limits, prop::option::of(written())).prop_map(|(limits, blocked)| Step::Rules { limits, blocked }),
        1 => any::<bool>().prop_map(|without_index| Step::Restart { without_index }),
    ]
}

/// A workspace's history.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..25)
}
