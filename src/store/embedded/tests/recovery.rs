//! The index is what the journal makes of it, however it came to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fixture::{
    Contents, EVENTS, acme, belongs, commit, contents, copy, event, fill, id, key, open, options, segment,
};
use crate::store::embedded::index::Mark;
use crate::store::embedded::{EmbeddedStore, OnReplay, Options};
use crate::store::{CommitStore, Error, EventReader, Precondition, ProfileReader, Store};

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
        let timeline = reopened.histories(&acme(), &[id(1)]).await.expect("readable").remove(0).events;
        assert_eq!(timeline.len(), usize::try_from(number).expect("small") + 1);
        let live = store.profiles(&acme(), &[id(1)]).await.expect("readable");
        assert_eq!(reopened.profiles(&acme(), &[id(1)]).await.expect("readable"), live);
    }
}

#[tokio::test]
async fn a_table_that_is_damaged_while_it_is_open_gives_no_wrong_answer_and_the_next_start_mends_it() {
    let (directory, image) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = open(directory.path());
    fill(&store).await;
    let live = contents(&store).await;
    store.close().await.expect("closes");
    copy(directory.path(), image.path()).expect("copied");
    // Of a killed process nobody checks the files as a whole.
    fs::write(image.path().join("index/MARK"), Mark::of_this_start()).expect("writable");
    let tables = fs::read_dir(image.path().join("index/1/tables")).expect("readable");
    for table in tables.map(|table| table.expect("readable").path()) {
        let mut bytes = fs::read(&table).expect("readable");
        bytes[100] ^= 1;
        fs::write(&table, bytes).expect("writable");
    }
    let damaged = open(image.path());
    let refused = damaged.profiles(&acme(), &[id(1)]).await;
    assert!(matches!(refused, Err(Error::Index(_))), "{refused:?}");
    let refused = commit(&damaged, vec![belongs(1, event(EVENTS))]).await;
    assert!(matches!(refused, Err(Error::Poisoned(_) | Error::Index(_))), "{refused:?}");
    assert!(!damaged.takes_writes());
    damaged.close().await.expect("closes");
    let mended = open(image.path());
    assert_eq!(contents(&mended).await, live);
    commit(&mended, vec![belongs(1, event(EVENTS))]).await.expect("goes on");
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

/// A store that makes a checkpoint as often as it can.
fn sweeping(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(Options { checkpoint_bytes: 1, ..options(directory) }).expect("opens")
}

fn checkpoints(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("checkpoints")).expect("readable");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}

/// Fills a store while checkpoints are made, and goes on until two were finished.
async fn fill_and_sweep(directory: &Path) -> Contents {
    let store = sweeping(directory);
    fill(&store).await;
    let mut number = EVENTS;
    while checkpoints(directory).iter().filter(|path| path.extension().is_some_and(|end| end == "checkpoint")).count()
        < 2
    {
        number += 1;
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
    }
    let live = contents(&store).await;
    store.close().await.expect("closes");
    live
}

#[tokio::test]
async fn an_index_that_begins_with_a_checkpoint_is_the_one_that_the_journal_makes() {
    let directory = tempfile::tempdir().expect("a directory");
    let live = fill_and_sweep(directory.path()).await;
    assert_eq!(checkpoints(directory.path()).len(), 2, "no more than the two latest, and none unfinished");
    fs::remove_dir_all(directory.path().join("index")).expect("removable");
    let told = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&told);
    let on_replay = OnReplay::new(move |_, of| seen.store(of, Ordering::Relaxed));
    let store = EmbeddedStore::open(Options { on_replay, ..options(directory.path()) }).expect("opens");
    assert_eq!(contents(&store).await, live);
    let replayed = told.load(Ordering::Relaxed);
    assert!(replayed < store.revision().0, "{replayed} commits of {} were replayed", store.revision().0);
}

#[tokio::test]
async fn a_damaged_checkpoint_gives_way_to_the_one_before_and_then_to_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let live = fill_and_sweep(directory.path()).await;
    for path in checkpoints(directory.path()).into_iter().rev() {
        let mut file = fs::read(&path).expect("readable");
        let middle = file.len() / 2;
        file[middle] ^= 1;
        fs::write(&path, file).expect("writable");
        fs::remove_dir_all(directory.path().join("index")).expect("removable");
        let store = open(directory.path());
        assert_eq!(contents(&store).await, live, "{}", path.display());
        store.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_ahead_of_the_journal_tells_of_lost_commits() {
    let directory = tempfile::tempdir().expect("a directory");
    fill_and_sweep(directory.path()).await;
    fs::remove_dir_all(directory.path().join("index")).expect("removable");
    fs::remove_file(segment(directory.path())).expect("removable");
    let refused = EmbeddedStore::open(options(directory.path())).map(drop).expect_err("refused");
    assert!(matches!(refused, Error::Damaged { .. }), "{refused:?}");
}
