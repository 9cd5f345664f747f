//! One file from its first line to its last: rows, joins and the builder put together.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::build::{Builder, Built};
use super::columns::Columns;
use super::fault::{Fault, Notes};
use super::join::Table;
use super::mapping::{CsvSpec, Mapping};
use super::plan;
use super::rows::{Rows, Source};

/// The events of one file, line by line.
pub struct Feed {
    rows: Rows,
    builder: Builder,
    /// What is looked through once before the first line is taken.
    look_ahead: Option<(Source, CsvSpec)>,
    lines: u64,
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
    /// Sound lines that are left out because another line of their group is broken.
    pub left_out: u64,
    /// All other lines: what they say was sent.
    pub imported: u64,
    /// What was read in a way that the file does not spell out.
    pub notes: Notes,
}

impl Tally {
    /// Adds what was read of another file.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.skipped += other.skipped;
        self.broken += other.broken;
        self.left_out += other.left_out;
        self.imported += other.imported;
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
        let again = (source.clone(), mapping.csv.clone());
        let look_ahead = builder.needs_look_ahead().then_some(again);
        Ok(Self { rows, builder, look_ahead, lines: 0, early, ended: false })
    }

    /// What the next line became, or the end of the file; nothing after that.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_built(&mut self) -> anyhow::Result<Option<Built>> {
        if self.ended {
            return Ok(None);
        }
        if let Some((source, csv)) = self.look_ahead.take() {
            self.look_through(&source, &csv)?;
        }
        let next = self.rows.next_row()?;
        self.lines += u64::from(next.is_some());
        let mut built = match next {
            Some(Ok(row)) => self.builder.push(row),
            Some(Err(damaged)) => self.builder.push_damaged(damaged.row, damaged.fault),
            None => {
                self.ended = true;
                self.builder.finish()
            }
        };
        built.faults.append(&mut self.early);
        Ok(Some(built))
    }

    /// Shows every line to the builder; the progress bar does not count it.
    fn look_through(&mut self, source: &Source, csv: &CsvSpec) -> anyhow::Result<()> {
        let mut rows = Rows::open(source, csv, Arc::default())?;
        while let Some(row) = rows.next_row()? {
            self.builder.look_ahead(row.unwrap_or_else(|damaged| damaged.row));
        }
        self.builder.end_look_ahead();
        Ok(())
    }

    /// What was read so far; the lines add up once the file has ended.
    pub fn tally(&self) -> Tally {
        let Builder { skipped, broken, left_out, notes, .. } = self.builder;
        let imported = self.lines.saturating_sub(skipped + broken + left_out);
        Tally { lines: self.lines, skipped, broken, left_out, imported, notes }
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
