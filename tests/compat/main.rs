//! What earlier releases wrote still opens, and says the same.
//!
//! `tests/data/format-N` is a data directory of format N with what it reads, `tests/data/backup-N` a backup of format
//! N. A release that changes a format raises its number, keeps the older fixtures and adds its own:
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
/// Bytes before the content of a sealed file: what it is, its format, a checksum.
const SEAL_BYTES: usize = 12;

fn open(directory: &Path) -> Arc<EmbeddedStore> {
    // Small segments, so that there are several.
    let disk = DiskLimits { reserve_bytes: 0, ..DiskLimits::default() };
    let options = Options { segment_bytes: 4 << 10, disk, ..Options::new(directory, [7; 16]) };
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
async fn written(home: &Path) -> (PathBuf, String, PathBuf) {
    let (data, backup) = (home.join("data"), home.join("backup"));
    let store = open(&data);
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
    let (data, text, backup) = written(home.path()).await;
    let (data, mut backup) = (files(&data), files(&backup));
    let (of_data, of_backup) = (format(&data[Path::new("MANIFEST")]), format(&backup[Path::new("BACKUP")]));
    let [data_fixture, backup_fixture] =
        [format!("format-{of_data}"), format!("backup-{of_backup}")].map(|name| Path::new(FIXTURES).join(name));
    if std::env::var_os("RAPPORT_FIXTURES").is_some() {
        put(&data_fixture.join("data"), &data);
        fs::write(data_fixture.join("reading.txt"), &text).expect("written");
        put(&backup_fixture.join("backup"), &backup);
        fs::write(backup_fixture.join("reading.txt"), &text).expect("written");
    }
    let advice = "the format has changed: raise its number, and add a fixture as tests/compat/main.rs says";
    assert!(data_fixture.is_dir() && backup_fixture.is_dir(), "{advice}");
    let mut fixture = files(&data_fixture.join("data"));
    assert!(data.keys().eq(fixture.keys()), "{advice}: {:?}", data.keys());
    for (name, bytes) in &data {
        assert!(*bytes == fixture[name], "{}: {advice}", name.display());
    }
    fixture = files(&backup_fixture.join("backup"));
    // The list of a backup begins with the release, which is another one each time, and so is its checksum.
    for files in [&mut backup, &mut fixture] {
        let list = files.get_mut(Path::new("BACKUP")).expect("a list");
        let release = usize::from(list[SEAL_BYTES]);
        list.drain(8..=SEAL_BYTES + release);
    }
    assert!(backup == fixture, "backup: {advice}");
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
