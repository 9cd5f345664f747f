//! Those who write, one for each kind of write. Each knows what it was told, and what it was not told.

mod documents;
mod events;
mod merges;
mod training;

use async_trait::async_trait;
use tokio::sync::watch;
use tonic::transport::Channel;

pub(crate) use documents::{Rules, SourcePriorities};
pub(crate) use events::{Events, Route};
pub(crate) use merges::Merges;
pub(crate) use training::Training;

/// What does not hold.
pub(crate) type Fault = String;

/// Somebody who writes until the server is gone, and then looks whether everything is there.
#[async_trait]
pub(crate) trait Writer: Send {
    /// Writes until the server is gone, and adds to `progress` how many events were acknowledged.
    async fn write(&mut self, server: Channel, progress: watch::Sender<u64>) -> Result<(), Fault>;

    /// After a restart: what was acknowledged is there; what was on its way is there as a whole or not at all, and is
    /// sent again as a caller would do, which must not double it.
    async fn settle(&mut self, server: Channel) -> Result<(), Fault>;

    /// Compares everything that was ever written.
    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault>;
}

/// Ends with a fault unless both are equal.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Fault> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, and it should be {expected:?}"))
}

/// What a refusal means for somebody who writes: `None` to go on, for the rules changed between a decision and its
/// commit and nothing was accepted; else the end, which is a good one where the server is gone or about to stop.
fn end(status: &tonic::Status) -> Option<Result<(), Fault>> {
    use tonic::Code::{Aborted, Cancelled, Internal, Unavailable, Unknown};
    match status.code() {
        Aborted => None,
        Unavailable => Some(Ok(())),
        // A broken connection has no status of its own; tonic gives it one of these, and no details.
        Cancelled | Internal | Unknown if status.details().is_empty() => Some(Ok(())),
        _ => Some(Err(format!("a write is refused: {status}"))),
    }
}

/// A call that a server that was started anew must answer.
pub(crate) fn answered<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Fault> {
    answer.map(tonic::Response::into_inner).map_err(|status| format!("a call is refused: {status}"))
}
