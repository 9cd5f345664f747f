//! Long work beside requests: on a thread of its own, which gives way to those that serve.

use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::error::{Error, Result};
use super::unwind::Panicked;

/// Steps by which its reads of the store are less urgent than a thread that serves.
const LESS_URGENT: i32 = 10;
/// Reads of the store that the work waits for, at the same time.
const READS: usize = 1;
/// For how long the thread that reads waits for the next read: longer than any work takes, because another one in its place
/// would have the urgency of the work.
const READS_STAY: Duration = Duration::from_hours(24 * 30);

/// Runs work on a thread of its own, which gets what others leave of the processors. What the work waits for goes on in a
/// small runtime, which belongs to that thread as well: the threads on which the work reads the store would be those of
/// requests otherwise, or would take over its urgency and then serve requests with it.
///
/// Its reads are less urgent than requests, but not as little as the work itself: a read holds locks of the store, which all
/// requests would wait for on a machine where others want all of every processor.
///
/// # Errors
/// When there is no thread for it, or it panics.
pub(super) async fn aside<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce(Runtime) -> T + Send + 'static,
) -> Result<T> {
    let (sender, done) = oneshot::channel();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        give_way();
        let runtime = runtime(name);
        take_what_is_left();
        // Nobody listens any more where the server has ended meanwhile.
        let _ended = sender.send(runtime.map(work));
    });
    spawned.map_err(|error| Error::Internal(error.into()))?;
    done.await.unwrap_or_else(|_gone| Err(Panicked.into()))
}

/// Its thread for reads has the urgency that this one has now.
fn runtime(name: &'static str) -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().max_blocking_threads(READS).thread_keep_alive(READS_STAY).thread_name(name);
    let runtime = builder.build().map_err(|error| Error::Internal(error.into()))?;
    let begun = runtime.block_on(async { tokio::task::spawn_blocking(|| {}).await });
    begun.map_err(|error| Error::Internal(error.into()))?;
    Ok(runtime)
}

/// Makes the thread less urgent. Where the operating system counts urgency by processes, all would become so: it is left.
fn give_way() {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(LESS_URGENT)
    {
        tracing::warn!(%error, "long work is as urgent as requests");
    }
}

/// Lets every thread that wakes for a request take the processor at once. A thread that is only less urgent keeps it for the
/// few milliseconds of its turn, on recent kernels.
#[cfg(target_os = "linux")]
fn take_what_is_left() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // It then asks for an urgency that such a thread has no use for and that a server may not be allowed.
    if thread_schedule_policy() != Ok(idle) {
        tracing::warn!(?set, "long work keeps requests waiting for its turn");
    }
}

#[cfg(not(target_os = "linux"))]
fn take_what_is_left() {}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn urgency() -> (i32, ThreadSchedulePolicy) {
        (getpriority_process(None).expect("of this thread"), thread_schedule_policy().expect("of this thread"))
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn work_gets_what_is_left_and_its_reads_give_way_and_nobody_else_does() {
        let before = urgency();
        let less = (before.0 + LESS_URGENT).min(19);
        let reads = || tokio::task::spawn_blocking(urgency);
        let found = aside("test", move |runtime| {
            let read = runtime.block_on(async { reads().await }).expect("no panic");
            (urgency().1, read, thread::current().name().map(str::to_owned))
        });
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(found.await.expect("no panic"), (idle, (less, before.1), Some("test".to_owned())));
        assert_eq!((urgency(), reads().await.expect("no panic")), (before, before));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_work() {
        let lost = aside("test", |_| panic!("on purpose")).await;
        assert!(matches!(lost, Err(Error::Internal(_))), "{lost:?}");
    }
}
