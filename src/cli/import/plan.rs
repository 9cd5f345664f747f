//! A mapping, compiled for the columns of one file: what a line or a group of lines becomes.

use anyhow::{Context as _, ensure};

use super::columns::{Cell, Columns, Lines, Scope, Trackers};
use super::condition::{Condition, all_hold};
use super::expression::{Compiler, Expression, Text};
use super::fault::Findings;
use super::mapping::{EventSpec, Mapping, TimeSpec};
use super::payload::{self, PayloadPlan};
use super::times::TimeFormat;
use crate::rpc::pb;

/// What a line becomes.
pub struct Plan {
    /// The cell that lines of one group have in common.
    pub group: Option<Cell>,
    source: String,
    identifiers: Vec<(String, Text)>,
    skip_when: Vec<Condition>,
    events: Vec<EventPlan>,
}

/// One event of a line.
struct EventPlan {
    event_id: Text,
    when: Vec<Condition>,
    each: Option<Lines>,
    time: Option<(Cell, TimeFormat)>,
    channel: Option<Expression>,
    touchpoint: Option<Expression>,
    payload: PayloadPlan,
}

impl Plan {
    /// Compiles a mapping for the columns of a file; the trackers remember what the plan needs of earlier lines.
    ///
    /// # Errors
    /// When the mapping asks for what the file does not have, or contradicts itself. The error names the key.
    pub fn compile(mapping: &Mapping, columns: &Columns) -> anyhow::Result<(Self, Trackers)> {
        ensure!(!mapping.source.trim().is_empty(), "source must not be empty");
        ensure!(!mapping.event.is_empty(), "there is no [[event]]");
        let mut compiler = Compiler { columns, trackers: Trackers::default() };
        let group = mapping.group.as_ref().map(|group| compiler.cell(&group.by, "group.by", None)).transpose()?;
        let mut identifiers = Vec::new();
        for (kind, templates) in &mapping.identifiers {
            for template in templates.as_slice() {
                identifiers.push((kind.clone(), compiler.text(template, &format!("identifiers.{kind}"), None)?));
            }
        }
        ensure!(!identifiers.is_empty(), "[identifiers] is empty: nobody would know whose events these are");
        let skip_when = compiler.conditions(mapping.skip_when.as_ref(), "skip_when", None)?;
        let mut events = Vec::new();
        for (position, event) in mapping.event.iter().enumerate() {
            events.push(EventPlan::compile(&mut compiler, event, &mapping.time, position)?);
        }
        Ok((Self { group, source: mapping.source.clone(), identifiers, skip_when, events }, compiler.trackers))
    }

    /// True for a line that the mapping leaves out on purpose.
    pub fn skips(&self, scope: &Scope<'_>) -> bool {
        !self.skip_when.is_empty() && all_hold(&self.skip_when, scope)
    }

    /// The identifiers of a line; a blank one is left out, and none at all is a fault.
    pub fn identifiers(&self, scope: &Scope<'_>, findings: &mut Findings) -> Vec<pb::Identifier> {
        let known = |(kind, text): &(String, Text)| {
            let value = text.read(scope)?;
            Some(pb::Identifier { r#type: kind.clone(), value })
        };
        let identifiers: Vec<_> = self.identifiers.iter().filter_map(known).collect();
        if identifiers.is_empty() {
            let blank = self.identifiers.first().and_then(|(_, text)| text.blank_cell(scope));
            let column = blank.map_or_else(|| "identifiers".to_owned(), |cell| scope.columns.name(cell));
            findings.add(&column, "is blank, and no other identifier says whose line it is");
        }
        identifiers
    }

    /// The events of a line or group; those with a fault are left out, and `findings` says why.
    pub fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Vec<pb::Event> {
        let identifiers = self.identifiers(scope, findings);
        let mut events = Vec::new();
        for plan in &self.events {
            let scopes = plan.each.map_or_else(|| vec![*scope], |lines| scope.over(lines));
            for scope in scopes.iter().filter(|scope| all_hold(&plan.when, scope)) {
                let event = plan.build(scope, findings);
                events.extend(event.map(|event| pb::Event {
                    source: self.source.clone(),
                    identifiers: identifiers.clone(),
                    ..event
                }));
            }
        }
        events
    }
}

impl EventPlan {
    fn compile(
        compiler: &mut Compiler<'_>,
        spec: &EventSpec,
        time: &TimeSpec,
        position: usize,
    ) -> anyhow::Result<Self> {
        let key = format!("event[{position}]");
        let each = spec.each.as_deref().map(|name| compiler.columns.find_lines(name)).transpose();
        let each = each.with_context(|| format!("{key}.each"))?;
        ensure!(
            each != Some(Lines::OfGroup),
            "{key}.each: every line is an event already; leave out [group] and `each`"
        );
        let time = merged(time, spec.time.as_ref());
        let time_key = if spec.time.is_some() { format!("{key}.time") } else { "time".to_owned() };
        Ok(Self {
            event_id: compiler.text(&spec.event_id, &format!("{key}.event_id"), each)?,
            when: compiler.conditions(spec.when.as_ref(), &format!("{key}.when"), each)?,
            each,
            time: compile_time(compiler, &time, &time_key, each)?,
            channel: compiler.option(spec.channel.as_ref(), &format!("{key}.channel"), each)?,
            touchpoint: compiler.option(spec.touchpoint.as_ref(), &format!("{key}.touchpoint"), each)?,
            payload: compiler.payload(spec, &key, each)?,
        })
    }

    fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<pb::Event> {
        let before = findings.faults.len();
        let event_id = self.event_id.read(scope);
        if let (None, Some(cell)) = (&event_id, self.event_id.blank_cell(scope)) {
            findings.add(&scope.columns.name(cell), "is blank, and the event's id is made of it");
        }
        let original_time = self.time(scope, findings);
        let payload = self.payload.build(scope, findings);
        let event = pb::Event {
            event_id: event_id?,
            original_time,
            channel: payload::text(self.channel.as_ref(), scope, findings),
            touchpoint: payload::text(self.touchpoint.as_ref(), scope, findings),
            payload,
            ..pb::Event::default()
        };
        (findings.faults.len() == before).then_some(event)
    }

    fn time(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<prost_types::Timestamp> {
        let (cell, format) = self.time.as_ref()?;
        let read = match scope.cell(*cell) {
            Some(text) => format.read(text, &mut findings.notes),
            None => Err("is blank".to_owned()),
        };
        match read {
            Ok(micros) => Some(timestamp(micros)),
            Err(fault) => {
                findings.add(&scope.columns.name(*cell), fault);
                None
            }
        }
    }
}

/// An event's own time, with what it leaves out taken from the mapping's.
fn merged(general: &TimeSpec, own: Option<&TimeSpec>) -> TimeSpec {
    let Some(own) = own else { return general.clone() };
    // A format of its own decides anew what zone and time of day it needs.
    let (zone, at) = if own.format.is_some() { (&None, &None) } else { (&general.time_zone, &general.at) };
    TimeSpec {
        column: own.column.clone().or_else(|| general.column.clone()),
        format: own.format.clone().or_else(|| general.format.clone()),
        time_zone: own.time_zone.clone().or_else(|| zone.clone()),
        at: own.at.clone().or_else(|| at.clone()),
        undated: own.undated,
    }
}

fn compile_time(
    compiler: &Compiler<'_>,
    spec: &TimeSpec,
    key: &str,
    over: Option<Lines>,
) -> anyhow::Result<Option<(Cell, TimeFormat)>> {
    if spec.undated {
        ensure!(spec.column.is_none(), "{key}: a time is either `undated` or has a `column`");
        return Ok(None);
    }
    let column = spec.column.as_ref().with_context(|| {
        format!("{key} needs a `column`; write undated = true where the events happen when they are imported")
    })?;
    let cell = compiler.cell(column, &format!("{key}.column"), over)?;
    Ok(Some((cell, TimeFormat::new(spec, key)?)))
}

/// Microseconds since the Unix epoch as protobuf writes them.
pub fn timestamp(micros: i64) -> prost_types::Timestamp {
    let nanos = micros.rem_euclid(1_000_000) * 1_000;
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// The reverse of [`timestamp`].
pub fn micros(timestamp: &prost_types::Timestamp) -> i64 {
    timestamp.seconds * 1_000_000 + i64::from(timestamp.nanos) / 1_000
}
