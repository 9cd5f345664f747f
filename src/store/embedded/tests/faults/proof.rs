//! Each acknowledgement follows the sync of what it acknowledges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::recorder::{Change, Entry, Recorder};
use crate::store::CommitStore;
use crate::store::embedded::tests::fixture::{belongs, decide, event, options};
use crate::store::embedded::{EmbeddedStore, Options};

const CALLERS: u8 = 64;
const COMMITS_OF_EACH: i64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn each_acknowledgement_follows_the_sync_of_its_frame_under_many_callers() {
    let directory = tempfile::tempdir().expect("a directory");
    // Segments end within the run, so that groups at the beginning of one are among those that are looked at.
    let options = Options { segment_bytes: 20_000, ..options(directory.path()) };
    let store = Arc::new(EmbeddedStore::open(options).expect("opens"));
    let recorder = Arc::new(Recorder::start(directory.path()));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, recorder) = (Arc::clone(&store), Arc::clone(&recorder));
        callers.spawn(async move {
            for number in 0..COMMITS_OF_EACH {
                let facts = vec![belongs(caller, event(i64::from(caller) * COMMITS_OF_EACH + number))];
                let decided = decide(&*store, facts).await.expect("decided");
                let revision = store.commit(decided).await.expect("commits");
                recorder.note(Entry::Acknowledged(revision));
            }
        });
    }
    callers.join_all().await;
    let acknowledged = check(&recorder.entries()).expect("every sync came first");
    assert_eq!(acknowledged, i64::from(CALLERS) * COMMITS_OF_EACH);
    let groups = store.statistics().groups;
    assert!(
        groups < acknowledged.unsigned_abs(),
        "{groups} groups: nobody shared one, which is not what is to be shown"
    );
}

/// How many acknowledgements there are, each behind the sync of the file that has its frame; else what is wrong.
fn check(entries: &[Entry]) -> Result<i64, String> {
    let mut written = BTreeMap::<PathBuf, u64>::new();
    let (mut durable, mut acknowledged) = (0, 0);
    for entry in entries {
        match entry {
            Entry::Change(Change::Write { path, bytes, .. }) if is_segment(path) => {
                written.extend(last_revision(bytes).map(|revision| (path.clone(), revision)));
            }
            Entry::Change(Change::Sync(path)) => durable = durable.max(written.get(path).copied().unwrap_or(0)),
            Entry::Acknowledged(revision) if revision.0 > durable => {
                return Err(format!("commit {revision} was acknowledged, and commit {durable} was durable"));
            }
            Entry::Acknowledged(_) => acknowledged += 1,
            _ => {}
        }
    }
    Ok(acknowledged)
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journal")
}

/// The revision of the last frame of a group, by what a frame's header says of itself.
fn last_revision(mut group: &[u8]) -> Option<u64> {
    const HEADER_BYTES: usize = 32;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let mut last = None;
    while let Some(header) = group.get(..HEADER_BYTES) {
        last = Some(number(&header[16..24]));
        let payload = usize::try_from(number(&header[12..16])).expect("small");
        group = &group[HEADER_BYTES + payload..];
    }
    last
}

#[test]
fn an_acknowledgement_before_its_sync_would_be_noticed() {
    let mut frame = [0; 40];
    (frame[12], frame[16]) = (8, 5);
    let path = PathBuf::from("1.journal");
    let write = Entry::Change(Change::Write { path: path.clone(), offset: 0, bytes: [frame, frame].concat() });
    let (sync, told) = (Entry::Change(Change::Sync(path)), Entry::Acknowledged(crate::domain::id::Revision(5)));
    assert_eq!(check(&[write.clone(), sync.clone(), told.clone()]), Ok(1));
    assert!(check(&[write, told, sync]).is_err());
}
