//! Work on other threads whose results come in the order of the work.
//!
//! Pieces are dealt to the workers in turn, and the results are taken from them in the same turn; so nothing has to be
//! sorted. Every channel is bounded: whoever is ahead sleeps until the others have caught up.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle, available_parallelism};

use anyhow::Context as _;

/// Pieces that may wait before each worker, and results behind it.
const WAITING: usize = 2;

/// As many workers as there are processors to work on.
pub fn workers() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Results in the order of the work. Whoever drops it lets the threads end.
pub struct InOrder<T> {
    outlets: Vec<Receiver<anyhow::Result<T>>>,
    /// Whose result comes next.
    turn: usize,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> InOrder<T> {
    /// Runs an iterator on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn one(work: impl Iterator<Item = anyhow::Result<T>> + Send + 'static) -> anyhow::Result<Self> {
        let (outlet, results) = sync_channel(WAITING);
        // Nobody takes results any more where a send fails.
        let run = move || drop(work.into_iter().try_for_each(|result| outlet.send(result)));
        Ok(Self { outlets: vec![results], turn: 0, threads: vec![thread(run)?] })
    }

    /// Runs an iterator on a thread of its own, and on others what `worker` makes for each of them over its pieces.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn dealt<P, W>(
        pieces: impl Iterator<Item = anyhow::Result<P>> + Send + 'static,
        workers: NonZero<usize>,
        worker: impl Fn() -> W,
    ) -> anyhow::Result<Self>
    where
        P: Send + 'static,
        W: FnMut(P) -> T + Send + 'static,
    {
        let (mut inlets, mut outlets, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..workers.get() {
            let (inlet, dealt) = sync_channel::<anyhow::Result<P>>(WAITING);
            let (outlet, results) = sync_channel(WAITING);
            let mut work = worker();
            threads.push(thread(move || {
                drop(dealt.into_iter().try_for_each(|piece| outlet.send(piece.map(&mut work))));
            })?);
            inlets.push(inlet);
            outlets.push(results);
        }
        threads.push(thread(move || {
            drop(pieces.zip(inlets.iter().cycle()).try_for_each(|(piece, inlet)| inlet.send(piece)));
        })?);
        Ok(Self { outlets, turn: 0, threads })
    }

    /// The next result, nothing at the end.
    ///
    /// # Errors
    /// What the work failed with; nothing comes after that.
    ///
    /// # Panics
    /// Where the work has panicked: its end is not the end of the file.
    pub fn next_result(&mut self) -> anyhow::Result<Option<T>> {
        let next = self.outlets.get(self.turn).and_then(|outlet| outlet.recv().ok());
        match next {
            Some(Ok(result)) => {
                self.turn = (self.turn + 1) % self.outlets.len();
                Ok(Some(result))
            }
            ended => {
                // Without anybody who takes results, all threads end; only then can they be waited for.
                self.outlets.clear();
                for thread in self.threads.drain(..) {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                }
                ended.transpose()
            }
        }
    }
}

fn thread(run: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    Builder::new().name("import".to_owned()).spawn(run).context("no thread can be started")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const THREE: NonZero<usize> = NonZero::new(3).expect("not zero");

    fn all(mut results: InOrder<u64>) -> anyhow::Result<Vec<u64>> {
        std::iter::from_fn(|| results.next_result().transpose()).collect()
    }

    #[test]
    fn results_come_in_the_order_of_the_work() {
        for pieces in [0, 1, 2, 3, 4, 1_000] {
            let doubled = InOrder::dealt((0..pieces).map(Ok), THREE, || |piece| 2 * piece).expect("threads");
            assert_eq!(all(doubled).expect("no failure"), (0..pieces).map(|piece| 2 * piece).collect::<Vec<_>>());
            assert_eq!(all(InOrder::one((0..pieces).map(Ok)).expect("a thread")).expect("sound").len() as u64, pieces);
        }
    }

    #[test]
    fn a_failure_comes_after_what_was_before_it_and_nothing_comes_after_it() {
        let failing = || {
            let pieces = (0..100).map(|piece| if piece < 50 { Ok(piece) } else { Err(anyhow::anyhow!("{piece}")) });
            InOrder::dealt(pieces, THREE, || |piece| piece).expect("threads")
        };
        let mut results = failing();
        for piece in 0..50 {
            assert_eq!(results.next_result().expect("sound"), Some(piece));
        }
        assert_eq!(results.next_result().expect_err("a failure").to_string(), "50");
        assert_eq!(results.next_result().expect("over"), None);
        assert!(all(failing()).is_err());
    }

    #[test]
    #[should_panic(expected = "piece 7")]
    fn a_worker_that_panics_is_no_end() {
        let pieces = (0..1_000_u64).map(Ok);
        let work = || |piece| if piece == 7 { panic!("piece {piece}") } else { piece };
        drop(all(InOrder::dealt(pieces, THREE, work).expect("threads")));
    }

    #[test]
    fn work_stops_before_it_is_far_ahead_and_ends_with_who_takes_the_results() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        let pieces = std::iter::repeat_with(move || Ok(counted.fetch_add(1, Ordering::SeqCst)));
        let mut results = InOrder::dealt(pieces, THREE, || |piece| piece).expect("threads");
        for expected in 0..1_000 {
            assert_eq!(results.next_result().expect("sound"), Some(expected));
            // Each worker has one at hand and as many as may wait before and behind it, and one is being dealt.
            let bound = expected + 1 + THREE.get() * (2 * WAITING + 1) + 2;
            assert!(begun.load(Ordering::SeqCst) <= bound);
        }
        let threads = std::mem::take(&mut results.threads);
        drop(results);
        for thread in threads {
            thread.join().expect("an end without a panic");
        }
    }
}
