//! `rapport import`.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use super::feed::{Feed, latest_time};
use super::job::{Imported, Job};
use super::mapping::Mapping;
use super::rows::Pace;
use super::sheet::Sheet;
use super::source::Source;
use crate::cli::args::{EndAt, ImportArgs, Output};
use crate::cli::run::Refusal;
use crate::cli::session::{Session, Target};
use crate::cli::{clock, json, report};

const DAY_MICROS: i64 = 86_400_000_000;

/// How all times were moved.
#[derive(Debug, Clone, Serialize)]
pub struct Shift {
    /// By how much; later where positive.
    pub shift_seconds: f64,
    /// The latest time in the files.
    pub latest_time_in_files: String,
    /// What it became. Another import with `--end-at` at this time sends the same events again.
    pub latest_time: String,
    #[serde(skip)]
    micros: i64,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report<'a> {
    workspace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<&'a Shift>,
    #[serde(flatten)]
    imported: &'a Imported,
}

/// Imports files and prints what came of it.
///
/// # Errors
/// When the mapping does not fit, a file cannot be read, or the server refuses to go on.
pub async fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let name = args.mapping.display().to_string();
    let text = std::fs::read_to_string(&args.mapping).with_context(|| name.clone());
    let text = text.map_err(|error| Refusal::of(&error))?;
    let mapping = Mapping::parse(&name, &text).map_err(|error| Refusal::of(&error))?;
    let sources: Vec<Source> = args.files.iter().cloned().map(Source::File).collect();
    let sheets = open(&sources, &mapping).map_err(|error| Refusal::of(&error))?;
    let shift = args.end_at.map(|end| shift(&sheets, &mapping, end)).transpose()?;
    if let (Some(shift), Output::Text) = (&shift, args.output) {
        println!("{}; --end-at {} sends the same events again", shift.sentence(), shift.latest_time);
    }
    let shift_micros = shift.as_ref().map_or(0, |shift| shift.micros);
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let job = Job { sheets, mapping, shift_micros, strict: args.strict };
    let imported = job.run(&session, &format!("import into {}", args.target.workspace)).await;
    session.close().await?;
    let imported = imported?;
    match args.output {
        Output::Json => {
            let moved = shift.as_ref();
            json::print(&Report { workspace: &args.target.workspace, moved, imported: &imported })?;
        }
        Output::Text => print(&imported),
    }
    Ok(ExitCode::SUCCESS)
}

/// Holds the mapping against every file, so that one that does not fit is a refusal before anything is sent.
///
/// # Errors
/// When a file cannot be read or the mapping does not fit it.
pub fn open(sources: &[Source], mapping: &Mapping) -> anyhow::Result<Vec<Sheet>> {
    let open = |source| {
        let sheet = Sheet::of(source, mapping)?;
        Feed::open(&sheet, mapping, 0, Pace::default())?;
        Ok(sheet)
    };
    sources.iter().map(open).collect()
}

/// The offset that brings the latest time of all files to `end`; to `now`, as near as whole days come to it.
///
/// # Errors
/// When the files hold no time at all.
pub fn shift(sheets: &[Sheet], mapping: &Mapping, end: EndAt) -> anyhow::Result<Shift> {
    let latest = latest_time(sheets, mapping)?;
    let latest = latest.ok_or_else(|| Refusal("--end-at: no event of these files has a time to move".to_owned()))?;
    let end = match end {
        // By whole days, so that times of day stay what they were and nothing depends on when the import runs.
        EndAt::Now => latest + (clock::now_micros() - latest).div_euclid(DAY_MICROS) * DAY_MICROS,
        EndAt::Time(micros) => micros,
    };
    let micros = end.saturating_sub(latest);
    Ok(Shift {
        shift_seconds: micros as f64 / 1e6,
        latest_time_in_files: clock::rfc3339(latest),
        latest_time: clock::rfc3339(end),
        micros,
    })
}

impl Shift {
    /// How far all times are moved.
    pub fn micros(&self) -> i64 {
        self.micros
    }

    /// What was done to the times, for people.
    pub fn sentence(&self) -> String {
        let days = self.micros as f64 / DAY_MICROS as f64;
        let decimals = usize::from(self.micros % DAY_MICROS != 0);
        format!(
            "all times are moved by one offset of {days:+.decimals$} days: the latest, {}, becomes {}",
            self.latest_time_in_files, self.latest_time
        )
    }
}

/// Prints what came of an import.
pub fn print(imported: &Imported) {
    let (read, events) = (&imported.read, &imported.events);
    let rate = read.lines as f64 / imported.elapsed_seconds.max(1e-3);
    report::fact("lines", format!("{} ({} per second)", report::counted(read.lines), report::count(rate as i64)));
    report::fact("  imported", report::counted(read.imported));
    report::fact("  left out by the mapping", report::counted(read.skipped));
    report::fact("  broken", report::counted(read.broken));
    report::fact("  left out with those", report::counted(read.left_out));
    report::fact("events accepted", report::counted(events.accepted));
    report::fact("events known before", report::counted(events.duplicate));
    report::fact("events rejected", report::counted(events.rejected));
    for (reason, rejected) in &events.rejected_by_reason {
        report::fact(&format!("  {reason}"), report::counted(*rejected));
    }
    print_notes(imported);
    print_some("broken", &imported.first_faults, read.broken);
    print_some("rejected", &events.first_rejections, events.rejected);
}

fn print_notes(imported: &Imported) {
    let notes = &imported.read.notes;
    let lines = [
        (notes.times_skipped_by_clock, "times lie in an hour that a clock change skips; read as an hour later"),
        (notes.times_repeated_by_clock, "times lie in an hour that a clock change repeats; read as the first"),
        (notes.items_summed_up, "items beyond the limit of one purchase are summed up in its last item"),
    ];
    for (count, sentence) in lines.iter().filter(|(count, _)| *count > 0) {
        println!("  note: {} {sentence}", report::counted(*count));
    }
}

fn print_some(what: &str, shown: &[impl std::fmt::Display], all: u64) {
    for item in shown {
        println!("  {what}: {item}");
    }
    if all > shown.len() as u64 && !shown.is_empty() {
        println!("  {what}: … {} in all", report::counted(all));
    }
}
