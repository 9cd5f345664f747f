//! One import: files through a mapping to a server, with what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::fault::Fault;
use super::feed::{Feed, Tally};
use super::mapping::Mapping;
use super::outcome::Outcome;
use super::rows::Pace;
use super::sender::{Inlet, Sender};
use super::sheet::Sheet;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::cli::session::Session;

/// Broken lines that are shown one by one.
const FAULTS_SHOWN: usize = 20;
/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is imported, and how.
pub struct Job {
    /// The files.
    pub sheets: Vec<Sheet>,
    /// What they become.
    pub mapping: Mapping,
    /// How far all times are moved.
    pub shift_micros: i64,
    /// Whether the first fault ends it.
    pub strict: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// What was read.
    pub read: Tally,
    /// The first faults.
    pub first_faults: Vec<Fault>,
    /// What the server made of it.
    pub events: Outcome,
    /// How long it took.
    pub elapsed_seconds: f64,
}

/// What was read, and the first faults.
#[derive(Debug, Default)]
struct Reading {
    tally: Tally,
    faults: Vec<Fault>,
}

impl Job {
    /// Imports everything, with a progress bar called `label`.
    ///
    /// # Errors
    /// When a file cannot be read, the mapping does not fit, or the server refuses to go on.
    pub async fn run(self, session: &Session, label: &str) -> anyhow::Result<Imported> {
        let mut total = 0;
        for sheet in &self.sheets {
            total += sheet.source().bytes()?;
        }
        let read_bytes = Arc::new(AtomicU64::new(0));
        let sender = Sender { client: session.events(), strict: self.strict, answered: Arc::default() };
        let mut progress = Progress::bytes(label, total);
        let counted = read_bytes.clone();
        let work = sender.send(move |inlet| self.read(inlet, &counted));
        tokio::pin!(work);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let (reading, events) = loop {
            tokio::select! {
                done = &mut work => break done?,
                _ = looks.tick() => {
                    let answered = sender.answered.load(Ordering::Relaxed);
                    let rate = answered as f64 / progress.elapsed().as_secs_f64().max(1e-3);
                    let (events, rate) = (report::counted(answered), report::count(rate as i64));
                    progress.set(read_bytes.load(Ordering::Relaxed), &format!("  {events} events, {rate} per second"));
                }
            }
        };
        let elapsed = progress.finish(&format!("{} events", report::counted(events.events())));
        let elapsed_seconds = elapsed.as_secs_f64();
        Ok(Imported { read: reading.tally, first_faults: reading.faults, events, elapsed_seconds })
    }

    fn read(&self, inlet: &Inlet, read_bytes: &Arc<AtomicU64>) -> anyhow::Result<Reading> {
        let mut reading = Reading::default();
        for sheet in &self.sheets {
            let pace = Pace { read_bytes: read_bytes.clone(), ..Pace::default() };
            let mut feed = Feed::open(sheet, &self.mapping, self.shift_micros, pace)?;
            let done = self.read_file(&mut feed, inlet, &mut reading)?;
            reading.tally.add(&feed.tally());
            if !done {
                break;
            }
        }
        Ok(reading)
    }

    /// Reads one file to its end; false where nobody takes events any more.
    fn read_file(&self, feed: &mut Feed, inlet: &Inlet, reading: &mut Reading) -> anyhow::Result<bool> {
        while let Some(built) = feed.next_built()? {
            for fault in built.faults {
                anyhow::ensure!(!self.strict, "{fault}");
                if reading.faults.len() < FAULTS_SHOWN {
                    reading.faults.push(fault);
                }
            }
            if !built.events.into_iter().all(|outgoing| inlet.put(outgoing)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
