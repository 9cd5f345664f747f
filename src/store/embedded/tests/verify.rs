//! Each fault that can be planted in a data directory is found, with its place and what helps, and repaired where that
//! loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::fixture::{Contents, EVENTS, acme, belongs, commit, contents, copy, event, fill, open, options};
use crate::domain::id::Revision;
use crate::store::embedded::checkpoints::Writer;
use crate::store::embedded::index::Mark;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::embedded::tables::tests::{Entries, forge as forge_entries};
use crate::store::embedded::{EmbeddedStore, Mode, Options, Remedy, Verified, verify};
use crate::store::{ArtifactStore, Error, Progress, Result, Store};

/// A data directory of several segments, closed, and what it answered.
struct Home {
    _temporary: tempfile::TempDir,
    data: PathBuf,
    live: Contents,
}

impl Home {
    async fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let data = temporary.path().join("data");
        let small = Options { segment_bytes: 100 << 10, checkpoint_bytes: 1, ..options(&data) };
        let store = EmbeddedStore::open(small).expect("opens");
        fill(&store).await;
        let mut number = EVENTS;
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|end| end == "checkpoint");
        while !names(&data.join("checkpoints")).iter().any(is_whole) {
            number += 1;
            commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
        }
        let version = "churn-1".parse().expect("a version");
        store.put_artifact(&acme(), &version, vec![5; 1_000]).await.expect("kept");
        let live = contents(&store).await;
        store.close().await.expect("closes");
        Self { _temporary: temporary, data, live }
    }

    fn verify(&self, mode: Mode) -> Result<Verified> {
        verify(&options(&self.data), mode, &mut |_| ControlFlow::Continue(()))
    }

    /// What is found, by file, and whether it was repaired.
    #[track_caller]
    fn findings(&self, mode: Mode) -> Vec<(String, Remedy, bool)> {
        let verified = self.verify(mode).expect("verified");
        let name = |path: &Path| path.strip_prefix(&self.data).expect("below").display().to_string();
        verified.findings.iter().map(|found| (name(&found.file), found.remedy, found.repaired)).collect()
    }

    /// Looking finds this and changes nothing; repairing mends it, and then nothing is left and nothing was lost.
    async fn is_repaired(&self, file: &str, remedy: Remedy) {
        let before = files(&self.data);
        assert_eq!(self.findings(Mode::Look), [(file.to_owned(), remedy, false)]);
        assert!(files(&self.data) == before, "looking changed something");
        assert_eq!(self.findings(Mode::Repair), [(file.to_owned(), remedy, true)]);
        assert_eq!(self.findings(Mode::Look), []);
        assert_eq!(contents(&open(&self.data)).await, self.live);
    }

    /// Only a backup helps, and repairing changes nothing.
    #[track_caller]
    fn is_lost(&self, file: &str) {
        for mode in [Mode::Look, Mode::Repair] {
            let before = files(&self.data);
            let findings = self.findings(mode);
            let lost = findings.iter().find(|(_, remedy, _)| *remedy == Remedy::RestoreBackup);
            assert_eq!(lost, Some(&(file.to_owned(), Remedy::RestoreBackup, false)), "{findings:?}");
            assert!(findings.iter().all(|(_, _, repaired)| !repaired), "{findings:?}");
            assert!(files(&self.data) == before, "{mode:?} changed something");
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut segments: Vec<_> = files(&self.data.join("journal")).into_keys().collect();
        segments.sort();
        assert!(segments.len() > 2, "{segments:?}");
        segments
    }

    fn newest_segment(&self) -> PathBuf {
        self.segments().pop().expect("a segment")
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.data).expect("below").display().to_string()
    }

    /// Changes what is in sled behind the back of everyone, and closes it as a store that wrote this itself would.
    /// Returns the name of the index.
    fn tamper(&self, change: impl FnOnce(&sled::Db)) -> String {
        let newest = self.index();
        let mut mark = Mark::set(&self.data.join("index")).expect("writable");
        let tree = sled::open(&newest).expect("opens");
        change(&tree);
        tree.flush().expect("flushed");
        drop(tree);
        mark.end_well();
        self.name(&newest)
    }

    /// Changes entries of the index behind the back of everyone. Returns the name of the index.
    fn forge(&self, change: impl FnOnce(&mut Entries)) -> String {
        let newest = self.index();
        let mut mark = Mark::set(&self.data.join("index")).expect("writable");
        forge_entries(&newest, change);
        mark.end_well();
        self.name(&newest)
    }

    fn index(&self) -> PathBuf {
        let found =
            fs::read_dir(self.data.join("index")).expect("readable").map(|entry| entry.expect("readable").path());
        found.filter(|path| path.is_dir()).max().expect("an index")
    }
}

/// Every file below a directory with its bytes, but for the lock, which is made by whoever looks, and the reserve, which
/// has no content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !["LOCK", "RESERVE"].iter().any(|name| path.ends_with(name)) {
            files.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
    files
}

fn names(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path()).collect()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("readable");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn a_directory_that_is_as_it_was_left_has_no_findings_and_is_read_with_progress() {
    let home = Home::new().await;
    let before = files(&home.data);
    let mut told = Vec::new();
    let verified = verify(&options(&home.data), Mode::Look, &mut |progress: Progress| {
        told.push(progress);
        ControlFlow::Continue(())
    });
    let verified = verified.expect("verified");
    assert_eq!((verified.findings.len(), verified.commits), (0, verified.revision.0));
    assert_eq!(verified.segments, home.segments().len() as u64);
    assert!(files(&home.data) == before, "looking changed something");
    assert!(told.is_sorted_by_key(|progress| progress.bytes_done), "{told:?}");
    let last = told.last().expect("told");
    assert_eq!(last.bytes_done, last.bytes_total);
}

#[tokio::test]
async fn a_torn_end_is_cut() {
    let home = Home::new().await;
    let segment = home.newest_segment();
    let whole = fs::read(&segment).expect("readable").len();
    // The beginning of a frame like the one at the beginning of the segment.
    edit(&segment, |bytes| bytes.extend_from_within(56..120));
    let found = home.verify(Mode::Look).expect("verified").findings.remove(0);
    assert_eq!(found.offset, Some(whole as u64));
    home.is_repaired(&home.name(&segment), Remedy::CutTail).await;
}

#[tokio::test]
async fn damage_in_the_journal_is_told_with_its_place_and_left_to_a_backup() {
    let home = Home::new().await;
    let segments = home.segments();
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[20] ^= 1,
    ];
    for segment in [&segments[0], &segments[1]] {
        for damage in damages {
            let whole = fs::read(segment).expect("readable");
            edit(segment, damage);
            home.is_lost(&home.name(segment));
            fs::write(segment, whole).expect("mended");
        }
    }
    let whole = fs::read(&segments[1]).expect("readable");
    fs::remove_file(&segments[1]).expect("removed");
    home.is_lost(&home.name(&segments[0]));
    fs::write(&segments[1], whole).expect("mended");
    assert_eq!(home.findings(Mode::Look), []);
}

#[tokio::test]
async fn commits_that_the_index_has_and_the_journal_has_no_more_are_never_repaired_away() {
    let home = Home::new().await;
    let segment = home.newest_segment();
    // Torn in the middle of its last frame, or gone with the whole frame: in either case it was acknowledged.
    edit(&segment, |bytes| bytes.truncate(bytes.len() - 1));
    home.is_lost(&home.name(&segment));
    fs::remove_dir_all(home.data.join("journal")).expect("removed");
    home.is_lost("journal");
}

#[tokio::test]
async fn a_manifest_that_is_missing_or_damaged_is_written_anew_from_the_journal() {
    let home = Home::new().await;
    let manifest = home.data.join("MANIFEST");
    let whole = fs::read(&manifest).expect("readable");
    edit(&manifest, |bytes| bytes[14] ^= 1);
    home.is_repaired("MANIFEST", Remedy::RewriteManifest).await;
    assert_eq!(fs::read(&manifest).expect("readable"), whole);
    fs::remove_file(&manifest).expect("removed");
    home.is_repaired("MANIFEST", Remedy::RewriteManifest).await;
    assert_eq!(fs::read(&manifest).expect("readable"), whole);
}

#[tokio::test]
async fn what_nobody_finished_is_removed_and_what_is_foreign_is_left_alone() {
    let home = Home::new().await;
    for leftover in ["artifacts/acme/churn-2.tmp", "journal/00000000000000009999.journal.tmp", "MANIFEST.tmp"] {
        fs::write(home.data.join(leftover), "half").expect("written");
        home.is_repaired(leftover, Remedy::RemoveLeftover).await;
        assert!(!home.data.join(leftover).exists());
    }
    for foreign in ["artifacts/notes", "journal/notes", "notes"] {
        fs::write(home.data.join(foreign), "mine").expect("written");
        assert_eq!(home.findings(Mode::Repair), [(foreign.to_owned(), Remedy::Nothing, false)]);
        assert_eq!(home.verify(Mode::Look).expect("verified").remaining().count(), 0);
        fs::remove_file(home.data.join(foreign)).expect("still there");
    }
}

#[tokio::test]
async fn a_damaged_artifact_is_found_and_keeps_nothing_else_from_being_repaired() {
    let home = Home::new().await;
    edit(&home.data.join("artifacts/acme/churn-1"), |bytes| bytes[500] ^= 1);
    home.is_lost("artifacts/acme/churn-1");
    let index = home.tamper(|tree| tree.clear().expect("cleared"));
    let findings = home.findings(Mode::Repair);
    assert!(findings.contains(&(index, Remedy::RebuildIndex, true)), "{findings:?}");
    assert_eq!(contents(&open(&home.data)).await, home.live);
}

#[tokio::test]
async fn an_index_that_is_silently_wrong_is_found_and_built_anew() {
    let forgeries: [fn(&mut Entries); 4] = [
        // A profile that is not found, one that has another's content, one that nobody has.
        |entries| drop(entries.remove(&profile(entries, 0).0).expect("removed")),
        |entries| drop(entries.insert(profile(entries, 0).0, profile(entries, 1).1)),
        |entries| {
            let (first, value) = profile(entries, 0);
            let mut key = first.to_vec();
            *key.last_mut().expect("a byte") ^= 1;
            entries.insert(key.into(), value);
        },
        // An identifier that nobody has.
        |entries| {
            // Owners are the last before the profiles.
            let (owner, _) = entries.range(..profile(entries, 0).0).next_back().expect("an owner");
            entries.remove(&owner.clone());
        },
    ];
    let home = Home::new().await;
    for forgery in forgeries {
        let index = home.forge(forgery);
        home.is_repaired(&index, Remedy::RebuildIndex).await;
    }
    // Events that would be accepted a second time.
    let index = home.tamper(|tree| drop(tree.remove(keys::table_list(Family::Seen)).expect("removed")));
    home.is_repaired(&index, Remedy::RebuildIndex).await;
}

/// The profile at a position, with its key.
fn profile(entries: &Entries, position: usize) -> (sled::IVec, sled::IVec) {
    let mut profiles = entries.iter().filter(|(key, _)| key.starts_with(&keys::profiles(&acme())));
    let (key, value) = profiles.nth(position).expect("a profile");
    (key.clone(), value.clone())
}

#[tokio::test]
async fn an_index_whose_files_were_changed_while_it_was_closed_is_found_and_built_anew() {
    let home = Home::new().await;
    let index = home.tamper(|_| {});
    assert_eq!(home.findings(Mode::Look), []);
    fs::write(home.data.join(&index).join("snap.0000000000FFFFFF.generating"), "").expect("written");
    home.is_repaired(&index, Remedy::RebuildIndex).await;
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_built_anew_and_one_that_is_missing_is_no_fault() {
    let home = Home::new().await;
    let index = home.tamper(|_| {});
    for path in files(&home.data.join(&index)).into_keys() {
        edit(&path, |bytes| bytes.fill(0));
    }
    home.is_repaired(&index, Remedy::RebuildIndex).await;
    fs::remove_dir_all(home.data.join("index")).expect("removed");
    assert_eq!(home.findings(Mode::Look), [("index".to_owned(), Remedy::Nothing, false)]);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_removed_and_one_that_is_ahead_of_the_journal_shows_a_loss() {
    let home = Home::new().await;
    let checkpoints = home.data.join("checkpoints");
    let newest = files(&checkpoints).into_keys().next_back().expect("a checkpoint");
    for damage in [|bytes: &mut Vec<u8>| bytes[1_000] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(1_000)] {
        let whole = fs::read(&newest).expect("readable");
        edit(&newest, damage);
        home.is_repaired(&home.name(&newest), Remedy::RemoveLeftover).await;
        assert!(!newest.exists());
        fs::write(&newest, whole).expect("mended");
    }
    let ahead = checkpoints.join("00000000000000999999.checkpoint");
    fs::copy(&newest, &ahead).expect("copied");
    home.is_repaired(&home.name(&ahead), Remedy::RemoveLeftover).await;
    let writer = Writer::begin(&ahead, options(&home.data).new_store_id, Revision(999_999)).expect("begun");
    writer.finish().expect("finished");
    home.is_lost("journal");
}

#[tokio::test]
async fn a_directory_after_a_kill_is_fine() {
    let home = Home::new().await;
    let store = open(&home.data);
    commit(&store, vec![belongs(1, event(10_000))]).await.expect("commits");
    let killed = home.data.with_file_name("killed");
    copy(&home.data, &killed).expect("copied");
    let verified = verify(&options(&killed), Mode::Look, &mut |_| ControlFlow::Continue(())).expect("verified");
    // sled was written to while it was copied; whatever came of that, nothing is lost.
    assert!(verified.findings.iter().all(|found| found.remedy == Remedy::RebuildIndex), "{:?}", verified.findings);
    assert_eq!(verified.revision, crate::store::CommitStore::revision(&store));
}

#[tokio::test]
async fn a_directory_that_is_in_use_or_holds_no_data_is_refused() {
    let home = Home::new().await;
    let store = open(&home.data);
    assert!(matches!(home.verify(Mode::Repair), Err(Error::InUse { .. })));
    store.close().await.expect("closes");
    let empty = tempfile::tempdir().expect("a directory");
    let refused = verify(&options(empty.path()), Mode::Repair, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(fs::read_dir(empty.path()).expect("readable").count(), 0);
}
