//! What earlier releases wrote still opens, and says the same.
//!
//! `tests/data/format-N` is a data directory of format N with what it reads, `tests/data/backup-N` a backup of format
//! N. Where data are sealed, whose bytes are never the same again, `clear` beside them holds the same without seals: what a
//! release writes is compared with that. A release that changes a format raises its number, keeps the older fixtures and
//! adds its own:
//!
//! ```sh
//! RAPPORT_FIXTURES=write cargo test --test compat
//! ```

mod history;
mod reading;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rapport::domain::time::Timestamp;
use rapport::store::embedded::{DiskLimits, EmbeddedStore, Options, restore};
use rapport::store::{BackupRequest, Backups as _, Store};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn open(directory: &Path) -> Arc<EmbeddedStore> {
    open_with(directory, false)
}

fn open_with(directory: &Path, unsealed: bool) -> Arc<EmbeddedStore> {
    // Small segments, so that there are several.
    let disk = DiskLimits { reserve_bytes: 0, ..DiskLimits::default() };
    let options = Options { segment_bytes: 4 << 10, disk, unsealed, ..Options::new(directory, [7; 16]) };
    Arc::new(EmbeddedStore::open(options).expect("opens"))
}

/// Every file below a directory, by its place in it; neither the index, which is rebuilt, nor locks.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        let name = PathBuf::from(path.file_name().expect("a name"));
        if path.is_dir() && !path.ends_with("index") {
            files.extend(self::files(&path).into_iter().map(|(below, bytes)| (name.join(below), bytes)));
        } else if path.is_file() && !["LOCK", "RESERVE"].iter().any(|name| path.ends_with(name)) {
            files.insert(name, fs::read(&path).expect("readable"));
        }
    }
    files
}

fn put(directory: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// The fixtures of a kind, the latest last.
fn fixtures(kind: &str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(FIXTURES).expect("fixtures").map(|entry| entry.expect("readable").path());
    let number = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_prefix(kind)?.parse().ok()?, path));
    let mut fixtures: Vec<_> = entries.filter_map(number).collect();
    fixtures.sort();
    fixtures
}

/// The format that a sealed file says it has.
fn format(file: &[u8]) -> u32 {
    u32::from_le_bytes(file[4..8].try_into().expect("four bytes"))
}

/// Every line of what was read once is still there, in its order; a later release may say more between them.
#[track_caller]
fn still_says(now: &str, then: &str) {
    let mut lines = now.lines();
    for (number, line) in (1..).zip(then.lines()) {
        assert!(lines.any(|now| now == line), "line {number} of what was read is not there any more: {line}");
    }
}

/// What this release writes: a data directory, what it reads, and a backup of it.
async fn written(home: &Path, unsealed: bool) -> (PathBuf, String, PathBuf) {
    let (data, backup) = (home.join("data"), home.join("backup"));
    let store = open_with(&data, unsealed);
    history::write(&*store).await;
    let observer = Box::new(|_| ControlFlow::Continue(()));
    let time = Timestamp::from_micros(history::START * 1_000_000);
    store.back_up(BackupRequest { directory: backup.clone(), time, observer }).await.expect("backed up");
    let text = reading::of(Arc::clone(&store) as Arc<dyn Store>).await;
    store.close().await.expect("closes");
    (data, text, backup)
}

#[tokio::test]
async fn what_this_release_writes_is_what_the_fixture_of_its_format_holds() {
    let home = tempfile::tempdir().expect("a directory");
    let (data, text, backup) = written(&home.path().join("clear"), true).await;
    // Keys are other ones each time, and so is the list of a backup, which has their digests.
    let clear = |directory: &Path| {
        let mut files = files(directory);
        files.retain(|name, _| !name.starts_with("keys") && !name.ends_with("BACKUP"));
        files
    };
    let (of_data, of_backup) =
        (format(&files(&data)[Path::new("MANIFEST")]), format(&files(&backup)[Path::new("BACKUP")]));
    let (data, backup) = (clear(&data), clear(&backup));
    let [data_fixture, backup_fixture] =
        [format!("format-{of_data}"), format!("backup-{of_backup}")].map(|name| Path::new(FIXTURES).join(name));
    if std::env::var_os("RAPPORT_FIXTURES").is_some() {
        let (sealed, text, sealed_backup) = written(&home.path().join("sealed"), false).await;
        for (fixture, kind, sealed, clear) in
            [(&data_fixture, "data", sealed, &data), (&backup_fixture, "backup", sealed_backup, &backup)]
        {
            put(&fixture.join(kind), &files(&sealed));
            put(&fixture.join("clear"), clear);
            fs::write(fixture.join("reading.txt"), &text).expect("written");
        }
    }
    let advice = "the format has changed: raise its number, and add a fixture as tests/compat/main.rs says";
    assert!(data_fixture.is_dir() && backup_fixture.is_dir(), "{advice}");
    let fixture = files(&data_fixture.join("clear"));
    assert!(data.keys().eq(fixture.keys()), "{advice}: {:?}", data.keys());
    for (name, bytes) in &data {
        assert!(*bytes == fixture[name], "{}: {advice}", name.display());
    }
    assert!(backup == files(&backup_fixture.join("clear")), "backup: {advice}");
    still_says(&text, &fs::read_to_string(data_fixture.join("reading.txt")).expect("readable"));
}

#[tokio::test]
async fn a_data_directory_of_every_format_opens_says_the_same_and_goes_on() {
    let fixtures = fixtures("format-");
    assert!(!fixtures.is_empty());
    for (number, fixture) in fixtures {
        let home = tempfile::tempdir().expect("a directory");
        put(home.path(), &files(&fixture.join("data")));
        let store = open(home.path());
        let text = reading::of(Arc::clone(&store) as Arc<dyn Store>).await;
        println!("format {number}");
        still_says(&text, &fs::read_to_string(fixture.join("reading.txt")).expect("readable"));
        history::commit(&*store, vec![history::later()]).await;
        store.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_backup_of_every_format_is_restored_and_says_the_same() {
    let fixtures = fixtures("backup-");
    assert!(!fixtures.is_empty());
    for (number, fixture) in fixtures {
        let home = tempfile::tempdir().expect("a directory");
        let data = home.path().join("data");
        restore(&fixture.join("backup"), &data, &mut |_| ControlFlow::Continue(())).expect("restored");
        let text = reading::of(open(&data) as Arc<dyn Store>).await;
        println!("format {number}");
        still_says(&text, &fs::read_to_string(fixture.join("reading.txt")).expect("readable"));
    }
}
