//! Commits under pressure and on a disk that fails.

use std::fs;
use std::sync::Arc;

use super::fixture::{acme, belongs, commit, contents, decide, event, id, open, options};
use crate::domain::fact::{Document, Fact};
use crate::domain::settings::Settings;
use crate::store::embedded::EmbeddedStore;
use crate::store::{Commit, CommitStore, Error, EventReader, ProfileReader, Store};

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_and_reads_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    // Every group begins a new segment, which cannot be made once the directory is gone.
    let store = EmbeddedStore::open(crate::store::embedded::Options { segment_bytes: 1, ..options(directory.path()) });
    let store = store.expect("opens");
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    let live = store.histories(&acme(), &[id(1)]).await.expect("readable");
    let next = decide(&store, vec![belongs(1, event(2))]).await.expect("decided");
    let journal = directory.path().join("journal");
    fs::rename(&journal, directory.path().join("elsewhere")).expect("renamed");
    assert!(matches!(store.commit(next).await, Err(Error::Poisoned(_))));
    assert!(!store.takes_writes());
    fs::rename(directory.path().join("elsewhere"), &journal).expect("renamed");
    let later = decide(&store, vec![belongs(1, event(3))]).await.expect("decided");
    assert!(matches!(store.commit(later).await, Err(Error::Poisoned(_))));
    assert_eq!(store.histories(&acme(), &[id(1)]).await.expect("readable"), live);
    drop(store);
    let store = open(directory.path());
    assert!(store.takes_writes());
    commit(&store, vec![belongs(1, event(2))]).await.expect("commits again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_group_that_conflicts_is_refused_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(directory.path()));
    // All of them decide on the same empty store, eight on each customer: one of the eight is first.
    let mut decided = Vec::new();
    for writer in 0..64_u8 {
        decided.push(decide(&*store, vec![belongs(writer % 8, event(i64::from(writer)))]).await.expect("decided"));
    }
    let mut commits = tokio::task::JoinSet::new();
    for commit in decided {
        let store = Arc::clone(&store);
        commits.spawn(async move { store.commit(commit).await });
    }
    let results = commits.join_all().await;
    let accepted: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(Error::Conflict))), "{results:?}");
    let mut unique = accepted.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((accepted.len(), unique.len()), (8, 8));
    assert_eq!(store.scan_profiles(&acme(), None, 100).await.expect("readable").len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_wait_for_an_index_that_falls_behind_and_none_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(directory.path()));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_u8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for batch in 0..20_i64 {
                let number = i64::from(writer) * 100_000 + batch * 500;
                let facts = (number..number + 500).map(|number| belongs(writer, event(number * 77 + 1)));
                commit(&*store, facts.collect()).await.expect("commits");
            }
        });
    }
    writers.join_all().await;
    for writer in 0..4 {
        let timeline = store.histories(&acme(), &[id(writer)]).await.expect("readable").remove(0).events;
        assert_eq!(timeline.len(), 10_000);
    }
    let live = contents(&*store).await;
    store.close().await.expect("closes");
    drop(store);
    assert_eq!(contents(&open(directory.path())).await, live);
}

#[tokio::test]
async fn a_commit_beyond_the_limit_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let mut settings = Settings::default();
    settings.churn.qualifying_events = vec!["x".repeat(1 << 20); 17];
    let facts = vec![Fact::Document(Document::Settings(settings))];
    let (workspace, time) = (acme(), crate::domain::time::Timestamp::from_micros(0));
    let (preconditions, projection) = (Vec::new(), crate::domain::projection::Projection::default());
    let refused = store.commit(Commit { workspace, time, preconditions, read_at: None, facts, projection }).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    assert!(store.takes_writes());
    assert_eq!(store.revision().0, 0);
}
