//! Long work beside requests: on a thread of its own, which gives way to those that serve.

use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::error::{Error, Result};
use super::unwind::Panicked;

/// Steps by which such a thread is less urgent than one that serves. The operating system lets a thread that wakes for a
/// request go first then, and still gives the work a tenth of a processor that others want all of.
const LESS_URGENT: i32 = 10;
/// Reads of the store that the work waits for, at the same time.
const READS: usize = 1;

/// Runs work on a thread of its own. What the work waits for goes on in a small runtime, which belongs to that thread as well:
/// the threads on which the work reads the store would be those of requests otherwise, or would take over its urgency and
/// then serve requests with it.
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
        // Nobody listens any more where the server has ended meanwhile.
        let _ended = sender.send(runtime(name).map(work));
    });
    spawned.map_err(|error| Error::Internal(error.into()))?;
    done.await.unwrap_or_else(|_gone| Err(Panicked.into()))
}

/// Its threads have the urgency of the thread that asks for them.
fn runtime(name: &'static str) -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().max_blocking_threads(READS).thread_name(name);
    builder.build().map_err(|error| Error::Internal(error.into()))
}

/// Makes the thread less urgent. Where the operating system counts urgency by processes, all would become so: it is left.
fn give_way() {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(LESS_URGENT)
    {
        tracing::warn!(%error, "long work is as urgent as requests");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn urgency() -> i32 {
        getpriority_process(None).expect("of this thread")
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn work_and_its_reads_give_way_and_nobody_else_does() {
        let before = urgency();
        let less = (before + LESS_URGENT).min(19);
        let reads = || tokio::task::spawn_blocking(urgency);
        let found = aside("test", move |runtime| {
            let read = runtime.block_on(async { reads().await }).expect("no panic");
            (urgency(), read, thread::current().name().map(str::to_owned))
        });
        assert_eq!(found.await.expect("no panic"), (less, less, Some("test".to_owned())));
        assert_eq!((urgency(), reads().await.expect("no panic")), (before, before));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_work() {
        let lost = aside("test", |_| panic!("on purpose")).await;
        assert!(matches!(lost, Err(Error::Internal(_))), "{lost:?}");
    }
}
