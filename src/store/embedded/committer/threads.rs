//! The threads of a committer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::parts::Parts;
use super::schedule::{Done, Schedule, Task};
use crate::store::{Error, Result};

/// One for each station.
const THREADS: usize = 3;

/// Puts a committer to work. The threads end once its schedule is closed and empty.
pub(in crate::store::embedded) fn start(schedule: &Arc<Schedule>, parts: Parts) -> Result<Vec<JoinHandle<()>>> {
    let parts = Arc::new(parts);
    let thread = |number| {
        let (schedule, parts) = (Arc::clone(schedule), Arc::clone(&parts));
        let thread = thread::Builder::new().name(format!("committer-{number}"));
        let thread = thread.spawn(move || run(&schedule, &parts));
        thread.map_err(|cause| Error::Io { action: "starting a thread".to_owned(), cause })
    };
    let threads: Result<Vec<_>> = (1..=THREADS).map(thread).collect();
    if threads.is_err() {
        schedule.close();
    }
    threads
}

fn run(schedule: &Schedule, parts: &Parts) {
    let work = catch_unwind(AssertUnwindSafe(|| {
        let mut done = Done::Nothing;
        while let Some(task) = schedule.exchange(done) {
            done = perform(task, parts);
        }
    }));
    if work.is_err() {
        parts.status.poison("the committer panicked".to_owned());
        schedule.break_off();
    }
}

fn perform(task: Task, parts: &Parts) -> Done {
    match task {
        Task::Gather(mut gathering, requests) => {
            gathering.take(parts, requests);
            Done::Gathered(gathering)
        }
        Task::Write(mut writer, mut convoy) => {
            let written = parts.write(&mut writer, &mut convoy);
            Done::Written(writer, convoy, written)
        }
        Task::Publish(written) => {
            written.into_iter().for_each(|convoy| parts.publish(convoy));
            Done::Published
        }
    }
}
