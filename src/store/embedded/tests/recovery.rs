//! The index is what the journal makes of it, however it came to be.

use std::fs;

use super::fixture::{EVENTS, acme, belongs, commit, contents, copy, event, fill, id, key, open, options};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Error, EventReader, Precondition, ProfileReader, Store};

#[tokio::test]
async fn a_deleted_index_is_rebuilt_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    fill(&store).await;
    let live = contents(&store).await;
    store.close().await.expect("closes");
    fs::remove_dir_all(directory.path().join("index")).expect("removable");
    let store = open(directory.path());
    assert_eq!(contents(&store).await, live);
    store.close().await.expect("closes");
    assert_eq!(contents(&open(directory.path())).await, live, "the rebuilt index was kept");
}

#[tokio::test]
async fn a_store_that_is_reopened_says_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    fill(&store).await;
    let live = contents(&store).await;
    drop(store);
    let store = open(directory.path());
    assert_eq!(contents(&store).await, live);
    commit(&store, vec![belongs(1, event(EVENTS))]).await.expect("goes on");
}

#[tokio::test]
async fn every_acknowledged_commit_is_there_after_a_kill_at_any_moment() {
    let (directory, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = open(directory.path());
    for number in 0..120_i64 {
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
        if number % 24 != 0 {
            continue;
        }
        // The files of a store that goes on running are what a kill leaves. sled writes while they are copied, so
        // that the copy of the index may be torn as well.
        let image = killed.path().join(number.to_string());
        copy(directory.path(), &image).expect("copied");
        let reopened = open(&image);
        let timeline = reopened.timelines(&acme(), &[id(1)]).await.expect("readable").remove(0);
        assert_eq!(timeline.len(), usize::try_from(number).expect("small") + 1);
        let live = store.profiles(&acme(), &[id(1)]).await.expect("readable");
        assert_eq!(reopened.profiles(&acme(), &[id(1)]).await.expect("readable"), live);
    }
}

#[tokio::test]
async fn an_event_is_known_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    store.close().await.expect("closes");
    let store = open(directory.path());
    let mut again = super::fixture::decide(&store, vec![belongs(2, event(2))]).await.expect("decided");
    again.preconditions.push(Precondition::EventAbsent(key(1)));
    let refused = crate::store::CommitStore::commit(&store, again).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn an_index_of_another_store_is_not_used() {
    let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut foreign = options(other.path());
    foreign.new_store_id = [8; 16];
    let foreign = EmbeddedStore::open(foreign).expect("opens");
    commit(&foreign, vec![belongs(9, event(9))]).await.expect("commits");
    foreign.close().await.expect("closes");
    let store = open(one.path());
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    store.close().await.expect("closes");
    fs::remove_dir_all(one.path().join("index")).expect("removable");
    copy(&other.path().join("index"), &one.path().join("index")).expect("copied");
    let store = open(one.path());
    let profiles = store.profiles(&acme(), &[id(1), id(9)]).await.expect("readable");
    assert_eq!(profiles.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_store_that_is_open_is_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let second = EmbeddedStore::open(options(directory.path())).map(drop);
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    store.close().await.expect("closes");
    open(directory.path());
}
