//! What becomes of a journal whose bytes were torn or damaged.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::segment;
use super::writer::{Home, Place, Sink, Writer};
use super::{Journal, PayloadBuilder, Wanted};
use crate::domain::fact::{Document, Fact};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::embedded::codec;
use crate::store::embedded::manifest::Manifest;
use crate::store::embedded::vault::Vault;
use crate::store::{Error, Result};

const STORE: [u8; 16] = [3; 16];

fn payload() -> Vec<u8> {
    let fact = |buffer| codec::encode_after(buffer, &Fact::Document(Document::Settings(Settings::default())));
    let builder = PayloadBuilder::new(&WorkspaceId::default_workspace(), Timestamp::from_micros(1));
    builder.add(fact).expect("encodable").finish().0
}

fn open(directory: &Path, manifest: &Manifest) -> Result<Journal> {
    super::open(directory, manifest, Vault::bare().expect("no files are no damage"))
}

/// Writes groups of so many commits each, in segments that are full at a size.
fn write(directory: &Path, groups: &[usize], segment_bytes: u64) {
    let mut writer =
        open(directory, &Manifest::new(STORE)).and_then(|journal| journal.writer(segment_bytes)).expect("writable");
    for commits in groups {
        let mut group = writer.course().begin();
        (0..*commits).for_each(|_| group.push(&payload()).expect("small"));
        writer.append(&group).expect("writable");
    }
}

fn only_segment(directory: &Path) -> PathBuf {
    segment::path(directory, Revision(1))
}

fn revisions(journal: &Journal) -> Result<Vec<u64>> {
    let mut revisions = Vec::new();
    journal.replay(
        Revision(0),
        |_| {},
        |frame| {
            revisions.push(frame.revision.0);
            Ok(())
        },
    )?;
    Ok(revisions)
}

fn frame_bytes() -> usize {
    super::frame::HEADER_BYTES + payload().len()
}

#[test]
fn a_write_torn_at_any_byte_is_cut_off_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[2, 1], u64::MAX);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).expect("readable");
    let last = whole.len() - frame_bytes();
    for end in last + 1..whole.len() {
        fs::write(&path, &whole[..end]).expect("writable");
        let mut journal = open(directory.path(), &Manifest::new(STORE)).expect("a torn tail is no damage");
        assert_eq!((journal.last, journal.torn.as_ref().map(|torn| torn.offset)), (Revision(2), Some(last as u64)));
        journal.cut().expect("writable");
        assert_eq!(fs::read(&path).expect("readable"), &whole[..last], "torn at {end}");
    }
    write(directory.path(), &[1], u64::MAX);
    assert_eq!(fs::read(&path).expect("readable"), whole, "the next commit takes the place of the torn one");
}

#[test]
fn a_tail_of_zeroes_is_cut_off() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[1], u64::MAX);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).expect("readable");
    fs::write(&path, [&whole[..], &[0; 5_000]].concat()).expect("writable");
    let mut journal = open(directory.path(), &Manifest::new(STORE)).expect("a torn tail is no damage");
    journal.cut().expect("writable");
    assert_eq!(fs::read(&path).expect("readable"), whole);
}

#[test]
fn a_flipped_bit_before_acknowledged_commits_is_damage_with_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[1, 1, 1], u64::MAX);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).expect("readable");
    let second = segment::HEADER_BYTES + frame_bytes();
    for position in second..second + frame_bytes() {
        let mut flipped = whole.clone();
        flipped[position] ^= 4;
        fs::write(&path, &flipped).expect("writable");
        match open(directory.path(), &Manifest::new(STORE)) {
            Err(Error::Damaged { file, offset, .. }) => {
                assert_eq!((file, offset), (path.display().to_string(), second as u64), "byte {position}");
            }
            other => panic!("byte {position}: {other:?}"),
        }
        assert_eq!(fs::read(&path).expect("readable"), flipped, "a damaged journal is left as it is");
    }
}

#[test]
fn a_hole_in_a_group_that_was_never_acknowledged_is_a_torn_write() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[1, 3], u64::MAX);
    let path = only_segment(directory.path());
    let mut file = fs::read(&path).expect("readable");
    // Pages of one write reach the disk in any order: the first commit of the group is missing, the others are whole.
    let second = segment::HEADER_BYTES + frame_bytes();
    file[second..second + frame_bytes()].fill(0);
    fs::write(&path, &file).expect("writable");
    let mut journal = open(directory.path(), &Manifest::new(STORE)).expect("nothing acknowledged is missing");
    journal.cut().expect("writable");
    assert_eq!(revisions(&open(directory.path(), &Manifest::new(STORE)).expect("whole")).expect("whole"), [1]);
}

#[test]
fn segments_follow_each_other_and_replay_starts_in_the_right_one() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[2, 2, 1, 1], 200);
    let journal = open(directory.path(), &Manifest::new(STORE)).expect("whole");
    assert_eq!(revisions(&journal).expect("whole"), [1, 2, 3, 4, 5, 6]);
    for applied in 0..6 {
        let mut first = None;
        let replayed = journal.replay(
            Revision(applied),
            |_| {},
            |frame| {
                first = first.or(Some(frame.revision.0));
                Ok(())
            },
        );
        replayed.expect("whole");
        assert_eq!(first, Some(applied + 1));
    }
}

#[test]
fn the_trail_leads_from_any_commit_to_the_last_visible_one_over_all_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[2, 2, 1], 200);
    let journal = open(directory.path(), &Manifest::new(STORE)).expect("whole");
    let trail = journal.trail();
    // The writer goes on where the trail was made, and the trail hears of it.
    let mut writer = journal.writer(200).expect("writable");
    for _ in 0..3 {
        let mut group = writer.course().begin();
        (0..2).for_each(|_| group.push(&payload()).expect("small"));
        writer.append(&group).expect("writable");
        trail.note(&group);
    }
    let workspace = WorkspaceId::default_workspace();
    // Twice: from nowhere, and from places that are known.
    for _ in 0..2 {
        for after in 0..11 {
            for visible in after..=11 {
                for limit in [1, 3, 100] {
                    let wanted = Wanted { after: Revision(after), visible: Revision(visible), limit };
                    let followed = trail.follow(&workspace, wanted).expect("whole");
                    let end = visible.min(after + limit as u64);
                    let found: Vec<u64> = followed.commits.iter().map(|commit| commit.revision.0).collect();
                    assert_eq!((found, followed.up_to.0), ((after + 1..=end).collect(), end), "{wanted:?}");
                }
            }
        }
    }
    let beyond = Wanted { after: Revision(10), visible: Revision(12), limit: 5 };
    assert!(matches!(trail.follow(&workspace, beyond), Err(Error::Damaged { .. } | Error::Io { .. })));
}

#[test]
fn a_follower_goes_on_where_the_last_read_ended_without_a_look_at_what_was_before() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[1, 1, 1], u64::MAX);
    let journal = open(directory.path(), &Manifest::new(STORE)).expect("whole");
    let trail = journal.trail();
    let workspace = WorkspaceId::default_workspace();
    let follow = |after, visible| {
        let wanted = Wanted { after: Revision(after), visible: Revision(visible), limit: 9 };
        trail.follow(&workspace, wanted).map(|followed| followed.commits.len())
    };
    assert_eq!(follow(0, 2).expect("whole"), 2);
    let path = only_segment(directory.path());
    let mut file = fs::read(&path).expect("readable");
    file[segment::HEADER_BYTES] ^= 1;
    fs::write(&path, &file).expect("writable");
    assert_eq!(follow(2, 3).expect("the damaged frame is not looked at"), 1);
    assert!(matches!(follow(1, 3), Err(Error::Damaged { .. })), "from elsewhere it is");
}

#[test]
fn a_missing_a_cut_and_a_foreign_segment_are_noticed_without_reading_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[1; 9], 200);
    let segments = segment::list(directory.path()).expect("listable");
    assert!(segments.len() > 2, "{segments:?}");
    let path = segment::path(directory.path(), segments[1]);
    let whole = fs::read(&path).expect("readable");
    let is_damaged = |what: &str| {
        let opened = open(directory.path(), &Manifest::new(STORE));
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{what}: {opened:?}");
    };
    fs::remove_file(&path).expect("removable");
    is_damaged("missing");
    fs::write(&path, &whole[..whole.len() - 1]).expect("writable");
    is_damaged("cut");
    fs::write(&path, &whole).expect("writable");
    assert!(matches!(open(directory.path(), &Manifest::new([4; 16])), Err(Error::Damaged { .. })), "of another store");
    open(directory.path(), &Manifest::new(STORE)).expect("whole again");
}

#[test]
fn damage_in_an_older_segment_stops_a_replay_over_it() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), &[2, 2, 2], 200);
    let path = only_segment(directory.path());
    let mut file = fs::read(&path).expect("readable");
    let last = file.len() - 1;
    file[last] ^= 1;
    fs::write(&path, &file).expect("writable");
    let journal = open(directory.path(), &Manifest::new(STORE)).expect("not read yet");
    assert!(matches!(revisions(&journal), Err(Error::Damaged { .. })));
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store::embedded) enum Fails {
    AtWrite,
    AtSync,
    /// The first write finds no room for its second half; what it left can be cut off.
    OnceForLackOfRoom,
    /// The same, and what it left stays.
    ForLackOfRoomAndAtCut,
    Never,
}

/// A disk that fails at some point.
struct Failing {
    fails: Fails,
    written: Vec<u8>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.fails {
            Fails::AtWrite => Err(io::Error::other("lost the disk")),
            Fails::OnceForLackOfRoom | Fails::ForLackOfRoomAndAtCut if !self.written.is_empty() => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Fails::OnceForLackOfRoom | Fails::ForLackOfRoomAndAtCut => {
                self.written.extend(&bytes[..bytes.len() / 2]);
                Ok(bytes.len() / 2)
            }
            Fails::AtSync | Fails::Never => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Failing {
    fn sync(&mut self) -> io::Result<()> {
        if self.fails == Fails::Never { Ok(()) } else { Err(io::Error::other("lost the disk")) }
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if self.fails != Fails::OnceForLackOfRoom {
            return Err(io::Error::other("lost the disk"));
        }
        assert_eq!(bytes, segment::HEADER_BYTES as u64, "what was durable before stays");
        self.written.clear();
        self.fails = Fails::Never;
        Ok(())
    }
}

/// The writer of an empty journal on a disk that fails.
pub(in crate::store::embedded) fn failing_writer(fails: Fails) -> Writer {
    writer_to(Failing { fails, written: Vec::new() })
}

fn writer_to(sink: impl Sink + 'static) -> Writer {
    let home = Home { directory: PathBuf::from("nowhere"), store: STORE, segment_bytes: u64::MAX };
    let place = Place { segment: Revision(1), offset: segment::HEADER_BYTES as u64, next: Revision(1) };
    Writer::new(home, place, sink)
}

/// A disk on which every write waits until it is told what becomes of it.
struct Gated {
    reached: mpsc::Sender<()>,
    outcomes: mpsc::Receiver<io::Result<()>>,
}

/// What tells it.
pub(in crate::store::embedded) struct Gate {
    reached: mpsc::Receiver<()>,
    outcomes: mpsc::Sender<io::Result<()>>,
}

/// The writer of an empty journal on a disk that waits.
pub(in crate::store::embedded) fn gated_writer() -> (Writer, Gate) {
    let ((told, reached), (outcomes, heard)) = (mpsc::channel(), mpsc::channel());
    (writer_to(Gated { reached: told, outcomes: heard }), Gate { reached, outcomes })
}

impl Gate {
    /// Waits for a write.
    pub(in crate::store::embedded) fn reached(&self) {
        self.reached.recv().expect("a write");
    }

    /// Lets the write through.
    pub(in crate::store::embedded) fn pass(&self) {
        self.outcomes.send(Ok(())).expect("a write waits");
    }

    /// Has no room for the write.
    pub(in crate::store::embedded) fn fail(&self) {
        self.outcomes.send(Err(io::ErrorKind::StorageFull.into())).expect("a write waits");
    }
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reached.send(()).expect("somebody listens");
        self.outcomes.recv().expect("told").map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Gated {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_and_a_failed_sync_are_told() {
    for fails in [Fails::AtWrite, Fails::AtSync, Fails::ForLackOfRoomAndAtCut] {
        let mut writer = failing_writer(fails);
        let mut group = writer.course().begin();
        group.push(&payload()).expect("small");
        let failed = writer.append(&group);
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    }
}

#[test]
fn a_write_that_found_no_room_is_cut_off_and_the_next_one_follows_what_was_before() {
    let mut writer = failing_writer(Fails::OnceForLackOfRoom);
    let mut group = writer.course().begin();
    group.push(&payload()).expect("small");
    let (failed, start) = (writer.append(&group), group.start());
    assert!(matches!(failed, Err(Error::DiskFull(_))), "{failed:?}");
    let again = writer.course().begin();
    assert_eq!((again.start().offset, again.next()), (start.offset, start.next));
    writer.append(&group).expect("room");
    assert_eq!(writer.course().begin().next(), Revision(start.next.0 + 1));
}
