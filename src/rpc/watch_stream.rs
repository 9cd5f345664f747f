//! `WatchProfiles`: passes changes on for as long as they are taken.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::call::Call;
use super::convert::change;
use super::stopping::Stopping;
use super::{pb, status};
use crate::app::{ProfileChanges, Result, produce};

/// Messages that wait for the client beside those on the wire.
const MESSAGES_AHEAD: usize = 1;

type Messages = mpsc::Sender<std::result::Result<pb::WatchProfilesResponse, Status>>;

/// One stream of changes.
pub(super) struct WatchStream {
    call: Call,
    stopping: Stopping,
    patience: Duration,
}

impl WatchStream {
    pub(super) fn new(call: Call, stopping: Stopping, patience: Duration) -> Self {
        Self { call, stopping, patience }
    }

    /// The messages about the changes.
    pub(super) fn of(self, changes: mpsc::Receiver<Result<ProfileChanges>>) -> BoxStream<pb::WatchProfilesResponse> {
        let panicked = self.call.panicked();
        let messages = produce(MESSAGES_AHEAD, panicked, |sender| self.run(changes, sender));
        Box::pin(ReceiverStream::new(messages))
    }

    /// Passes changes on until there is an error, the client is gone or too slow, or the server stops. The last message
    /// of a stream waits for the client however long it takes: it holds no more than itself.
    async fn run(mut self, mut changes: mpsc::Receiver<Result<ProfileChanges>>, sender: Messages) {
        let mut resume_token = String::new();
        let ended = loop {
            let message = tokio::select! {
                biased;
                () = self.stopping.begun() => {
                    break status::unavailable("the server stops; go on with the last resume_token").into_status();
                }
                told = changes.recv() => match told {
                    None => return,
                    Some(Ok(told)) => change::message(told),
                    Some(Err(error)) => break self.call.refuse(error),
                },
                () = sender.closed() => return,
            };
            let token = message.resume_token.clone();
            match timeout(self.patience, sender.send(Ok(message))).await {
                Ok(Ok(())) => resume_token = token,
                Ok(Err(_gone)) => return,
                Err(_stalled) => break status::reader_too_slow(&resume_token).into_status(),
            }
        };
        drop(changes);
        let _gone = sender.send(Err(ended)).await;
    }
}
