//! Many writers on the same customers end where writers in a queue would have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rapport::domain::event::{Draft, SentIdentifier};
use rapport::domain::payload::{Payload, Track};
use rapport::domain::value::Map;
use tokio::task::JoinSet;

use super::system::{Answer, Snapshot, System};

const WRITERS: usize = 64;
/// Events of each writer.
const EVENTS: usize = 10;

fn event(id: String, identifiers: &[(&str, String)]) -> Draft {
    let identifier =
        |(kind, value): &(&str, String)| SentIdentifier { kind: (*kind).into(), value: value.clone().into() };
    Draft {
        event_id: id.into(),
        source: "writers".into(),
        identifiers: identifiers.iter().map(identifier).collect(),
        original_time: None,
        sent_time: None,
        channel: Default::default(),
        touchpoint: Default::default(),
        payload: Some(Payload::Track(Track { name: "seen".into(), properties: Map::new() })),
    }
}

/// Sends what `draft` makes of writer and number, all writers at once, and gives back what there is then. Every event
/// must be accepted once.
async fn write(system: System, draft: impl Fn(usize, usize) -> Draft) -> Snapshot {
    let system = Arc::new(system);
    let mut writers = JoinSet::new();
    let mut sent = BTreeSet::new();
    for writer in 0..WRITERS {
        let drafts: Vec<Draft> = (0..EVENTS).map(|number| draft(writer, number)).collect();
        sent.extend(drafts.iter().map(|draft| draft.event_id.clone()));
        let system = Arc::clone(&system);
        writers.spawn(async move {
            let mut accepted = 0;
            for drafts in drafts.chunks(2) {
                for answer in system.ingest(drafts).await {
                    match answer {
                        Answer::Accepted(_) => accepted += 1,
                        Answer::Duplicate(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            accepted
        });
    }
    let accepted: usize = writers.join_all().await.into_iter().sum();
    assert_eq!(accepted, sent.len(), "each event is accepted by one of its senders");
    let snapshot = system.snapshot().await;
    let mut listed: Vec<_> = snapshot.timelines.values().flatten().map(|event| event.key.event_id.clone()).collect();
    listed.sort();
    assert_eq!(listed, sent.into_iter().collect::<Vec<_>>(), "each event is kept once");
    for (id, profile) in &snapshot.profiles {
        assert_eq!(profile.state.activity.events(), snapshot.timelines[id].len() as u64);
    }
    snapshot
}

/// The values of each customer, and how many events they have.
fn customers(snapshot: &Snapshot) -> BTreeMap<BTreeSet<String>, usize> {
    let customer = |(id, profile): (_, &rapport::domain::profile::Profile)| {
        let values = profile.identifiers().into_iter().map(|identifier| identifier.value().to_owned()).collect();
        (values, snapshot.timelines[id].len())
    };
    snapshot.profiles.iter().map(customer).collect()
}

async fn systems() -> [System; 2] {
    [System::memory().await, System::embedded().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identifiers_that_belong_together_end_in_one_customer_whoever_is_first() {
    // Four customers. Every event shows two of a customer's identifiers, so that the order decides who is merged into
    // whom, and nothing else. The last event of each writer is one that all writers of the customer send.
    let draft = |writer: usize, number: usize| {
        let customer = writer % 4;
        let email = format!("{}@{customer}.de", writer / 4 % 5);
        let (kind, value) = if number.is_multiple_of(2) {
            ("device_id", format!("device-{customer}-{}", number / 2))
        } else {
            ("user_id", format!("user-{customer}"))
        };
        let shared = [("user_id", format!("user-{customer}"))];
        match number {
            9 => event(format!("of-all-{customer}"), &shared),
            _ => event(format!("{writer}-{number}"), &[("email", email), (kind, value)]),
        }
    };
    let expected: BTreeMap<BTreeSet<String>, usize> = (0..4)
        .map(|customer| {
            let emails = (0..5).map(|n| format!("{n}@{customer}.de"));
            let devices = (0..5).map(|n| format!("device-{customer}-{n}"));
            let names = emails.chain(devices).chain([format!("user-{customer}")]).collect();
            (names, WRITERS / 4 * (EVENTS - 1) + 1)
        })
        .collect();
    for system in systems().await {
        assert_eq!(customers(&write(system, draft).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_users_of_one_tablet_stay_two_and_one_of_them_has_it() {
    let draft = |writer: usize, number: usize| {
        let user = format!("user-{}", writer % 2);
        event(format!("{writer}-{number}"), &[("user_id", user), ("device_id", "tablet".to_owned())])
    };
    for system in systems().await {
        let found = customers(&write(system, draft).await);
        let half = WRITERS * EVENTS / 2;
        let outcome = |first: &[&str], second: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
            BTreeMap::from([(names(first), half), (names(second), half)])
        };
        let outcomes = [outcome(&["tablet", "user-0"], &["user-1"]), outcome(&["user-0"], &["tablet", "user-1"])];
        assert!(outcomes.contains(&found), "{found:?}");
    }
}
