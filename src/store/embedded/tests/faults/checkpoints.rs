//! A checkpoint gets its name once it is whole on disk, and an older one goes once that name is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::recorder::{Change, Entry, Recorder};
use crate::store::embedded::tests::fixture::{belongs, commit, event, options};
use crate::store::embedded::{EmbeddedStore, Options};

const DIRECTORY: &str = "checkpoints";

#[tokio::test]
async fn a_checkpoint_is_durable_before_it_has_its_name_and_before_an_older_one_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorder = Recorder::start(directory.path());
    let options = Options { checkpoint_bytes: 1, ..options(directory.path()) };
    let store = EmbeddedStore::open(options).expect("opens");
    let mut checked = Checked::default();
    for number in 0..20_000 {
        commit(&store, vec![belongs(1, event(number))]).await.expect("commits");
        if number % 20 == 0 {
            checked = check(&recorder.entries()).expect("every sync came first");
        }
        if checked.removed > 0 {
            break;
        }
    }
    assert!(checked.named > 2 && checked.removed > 0, "{checked:?}");
}

/// What was seen to happen in the right order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Checked {
    named: usize,
    removed: usize,
}

fn check(entries: &[Entry]) -> Result<Checked, String> {
    let (mut unsynced, mut name_is_durable, mut checked) = (BTreeSet::<PathBuf>::new(), true, Checked::default());
    for entry in entries {
        let Entry::Change(change) = entry else { continue };
        match change {
            Change::Write { path, .. } => drop(unsynced.insert(path.clone())),
            Change::Sync(path) => drop(unsynced.remove(path)),
            Change::SyncDirectory(path) if path == Path::new(DIRECTORY) => name_is_durable = true,
            Change::Rename { from, to } if is_checkpoint(to) => {
                if unsynced.contains(from) {
                    return Err(format!("{} got its name, and its content was not durable", to.display()));
                }
                (name_is_durable, checked.named) = (false, checked.named + 1);
            }
            Change::Remove(path) if is_checkpoint(path) => {
                if !name_is_durable {
                    return Err(format!("{} was removed, and the name of a newer one was not durable", path.display()));
                }
                checked.removed += 1;
            }
            _ => {}
        }
    }
    Ok(checked)
}

fn is_checkpoint(path: &Path) -> bool {
    path.starts_with(DIRECTORY) && path.extension().is_some_and(|extension| extension == "checkpoint")
}

#[test]
fn a_checkpoint_without_a_sync_would_be_noticed() {
    let [unfinished, path] = ["checkpoints/7.checkpoint.tmp", "checkpoints/7.checkpoint"].map(PathBuf::from);
    let write = Change::Write { path: unfinished.clone(), offset: 0, bytes: vec![1] };
    let sync = Change::Sync(unfinished.clone());
    let rename = Change::Rename { from: unfinished, to: path.clone() };
    let (sync_name, remove) = (Change::SyncDirectory(DIRECTORY.into()), Change::Remove(path));
    let check =
        |changes: &[&Change]| check(&changes.iter().map(|&change| Entry::Change(change.clone())).collect::<Vec<_>>());
    assert_eq!(check(&[&write, &sync, &rename, &sync_name, &remove]), Ok(Checked { named: 1, removed: 1 }));
    assert!(check(&[&write, &rename, &sync, &sync_name]).is_err(), "the content came after the name");
    assert!(check(&[&write, &sync, &rename, &remove, &sync_name]).is_err(), "the older one went before the name");
}
