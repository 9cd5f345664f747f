//! One file from its first line to its last: rows, joins and the builder put together.

use super::build::{Builder, Built};
use super::columns::Columns;
use super::fault::{Fault, Notes};
use super::join::Table;
use super::mapping::Mapping;
use super::plan;
use super::rows::{Pace, Rows};
use super::sheet::Sheet;

/// The events of one file, line by line.
pub struct Feed {
    sheet: Sheet,
    pace: Pace,
    /// Nothing until the first line is asked for.
    rows: Option<Rows>,
    builder: Builder,
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
    /// Brings a file together with a mapping and everything that it is joined with; all times are moved by
    /// `shift_micros`.
    ///
    /// # Errors
    /// When a joined file cannot be read or the mapping does not fit.
    pub fn open(sheet: &Sheet, mapping: &Mapping, shift_micros: i64, pace: Pace) -> anyhow::Result<Self> {
        let mut early = Vec::new();
        let tables = Table::load_all(mapping, &sheet.source().folder(), &mut early)?;
        let columns = Columns::new(sheet, tables, &mapping.csv)?;
        let builder = Builder::new(mapping, columns, shift_micros)?;
        Ok(Self { sheet: sheet.clone(), pace, rows: None, builder, lines: 0, early, ended: false })
    }

    /// What the next line became, or the end of the file; nothing after that.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_built(&mut self) -> anyhow::Result<Option<Built>> {
        if self.ended {
            return Ok(None);
        }
        if self.rows.is_none() {
            self.look_through()?;
        }
        let rows = match &mut self.rows {
            Some(rows) => rows,
            rows => rows.insert(self.sheet.rows(&self.pace)?),
        };
        let next = rows.next_row()?;
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

    /// Shows every line to the builder where it must know them all before it takes the first; the progress bar does not
    /// count that.
    fn look_through(&mut self) -> anyhow::Result<()> {
        if !self.builder.needs_look_ahead() {
            return Ok(());
        }
        let mut rows = self.sheet.rows(&Pace { read_bytes: Default::default(), ..self.pace })?;
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
pub fn latest_time(sheets: &[Sheet], mapping: &Mapping) -> anyhow::Result<Option<i64>> {
    let mut latest = None;
    for sheet in sheets {
        let mut feed = Feed::open(sheet, mapping, 0, Pace::default())?;
        while let Some(built) = feed.next_built()? {
            let times = built.events.iter().filter_map(|outgoing| outgoing.event.original_time.as_ref());
            latest = latest.max(times.map(plan::micros).max());
        }
    }
    Ok(latest)
}
