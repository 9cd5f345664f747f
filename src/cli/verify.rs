//! `rapport verify`: is everything in a data directory what was written, and if not, what helps?

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{Output, VerifyArgs};
use super::config::{self, Overrides};
use super::meter::Meter;
use super::session::QUIET;
use super::{json, report};
use crate::server::{self, Finding, Mode, Remedy, Verified, telemetry};

/// The exit code where something is left to do.
const REMAINS: u8 = 1;

/// Verifies a data directory and prints what was found. The exit code says whether something is left to do.
///
/// # Errors
/// When the directory is in use, holds no data or cannot be read.
pub fn verify(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { data_dir: args.data_dir, log_filter: Some(QUIET), listen: None };
    let config = config::load(None, overrides)?;
    telemetry::start(&config.log)?;
    let mode = if args.repair { Mode::Repair } else { Mode::Look };
    let mut meter = Meter::new("verify");
    let verified = server::verify(&config, mode, |told| meter.set(told.bytes_done, told.bytes_total))?;
    meter.finish("looked at everything");
    match args.output {
        Output::Json => print_json(&config.data_dir, &verified)?,
        Output::Text => print_text(&config.data_dir, &verified),
    }
    Ok(if verified.remaining().next().is_none() { ExitCode::SUCCESS } else { ExitCode::from(REMAINS) })
}

fn print_json(data_dir: &Path, verified: &Verified) -> anyhow::Result<()> {
    let finding = |finding: &Finding| {
        json!({
            "file": finding.file,
            "offset": finding.offset,
            "what": finding.what,
            "remedy": finding.remedy.name(),
            "repaired": finding.repaired,
        })
    };
    json::print(&json!({
        "data_dir": data_dir,
        "revision": verified.revision.to_string(),
        "segments": verified.segments,
        "commits": verified.commits,
        "findings": verified.findings.iter().map(finding).collect::<Vec<_>>(),
        "remaining": verified.remaining().count(),
    }))
}

fn print_text(data_dir: &Path, verified: &Verified) {
    report::heading(&format!("Data directory {}", data_dir.display()));
    report::fact("last commit", verified.revision);
    report::fact("segments of the journal", report::counted(verified.segments));
    report::fact("commits in them", report::counted(verified.commits));
    if verified.findings.is_empty() {
        println!("\nEverything is what was written.");
        return;
    }
    let row = |finding: &Finding| {
        let file = finding.file.strip_prefix(data_dir).unwrap_or(&finding.file);
        let offset = finding.offset.map(report::counted).unwrap_or_default();
        vec![file.display().to_string(), offset, finding.what.clone(), advice(finding).to_owned()]
    };
    let rows = verified.findings.iter().map(row).collect();
    println!("\n{}", report::table("lrww", &["file", "at byte", "what is wrong", "what helps"], rows));
    let data_dir = data_dir.display();
    let mut remaining = verified.remaining().peekable();
    if remaining.peek().is_none() {
        println!("\nNothing is left to do.");
    } else if remaining.any(|finding| finding.remedy == Remedy::RestoreBackup) {
        println!(
            "\nSomething that was acknowledged is not there any more. Move {data_dir} aside, then bring back a backup: \
             \n  rapport restore BACKUP --data-dir {data_dir}"
        );
    } else {
        println!("\nThis can be repaired without a loss:\n  rapport verify --repair --data-dir {data_dir}");
    }
}

/// What helps, or what was done.
fn advice(finding: &Finding) -> &'static str {
    match (finding.remedy, finding.repaired) {
        (Remedy::Nothing, _) => "nothing has to be done",
        (Remedy::RemoveLeftover, false) => "remove it",
        (Remedy::RemoveLeftover, true) => "was removed",
        (Remedy::CutTail, false) => "cut it off",
        (Remedy::CutTail, true) => "was cut off",
        (Remedy::RewriteManifest, false) => "write it anew from the journal",
        (Remedy::RewriteManifest, true) => "was written anew from the journal",
        (Remedy::RebuildIndex, false) => "build it anew from the journal",
        (Remedy::RebuildIndex, true) => "was built anew from the journal",
        (Remedy::RestoreBackup, _) => "restore a backup",
    }
}
