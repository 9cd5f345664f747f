//! The power goes, or the process is killed, between any two steps; and again while the store recovers.

use std::path::{Path, PathBuf};

use rand::Rng;
use rand::seq::SliceRandom;

use super::cases::{self, Random};
use super::disk::{Disk, Image};
use super::examine::{Expected, Found, Reference, examine};
use super::recorder::{Change, Entry};
use super::workload::{self, HOME, Length, Recording, Start};
use crate::store::embedded::index::Mark;

/// States that are examined of each history.
const STATES: usize = 12;
/// Falls from which a history goes on, and falls again.
const FALLS: usize = 3;
/// States that are examined of each history that went on.
const STATES_AFTER: usize = 4;
const STATES_OF_A_ROUND: u64 = (STATES + FALLS * STATES_AFTER) as u64;

/// How a store ends without being asked.
#[derive(Debug, Clone, Copy)]
enum Fall {
    /// The process dies, and the system still has everything that it wrote.
    Kill,
    PowerCut,
}

/// What a fall leaves.
struct Left {
    start: Start,
    image: Image,
    what: String,
}

#[test]
fn no_acknowledged_commit_is_lost_by_a_power_cut_or_a_kill() {
    let rounds = cases::count(200).div_ceil(STATES_OF_A_ROUND);
    let mut let_go = 0;
    for seed in cases::first_seed()..cases::first_seed() + rounds {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        match runtime.block_on(round(&mut cases::random(seed))) {
            Ok(removed) => let_go += removed,
            Err(what) => cases::fail(seed, &what),
        }
    }
    assert!(rounds < 5 || let_go > 0, "no history let go of a segment: that is among what is to be shown");
}

/// One history, and what falls at many moments of it leave. Answers with how many segments it let go of.
async fn round(random: &mut Random) -> Result<usize, String> {
    let recording = workload::play(Start::default(), Length { sessions: 3, steps: 32 }, random).await;
    check(&recording, STATES, random).await?;
    for _ in 0..FALLS {
        let fall = *[Fall::Kill, Fall::PowerCut].choose(random).expect("two");
        let left = recording.fall(fall, random);
        let length = Length { sessions: 1, steps: random.gen_range(0..8) };
        let later = workload::play(left.start, length, random).await;
        check(&later, STATES_AFTER, random).await.map_err(|what| format!("{}, then {what}", left.what))?;
    }
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "journal");
    let is_removal = |entry: &&Entry| matches!(entry, Entry::Change(Change::Remove(path)) if is_segment(path));
    Ok(recording.entries.iter().filter(is_removal).count())
}

async fn check(recording: &Recording, states: usize, random: &mut Random) -> Result<(), String> {
    let mut found: Vec<(String, Found)> = Vec::new();
    for _ in 0..states {
        let fall = if random.gen_bool(0.8) { Fall::PowerCut } else { Fall::Kill };
        let left = recording.fall(fall, random);
        let home = tempfile::tempdir().expect("a directory");
        workload::lay_out(&left.image, left.start.index.as_deref(), home.path());
        let Start { promised, artifacts, .. } = &left.start;
        let expected = Expected { truth: &recording.truth, promised: *promised, artifacts };
        let options = workload::options_below(home.path(), random);
        let examined = examine(options, &expected).await.map_err(|what| format!("{}: {what}", left.what))?;
        found.push((left.what, examined));
    }
    let revisions = found.iter().map(|(_, found)| found.revision).collect();
    let reference = Reference::after(&recording.truth, revisions).await;
    found.iter().try_for_each(|(left, found)| reference.compare(found).map_err(|what| format!("{left}: {what}")))
}

impl Recording {
    /// What there is when everything ends at some moment.
    fn fall(&self, fall: Fall, random: &mut Random) -> Left {
        let position = random.gen_range(0..=self.entries.len());
        let Start { mut disk, mut artifacts, mut promised, .. } = self.start.clone();
        for entry in &self.entries[..position] {
            match entry {
                Entry::Change(change) => disk.apply(change),
                Entry::Acknowledged(revision) => promised = promised.max(*revision),
                Entry::ArtifactBegins(number, content) => drop(artifacts[*number].insert(*content)),
                Entry::ArtifactEnds(number, content) => artifacts[*number] = [*content].into(),
            }
        }
        let what = format!("{fall:?} after step {position} of {}", self.entries.len());
        let (disk, image) = match fall {
            Fall::Kill => (disk.clone(), disk.after_kill()),
            Fall::PowerCut => {
                let mut image = disk.after_power_cut(random);
                mark_as_of_another_start(&mut image);
                (Disk::of(&image), image)
            }
        };
        let index = self.index_at(position, &image, random);
        Left { start: Start { disk, index, truth: self.truth.clone(), artifacts, promised }, image, what }
    }

    /// An index that there may be: the last one that was closed where the mark says that it was, else any earlier one
    /// or none.
    fn index_at(&self, position: usize, image: &Image, random: &mut Random) -> Option<PathBuf> {
        let mark = image.get(&mark()).and_then(Option::as_deref);
        let earlier = || self.indexes.iter().filter(|copy| copy.position <= position);
        match mark {
            Some(mark) if Mark::says_closed(mark) => earlier().rfind(|copy| copy.closed).map(|copy| copy.path.clone()),
            // A copy that was made while sled wrote is no state that a kill leaves: only a power cut may.
            Some(mark) if mark == Mark::of_this_start() => None,
            _ => earlier().collect::<Vec<_>>().choose(random).map(|copy| copy.path.clone()),
        }
    }
}

/// After a power cut the machine starts anew, and its marks are of the start before.
fn mark_as_of_another_start(image: &mut Image) {
    if let Some(Some(content)) = image.get_mut(&mark())
        && !Mark::says_closed(content)
    {
        *content = Mark::of_another_start();
    }
}

fn mark() -> PathBuf {
    Path::new(HOME).join("index/MARK")
}
