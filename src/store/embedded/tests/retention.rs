//! What was let go of is not needed for anything that is kept, whatever happens on the way.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fixture::{Contents, EVENTS, at, belongs, commit, contents, copy, event, expire, fill, options};
use crate::domain::id::Revision;
use crate::store::embedded::{EmbeddedStore, Mode, Options, Remedy, Verified, restore, verify};
use crate::store::{BackupRequest, Backups, CommitReader, Error, Forgotten, Result, Retention, Store};

/// What happened before has expired.
const HORIZON: i64 = 500;

/// A closed store that has let go of the beginning of its journal, and what it answers.
struct Home {
    temporary: tempfile::TempDir,
    live: Contents,
    oldest: Revision,
    /// The journal as it was before.
    segments: PathBuf,
}

fn small(directory: &Path) -> Options {
    let idempotency_window = Duration::from_secs(60 * 60);
    Options { segment_bytes: 40_000, idempotency_window, ..options(directory) }
}

fn open(directory: &Path) -> Result<EmbeddedStore> {
    EmbeddedStore::open(small(directory))
}

impl Home {
    async fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let (data, segments) = (temporary.path().join("data"), temporary.path().join("segments"));
        let store = open(&data).expect("opens");
        fill(&store).await;
        store.close().await.expect("closes");
        drop(store);
        copy(&data.join("index"), &temporary.path().join("earlier")).expect("copied");
        let store = open(&data).expect("opens");
        let facts = expire(&store, at(HORIZON)).await;
        let by = commit(&store, facts).await.expect("commits");
        let forgotten = Forgotten { before: at(HORIZON), by };
        assert_eq!(store.forget_commits(forgotten).await.expect("asked"), Revision(1), "there is one checkpoint");
        commit(&store, vec![belongs(1, event(EVENTS))]).await.expect("commits");
        copy(&data.join("journal"), &segments).expect("copied");
        let oldest = store.forget_commits(forgotten).await.expect("let go");
        assert!(oldest > Revision(100), "{oldest}");
        assert_eq!(store.oldest_commit(), oldest);
        let live = contents(&store).await;
        store.close().await.expect("closes");
        Self { temporary, live, oldest, segments }
    }

    fn data(&self) -> PathBuf {
        self.temporary.path().join("data")
    }

    fn journal(&self) -> Vec<PathBuf> {
        files(&self.data().join("journal"))
    }

    fn checkpoints(&self) -> Vec<PathBuf> {
        files(&self.data().join("checkpoints"))
    }

    async fn says_the_same(&self, data: &Path) {
        let store = open(data).expect("opens");
        assert_eq!(contents(&store).await, self.live);
        let all = store.commits_after(&super::fixture::acme(), Revision(self.oldest.0 - 1), 10_000).await;
        assert_eq!(all.expect("readable").commits.first().map(|first| first.revision), Some(self.oldest));
        let gone = store.commits_after(&super::fixture::acme(), Revision(0), 1).await;
        assert!(matches!(gone, Err(Error::Forgotten { oldest }) if oldest == self.oldest), "{gone:?}");
        store.close().await.expect("closes");
    }

    fn verify(&self, mode: Mode) -> Verified {
        verify(&small(&self.data()), mode, &mut |_| ControlFlow::Continue(())).expect("verified")
    }

    fn remedies(&self, mode: Mode) -> Vec<Remedy> {
        self.verify(mode).findings.iter().map(|finding| finding.remedy).collect()
    }

    #[track_caller]
    fn is_refused(&self, naming: &str) {
        let Err(refused) = open(&self.data()) else { panic!("it opens") };
        assert!(matches!(&refused, Error::Damaged { file, .. } if file.contains(naming)), "{refused}");
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory).expect("readable").map(|entry| entry.expect("one").path()).collect();
    files.sort();
    files
}

fn damage(path: &Path) {
    let mut content = fs::read(path).expect("readable");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, content).expect("writable");
}

#[tokio::test]
async fn a_start_needs_nothing_of_what_was_let_go_of() {
    let home = Home::new().await;
    home.says_the_same(&home.data()).await;
    assert_eq!(home.verify(Mode::Look).findings, [], "every place is in what is kept");
    fs::remove_dir_all(home.data().join("index")).expect("removable");
    home.says_the_same(&home.data()).await;
    let newest = home.checkpoints().pop().expect("two");
    damage(&newest);
    fs::remove_dir_all(home.data().join("index")).expect("removable");
    home.says_the_same(&home.data()).await;
    assert_eq!(home.remedies(Mode::Repair), [Remedy::RemoveLeftover], "the other checkpoint says the same");
    home.says_the_same(&home.data()).await;
}

#[tokio::test]
async fn an_index_that_asks_for_what_was_let_go_of_is_made_anew() {
    let home = Home::new().await;
    let index = home.data().join("index");
    fs::remove_dir_all(&index).expect("removable");
    copy(&home.temporary.path().join("earlier"), &index).expect("copied");
    assert_eq!(home.remedies(Mode::Look), [Remedy::RebuildIndex]);
    home.says_the_same(&home.data()).await;
    assert_eq!(home.verify(Mode::Look).findings, []);
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_ended_by_the_next_start() {
    for left in [1, 2, usize::MAX] {
        let home = Home::new().await;
        let mut dropped = files(&home.segments);
        dropped.retain(|path| !home.data().join("journal").join(path.file_name().expect("a name")).exists());
        assert!(dropped.len() > 1, "{dropped:?}");
        // The oldest goes first.
        for path in dropped.iter().rev().take(left) {
            fs::copy(path, home.data().join("journal").join(path.file_name().expect("a name"))).expect("copied");
        }
        let count = home.journal().len();
        assert!(home.remedies(Mode::Look).iter().all(|remedy| *remedy == Remedy::RemoveLeftover));
        home.says_the_same(&home.data()).await;
        assert_eq!(home.journal().len(), count - left.min(dropped.len()));
        assert_eq!(home.verify(Mode::Look).findings, []);
    }
}

#[tokio::test]
async fn a_first_segment_that_was_lost_is_told_from_one_that_was_let_go_of() {
    let home = Home::new().await;
    fs::remove_file(&home.journal()[0]).expect("removable");
    home.is_refused("journal");
    assert!(home.remedies(Mode::Repair).contains(&Remedy::RestoreBackup));
}

#[tokio::test]
async fn without_a_whole_checkpoint_an_index_that_is_lost_is_not_made_of_half_a_journal() {
    let home = Home::new().await;
    home.checkpoints().iter().for_each(|path| damage(path));
    let remedies = home.remedies(Mode::Look);
    assert!(remedies.iter().all(|remedy| *remedy == Remedy::RestoreBackup) && remedies.len() == 3, "{remedies:?}");
    home.says_the_same(&home.data()).await;
    fs::remove_dir_all(home.data().join("index")).expect("removable");
    home.is_refused("checkpoints");
    home.is_refused("checkpoints");
}

#[tokio::test]
async fn a_lost_manifest_is_written_anew_where_a_checkpoint_leads_to_the_first_segment() {
    let home = Home::new().await;
    fs::remove_file(home.data().join("MANIFEST")).expect("removable");
    home.is_refused("MANIFEST");
    assert_eq!(home.remedies(Mode::Repair), [Remedy::RewriteManifest]);
    home.says_the_same(&home.data()).await;
    home.checkpoints().iter().for_each(|path| damage(path));
    fs::remove_file(home.data().join("MANIFEST")).expect("removable");
    assert!(home.remedies(Mode::Repair).contains(&Remedy::RestoreBackup));
    assert!(!home.data().join("MANIFEST").exists(), "nobody knows whether something is missing");
}

#[tokio::test]
async fn backups_before_and_after_say_the_same_and_hold_what_they_need() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (data, backup) = (temporary.path().join("data"), temporary.path().join("backup"));
    let store = open(&data).expect("opens");
    fill(&store).await;
    let by = commit(&store, expire(&store, at(HORIZON)).await).await.expect("commits");
    let forgotten = Forgotten { before: at(HORIZON), by };
    let back_up = async || {
        let observer = Box::new(|_| ControlFlow::Continue(()));
        let request = BackupRequest { directory: backup.clone(), time: at(0), observer };
        store.back_up(request).await.expect("backed up")
    };
    back_up().await;
    let before = files(&backup.join("journal")).len();
    for number in 0..2 {
        store.forget_commits(forgotten).await.expect("asked");
        commit(&store, vec![belongs(1, event(EVENTS + number))]).await.expect("commits");
    }
    assert!(store.oldest_commit() > Revision(100));
    let done = back_up().await;
    assert!(done.bytes_reused > 0, "{done:?}");
    assert!(files(&backup.join("journal")).len() < before, "what the store let go of is not in the backup either");
    let live = contents(&store).await;
    let restored = temporary.path().join("restored");
    restore(&backup, &restored, &mut |_| ControlFlow::Continue(())).expect("restored");
    let again = open(&restored).expect("opens");
    assert_eq!((contents(&again).await, again.oldest_commit()), (live, store.oldest_commit()));
}
