//! Backups of a store at work, and what comes back from them.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::fixture::{EVENTS, acme, belongs, commit, contents, copy, event, fill, open, options};
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::{EmbeddedStore, Options, Restored, restore};
use crate::store::{ArtifactStore, BackedUp, BackupRequest, Backups, CommitStore, Error, Progress, Result, Store};

/// The bytes of a store's trained model.
const ARTIFACT: [u8; 5_000] = [5; 5_000];

async fn back_up(store: &EmbeddedStore, directory: &Path) -> Result<BackedUp> {
    let observer = Box::new(|_| ControlFlow::Continue(()));
    let time = Timestamp::from_micros(7);
    store.back_up(BackupRequest { directory: directory.to_owned(), time, observer }).await
}

fn bring_back(backup: &Path, target: &Path) -> Result<Restored> {
    restore(backup, target, &mut |_| ControlFlow::Continue(()))
}

async fn put_artifact(store: &EmbeddedStore, bytes: &[u8]) {
    store.put_artifact(&acme(), &"churn-1".parse().expect("a version"), bytes.to_vec()).await.expect("kept");
}

async fn artifact(store: &EmbeddedStore) -> Option<Vec<u8>> {
    store.artifact(&acme(), &"churn-1".parse().expect("a version")).await.expect("readable")
}

/// A store of several segments.
fn open_in_segments(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(Options { segment_bytes: 32 << 10, ..options(directory) }).expect("opens")
}

/// Every file below a directory by its place, with its bytes.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push((path.clone(), fs::read(path).expect("readable")));
        }
    }
    files.sort();
    files
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>, words: &str) {
    let refused = result.expect_err("refused");
    assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    assert!(refused.to_string().contains(words), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_made_while_writes_go_on_answers_like_the_store_at_its_revision() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, image, restored, backup] = ["data", "image", "restored", "backup"].map(|name| home.path().join(name));
    let store = Arc::new(open_in_segments(&data));
    fill(&*store).await;
    put_artifact(&store, &ARTIFACT).await;
    let writer = Arc::clone(&store);
    let goes_on = tokio::spawn(async move {
        for number in EVENTS..EVENTS + 200 {
            commit(&*writer, vec![belongs(1, event(number))]).await.expect("commits");
        }
    });
    let made = back_up(&store, &backup).await.expect("backed up");
    goes_on.await.expect("writes");
    assert!(made.revision >= Revision(EVENTS.cast_unsigned()), "{made:?}");
    assert!(made.files > 3 && made.bytes_reused == 0, "{made:?}");
    let brought = bring_back(&backup, &restored).expect("restored");
    assert_eq!((brought.revision, brought.files, brought.bytes), (made.revision, made.files, made.bytes_copied));
    // What the store was like at that revision: its journal, cut behind it.
    store.close().await.expect("closes");
    copy(&data, &image).expect("copied");
    fs::remove_dir_all(image.join("index")).expect("removable");
    fs::remove_dir_all(image.join("journal")).expect("removable");
    copy(&restored.join("journal"), &image.join("journal")).expect("copied");
    for (path, bytes) in files(&restored.join("journal")) {
        let live = fs::read(data.join("journal").join(path.file_name().expect("a name"))).expect("readable");
        assert!(live.starts_with(&bytes), "{}", path.display());
    }
    let (restored, then) = (open(&restored), open(&image));
    assert_eq!(restored.revision(), made.revision);
    assert_eq!(contents(&restored).await, contents(&then).await);
    assert_eq!(artifact(&restored).await, Some(ARTIFACT.to_vec()));
}

#[tokio::test]
async fn a_restored_store_answers_byte_for_byte_and_goes_on() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let store = open_in_segments(&data);
    fill(&store).await;
    put_artifact(&store, &ARTIFACT).await;
    back_up(&store, &backup).await.expect("backed up");
    bring_back(&backup, &restored).expect("restored");
    let again = open(&restored);
    assert_eq!(contents(&again).await, contents(&store).await);
    assert_eq!(artifact(&again).await, artifact(&store).await);
    commit(&again, vec![belongs(1, event(EVENTS))]).await.expect("goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_backed_up_and_none_is_removed_while_a_backup_may_copy_it() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let store = EmbeddedStore::open(Options { checkpoint_bytes: 1, ..options(&data) }).expect("opens");
    let store = Arc::new(store);
    fill(&*store).await;
    let checkpoints = || {
        let entries = fs::read_dir(data.join("checkpoints")).expect("readable").map(|entry| entry.expect("readable"));
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "checkpoint")).count()
    };
    let mut number = EVENTS;
    // A checkpoint is written beside the commits, so that a backup right after them may still find none.
    while checkpoints() < 1 {
        commit(&*store, vec![belongs(1, event(number))]).await.expect("commits");
        number += 1;
    }
    let (begin, begun) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let observer = Box::new(move |_| {
        let _nobody_waits_for_the_second_call = begin.send(());
        let _released = held.recv();
        ControlFlow::Continue(())
    });
    let request = BackupRequest { directory: backup.clone(), time: Timestamp::from_micros(7), observer };
    let made = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.back_up(request).await }
    });
    begun.recv().expect("at work");
    let live = contents(&*store).await;
    // Large enough that the next checkpoint is due, until more are there than are kept.
    while checkpoints() < 4 {
        commit(&*store, (0..200).map(|more| belongs(1, event(number + more))).collect()).await.expect("commits");
        number += 200;
    }
    drop(release);
    made.await.expect("no panic").expect("backed up");
    assert!(!files(&backup.join("checkpoints")).is_empty());
    bring_back(&backup, &restored).expect("restored");
    assert_eq!(contents(&open(&restored)).await, live);
    while checkpoints() > 2 {
        commit(&*store, (0..200).map(|more| belongs(1, event(number + more))).collect()).await.expect("commits");
        number += 200;
    }
}

#[tokio::test]
async fn an_empty_store_can_be_backed_up_and_restored() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let made = back_up(&open(&data), &backup).await.expect("backed up");
    assert_eq!(made.revision, Revision(0));
    bring_back(&backup, &restored).expect("restored");
    commit(&open(&restored), vec![belongs(1, event(1))]).await.expect("goes on");
}

#[tokio::test]
async fn a_second_backup_copies_only_what_is_new() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let store = open_in_segments(&data);
    fill(&store).await;
    put_artifact(&store, &ARTIFACT).await;
    let first = back_up(&store, &backup).await.expect("backed up");
    let again = back_up(&store, &backup).await.expect("backed up");
    assert_eq!((again.bytes_copied, again.bytes_reused), (0, first.bytes_copied));
    for number in EVENTS..EVENTS + 100 {
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
    }
    // The later backup has the bytes of the later commits more, and the headers of the segments that they began.
    let later = back_up(&store, &backup).await.expect("backed up");
    assert_eq!(later.bytes_reused, first.bytes_copied);
    assert!(later.files > first.files && later.bytes_copied > 0, "{first:?} {later:?}");
    let brought = bring_back(&backup, &restored).expect("restored");
    assert_eq!(brought.bytes, later.bytes_reused + later.bytes_copied);
    assert_eq!(contents(&open(&restored)).await, contents(&store).await);
}

#[tokio::test]
async fn a_backup_that_was_interrupted_anywhere_leaves_the_former_one_valid_and_can_be_made_again() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, backup] = ["data", "backup"].map(|name| home.path().join(name));
    let store = open_in_segments(&data);
    fill(&store).await;
    put_artifact(&store, &ARTIFACT).await;
    back_up(&store, &backup).await.expect("backed up");
    let former = contents(&store).await;
    // The later one would replace the artifact, append to the last segment and add another.
    put_artifact(&store, &[6; 5_000]).await;
    for number in EVENTS..EVENTS + 100 {
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
    }
    let (names, record) = (["BACKUP", "LOCK"], fs::read(backup.join("BACKUP")).expect("readable"));
    let whole = home.path().join("whole");
    copy(&backup, &whole).expect("copied");
    back_up(&store, &whole).await.expect("backed up");
    let new: Vec<_> =
        files(&whole).into_iter().filter(|(path, _)| !names.iter().any(|name| path.ends_with(name))).collect();
    for stopped_after in 0..=new.len() {
        let half = home.path().join(format!("half-{stopped_after}"));
        copy(&backup, &half).expect("copied");
        for (number, (path, bytes)) in new.iter().enumerate().take(stopped_after + 1) {
            let target = half.join(path.strip_prefix(&whole).expect("below"));
            fs::create_dir_all(target.parent().expect("a parent")).expect("made");
            let there = target.metadata().map_or(0, |data| data.len());
            // The last of them only half: appended to where it grows, under another name where it is new.
            let (target, bytes) = match number == stopped_after {
                false => (target, &bytes[..]),
                true if there > 0 => (target, &bytes[..(there as usize).midpoint(bytes.len())]),
                true => (target.with_extension("tmp"), &bytes[..bytes.len() / 2]),
            };
            fs::write(target, bytes).expect("written");
        }
        assert_eq!(fs::read(half.join("BACKUP")).expect("readable"), record);
        let restored = home.path().join(format!("restored-{stopped_after}"));
        bring_back(&half, &restored).expect("the former one is whole");
        let restored = open(&restored);
        assert_eq!(contents(&restored).await, former, "stopped after {stopped_after}");
        assert_eq!(artifact(&restored).await, Some(ARTIFACT.to_vec()));
        back_up(&store, &half).await.expect("made again");
        let kept = files(&half).into_iter().map(|(path, _)| path);
        let leftover = kept.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).count();
        assert_eq!(leftover, 0, "nothing unfinished stays behind");
        let restored = home.path().join(format!("later-{stopped_after}"));
        bring_back(&half, &restored).expect("restored");
        assert_eq!(artifact(&open(&restored)).await, Some(vec![6; 5_000]));
    }
}

#[tokio::test]
async fn a_first_backup_that_was_given_up_is_no_backup_and_can_be_made_again() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let store = open_in_segments(&data);
    fill(&store).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let observer = Box::new(move |progress: Progress| {
        tell.lock().expect("whole").push(progress);
        if progress.bytes_done > progress.bytes_total / 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let request = BackupRequest { directory: backup.clone(), time: Timestamp::from_micros(7), observer };
    assert!(matches!(store.back_up(request).await, Err(Error::Abandoned)));
    assert!(told.lock().expect("whole").len() > 1);
    refusal(bring_back(&backup, &restored), "holds no backup");
    back_up(&store, &backup).await.expect("made again");
    assert!(!backup.join("UNFINISHED").exists());
    bring_back(&backup, &restored).expect("restored");
}

#[tokio::test]
async fn a_directory_that_cannot_take_a_backup_is_refused_and_not_touched() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let store = open(&data);
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    for inside in [data.clone(), data.join("backup"), data.join("a/../b")] {
        refusal(back_up(&store, &inside).await, "");
        assert!(inside == data || !inside.exists(), "{}", inside.display());
    }
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&data, &link).expect("linked");
    refusal(back_up(&store, &link.join("backup")).await, "data directory");
    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).expect("made");
    fs::write(foreign.join("letter.txt"), "mine").expect("written");
    refusal(back_up(&store, &foreign).await, "neither empty nor a backup");
    assert_eq!(files(&foreign).len(), 1);
    refusal(back_up(&store, &foreign.join("letter.txt")).await, "no directory");
    let others = home.path().join("others");
    let other = Options { new_store_id: [8; 16], ..options(&home.path().join("other")) };
    back_up(&EmbeddedStore::open(other).expect("opens"), &others).await.expect("backed up");
    refusal(back_up(&store, &others).await, "another store");
}

#[tokio::test]
async fn a_backup_of_a_history_that_the_store_left_is_not_overwritten() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, older, newer] = ["data", "restored", "older", "newer"].map(|name| home.path().join(name));
    let store = open(&data);
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    back_up(&store, &older).await.expect("backed up");
    commit(&store, vec![belongs(1, event(2))]).await.expect("commits");
    back_up(&store, &newer).await.expect("backed up");
    bring_back(&older, &restored).expect("restored");
    let other = open(&restored);
    let kept = files(&newer);
    refusal(back_up(&other, &newer).await, "commits that this store does not have");
    // Now it has as many commits, and more, but not the same.
    for number in 3..6 {
        commit(&other, vec![belongs(1, event(number))]).await.expect("commits");
        refusal(back_up(&other, &newer).await, "commits that this store does not have");
    }
    assert_eq!(files(&newer), kept);
    back_up(&other, &older).await.expect("this one is of its own past");
}

#[tokio::test]
async fn any_damage_to_a_backup_is_refused_with_its_file_and_leaves_the_target_as_it_was() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, backup] = ["data", "backup"].map(|name| home.path().join(name));
    let store = open_in_segments(&data);
    fill(&store).await;
    put_artifact(&store, &ARTIFACT).await;
    back_up(&store, &backup).await.expect("backed up");
    let target = home.path().join("target");
    fs::create_dir(&target).expect("made");
    for (path, bytes) in files(&backup).into_iter().filter(|(path, _)| !path.ends_with("LOCK")) {
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for damage in [Some(flipped), Some(bytes[..bytes.len() - 1].to_vec()), None] {
            match damage {
                Some(damage) => fs::write(&path, damage).expect("written"),
                None => fs::remove_file(&path).expect("removed"),
            }
            let refused = bring_back(&backup, &target).expect_err("refused").to_string();
            assert!(refused.contains(path.file_name().and_then(|name| name.to_str()).expect("text")), "{refused}");
            assert_eq!(fs::read_dir(&target).expect("readable").count(), 0);
            assert!(!home.path().join("target.restoring").exists());
            fs::write(&path, &bytes).expect("mended");
        }
    }
    // What a killed restore has left is in nobody's way.
    fs::create_dir(home.path().join("target.restoring")).expect("made");
    fs::write(home.path().join("target.restoring/leftover"), "x").expect("written");
    bring_back(&backup, &target).expect("restored");
    assert!(!target.join("leftover").exists());
    assert_eq!(contents(&open(&target)).await, contents(&store).await);
}

#[tokio::test]
async fn a_damaged_copy_is_made_anew_by_the_next_backup_where_it_would_have_grown() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, restored, backup] = ["data", "restored", "backup"].map(|name| home.path().join(name));
    let store = open(&data);
    fill(&store).await;
    back_up(&store, &backup).await.expect("backed up");
    let segment = backup.join("journal/00000000000000000001.journal");
    let mut bytes = fs::read(&segment).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).expect("written");
    commit(&store, vec![belongs(1, event(EVENTS))]).await.expect("commits");
    let made = back_up(&store, &backup).await.expect("backed up");
    assert!(made.bytes_copied > middle as u64, "{made:?}");
    bring_back(&backup, &restored).expect("restored");
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, backup] = ["data", "backup"].map(|name| home.path().join(name));
    let store = open(&data);
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    back_up(&store, &backup).await.expect("backed up");
    let before = files(&data);
    refusal(bring_back(&backup, &data), "is not empty");
    assert_eq!(files(&data).len(), before.len());
    refusal(bring_back(&backup, &data.join("LOCK")), "is not empty");
    refusal(bring_back(&backup, &backup.join("data")), "lies in the backup");
    refusal(bring_back(&home.path().join("nothing"), &home.path().join("target")), "holds no backup");
    assert!(!home.path().join("target").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_at_once_is_refused_and_closing_ends_the_first() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, backup, other] = ["data", "backup", "other"].map(|name| home.path().join(name));
    let store = Arc::new(open(&data));
    fill(&*store).await;
    let (begin, begun) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let observer = Box::new(move |_| {
        begin.send(()).expect("somebody waits");
        let _released = held.recv();
        ControlFlow::Continue(())
    });
    let request = BackupRequest { directory: backup.clone(), time: Timestamp::from_micros(7), observer };
    let first = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.back_up(request).await }
    });
    begun.recv().expect("at work");
    assert!(matches!(back_up(&store, &other).await, Err(Error::BackupRunning)));
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    while !matches!(store.opened().map(drop), Err(Error::Closed)) {
        tokio::task::yield_now().await;
    }
    drop(release);
    assert!(matches!(first.await.expect("no panic"), Err(Error::Abandoned)));
    closing.await.expect("no panic").expect("closes");
    // Nobody holds the directory any more.
    open(&data);
}
