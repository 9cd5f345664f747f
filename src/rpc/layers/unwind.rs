//! A panic in one request is that request's error and nobody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future whose panic becomes an error. What panicked is dropped and never looked at again.
pub(super) struct Caught<F>(pub(super) Pin<Box<F>>);

/// The future panicked; the panic hook has told where.
#[derive(Debug)]
pub(super) struct Panicked;

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_shown_by_the_hook) => Poll::Ready(Err(Panicked)),
        }
    }
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
}
