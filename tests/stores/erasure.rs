//! Whoever is forgotten is gone from every read, and nobody else is touched.

use rapport::domain::consent::{ConsentRecord, ConsentState, Standing};
use rapport::domain::erasure::{EraseFact, Remains, RemainsOfEvent};
use rapport::domain::fact::{Document, DocumentKind, Fact};
use rapport::domain::id::{ProfileId, Revision};
use rapport::store::{Commit, Error, Precondition, Result, Store};
use uuid::Uuid;

use crate::fixture::{at, belongs, commit, commit_document, event, id, merge, timelines, user, workspace};

/// Forgets a profile that is made of these parts, as it was read at a revision.
pub(crate) async fn erase(
    store: &dyn Store,
    profile: ProfileId,
    parts: &[ProfileId],
    seen: Revision,
) -> Result<Revision> {
    let fact = EraseFact { erasure: Uuid::from_u128(7), profile, parts: parts.to_vec() };
    let mut commit = Commit {
        workspace: workspace("acme"),
        time: at(100),
        preconditions: vec![Precondition::Profile(profile, Some(seen))],
        read_at: None,
        facts: vec![Fact::Erase(fact.clone())],
        projection: Default::default(),
    };
    commit.projection.erased = parts.to_vec();
    store.erase(commit, &fact).await
}

/// What a customer said about their data.
fn answer(part: ProfileId) -> Document {
    let standing = Standing {
        record: Uuid::from_u128(part.as_bytes()[0].into()),
        part,
        purpose: "marketing".into(),
        state: ConsentState::Granted,
        time: at(5),
        expire_time: None,
        covers: Vec::new(),
    };
    Document::Consent(ConsentRecord { standing, source: "web".to_owned(), proof: String::new(), record_time: at(5) })
}

async fn revision(store: &dyn Store, profile: ProfileId) -> Option<Revision> {
    let found = store.profiles(&workspace("acme"), &[profile]).await.expect("read").remove(0);
    found.map(|found| found.revision)
}

pub(crate) async fn a_forgotten_customer_is_in_no_read_and_others_are_as_they_were(store: &dyn Store) {
    let acme = workspace("acme");
    for (number, name) in [(1, "ann"), (2, "anna"), (3, "bob")] {
        let facts = vec![belongs(id(number), event(name, number.into()), &[user(name)])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
        commit_document(store, &acme, answer(id(number)), None).await.expect("commits");
    }
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("merges");
    let (bob, before) = (store.profiles(&acme, &[id(3)]).await.expect("read"), revision(store, id(1)).await);
    let before = before.expect("it is there");

    let stale = erase(store, id(1), &[id(1), id(2)], Revision(before.0 - 1)).await;
    assert!(matches!(stale, Err(Error::Conflict)), "{stale:?}");
    assert_eq!(revision(store, id(1)).await, Some(before), "a conflict changes nothing");
    let erased = erase(store, id(1), &[id(1), id(2)], before).await.expect("forgets");
    assert_eq!(store.revision(), erased);

    assert_eq!(store.profiles(&acme, &[id(1), id(2)]).await.expect("read"), [None, None]);
    assert_eq!(store.owners(&acme, &[user("ann"), user("anna")]).await.expect("read"), [None, None]);
    assert_eq!(timelines(store, &acme, &[id(1), id(2)]).await.expect("read"), [vec![], vec![]]);
    let scanned = store.scan_profiles(&acme, None, 10).await.expect("read");
    assert_eq!(scanned.iter().map(|profile| profile.id).collect::<Vec<_>>(), [id(3)]);
    let documents = store.documents(&acme, DocumentKind::Consent, None, 10).await.expect("read");
    assert_eq!(documents.into_iter().map(|found| found.value).collect::<Vec<_>>(), [answer(id(3))]);
    assert_eq!(store.profiles(&acme, &[id(3)]).await.expect("read"), bob);
    assert!(store.outstanding().await.expect("read").is_empty(), "nothing is to be done again");

    // Who follows the commits hears that there was something, and nothing of what it was.
    let commits = store.commits_after(&acme, Revision(0), 100).await.expect("read").commits;
    let facts: Vec<&Fact> = commits.iter().flat_map(|commit| &commit.facts).collect();
    for number in [1, 2] {
        let remains = |fact: &&&Fact| matches!(fact, Fact::Forgotten(Remains::Event(RemainsOfEvent { part, .. })) if *part == id(number));
        assert_eq!(facts.iter().filter(remains).count(), 1, "{facts:?}");
    }
    assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::Forgotten(Remains::Document))).count(), 2);
    assert!(!format!("{facts:?}").contains("anna"), "{facts:?}");

    // The identifiers are free for somebody else.
    commit(store, &acme, vec![belongs(id(4), event("new", 200), &[user("ann")])], Vec::new()).await.expect("commits");
    assert_eq!(store.owners(&acme, &[user("ann")]).await.expect("read"), [Some(id(4))]);
    assert_eq!(timelines(store, &acme, &[id(4)]).await.expect("read"), [vec![event("new", 200)]]);
}

pub(crate) async fn marks_and_keys_are_the_same_each_time_and_tell_apart(store: &dyn Store) {
    let (acme, other) = (workspace("acme"), workspace("other"));
    let mark = |of, name| store.mark(of, &user(name)).expect("a mark");
    assert_eq!(mark(&acme, "ann"), mark(&acme, "ann"));
    assert!(mark(&acme, "ann") != mark(&acme, "bob") && mark(&acme, "ann") != mark(&other, "ann"));
    let key = |purpose| store.derived_key(purpose).expect("a key");
    assert_eq!(key("one"), key("one"));
    assert_ne!(key("one"), key("another"));
}
