//! Shows long work on the standard error: a bar with rate and time left on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::clock::Stopwatch;
use super::report;
use crate::server::OnReplay;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Steps of work of which only the share is known.
const SHARE_STEPS: u64 = 1_000;

/// Work that goes on.
pub struct Progress {
    label: String,
    bar: Option<ProgressBar>,
    total: u64,
    started: Stopwatch,
    last_line: Duration,
}

impl Progress {
    /// Work through a number of bytes.
    pub fn bytes(label: &str, total: u64) -> Self {
        let template = "{label} {wide_bar} {percent:>3} %  {binary_bytes_per_sec}  {left}{msg}";
        Self::start(label, total, template)
    }

    /// Work of which the share that is done is known.
    pub fn share(label: &str) -> Self {
        Self::start(label, SHARE_STEPS, "{label} {wide_bar} {percent:>3} %  {elapsed}  {left}{msg}")
    }

    fn start(label: &str, total: u64, template: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(style(label, template));
            bar
        });
        if bar.is_none() {
            eprintln!("{label} …");
        }
        Self { label: label.to_owned(), bar, total, started: Stopwatch::start(), last_line: Duration::ZERO }
    }

    /// So much is done; `note` is what else there is to say.
    pub fn set(&mut self, done: u64, note: &str) {
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.set_message(note.to_owned());
            bar.set_position(done.min(self.total));
        } else if elapsed >= self.last_line + LINE_EVERY {
            self.last_line = elapsed;
            let percent = 100.0 * done as f64 / self.total.max(1) as f64;
            eprintln!("{}: {percent:.0} % after {}{note}", self.label, report::duration(elapsed));
        }
    }

    /// So large a share is done, from 0 to 1.
    pub fn set_share(&mut self, share: f64) {
        self.set((share.clamp(0.0, 1.0) * SHARE_STEPS as f64) as u64, "");
    }

    /// Ends with a sentence and tells how long the work took.
    pub fn finish(self, sentence: &str) -> Duration {
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {sentence} in {}", self.label, report::duration(elapsed));
        elapsed
    }
}

/// Shows how far the index of a store was brought up, where that takes long enough to be looked at.
pub fn of_replay() -> OnReplay {
    const WORTH_SHOWING: u64 = 20_000;
    let shown = Mutex::new(None::<Progress>);
    OnReplay::new(move |done, of| {
        if of < WORTH_SHOWING {
            return;
        }
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = shown.get_or_insert_with(|| Progress::share("Bringing up the index"));
        progress.set_share(done as f64 / of as f64);
        if let Some(progress) = shown.take_if(|_| done >= of) {
            progress.finish("done");
        }
    })
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(label: &str, template: &str) -> ProgressStyle {
    let label = format!("{label:<28}");
    let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be drawn is not worth an error.
        let _ = write!(out, "{} left", report::duration(state.eta()));
    };
    ProgressStyle::with_template(&template.replace("{label}", &label))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
        .with_key("left", left)
}
