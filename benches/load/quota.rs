//! Part of a core for a process: a quota of the operating system (cgroups), in its first version or its second.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// How long a period is, in microseconds. A process that has used its share of one sleeps until the next; the clock of the
/// kernel that looks at it has ticks of a few milliseconds, so that a shorter period makes no shorter sleep.
const PERIOD: u64 = 10_000;
/// For how long a busy process is watched to find how long the quota makes it sleep.
const WATCHED: Duration = Duration::from_secs(3);
/// A gap in what a busy process does that is none of the machine's own.
const GAP: Duration = Duration::from_millis(1);

/// A group of processes that share part of a core. It is gone with this, and its processes must be by then.
pub(crate) struct Quota(PathBuf);

impl Quota {
    /// So much of a core.
    ///
    /// # Errors
    /// Where nobody may make groups here: that takes root, or a delegated group.
    pub(crate) fn new(cores: f64) -> anyhow::Result<Self> {
        let share = (cores * PERIOD as f64) as u64;
        let (first, second) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let name = format!("rapport-load-{}", std::process::id());
        let is_first = first.join("cpu.cfs_quota_us").exists();
        let group = Self(if is_first { first } else { second }.join(name));
        std::fs::create_dir(&group.0).with_context(|| format!("a group for the quota: {}", group.0.display()))?;
        if is_first {
            group.set("cpu.cfs_period_us", &PERIOD.to_string())?;
            group.set("cpu.cfs_quota_us", &share.to_string())?;
        } else {
            group.set("cpu.max", &format!("{share} {PERIOD}"))?;
        }
        Ok(group)
    }

    fn set(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let file = self.0.join(name);
        std::fs::write(&file, value).with_context(|| format!("{value} in {}", file.display()))
    }

    /// Holds a process with all its threads to the quota.
    pub(crate) fn hold(&self, process: u32) -> anyhow::Result<()> {
        self.set("cgroup.procs", &process.to_string())
    }

    /// How long the quota makes a process sleep that would like to run all the time: the median, and the longest.
    pub(crate) fn stalls(&self) -> anyhow::Result<(Duration, Duration)> {
        let child =
            Command::new(std::env::current_exe()?).arg("stalls").stdout(std::process::Stdio::piped()).spawn()?;
        self.hold(child.id())?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        let micros: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(micros.len() == 2, "the watched process said {text}");
        Ok((Duration::from_micros(micros[0]), Duration::from_micros(micros[1])))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _still_used = std::fs::remove_dir(&self.0);
    }
}

/// Is busy for a while, and prints the median and the longest of its gaps in microseconds.
pub(crate) fn print_stalls() -> anyhow::Result<()> {
    // The first ones are those of a process that is not held yet.
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    let (mut last, mut gaps) = (began, Vec::new());
    while began.elapsed() < WATCHED {
        let now = Instant::now();
        if now - last >= GAP {
            gaps.push(now - last);
        }
        last = now;
    }
    gaps.sort_unstable();
    let micros = |gap: Option<&Duration>| gap.map_or(0, Duration::as_micros);
    println!("{} {}", micros(gaps.get(gaps.len() / 2)), micros(gaps.last()));
    Ok(())
}
