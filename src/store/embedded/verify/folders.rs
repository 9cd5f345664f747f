//! What lies in a data directory: what is ours, what nobody finished, what is foreign.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Remedy};
use super::workshop;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{artifacts, audit, checkpoints, manifest, space, vault};
use crate::store::{Error, Result};

/// What a data directory consists of, beside what is being verified in. The key of the digests of API keys is the
/// server's, who keeps it beside the data and out of every backup.
const OURS: [&str; 10] = [
    "auth.key",
    manifest::NAME,
    files::LOCK,
    space::RESERVE,
    "journal",
    "index",
    artifacts::DIRECTORY,
    audit::DIRECTORY,
    checkpoints::DIRECTORY,
    vault::DIRECTORY,
];

/// Leftovers, foreign files and damaged artifacts.
pub(super) fn look(directory: &Path, meter: &mut Meter<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in entries(directory)? {
        if !OURS.iter().any(|name| path.ends_with(name)) && !path.ends_with(workshop::NAME) {
            findings.push(stray(path));
        }
    }
    let is_segment = |path: &Path| path.extension() == Some(OsStr::new("journal"));
    findings.extend(entries(&directory.join("journal"))?.into_iter().filter(|path| !is_segment(path)).map(stray));
    for workspace in entries(&directory.join(artifacts::DIRECTORY))? {
        if !workspace.is_dir() {
            findings.push(stray(workspace));
            continue;
        }
        for artifact in entries(&workspace)? {
            findings.extend(look_at_artifact(artifact, meter)?);
        }
    }
    let is_key = |path: &Path| vault::FILES.iter().any(|name| path.ends_with(name));
    let others = entries(&directory.join(vault::DIRECTORY))?.into_iter().filter(|path| !is_key(path));
    findings.extend(others.map(stray));
    let is_checkpoint = |path: &Path| checkpoints::revision(path).is_some();
    let others = entries(&directory.join(checkpoints::DIRECTORY))?.into_iter().filter(|path| !is_checkpoint(path));
    findings.extend(others.map(stray));
    findings.extend(super::audit::strays(directory)?.map(stray));
    Ok(findings)
}

/// Everything in a directory, in order; nothing where it is missing.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("listing", directory))?,
    };
    let path = |entry: io::Result<fs::DirEntry>| Ok(entry.map_err(failed("listing", directory))?.path());
    let mut paths = entries.map(path).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Bytes of all files below a directory.
pub(super) fn bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in entries(directory)? {
        bytes += if path.is_dir() { self::bytes(&path)? } else { path.metadata().map_or(0, |data| data.len()) };
    }
    Ok(bytes)
}

/// Something that no name of ours explains.
fn stray(path: PathBuf) -> Finding {
    if is_unfinished(&path) {
        return Finding::new(path, "it was being written when the process ended", Remedy::RemoveLeftover);
    }
    Finding::new(path, "it is none of ours; it is left alone", Remedy::Nothing)
}

fn is_unfinished(path: &Path) -> bool {
    path.extension() == Some(OsStr::new(files::UNFINISHED))
}

fn look_at_artifact(path: PathBuf, meter: &mut Meter<'_>) -> Result<Option<Finding>> {
    if is_unfinished(&path) {
        return Ok(Some(stray(path)));
    }
    meter.add(path.metadata().map_or(0, |data| data.len()))?;
    let what = match artifacts::read(&path) {
        Ok(_) => return Ok(None),
        Err(Error::Damaged { what, .. }) => what,
        Err(error) => return Err(error),
    };
    let what = format!("the trained model is damaged ({what}) and does not answer; it can also be trained anew");
    Ok(Some(Finding::new(path, what, Remedy::RestoreBackup)))
}
