//! The background job that lets history expire.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;

/// How long after a start: a machine that starts with a wrong clock has mended it by then.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// How often after that. History expires by whole days; what one time leaves undone, the next one does.
const EVERY: Duration = Duration::from_secs(3_600);
/// How much the clock may differ from the time that has passed.
const STEADY: Duration = Duration::from_secs(60);

/// Lets history expire that is older than `kept`, now and then, until the job is aborted.
pub(super) fn start(app: App, kept: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pause = FIRST_AFTER;
        loop {
            let before = app.now();
            tokio::time::sleep(pause).await;
            let passed = app.now().micros_since(before);
            // What expires never comes back, so that no moment at which the clock was set decides on it.
            if !is_steady(passed, pause) {
                tracing::warn!(passed, "the clock was set or stood still; no history expires this time");
            } else if let Err(error) = app.expire_history(kept).await {
                tracing::warn!(error = %crate::app::chain(&error), "history did not expire; it is tried again");
            }
            pause = EVERY;
        }
    })
}

/// Whether by the clock as much time has passed as did.
fn is_steady(passed_micros: i64, pause: Duration) -> bool {
    let expected = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    u128::from(passed_micros.abs_diff(expected)) <= STEADY.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_decides_on_nothing() {
        let year = 365 * 86_400 * 1_000_000;
        let hour = 3_600 * 1_000_000;
        for (passed, steady) in
            [(hour, true), (hour + 5_000_000, true), (hour + 10 * year, false), (hour - 10 * year, false), (0, false)]
        {
            assert_eq!(is_steady(passed, EVERY), steady, "{passed}");
        }
    }
}
