//! A panic in one request is that request's error and nobody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// A pinned future whose panic becomes an error. What panicked is dropped and never looked at again.
pub struct Caught<F>(pub F);

/// Something of ours panicked. The words of the panic are not repeated, because they may hold what a customer sent; the
/// panic hook has told where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("panicked; the line of the panic names the place")]
pub struct Panicked;

impl<F: Future + Unpin> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_shown_by_the_hook) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// Lets `work` send item after item from a task of its own, of which `ahead` wait for a slow receiver. When the work
/// panics, its last item is the one that `panicked` makes: without it the receiver would take the silence for an end
/// that is as it should be.
pub fn produce<T, F>(
    ahead: usize,
    panicked: impl FnOnce(Panicked) -> T + Send + 'static,
    work: impl FnOnce(mpsc::Sender<T>) -> F,
) -> mpsc::Receiver<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(ahead);
    let work = Caught(Box::pin(work(sender.clone())));
    tokio::spawn(async move {
        if let Err(panic) = work.await {
            let _hung_up = sender.send(panicked(panic)).await;
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error() {
        let panics = async { panic!("on purpose") };
        assert!(Caught(Box::pin(panics)).await.is_err());
        assert_eq!(Caught(Box::pin(async { 1 })).await.expect("no panic"), 1);
    }

    #[tokio::test]
    async fn work_that_panics_ends_with_an_item_that_says_so() {
        let mut items = produce(1, Err, |sender| async move {
            sender.send(Ok(1)).await.expect("room");
            panic!("on purpose");
        });
        assert_eq!(items.recv().await, Some(Ok(1)));
        assert_eq!(items.recv().await, Some(Err(Panicked)));
        assert_eq!(items.recv().await, None);
    }

    #[tokio::test]
    async fn work_that_ends_well_adds_nothing() {
        let mut items = produce(1, Err, |sender| async move { sender.send(Ok(1)).await.expect("room") });
        assert_eq!((items.recv().await, items.recv().await), (Some(Ok(1)), None));
    }
}
