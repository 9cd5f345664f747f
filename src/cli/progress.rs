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
            eprintln!("{}: {}{note}", self.label, so_far(done, self.total, elapsed));
        }
    }

    /// So large a share is done, from 0 to 1.
    pub fn set_share(&mut self, share: f64) {
        self.set((share.clamp(0.0, 1.0) * SHARE_STEPS as f64) as u64, "");
    }

    /// For how long it goes on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
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

/// How far work is, in a line of its own. How long it still takes is told by what it took until now.
fn so_far(done: u64, total: u64, elapsed: Duration) -> String {
    let share = (done as f64 / total.max(1) as f64).min(1.0);
    let line = format!("{:.0} % after {}", 100.0 * share, report::duration(elapsed));
    if share <= 0.0 {
        return line;
    }
    let left = elapsed.mul_f64((1.0 - share) / share.max(1e-6));
    format!("{line}, {} left", report::duration(left))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_left_as_soon_as_anything_is_done() {
        let after = |done| so_far(done, 400, Duration::from_secs(30));
        let seconds = |seconds| report::duration(Duration::from_secs(seconds));
        assert_eq!(after(100), format!("25 % after {}, {} left", seconds(30), seconds(90)));
        assert_eq!(after(0), format!("0 % after {}", seconds(30)));
        assert_eq!(after(500), format!("100 % after {}, {} left", seconds(30), seconds(0)));
        assert_eq!(so_far(0, 0, Duration::ZERO), format!("0 % after {}", seconds(0)));
    }
}
