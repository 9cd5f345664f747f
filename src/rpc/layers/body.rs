//! The body of an answer, watched until it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::codegen::Bytes;

use super::complete::complete;
use super::shed::Place;
use super::trace::Visit;
use crate::rpc::status;

/// An answer on its way: it holds the place of its request, notes the code in its trailers, and ends when the
/// deadline of a stream is over.
pub(super) struct Watched {
    body: Option<Body>,
    deadline: Option<Pin<Box<Sleep>>>,
    visit: Visit,
    _place: Place,
}

impl Watched {
    pub(super) fn new(body: Body, deadline: Option<Pin<Box<Sleep>>>, visit: Visit, place: Place) -> Self {
        Self { body: Some(body), deadline, visit, _place: place }
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
            self.body = None;
            let overdue = status::deadline_exceeded().into_status();
            self.visit.note_code(overdue.code());
            let mut trailers = HeaderMap::new();
            overdue.add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
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
