//! Lines in, events out: skips, groups, and reports what is broken.

use std::sync::Arc;

use super::columns::{Cell, Columns, Line, Scope, Trackers};
use super::fault::{Fault, Findings, Notes};
use super::groups::{Group, Groups};
use super::mapping::Mapping;
use super::plan::{self, Plan};
use super::rows::Row;
use crate::rpc::pb;

/// An event and the line that it comes from.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The event.
    pub event: pb::Event,
    /// The file, for messages.
    pub file: Arc<str>,
    /// The line, for messages.
    pub line: u64,
}

/// What came of some lines.
#[derive(Debug, Default)]
pub struct Built {
    /// Events, in the order of the lines.
    pub events: Vec<Outgoing>,
    /// What is wrong with the lines that are left out.
    pub faults: Vec<Fault>,
}

/// Makes events of the lines of one file.
pub struct Builder {
    columns: Columns,
    plan: Plan,
    trackers: Trackers,
    shift_micros: i64,
    groups: Groups,
    /// Lines that the mapping leaves out on purpose.
    pub skipped: u64,
    /// Lines that are broken.
    pub broken: u64,
    /// Sound lines that are left out because another one of their group is broken.
    pub left_out: u64,
    /// What was read in a way that the file does not spell out.
    pub notes: Notes,
}

impl Builder {
    /// A builder for a file; all times are moved by `shift_micros`.
    ///
    /// # Errors
    /// When the mapping does not fit the columns.
    pub fn new(mapping: &Mapping, columns: Columns, shift_micros: i64) -> anyhow::Result<Self> {
        let (plan, trackers) = Plan::compile(mapping, &columns)?;
        let groups = Groups::new(mapping.group.as_ref().is_some_and(|group| group.scattered));
        let notes = Notes::default();
        Ok(Self { columns, plan, trackers, shift_micros, groups, skipped: 0, broken: 0, left_out: 0, notes })
    }

    /// True where every line must be shown to [`Self::look_ahead`] before the first one is taken.
    pub fn needs_look_ahead(&self) -> bool {
        self.plan.group.is_some() && self.groups.need_look_ahead()
    }

    /// Looks at a line that will be taken later.
    pub fn look_ahead(&mut self, row: Row) {
        let line = Line::new(row);
        let scope = scope(&self.columns, std::slice::from_ref(&line));
        if let Some(key) = self.plan.group.filter(|_| !self.plan.skips(&scope)).and_then(|cell| scope.cell(cell)) {
            self.groups.look_ahead(key);
        }
    }

    /// Ends the look ahead.
    pub fn end_look_ahead(&mut self) {
        self.groups.end_look_ahead();
    }

    /// Takes the next line.
    pub fn push(&mut self, row: Row) -> Built {
        let mut built = Built::default();
        let mut line = Line::new(row);
        let mut findings = Findings::default();
        if self.plan.skips(&scope(&self.columns, std::slice::from_ref(&line))) {
            self.skipped += 1;
            return built;
        }
        line.previous = self.trackers.previous(&scope(&self.columns, std::slice::from_ref(&line)));
        let scope = scope(&self.columns, std::slice::from_ref(&line));
        // A line of a group is tried out alone first, so that each fault is reported with the line that has it.
        let events = self.plan.build(&scope, &mut findings);
        for (cell, file) in self.columns.damaged(&scope) {
            findings.add(&self.columns.name(cell), format!("leads to a broken line of {file}"));
        }
        let key = self.plan.group.and_then(|cell| self.group_key(cell, &scope, &mut findings));
        let faults = self.faults(&line, findings.faults);
        if faults.is_empty() {
            self.trackers.remember(&scope);
        }
        match key {
            Some(key) => self.add_to_group(key, line, faults, &mut built),
            None if faults.is_empty() => {
                self.notes.add(&findings.notes);
                self.send(events, &line, &mut built);
            }
            None => self.leave_out(faults, &mut built),
        }
        built
    }

    /// Takes a line whose cells are damaged, as far as they can be read. Its group is the one that the cell in the place
    /// of the key names; where there is none, it cannot be known, and the line stands alone.
    pub fn push_damaged(&mut self, row: Row, fault: Fault) -> Built {
        let mut built = Built::default();
        let line = Line::new(row);
        let scope = scope(&self.columns, std::slice::from_ref(&line));
        let key = self.plan.group.and_then(|cell| scope.cell(cell)).map(str::to_owned);
        match key {
            Some(key) => self.add_to_group(key, line, vec![fault], &mut built),
            None => self.leave_out(vec![fault], &mut built),
        }
        built
    }

    /// Ends the file: the groups that are still open become events.
    pub fn finish(&mut self) -> Built {
        let mut built = Built::default();
        for group in self.groups.finish() {
            self.close(group, &mut built);
        }
        built
    }

    /// The key of a line's group, checked against what is known of the group.
    fn group_key(&self, cell: Cell, scope: &Scope<'_>, findings: &mut Findings) -> Option<String> {
        let name = || self.columns.name(cell);
        let Some(key) = scope.cell(cell) else {
            findings.add(&name(), "is blank, and lines are grouped by it");
            return None;
        };
        if self.groups.comes_back(key) {
            findings.add(&name(), "comes back after other groups; sort the file by it or set group.scattered = true");
        }
        if let Some(first) = self.groups.first_line(key) {
            let first = Scope { line: first, ..*scope };
            let mut ignored = Findings::default();
            if self.plan.identifiers(&first, &mut ignored) != self.plan.identifiers(scope, &mut ignored) {
                findings.add(&name(), "groups lines of different customers");
            }
        }
        Some(key.to_owned())
    }

    fn add_to_group(&mut self, key: String, line: Line, faults: Vec<Fault>, built: &mut Built) {
        if let Some(ended) = self.groups.add(key, line, faults) {
            self.close(ended, built);
        }
    }

    /// Makes an event of a group, or leaves it out where a line of it is broken.
    fn close(&mut self, mut group: Group, built: &mut Built) {
        if let Some(first) = group.lines.first() {
            let mut findings = Findings::default();
            let events = self.plan.build(&scope(&self.columns, &group.lines), &mut findings);
            if findings.faults.is_empty() {
                self.notes.add(&findings.notes);
                self.send(events, first, built);
                return;
            }
            // Lines that are sound one by one may still not go together; that is reported with the first.
            group.faults = self.faults(first, findings.faults);
            group.broken = 1;
        }
        self.broken += group.broken;
        self.left_out += group.size - group.broken;
        let group_lines = (group.size > 1).then_some(group.size);
        built.faults.extend(group.faults.into_iter().map(|fault| Fault { group_lines, ..fault }));
    }

    fn leave_out(&mut self, mut faults: Vec<Fault>, built: &mut Built) {
        self.broken += 1;
        built.faults.append(&mut faults);
    }

    fn send(&self, events: Vec<pb::Event>, line: &Line, built: &mut Built) {
        for mut event in events {
            if let Some(time) = &mut event.original_time {
                *time = plan::timestamp(plan::micros(time).saturating_add(self.shift_micros));
            }
            built.events.push(Outgoing { event, file: self.columns.file().clone(), line: line.row.line });
        }
    }

    fn faults(&self, line: &Line, faults: Vec<(String, String)>) -> Vec<Fault> {
        let place = |(column, fault)| {
            let (file, line) = (self.columns.file().clone(), line.row.line);
            Fault { file, line, column: Some(column), fault, group_lines: None }
        };
        faults.into_iter().map(place).collect()
    }
}

/// The scope of the first line of a group.
fn scope<'a>(columns: &'a Columns, group: &'a [Line]) -> Scope<'a> {
    Scope { columns, line: &group[0], group, at: None }
}
