//! An index that was closed in order is durable before its mark says so.

use std::collections::BTreeSet;
use std::path::Path;

use super::recorder::{Change, Entry, Recorder};
use crate::store::Store;
use crate::store::embedded::tests::fixture::{fill, open};

#[tokio::test]
async fn the_tables_of_a_closed_index_are_durable_before_its_mark_says_that_it_is_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorder = Recorder::start(directory.path());
    let store = open(directory.path());
    fill(&store).await;
    store.close().await.expect("closes");
    drop(store);
    let entries = recorder.entries();
    let is_mark = |entry: &Entry| matches!(entry, Entry::Change(Change::Rename { to, .. }) if to.ends_with("MARK"));
    let closed = entries.iter().rposition(is_mark).expect("a mark");
    let (mut written, mut unsynced) = (0, BTreeSet::new());
    for entry in &entries[..closed] {
        match entry {
            Entry::Change(Change::Write { path, .. }) if is_table(path) => {
                written += 1;
                unsynced.insert(path.clone());
            }
            Entry::Change(Change::Sync(path) | Change::Remove(path)) => drop(unsynced.remove(path)),
            _ => {}
        }
    }
    assert!(written > 0 && unsynced.is_empty(), "{written} writes, not durable: {unsynced:?}");
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "table")
}
