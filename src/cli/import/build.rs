//! Lines in, events out: skips, groups, and reports what is broken.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::columns::{Cell, Columns, Line, Scope, Trackers};
use super::fault::{Fault, Findings, Notes};
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
    /// What was read in a way that the file does not spell out.
    pub notes: Notes,
}

/// Groups whose lines are still being read.
#[derive(Default)]
struct Groups {
    /// Open groups in the order of their first lines; where groups follow one another, at most one.
    open: Vec<Vec<Line>>,
    /// The position in `open` by key.
    by_key: HashMap<String, usize>,
    /// Keys of groups that were sent already.
    closed: HashSet<String>,
}

impl Builder {
    /// A builder for a file; all times are moved by `shift_micros`.
    ///
    /// # Errors
    /// When the mapping does not fit the columns.
    pub fn new(mapping: &Mapping, columns: Columns, shift_micros: i64) -> anyhow::Result<Self> {
        let (plan, trackers) = Plan::compile(mapping, &columns)?;
        let (groups, notes) = (Groups::default(), Notes::default());
        Ok(Self { columns, plan, trackers, shift_micros, groups, skipped: 0, broken: 0, notes })
    }

    /// Takes the next line.
    pub fn push(&mut self, row: Row) -> Built {
        let mut built = Built::default();
        let mut line = Line { number: row.number.to_string(), row, previous: Vec::new() };
        let mut findings = Findings::default();
        if self.plan.skips(&scope(&self.columns, std::slice::from_ref(&line))) {
            self.skipped += 1;
            return built;
        }
        line.previous = self.trackers.previous(&scope(&self.columns, std::slice::from_ref(&line)));
        let scope = scope(&self.columns, std::slice::from_ref(&line));
        // A line of a group is tried out alone first, so that a broken one never becomes part of an order.
        let events = self.plan.build(&scope, &mut findings);
        let key = self.plan.group.map(|(cell, _)| self.group_key(cell, &scope, &mut findings));
        if !findings.faults.is_empty() {
            self.report(&line, findings, &mut built);
            return built;
        }
        self.trackers.remember(&scope);
        match (key, self.plan.group) {
            (Some(Some(key)), Some((_, scattered))) => self.join_group(line, key, scattered, &mut built),
            _ => {
                self.notes.add(&findings.notes);
                self.send(events, &line, &mut built);
            }
        }
        built
    }

    /// Ends the file: the groups that are still open become events.
    pub fn finish(&mut self) -> Built {
        let mut built = Built::default();
        for group in std::mem::take(&mut self.groups.open) {
            self.close(&group, &mut built);
        }
        built
    }

    /// The key of a line's group, checked against the groups that are known.
    fn group_key(&self, cell: Cell, scope: &Scope<'_>, findings: &mut Findings) -> Option<String> {
        let name = || self.columns.name(cell);
        let Some(key) = scope.cell(cell) else {
            findings.add(&name(), "is blank, and lines are grouped by it");
            return None;
        };
        if self.groups.closed.contains(key) {
            findings.add(&name(), "comes back after other groups; sort the file by it or set group.scattered = true");
        }
        let open = self.groups.by_key.get(key).and_then(|position| self.groups.open.get(*position)?.first());
        if let Some(first) = open {
            let first = Scope { line: first, ..*scope };
            let mut ignored = Findings::default();
            if self.plan.identifiers(&first, &mut ignored) != self.plan.identifiers(scope, &mut ignored) {
                findings.add(&name(), "groups lines of different customers");
            }
        }
        Some(key.to_owned())
    }

    fn join_group(&mut self, line: Line, key: String, scattered: bool, built: &mut Built) {
        if let Some(group) = self.groups.by_key.get(&key).and_then(|position| self.groups.open.get_mut(*position)) {
            group.push(line);
            return;
        }
        if !scattered {
            for group in std::mem::take(&mut self.groups.open) {
                self.close(&group, built);
            }
            self.groups.closed.extend(self.groups.by_key.drain().map(|(key, _)| key));
        }
        self.groups.by_key.insert(key, self.groups.open.len());
        self.groups.open.push(vec![line]);
    }

    fn close(&mut self, group: &[Line], built: &mut Built) {
        let mut findings = Findings::default();
        let events = self.plan.build(&scope(&self.columns, group), &mut findings);
        self.notes.add(&findings.notes);
        if findings.faults.is_empty() {
            self.send(events, &group[0], built);
        } else {
            self.report(&group[0], findings, built);
        }
    }

    fn send(&self, events: Vec<pb::Event>, line: &Line, built: &mut Built) {
        for mut event in events {
            if let Some(time) = &mut event.original_time {
                *time = plan::timestamp(plan::micros(time).saturating_add(self.shift_micros));
            }
            built.events.push(Outgoing { event, file: self.columns.file().clone(), line: line.row.line });
        }
    }

    fn report(&mut self, line: &Line, findings: Findings, built: &mut Built) {
        self.broken += 1;
        let file = self.columns.file();
        built.faults.extend(findings.faults.into_iter().map(|(column, fault)| Fault {
            file: file.clone(),
            line: line.row.line,
            column: Some(column),
            fault,
        }));
    }
}

/// The scope of the first line of a group.
fn scope<'a>(columns: &'a Columns, group: &'a [Line]) -> Scope<'a> {
    Scope { columns, line: &group[0], group, at: None }
}
