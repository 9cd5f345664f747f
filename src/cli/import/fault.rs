//! What is wrong with a line, without ever repeating a cell: cells are personal data.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// One fault of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: Arc<str>,
    /// The line on which the row begins, the first of the file being line 1.
    pub line: u64,
    /// The column, where the fault lies in one.
    pub column: Option<String>,
    /// What is wrong, lower-case without a full stop.
    pub fault: String,
    /// How many lines are left out together, where the line is one of a group: an order of which one line is missing
    /// would be another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_lines: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}", self.file, self.line)?;
        if let Some(column) = &self.column {
            write!(formatter, ", column {column}")?;
        }
        write!(formatter, ": {}", self.fault)?;
        self.group_lines.map_or(Ok(()), |lines| write!(formatter, "; its group of {lines} lines is left out"))
    }
}

/// What was found while one line was read.
#[derive(Debug, Default)]
pub struct Findings {
    /// Faults by column; any of them breaks the line.
    pub faults: Vec<(String, String)>,
    /// Things that do not break it but that nobody should have to guess.
    pub notes: Notes,
}

impl Findings {
    /// Records a fault of a column; of one that has a fault already, the first says enough.
    pub fn add(&mut self, column: &str, fault: impl Into<String>) {
        if !self.faults.iter().any(|(known, _)| known == column) {
            self.faults.push((column.to_owned(), fault.into()));
        }
    }
}

/// Counts of what was read in a way that the file does not spell out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Notes {
    /// Local times that a clock change skips, read as if the clock had not changed yet.
    pub times_skipped_by_clock: u64,
    /// Local times that happened twice, read as the first.
    pub times_repeated_by_clock: u64,
    /// Line items beyond the limit of one purchase, summed up in its last item.
    pub items_summed_up: u64,
}

impl Notes {
    /// Adds the counts of another file.
    pub fn add(&mut self, other: &Self) {
        self.times_skipped_by_clock += other.times_skipped_by_clock;
        self.times_repeated_by_clock += other.times_repeated_by_clock;
        self.items_summed_up += other.items_summed_up;
    }
}
