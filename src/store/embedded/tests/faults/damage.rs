//! Files that are not what was written: what is read is what was written, or a refusal says which file is wrong.
//!
//! A case is a victim and what is done to it; both are tables, so that a new kind of file or of damage is one entry.
//! One fault at a time: where the journal's end and the index are lost together, nothing is left that knows better.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use rand::Rng;
use rand::seq::SliceRandom;

use super::cases::{self, Random};
use super::disk::Image;
use crate::domain::fact::Fact;
use crate::domain::id::Revision;
use crate::store::embedded::tests::fixture::{
    Contents, acme, belongs, commit, contents, copy, event, fill, options, read_contents,
};
use crate::store::embedded::{EmbeddedStore, Options};
use crate::store::{ArtifactStore, CommitReader, CommitStore, Error, Store};

/// Within this time a start is refused, or it repairs what it can.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
/// A repair may take this long on a machine that does much else.
const REPAIRED_WITHIN: Duration = Duration::from_secs(60);
const ARTIFACT: &str = "churn-1";

/// A kind of file, by its path in the store's directory.
struct Victim {
    name: &'static str,
    /// How often it is chosen, beside the others.
    share: u32,
    is_one: fn(&Path) -> bool,
    /// What is gone with it and is no fault, so that the start depends on the victim.
    without: Option<&'static str>,
}

const VICTIMS: [Victim; 9] = [
    Victim { name: "a segment", share: 6, is_one: |path| path.starts_with("journal"), without: None },
    Victim { name: "the manifest", share: 1, is_one: |path| path == Path::new("MANIFEST"), without: None },
    Victim { name: "the mark", share: 1, is_one: |path| path == Path::new("index/MARK"), without: None },
    Victim {
        name: "the index",
        share: 4,
        is_one: |path| path.starts_with("index") && path.ends_with("db"),
        without: None,
    },
    Victim {
        name: "a file beside the index",
        share: 2,
        is_one: |path| path.starts_with("index") && !path.ends_with("db") && !is_table(path),
        without: None,
    },
    Victim { name: "a table of the index", share: 4, is_one: is_table, without: None },
    Victim { name: "an artifact", share: 1, is_one: |path| path.starts_with("artifacts"), without: None },
    Victim { name: "a checkpoint", share: 1, is_one: |path| path.starts_with("checkpoints"), without: None },
    Victim {
        name: "a checkpoint beside no index",
        share: 4,
        is_one: |path| path.starts_with("checkpoints"),
        without: Some("index"),
    },
];

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "table")
}

/// What is done to a file's content.
type Harm = fn(&mut Vec<u8>, &mut Random);

const HARMS: [(&str, Harm); 8] = [
    ("a flipped bit", |file, random| flip(file, 1, random)),
    ("64 changed bytes", |file, random| flip(file, 64, random)),
    ("a cut", |file, random| file.truncate(random.gen_range(0..=file.len()))),
    ("512 zeroes", |file, random| zero(file, 512, random)),
    ("4 KiB of zeroes", |file, random| zero(file, 4 << 10, random)),
    ("64 KiB of zeroes", |file, random| zero(file, 64 << 10, random)),
    ("an older half", |file, random| {
        let (half, rest) = (file.len() / 2, random.gen_range(0..=file.len() / 2));
        file.copy_within(..rest, half);
    }),
    ("a longer end", |file, random| file.extend((0..random.gen_range(1..5_000)).map(|_| random.r#gen::<u8>()))),
];

/// What is done to the directory, with the name of one of its files.
type Move = fn(&Path, &Path, &Path);

/// Each is given the directory, the victim, and another file of the same kind.
const MOVES: [(&str, Move); 4] = [
    ("missing", |home, victim, _| fs::remove_file(home.join(victim)).expect("removable")),
    ("swapped with another of its kind", |home, victim, other| {
        let (one, two) = (read(&home.join(victim)), read(&home.join(other)));
        fs::write(home.join(victim), two).expect("writable");
        fs::write(home.join(other), one).expect("writable");
    }),
    ("overwritten by another of its kind", |home, victim, other| {
        fs::write(home.join(victim), read(&home.join(other))).expect("writable");
    }),
    ("gone with its directory", |home, victim, _| {
        let parent = victim.parent().filter(|parent| !parent.as_os_str().is_empty());
        match parent {
            Some(parent) => fs::remove_dir_all(home.join(parent)).expect("removable"),
            None => fs::remove_file(home.join(victim)).expect("removable"),
        }
    }),
];

/// Files that something else left there.
const LEFTOVERS: [&str; 17] = [
    "MANIFEST.tmp",
    "journal/00000000000000000999.journal.tmp",
    "journal/00000000000000000999.journal",
    "journal/first.journal",
    "journal/notes.txt",
    "index/MARK.tmp",
    "index/1/snap.0000000000000001",
    "index/1/snap.00000000000FFFFF.generating",
    "index/1/blobs/77",
    "index/7/db",
    "artifacts/acme/churn-9.tmp",
    "checkpoints/00000000000000000300.checkpoint.tmp",
    "checkpoints/00000000000000000300.checkpoint",
    "checkpoints/00000000000000999999.checkpoint",
    "checkpoints/notes.txt",
    "RESERVE",
    "lost+found/#12",
];

/// A filled store that was closed in order, and everything that can be read from it.
struct Original {
    home: tempfile::TempDir,
    files: Vec<PathBuf>,
    contents: Contents,
    facts: Vec<Vec<Fact>>,
}

#[test]
fn a_damaged_file_is_repaired_or_refused_and_never_believed() {
    let original = block_on(Original::make());
    let first = cases::first_seed();
    for seed in first..first + cases::count(60) {
        if let Err(what) = original.play(&mut cases::random(seed)) {
            cases::fail(seed, &what);
        }
    }
}

impl Original {
    async fn make() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(small_segments(home.path())).expect("opens");
        fill(&store).await;
        two_checkpoints(&store, home.path()).await;
        for version in [ARTIFACT, "churn-2"] {
            let version = version.parse().expect("a version");
            store.put_artifact(&acme(), &version, artifact(version.as_str())).await.expect("kept");
        }
        let (contents, facts) = (contents(&store).await, facts(&store).await.expect("whole"));
        store.close().await.expect("closes");
        drop(store);
        let mut files: Vec<PathBuf> =
            image(home.path()).into_iter().filter_map(|(path, content)| content.map(|_| path)).collect();
        files.retain(|path| path != Path::new("LOCK"));
        Self { home, files, contents, facts }
    }

    /// One case: harms a copy, opens it, and judges what comes of it.
    fn play(&self, random: &mut Random) -> Result<(), String> {
        let copied = tempfile::tempdir().expect("a directory");
        copy(self.home.path(), copied.path()).expect("copied");
        let what = self.harm(copied.path(), random);
        let harmed = image(copied.path());
        let judged = match open_within_deadline(copied.path()) {
            Ok(store) => block_on(self.compare(&store)),
            Err(Refused::Late) => Err("it hangs".to_owned()),
            Err(Refused::Panicked) => Err("it panics".to_owned()),
            Err(Refused::With(error)) => self.judge_refusal(&error, &harmed, copied.path()),
        };
        judged.map_err(|found| format!("{what}: {found}"))
    }

    /// Does something to the directory and says what.
    fn harm(&self, home: &Path, random: &mut Random) -> String {
        if random.gen_ratio(1, 6) {
            let leftover = LEFTOVERS.choose(random).expect("some");
            let path = home.join(leftover);
            fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
            fs::write(path, vec![7; random.gen_range(0..5_000)]).expect("writable");
            return format!("a leftover {leftover}");
        }
        let victim = VICTIMS.choose_weighted(random, |victim| victim.share).expect("some");
        let of_kind: Vec<&PathBuf> = self.files.iter().filter(|path| (victim.is_one)(path)).collect();
        let file = of_kind.choose(random).unwrap_or_else(|| panic!("{} is not among {:?}", victim.name, self.files));
        let other = of_kind.choose(random).expect("the same at least");
        let what = format!("{} ({})", victim.name, file.display());
        if let Some(gone) = victim.without {
            fs::remove_dir_all(home.join(gone)).expect("removable");
        }
        if random.gen_ratio(1, 4) {
            let (name, change) = MOVES.choose(random).expect("some");
            change(home, file, other);
            return format!("{what} is {name}");
        }
        let (name, harm) = HARMS.choose(random).expect("some");
        let mut content = read(&home.join(file));
        harm(&mut content, random);
        fs::write(home.join(file), content).expect("writable");
        format!("{what} has {name}")
    }

    /// Everything reads as before, or says which file is wrong.
    async fn compare(&self, store: &EmbeddedStore) -> Result<(), String> {
        match read_contents(store).await {
            Ok(contents) if contents == self.contents => {}
            Ok(_) => return Err("it opens, and something reads differently".to_owned()),
            Err(error) => names_a_file(&error)?,
        }
        match facts(store).await {
            Ok(facts) if facts == self.facts => {}
            Ok(_) => return Err("it opens, and its commits are others".to_owned()),
            Err(error) => names_a_file(&error)?,
        }
        for version in [ARTIFACT, "churn-2"] {
            match store.artifact(&acme(), &version.parse().expect("a version")).await {
                // That a model is missing is noticed by whoever knows that there should be one.
                Ok(None) => {}
                Ok(Some(bytes)) if bytes == artifact(version) => {}
                Ok(Some(_)) => return Err(format!("{version} is another model")),
                Err(error) => names_a_file(&error)?,
            }
        }
        Ok(())
    }

    /// A refusal names what is wrong, touches nothing that is not rebuilt, and ends when the files are back.
    fn judge_refusal(&self, error: &Error, harmed: &Image, home: &Path) -> Result<(), String> {
        names_a_file(error)?;
        let without_index = |image: &Image| -> Image {
            image.iter().filter(|(path, _)| !path.starts_with("index")).map(|(p, c)| (p.clone(), c.clone())).collect()
        };
        let mut harmed = without_index(harmed);
        let mut after = without_index(&image(home));
        for image in [&mut harmed, &mut after] {
            image.remove(Path::new("LOCK"));
        }
        if harmed != after {
            return Err(format!("it is refused ({error}), and files have been changed"));
        }
        for file in &self.files {
            fs::create_dir_all(home.join(file).parent().expect("a parent")).expect("writable");
            fs::copy(self.home.path().join(file), home.join(file)).expect("copied");
        }
        for path in image(home).keys().filter(|path| !path.starts_with("index") && !self.files.contains(path)) {
            // What was left there and is refused is named, and goes with it.
            let _directories_stay = fs::remove_file(home.join(path));
        }
        let store = EmbeddedStore::open(small_segments(home))
            .map_err(|again| format!("it is refused ({error}), and after the file is back as well: {again}"))?;
        block_on(self.compare(&store))
    }
}

/// Why a start did not come to its end.
enum Refused {
    Late,
    Panicked,
    With(Error),
}

fn open_within_deadline(home: &Path) -> Result<EmbeddedStore, Refused> {
    let (sender, opened) = mpsc::channel();
    let options = small_segments(home);
    thread::spawn(move || sender.send(EmbeddedStore::open(options)));
    let late = |error| match error {
        mpsc::RecvTimeoutError::Timeout => Refused::Late,
        mpsc::RecvTimeoutError::Disconnected => Refused::Panicked,
    };
    match opened.recv_timeout(REFUSED_WITHIN) {
        Ok(opened) => return opened.map_err(Refused::With),
        Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Refused::Panicked),
        Err(mpsc::RecvTimeoutError::Timeout) => {}
    }
    match opened.recv_timeout(REPAIRED_WITHIN).map_err(late)? {
        Ok(repaired) => Ok(repaired),
        Err(_refused_too_late) => Err(Refused::Late),
    }
}

/// An operator must be able to act on an error: it says which file, and where in it.
fn names_a_file(error: &Error) -> Result<(), String> {
    match error {
        Error::Damaged { file, .. } | Error::Format { file, .. } if !file.is_empty() => Ok(()),
        Error::Io { action, .. } if action.contains('/') => Ok(()),
        other => Err(format!("the error does not say which file is wrong: {other}")),
    }
}

async fn facts(store: &EmbeddedStore) -> Result<Vec<Vec<Fact>>, Error> {
    let (mut facts, mut after) = (Vec::new(), Revision(0));
    while after < store.revision() {
        let followed = store.commits_after(&acme(), after, 1_000).await?;
        after = followed.up_to;
        facts.extend(followed.commits.into_iter().map(|commit| commit.facts));
    }
    Ok(facts)
}

/// Commits until there are as many checkpoints as are kept.
async fn two_checkpoints(store: &EmbeddedStore, home: &Path) {
    let is_one = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "checkpoint");
    for number in 1_000.. {
        if image(&home.join("checkpoints")).keys().filter(|path| is_one(path)).count() >= 2 {
            return;
        }
        commit(store, vec![belongs(1, event(number))]).await.expect("commits");
    }
}

fn small_segments(home: &Path) -> Options {
    Options { segment_bytes: 40_000, checkpoint_bytes: 1, ..options(home) }
}

fn artifact(version: &str) -> Vec<u8> {
    version.as_bytes().repeat(500)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("readable")
}

/// Everything in a directory.
fn image(home: &Path) -> Image {
    let (mut image, mut directories) = (Image::new(), vec![home.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.strip_prefix(home).expect("below").to_owned();
            if path.is_dir() {
                image.insert(name, None);
                directories.push(path);
            } else {
                image.insert(name, Some(read(&path)));
            }
        }
    }
    image
}

fn flip(file: &mut [u8], bytes: usize, random: &mut Random) {
    if file.is_empty() {
        return;
    }
    let start = random.gen_range(0..file.len());
    for byte in file.iter_mut().skip(start).take(bytes) {
        *byte ^= if bytes == 1 { 1 << random.gen_range(0..8) } else { random.gen_range(1..=u8::MAX) };
    }
}

/// Zeroes a block at a multiple of its size.
fn zero(file: &mut [u8], block: usize, random: &mut Random) {
    let start = random.gen_range(0..=file.len() / block) * block;
    file.iter_mut().skip(start).take(block).for_each(|byte| *byte = 0);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}
