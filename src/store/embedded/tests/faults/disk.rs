//! A disk that keeps what it was asked to keep, and of the rest what it likes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rand::Rng;

use super::cases::Random;
use super::recorder::Change;

/// The unit that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// Directories and files as they are, by path; a directory has no content.
pub(super) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Files and names, with those of their changes that no sync has made durable yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    files: Vec<File>,
    /// What processes see.
    seen: BTreeMap<PathBuf, Node>,
    /// What is surely there after a power cut.
    durable: BTreeMap<PathBuf, Node>,
    /// What leads from the one to the other, in order.
    renamings: Vec<Renaming>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

/// A change of names in one directory, which happens as a whole.
#[derive(Debug, Clone)]
struct Renaming {
    removed: Option<PathBuf>,
    set: Option<(PathBuf, Node)>,
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    changes: Vec<ContentChange>,
}

#[derive(Debug, Clone)]
enum ContentChange {
    Write(usize, Vec<u8>),
    SetLength(usize),
}

/// Which of several changes that nobody has synced reach the disk.
#[derive(Debug, Clone, Copy)]
enum Fate {
    All,
    None,
    /// The first so many, and the next one in part.
    First(usize),
    /// Each one, and each sector of it, by itself.
    Any,
}

impl Disk {
    /// A disk on which everything is durable.
    pub(super) fn of(image: &Image) -> Self {
        let mut disk = Self::default();
        for (path, content) in image {
            let node = match content {
                None => Node::Directory,
                Some(content) => disk.add_file(content.clone()),
            };
            disk.durable.insert(path.clone(), node);
        }
        disk.seen = disk.durable.clone();
        disk
    }

    pub(super) fn apply(&mut self, change: &Change) {
        // What an index is, sled's part of it included, is told by copies of it.
        if change.is_within_index() {
            return;
        }
        match change {
            Change::MakeDirectory(path) => self.rename(None, Some((path.clone(), Node::Directory))),
            Change::Create(path) => match self.file(path) {
                Some(file) => file.changes.push(ContentChange::SetLength(0)),
                None => {
                    let node = self.add_file(Vec::new());
                    self.rename(None, Some((path.clone(), node)));
                }
            },
            Change::Write { path, offset, bytes } => {
                let offset = usize::try_from(*offset).expect("small");
                self.known_file(path).changes.push(ContentChange::Write(offset, bytes.clone()));
            }
            Change::SetLength { path, bytes } => {
                let bytes = usize::try_from(*bytes).expect("small");
                self.known_file(path).changes.push(ContentChange::SetLength(bytes));
            }
            Change::Rename { from, to } => {
                let node = *self.seen.get(from).expect("a file that is renamed");
                self.rename(Some(from.clone()), Some((to.clone(), node)));
            }
            Change::Remove(path) if self.seen.contains_key(path) => self.rename(Some(path.clone()), None),
            Change::Remove(_) => {}
            Change::Sync(path) => self.known_file(path).settle(),
            Change::SyncDirectory(directory) => {
                let (settled, left) = self.renamings.drain(..).partition(|renaming| renaming.is_in(directory));
                self.renamings = left;
                let settled: Vec<Renaming> = settled;
                settled.iter().for_each(|renaming| renaming.apply(&mut self.durable));
            }
        }
    }

    /// What a process sees that is started after another was killed: all that was written, durable or not.
    pub(super) fn after_kill(&self) -> Image {
        self.image(&self.seen, |file| file.with(Fate::All, None))
    }

    /// What there may be after a power cut.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Image {
        let mut names = self.durable.clone();
        let fate = Fate::draw(self.renamings.len(), random);
        for (position, renaming) in self.renamings.iter().enumerate() {
            if fate.keeps(position, random) {
                renaming.apply(&mut names);
            }
        }
        let is_reachable = |path: &Path| {
            path.ancestors().skip(1).all(|parent| parent.as_os_str().is_empty() || names.contains_key(parent))
        };
        let reachable: BTreeMap<_, _> =
            names.iter().filter(|(path, _)| is_reachable(path)).map(|(path, node)| (path.clone(), *node)).collect();
        self.image(&reachable, |file| {
            let fate = Fate::draw(file.changes.len(), random);
            file.with(fate, Some(random))
        })
    }

    fn image(&self, names: &BTreeMap<PathBuf, Node>, mut content: impl FnMut(&File) -> Vec<u8>) -> Image {
        let mut of = |node: &Node| match node {
            Node::Directory => None,
            Node::File(file) => Some(content(&self.files[*file])),
        };
        names.iter().map(|(path, node)| (path.clone(), of(node))).collect()
    }

    fn add_file(&mut self, durable: Vec<u8>) -> Node {
        self.files.push(File { durable, changes: Vec::new() });
        Node::File(self.files.len() - 1)
    }

    fn rename(&mut self, removed: Option<PathBuf>, set: Option<(PathBuf, Node)>) {
        let renaming = Renaming { removed, set };
        renaming.apply(&mut self.seen);
        self.renamings.push(renaming);
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.seen.get(path)? {
            Node::File(file) => self.files.get_mut(*file),
            Node::Directory => None,
        }
    }

    fn known_file(&mut self, path: &Path) -> &mut File {
        self.file(path).unwrap_or_else(|| panic!("{} was never created", path.display()))
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((path, node)) = &self.set {
            names.insert(path.clone(), *node);
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        let path = self.set.as_ref().map(|(path, _)| path).or(self.removed.as_ref());
        path.and_then(|path| path.parent()) == Some(directory)
    }
}

impl File {
    fn settle(&mut self) {
        self.durable = self.with(Fate::All, None);
        self.changes.clear();
    }

    /// The content where `fate` decides about the changes.
    fn with(&self, fate: Fate, mut random: Option<&mut Random>) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (position, change) in self.changes.iter().enumerate() {
            match change {
                ContentChange::SetLength(bytes) => {
                    if fate.keeps_whole(position, random.as_deref_mut()) {
                        content.resize(*bytes, 0);
                    }
                }
                ContentChange::Write(offset, bytes) => {
                    write(&mut content, *offset, bytes, |sector| fate.outcome(position, sector, random.as_deref_mut()))
                }
            }
        }
        content
    }
}

/// Writes the sectors that are kept. A later one makes the file longer, with zeroes where earlier ones are missing.
fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8], mut outcome: impl FnMut(Sector) -> Outcome) {
    let mut start = 0;
    let sectors = sector_ends(offset, bytes.len());
    let count = sectors.len();
    for (number, end) in sectors.into_iter().enumerate() {
        let outcome = outcome(Sector { number, count });
        if outcome != Outcome::Dropped {
            content.resize(content.len().max(offset + end), 0);
        }
        if outcome == Outcome::Kept {
            content[offset + start..offset + end].copy_from_slice(&bytes[start..end]);
        }
        start = end;
    }
}

/// What becomes of a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    /// The file became longer, but its content did not come.
    LengthKept,
    Dropped,
}

/// A part of a write that a disk writes as a whole.
#[derive(Debug, Clone, Copy)]
struct Sector {
    number: usize,
    count: usize,
}

/// Where in a write each of its sectors ends.
fn sector_ends(offset: usize, bytes: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = (offset / SECTOR_BYTES + 1..)
        .map(|sector| sector * SECTOR_BYTES - offset)
        .take_while(|end| *end < bytes)
        .collect();
    ends.push(bytes);
    ends
}

impl Fate {
    fn draw(changes: usize, random: &mut Random) -> Self {
        match random.gen_range(0..6) {
            0 => Self::All,
            1 => Self::None,
            2 | 3 => Self::First(random.gen_range(0..=changes)),
            _ => Self::Any,
        }
    }

    fn keeps(self, position: usize, random: &mut Random) -> bool {
        self.keeps_whole(position, Some(random))
    }

    fn keeps_whole(self, position: usize, random: Option<&mut Random>) -> bool {
        self.outcome(position, Sector { number: 0, count: 1 }, random) == Outcome::Kept
    }

    fn outcome(self, position: usize, sector: Sector, random: Option<&mut Random>) -> Outcome {
        let kept = |is_kept| if is_kept { Outcome::Kept } else { Outcome::Dropped };
        match (self, random) {
            (Self::All, _) => Outcome::Kept,
            (Self::First(count), _) if position != count => kept(position < count),
            // The one at which the power went is torn somewhere in its middle.
            (Self::First(count), _) => kept(sector.number < count % (sector.count + 1)),
            (Self::Any, Some(random)) => match random.gen_range(0..4) {
                0 | 1 => Outcome::Kept,
                2 => Outcome::LengthKept,
                _ => Outcome::Dropped,
            },
            (Self::None | Self::Any, _) => Outcome::Dropped,
        }
    }
}

/// Makes the files in an empty directory.
pub(super) fn write_image(image: &Image, directory: &Path) -> io::Result<()> {
    for (path, content) in image {
        let path = directory.join(path);
        match content {
            None => fs::create_dir_all(path)?,
            Some(content) => fs::write(path, content)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::tests::faults::cases::random;

    fn write(path: &str, offset: u64, bytes: &[u8]) -> Change {
        Change::Write { path: path.into(), offset, bytes: bytes.to_vec() }
    }

    fn states(disk: &Disk) -> Vec<Image> {
        (0..500).map(|seed| disk.after_power_cut(&mut random(seed))).collect()
    }

    #[test]
    fn what_was_synced_with_its_name_is_always_there() {
        let mut disk = Disk::default();
        for change in [Change::Create("a".into()), write("a", 0, b"kept"), Change::Sync("a".into())] {
            disk.apply(&change);
        }
        assert!(states(&disk).iter().any(|image| !image.contains_key(Path::new("a"))), "its name is not durable");
        disk.apply(&Change::SyncDirectory(PathBuf::new()));
        disk.apply(&write("a", 4, b" or not"));
        assert!(
            states(&disk).iter().all(|image| {
                matches!(image.get(Path::new("a")), Some(Some(content)) if content.starts_with(b"kept"))
            })
        );
    }

    #[test]
    fn writes_that_nobody_synced_are_kept_dropped_torn_and_reordered() {
        let mut disk = Disk::of(&Image::from([("a".into(), Some(Vec::new()))]));
        disk.apply(&write("a", 0, &[1; 1_000]));
        disk.apply(&write("a", 1_000, &[2; 24]));
        let found: Vec<Vec<u8>> =
            states(&disk).into_iter().map(|image| image[Path::new("a")].clone().expect("a file")).collect();
        let whole = [[1; 1_000].as_slice(), &[2; 24]].concat();
        for (what, wanted) in [
            ("kept", whole.clone()),
            ("dropped", Vec::new()),
            ("torn at a sector", vec![1; 512]),
            ("grown with zeroes", vec![0; 1_024]),
            ("later without earlier", [[0; 1_000].as_slice(), &[2; 24]].concat()),
        ] {
            assert!(found.contains(&wanted), "{what}");
        }
        assert_eq!(disk.after_kill()[Path::new("a")].as_deref(), Some(whole.as_slice()), "a kill loses nothing");
    }
}
