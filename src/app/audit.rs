//! What is to go into the audit log: gathered in memory where requests are answered, and written by a job of its own, so
//! that no request waits for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use super::application::App;
use super::concern::Concern;
use super::customer::Caller;
use super::error::Result;
use crate::domain::audit::{AuditEntry, AuditedCall};
use crate::domain::limits::AUDIT_WAITING;
use crate::domain::time::Timestamp;

/// For how long calls that are alike are counted together.
const COUNTED_MICROS: i64 = 60 * 1_000_000;
/// Calls that are moved under one lock, so that no request waits long for it.
const AT_ONCE: usize = 1_000;
/// The status of a call that was refused because of what its caller may do: `PERMISSION_DENIED`.
const PERMISSION_DENIED: u8 = 7;

/// How a call becomes an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// It is one.
    Each,
    /// All that are alike within a minute are one.
    Alike,
}

/// What was gathered and not written yet. Each part is bounded, and what exceeds a bound is counted without its subject
/// and purpose: of such kinds of calls there are only so many as credentials, methods and codes.
#[derive(Debug, Default)]
pub(super) struct Gathering(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    /// Entries of their own.
    each: Vec<AuditEntry>,
    /// Calls that are counted, and of which nothing was written in this minute.
    alike: HashMap<AuditedCall, Counted>,
    /// Calls of which an entry was written in this minute, and how many were alike since then.
    repeated: HashMap<AuditedCall, Counted>,
    /// When the minute began.
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    /// When the first of them was answered.
    time: Timestamp,
    count: u64,
}

/// What is taken to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What the log shall have by now: repeats wait for the end of their minute.
    Due,
    All,
}

impl Gathering {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: AuditedCall, time: Timestamp, grain: Grain) {
        self.lock().note(AuditEntry { time, call, count: 1 }, grain);
    }

    fn take(&self, now: Timestamp, extent: Extent) -> Vec<AuditEntry> {
        let Gathered { each: mut entries, alike, repeated, .. } = self.lock().take(now, extent);
        entries.extend(repeated.into_iter().filter(|(_, counted)| counted.count > 0).map(entry));
        let first: Vec<AuditEntry> = alike.into_iter().map(entry).collect();
        for some in first.chunks(AT_ONCE) {
            let mut gathered = self.lock();
            for AuditEntry { time, call, .. } in some {
                // What does not fit is told again at once when it is repeated.
                if gathered.repeated.len() < AUDIT_WAITING {
                    gathered.repeated.entry(call.clone()).or_insert(Counted { time: *time, count: 0 });
                }
            }
        }
        entries.extend(first);
        entries.sort_by_key(|entry| entry.time);
        entries
    }

    /// Takes back what could not be written.
    fn put_back(&self, entries: Vec<AuditEntry>) {
        let mut gathered = self.lock();
        entries.into_iter().for_each(|entry| gathered.note(entry, Grain::Each));
    }
}

impl Gathered {
    /// Takes what is to be written, and leaves the repeats of a minute that goes on.
    fn take(&mut self, now: Timestamp, extent: Extent) -> Self {
        let is_over = self.since.is_none_or(|since| !(0..COUNTED_MICROS).contains(&now.micros_since(since)));
        let mut taken =
            Self { each: std::mem::take(&mut self.each), alike: std::mem::take(&mut self.alike), ..Self::default() };
        if is_over || extent == Extent::All {
            self.since = Some(now);
            taken.repeated = std::mem::take(&mut self.repeated);
        }
        taken
    }

    fn note(&mut self, entry: AuditEntry, grain: Grain) {
        if grain == Grain::Each && self.each.len() < AUDIT_WAITING {
            return self.each.push(entry);
        }
        let AuditEntry { time, mut call, count } = entry;
        if let Some(counted) = self.repeated.get_mut(&call) {
            return counted.add(time, count);
        }
        if self.alike.len() >= AUDIT_WAITING && !self.alike.contains_key(&call) {
            call.subject = None;
            call.purpose = SmolStr::default();
        }
        self.alike.entry(call).or_insert(Counted { time, count: 0 }).add(time, count);
    }
}

impl Counted {
    fn add(&mut self, time: Timestamp, count: u64) {
        if self.count == 0 {
            self.time = time;
        }
        self.count += count;
    }
}

fn entry((call, Counted { time, count }): (AuditedCall, Counted)) -> AuditEntry {
    AuditEntry { time, call, count }
}

impl App {
    /// Notes a call for the audit log, with the number of the status that it ended with. Nothing waits for it.
    pub fn note_call(&self, caller: &Caller, status: u8, grain: Grain) {
        if let Some(call) = Concern::call(caller, status) {
            self.gathering.note(call, self.context.now(), grain);
        }
    }

    /// Notes that a customer was left out of an answer about many for want of consent. The call itself is noted too,
    /// with what came of it as a whole.
    pub(super) fn note_left_out(&self, caller: &Caller) {
        self.note_call(caller, PERMISSION_DENIED, Grain::Alike);
    }

    /// Writes to the audit log what was gathered; repeats of calls that are in it wait for the end of their minute.
    ///
    /// # Errors
    /// When the store takes nothing; what was gathered stays, and the next call makes up for it.
    pub async fn write_audit(&self) -> Result<()> {
        self.write_gathered(Extent::Due).await
    }

    /// Writes to the audit log everything that was gathered, for there may be no later time.
    ///
    /// # Errors
    /// As for [`write_audit`](Self::write_audit).
    pub async fn finish_audit(&self) -> Result<()> {
        self.write_gathered(Extent::All).await
    }

    async fn write_gathered(&self, extent: Extent) -> Result<()> {
        let entries = self.gathering.take(self.context.now(), extent);
        if entries.is_empty() {
            return Ok(());
        }
        let written = self.store.append_audit(entries.clone()).await;
        if written.is_err() {
            self.gathering.put_back(entries);
        }
        Ok(written?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{ProfileId, WorkspaceId};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn about(number: u32) -> AuditedCall {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        AuditedCall {
            workspace: WorkspaceId::default_workspace(),
            principal: "key:k1".into(),
            method: "rapport.v1.ProfileService/GetProfile".into(),
            subject: Some(ProfileId::from_bytes(bytes)),
            purpose: "service".into(),
            status: 0,
        }
    }

    fn counts(entries: &[AuditEntry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.count).collect()
    }

    #[test]
    fn reads_that_are_alike_are_told_at_once_and_their_repeats_at_the_end_of_the_minute() {
        let gathering = Gathering::default();
        (0..3).for_each(|second| gathering.note(about(1), at(second), Grain::Alike));
        let first = gathering.take(at(3), Extent::Due);
        assert_eq!((counts(&first), first[0].time), (vec![3], at(0)));
        (4..6).for_each(|second| gathering.note(about(1), at(second), Grain::Alike));
        gathering.note(about(2), at(6), Grain::Alike);
        assert_eq!(counts(&gathering.take(at(7), Extent::Due)), [1], "another customer is told at once");
        assert_eq!(counts(&gathering.take(at(62), Extent::Due)), [0_u64; 0], "the minute began with the first writing");
        let repeats = gathering.take(at(63), Extent::Due);
        assert_eq!((counts(&repeats), repeats[0].time), (vec![2], at(4)));
        gathering.note(about(1), at(64), Grain::Alike);
        assert_eq!(counts(&gathering.take(at(64), Extent::Due)), [1], "a new minute tells it at once again");
    }

    #[test]
    fn changes_are_entries_of_their_own_and_the_end_leaves_nothing() {
        let gathering = Gathering::default();
        gathering.note(about(1), at(1), Grain::Each);
        gathering.note(about(1), at(2), Grain::Each);
        gathering.note(about(1), at(3), Grain::Alike);
        assert_eq!(counts(&gathering.take(at(3), Extent::Due)), [1, 1, 1]);
        gathering.note(about(1), at(4), Grain::Alike);
        assert_eq!(counts(&gathering.take(at(5), Extent::All)), [1]);
        assert_eq!(gathering.take(at(500), Extent::All), []);
    }

    #[test]
    fn what_is_too_much_is_counted_without_its_subject_and_never_lost() {
        let gathering = Gathering::default();
        let calls = u32::try_from(AUDIT_WAITING).expect("small") + 100;
        for number in 0..calls {
            gathering.note(about(number), at(1), Grain::Alike);
            gathering.note(about(number), at(1), Grain::Each);
        }
        let entries = gathering.take(at(2), Extent::Due);
        assert_eq!(entries.len(), 2 * AUDIT_WAITING + 1);
        assert_eq!(entries.iter().map(|entry| entry.count).sum::<u64>(), 2 * u64::from(calls));
        let more = u64::from(calls) - AUDIT_WAITING as u64;
        let without: Vec<_> = entries.iter().filter(|entry| entry.call.subject.is_none()).collect();
        assert_eq!((without.len(), without[0].count), (1, 2 * more));
        // The same again in the same minute, for which there is no room either.
        (0..calls).for_each(|number| gathering.note(about(calls + number), at(3), Grain::Alike));
        let entries = gathering.take(at(100), Extent::All);
        assert_eq!(entries.iter().map(|entry| entry.count).sum::<u64>(), u64::from(calls));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let gathering = Gathering::default();
        gathering.note(about(1), at(1), Grain::Each);
        gathering.note(about(1), at(1), Grain::Alike);
        let entries = gathering.take(at(1), Extent::Due);
        gathering.put_back(entries.clone());
        assert_eq!(gathering.take(at(2), Extent::Due), entries);
    }
}
