//! The index against the journal: how far it has come, and whether it says what the journal makes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Remedy};
use super::places;
use super::workshop::{self, Workshop};
use crate::domain::fact::Fact;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::index::{self, Found, Mark, Opened, Source as _, Trust, keys};
use crate::store::embedded::journal::{self, Frame, Inspected, Journal};
use crate::store::embedded::manifest::Manifest;
use crate::store::embedded::meter::Meter;
use crate::store::embedded::vault::Vault;
use crate::store::embedded::{Options, checkpoints, recovery};
use crate::store::{Error, Result};

/// What the comparison found.
#[derive(Debug, Default)]
struct Difference {
    entries: u64,
    /// Events that the index does not know where the journal has them.
    events: u64,
    /// Events that it has where the journal does not.
    missing: u64,
}

/// Looks at a copy of the index beside a whole journal.
pub(super) fn look(
    (options, vault): (&Options, Arc<Vault>),
    manifest: &Manifest,
    inspected: &Inspected,
    meter: &mut Meter<'_>,
) -> Result<Vec<Finding>> {
    let store = manifest.store;
    let directory = options.directory.join("index");
    let newest = if directory.is_dir() { index::newest(&directory)? } else { None };
    let Some(newest) = newest else {
        return Ok(vec![Finding::new(directory, "there is no index; the next start builds it", Remedy::Nothing)]);
    };
    let trust = Mark::trust(&directory)?;
    let workshop = Workshop::open(&options.directory)?;
    let (found, rebuilt) = (workshop.bench("found")?, workshop.bench("rebuilt")?);
    workshop::copy(&newest, &found.join("1"), meter)?;
    let wrong = |what: String| Ok(vec![Finding::new(&newest, what, Remedy::RebuildIndex)]);
    let opened = match index::look(&found, store, options.index_cache_bytes)? {
        Found::Usable(opened) => opened,
        Found::Nothing => return wrong("the index is empty".to_owned()),
        Found::Foreign => return wrong("the index was made by another release or for another store".to_owned()),
        Found::Unusable(error) => return wrong(error.to_string()),
    };
    let journal = journal::look(&options.directory.join("journal"), manifest, vault)?;
    if let Err(Error::Damaged { file, offset, what }) = recovery::check_end(&journal, opened.meta.applied, &directory) {
        return Ok(vec![Finding::new(file, what, Remedy::RestoreBackup).at(offset)]);
    }
    if opened.meta.applied < manifest.begin.usable_from {
        return wrong("it is older than what the journal still leads to".to_owned());
    }
    let checkpoints = usable_checkpoints(options, manifest, meter)?;
    if checkpoints.is_empty() && manifest.begin.is_late() {
        // The checkpoints are looked at by themselves.
        return Ok(Vec::new());
    }
    match trust {
        Trust::Trusted => {}
        Trust::Unknown => {
            let what = "the machine stopped while the index was written; the next start builds it anew";
            return Ok(vec![Finding::new(newest, what, Remedy::Nothing)]);
        }
        Trust::Changed => return wrong("its files are not what they were when it was closed".to_owned()),
    }
    let comparison = Comparison { options, manifest, checkpoints, journal: &journal, inspected };
    // sled panics where it finds what it does not expect.
    let compared = catch_unwind(AssertUnwindSafe(|| comparison.run(opened, (&found, &rebuilt), meter)));
    match compared.unwrap_or_else(|_| Err(Error::Index("sled panicked".to_owned()))) {
        Ok(Difference { entries: 0, events: 0, missing: 0 }) => Ok(Vec::new()),
        Ok(Difference { missing: missing @ 1.., .. }) => {
            let what = format!("{missing} events that are not forgotten lie before the first segment of the journal");
            Ok(vec![Finding::new(options.directory.join("journal"), what, Remedy::RestoreBackup)])
        }
        Ok(Difference { entries, events, .. }) => wrong(format!(
            "{entries} entries are not what the journal makes of them, and {events} accepted events are not known"
        )),
        Err(Error::Index(what)) => wrong(what),
        Err(error) => Err(error),
    }
}

/// Checkpoints that are whole and that an index can begin with, the oldest first: what is made of that one has come the
/// longest way by the journal. None where the journal alone leads to everything.
fn usable_checkpoints(
    options: &Options,
    manifest: &Manifest,
    meter: &mut Meter<'_>,
) -> Result<Vec<(Revision, PathBuf)>> {
    let mut usable = Vec::new();
    if manifest.begin.is_late() {
        for (revision, path) in checkpoints::list(&options.directory)? {
            let is_whole = checkpoints::check(&path, manifest.store, meter).is_ok();
            usable.extend(Some((revision, path)).filter(|_| is_whole && revision >= manifest.begin.usable_from));
        }
    }
    Ok(usable)
}

struct Comparison<'a> {
    options: &'a Options,
    manifest: &'a Manifest,
    /// What the index that is made anew may begin with.
    checkpoints: Vec<(Revision, PathBuf)>,
    journal: &'a Journal,
    inspected: &'a Inspected,
}

impl Comparison<'_> {
    /// Brings the index that was found to the end of the journal, builds another one from nothing, or what the journal goes
    /// on from, and compares them.
    fn run(&self, opened: Opened, (found, rebuilt): (&Path, &Path), meter: &mut Meter<'_>) -> Result<Difference> {
        let options = |directory: &Path| Options {
            directory: directory.to_owned(),
            new_store_id: self.manifest.store,
            ..self.options.clone()
        };
        let one = recovery::bring_up(opened, &options(found), self.journal, &mut |_| Ok(()))?;
        let now = one.index.meta().time;
        let begun = recovery::begin_index(rebuilt, self.manifest, self.checkpoints.clone(), self.options)?;
        let (mut difference, frame_bytes) = (Difference::default(), self.frame_bytes()?);
        let other = recovery::bring_up(begun, &options(rebuilt), self.journal, &mut |_| Ok(()))?;
        // The journal's own first commit may lie before that.
        let nothing_to_foresee = |_: &Frame| {};
        self.journal.replay(Revision(self.manifest.begin.first.0 - 1), nothing_to_foresee, |frame| {
            difference.events += self.unknown_events(&frame, &one.index, now)?;
            meter.add(frame_bytes)
        })?;
        difference.missing = places::missing(&one.index, self.manifest.begin.first, meter)?;
        difference.entries = index::difference(&one.index, &other.index, &mut |_| meter.add(0))?;
        Ok(difference)
    }

    /// Events of a commit that would be accepted a second time.
    fn unknown_events(&self, frame: &Frame, index: &index::Index, now: Timestamp) -> Result<u64> {
        let mut unknown = 0;
        for (fact, place) in frame.facts.iter().zip(&frame.places) {
            let Fact::Event(fact) = fact else { continue };
            if fact.event.times.received < now.minus(self.options.idempotency_window) {
                continue;
            }
            let seen = index.seen(&keys::event(&frame.workspace, &fact.event.key))?;
            unknown += u64::from(seen != Some(*place));
        }
        Ok(unknown)
    }

    /// What a frame counts for in the progress, on the average.
    fn frame_bytes(&self) -> Result<u64> {
        let bytes = super::folders::bytes(&self.options.directory.join("journal"))?;
        Ok(bytes / self.inspected.commits.max(1))
    }
}
