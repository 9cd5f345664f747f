//! One file from its first line to its last: rows, joins and the builder put together.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::build::{Builder, Built};
use super::columns::Columns;
use super::fault::{Fault, Notes};
use super::join::Table;
use super::mapping::Mapping;
use super::plan;
use super::rows::{Rows, Source};

/// The events of one file, line by line.
pub struct Feed {
    rows: Rows,
    builder: Builder,
    tally: Tally,
    /// Faults of the joined files, reported with the first line.
    early: Vec<Fault>,
    ended: bool,
}

/// What was read of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Data lines, broken ones included.
    pub lines: u64,
    /// Lines that the mapping leaves out on purpose.
    pub skipped: u64,
    /// Lines that are broken.
    pub broken: u64,
    /// What was read in a way that the file does not spell out.
    pub notes: Notes,
}

impl Tally {
    /// Adds what was read of another file.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.skipped += other.skipped;
        self.broken += other.broken;
        self.notes.add(&other.notes);
    }
}

impl Feed {
    /// Opens a file and everything that it is joined with; all times are moved by `shift_micros`, and the bytes that
    /// are read from the file are added to `read_bytes`.
    ///
    /// # Errors
    /// When a file cannot be read or the mapping does not fit it.
    pub fn open(
        source: &Source,
        mapping: &Mapping,
        shift_micros: i64,
        read_bytes: &Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let mut early = Vec::new();
        let load = |join| Table::load(join, &source.folder(), &mapping.csv, &mut early);
        let tables = mapping.join.iter().map(load).collect::<anyhow::Result<_>>()?;
        let rows = Rows::open(source, &mapping.csv, read_bytes.clone())?;
        let columns = Columns::new(rows.file().clone(), rows.header().to_vec(), tables, &mapping.csv)?;
        let builder = Builder::new(mapping, columns, shift_micros)?;
        Ok(Self { rows, builder, tally: Tally::default(), early, ended: false })
    }

    /// What the next line became, or the end of the file; nothing after that.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_built(&mut self) -> anyhow::Result<Option<Built>> {
        if self.ended {
            return Ok(None);
        }
        let mut built = match self.rows.next_row()? {
            Some(Ok(row)) => {
                self.tally.lines += 1;
                self.builder.push(row)
            }
            Some(Err(fault)) => {
                self.tally.lines += 1;
                self.tally.broken += 1;
                Built { events: Vec::new(), faults: vec![fault] }
            }
            None => {
                self.ended = true;
                self.builder.finish()
            }
        };
        built.faults.append(&mut self.early);
        Ok(Some(built))
    }

    /// What was read so far.
    pub fn tally(&self) -> Tally {
        let builder = &self.builder;
        let broken = self.tally.broken + builder.broken;
        Tally { lines: self.tally.lines, skipped: builder.skipped, broken, notes: builder.notes }
    }
}

/// The latest time of any event in some files, in microseconds since the Unix epoch.
///
/// # Errors
/// When a file cannot be read or the mapping does not fit it.
pub fn latest_time(sources: &[Source], mapping: &Mapping) -> anyhow::Result<Option<i64>> {
    let mut latest = None;
    for source in sources {
        let mut feed = Feed::open(source, mapping, 0, &Arc::default())?;
        while let Some(built) = feed.next_built()? {
            let times = built.events.iter().filter_map(|outgoing| outgoing.event.original_time.as_ref());
            latest = latest.max(times.map(plan::micros).max());
        }
    }
    Ok(latest)
}
