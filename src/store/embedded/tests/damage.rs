//! Files that are not what was written: repaired where they can be, refused where they cannot, never believed.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{acme, belongs, commit, contents, event, fill, open, options, segment};
use crate::store::embedded::EmbeddedStore;
use crate::store::{ArtifactStore, Error, Store};

fn refusal(directory: &Path) -> Error {
    EmbeddedStore::open(options(directory)).map(drop).expect_err("refused")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test]
async fn an_acknowledged_commit_that_is_cut_from_the_journal_is_missed_and_not_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    for number in 0..3 {
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
    }
    store.close().await.expect("closes");
    let path = segment(directory.path());
    let whole = fs::read(&path).expect("readable");
    fs::write(&path, &whole[..whole.len() - 1]).expect("writable");
    let refused = refusal(directory.path());
    assert!(matches!(refused, Error::Damaged { .. }), "{refused:?}");
    assert_eq!(fs::read(&path).expect("readable").len(), whole.len() - 1, "nothing was cut off");
    let again = refusal(directory.path());
    assert!(matches!(again, Error::Damaged { .. }), "the second attempt is refused as well: {again:?}");
    // Whoever knows that the journal is an older one says so by deleting the index.
    fs::remove_dir_all(directory.path().join("index")).expect("removable");
    assert_eq!(crate::store::CommitStore::revision(&open(directory.path())).0, 2);
}

#[tokio::test]
async fn an_index_with_any_file_cut_zeroed_or_overwritten_is_rebuilt() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    fill(&store).await;
    let live = contents(&store).await;
    store.close().await.expect("closes");
    let damages: [fn(&mut Vec<u8>); 3] = [
        |file| file.truncate(file.len() / 2),
        |file| file.fill(0),
        |file| file.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a),
    ];
    for damage in damages {
        let index = files(&directory.path().join("index"));
        assert!(index.len() > 2, "{index:?}");
        for path in index {
            let mut file = fs::read(&path).unwrap_or_default();
            damage(&mut file);
            // A repair may have replaced the files since they were listed.
            if path.exists() {
                fs::write(&path, file).expect("writable");
            }
            let store = open(directory.path());
            assert_eq!(contents(&store).await, live, "{}", path.display());
            store.close().await.expect("closes");
        }
    }
}

#[tokio::test]
async fn a_damaged_artifact_is_not_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let version = "churn-1".parse().expect("a version");
    store.put_artifact(&acme(), &version, vec![5; 1_000]).await.expect("kept");
    let path = directory.path().join("artifacts/acme/churn-1");
    let mut file = fs::read(&path).expect("readable");
    file[500] ^= 1;
    fs::write(&path, file).expect("writable");
    let refused = store.artifact(&acme(), &version).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_model_that_was_copied_over_another_is_not_taken_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let [one, other] = ["churn-1", "churn-2"].map(|version| version.parse().expect("a version"));
    store.put_artifact(&acme(), &one, vec![1; 100]).await.expect("kept");
    store.put_artifact(&acme(), &other, vec![2; 100]).await.expect("kept");
    let artifacts = directory.path().join("artifacts/acme");
    fs::copy(artifacts.join("churn-2"), artifacts.join("churn-1")).expect("copied");
    let refused = store.artifact(&acme(), &one).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    assert_eq!(store.artifact(&acme(), &other).await.expect("readable"), Some(vec![2; 100]));
}
