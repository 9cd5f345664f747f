//! The body of an answer, watched until it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::codegen::Bytes;

use super::complete::complete;
use super::deadline::is_stream;
use super::gate::Held;
use super::trace::Visit;
use crate::rpc::status::{self, Refused};

/// An answer on its way: it holds the place of its request, notes the code in its trailers, and ends when the
/// deadline of a stream is over.
pub(super) struct Watched {
    body: Option<Body>,
    deadline: Option<Pin<Box<Sleep>>>,
    visit: Visit,
    held: Held,
}

impl Watched {
    pub(super) fn new(body: Body, deadline: Option<Pin<Box<Sleep>>>, visit: Visit, mut held: Held) -> Self {
        // The head of the answer: a client that takes nothing at all does not even ask for what follows it.
        held.place.handed();
        if !is_stream(visit.path()) {
            held.place.done();
        }
        Self { body: Some(body), deadline, visit, held }
    }

    /// Whether the credential that opened the stream is still accepted. It is asked with each message, so that nothing
    /// is shown any more once a key is revoked.
    fn is_allowed(&self) -> bool {
        self.held.credential.as_ref().is_none_or(|credential| credential.is_live(self.visit.now()))
    }

    /// The end of an answer before its own end.
    fn end(&mut self, refused: Refused) -> Result<Frame<Bytes>, tonic::Status> {
        self.body = None;
        let status = refused.into_status();
        self.visit.note_code(status.code());
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }

    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready())
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if self.body.is_some() && self.is_overdue(context) {
            return Poll::Ready(Some(self.end(status::deadline_exceeded())));
        }
        self.held.place.taken();
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if frame.is_some() && !self.is_allowed() {
            return Poll::Ready(Some(self.end(status::unauthenticated())));
        }
        if frame.is_some() {
            self.held.place.handed();
        }
        Poll::Ready(frame.map(|frame| {
            frame.map(|mut frame| {
                let Self { visit, .. } = &mut *self;
                if let Some(trailers) = frame.trailers_mut()
                    && let Some(code) = complete(trailers, visit.path(), &visit.id)
                {
                    visit.note_code(code);
                }
                frame
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}
