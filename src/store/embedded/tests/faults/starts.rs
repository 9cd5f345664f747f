//! What a start does before it believes what it finds.

use std::path::{Path, PathBuf};

use super::recorder::{Change, Entry, Recorder};
use crate::store::embedded::tests::fixture::{belongs, commit, copy, event, open};

fn synced(entries: &[Entry]) -> Vec<&Path> {
    let synced = |entry| match entry {
        &Entry::Change(Change::Sync(ref path) | Change::SyncDirectory(ref path)) => Some(path.as_path()),
        _ => None,
    };
    entries.iter().filter_map(synced).collect()
}

#[tokio::test]
async fn what_a_killed_process_wrote_and_did_not_sync_is_durable_before_it_is_seen_again() {
    let (directory, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = open(directory.path());
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    // Nobody has synced the copies, which is how a kill between a write and its sync leaves the originals.
    copy(directory.path(), killed.path()).expect("copied");
    let recorder = Recorder::start(killed.path());
    let _found = open(killed.path());
    let entries = recorder.entries();
    for path in ["", "journal", "journal/00000000000000000001.journal"] {
        assert!(synced(&entries).contains(&Path::new(path)), "{path:?} is not among {:?}", synced(&entries));
    }
}

#[test]
fn each_of_several_new_directories_gets_a_durable_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorder = Recorder::start(directory.path());
    open(&directory.path().join("a/b/c"));
    let entries = recorder.entries();
    for parent in ["", "a", "a/b"] {
        assert!(synced(&entries).contains(&PathBuf::from(parent).as_path()), "{parent:?}");
    }
}
