//! A call as a handler sees it: who asks, and the name under which its faults are logged.

use std::fmt;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::personal::Personal;
use super::status;
use crate::app::{Caller, Credential, Error, Panicked, Result};
use crate::domain::access::Scope;
use crate::domain::time::Timestamp;

/// Who asks, and under which name.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Who asks.
    pub(super) caller: Caller,
    /// What proved it, where that was asked for.
    pub(super) credential: Option<Credential>,
    /// The name of the request in the log.
    pub(super) id: RequestId,
}

/// Names a request in the log and in reports about it.
#[derive(Debug, Clone)]
pub(super) enum RequestId {
    /// As the caller named it.
    Given(Arc<str>),
    /// As we count it.
    Counted {
        /// The process that counts.
        server: u32,
        /// The request within the process.
        number: u64,
    },
}

impl Call {
    /// Separates a request into who asks and what is asked.
    ///
    /// # Errors
    /// When the layers did not see the request, which is a fault of ours.
    pub(super) fn of<T>(mut request: Request<T>) -> std::result::Result<(Self, T), Status> {
        let call = request.extensions_mut().remove::<Self>();
        let call = call.ok_or_else(|| {
            tracing::error!("a request reached its handler without passing the layers");
            status::internal(&RequestId::Counted { server: 0, number: 0 }).into_status()
        })?;
        Ok((call, request.into_inner()))
    }

    /// Whether the credential of the call is still accepted.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.credential.as_ref().is_none_or(|credential| credential.is_live(now))
    }

    /// A part of an answer as this caller may see it.
    pub(super) fn shown<M: Personal>(&self, mut message: M) -> M {
        if !self.caller.scopes.has(Scope::ProfilesPii) {
            message.hide();
        }
        message
    }

    /// The answer of a use case as the wire carries it.
    pub(super) fn answer<T>(&self, result: Result<T>) -> std::result::Result<Response<T>, Status> {
        result.map(Response::new).map_err(|error| self.refuse(error))
    }

    /// The error of a use case as the status of the call.
    pub(super) fn refuse(&self, error: Error) -> Status {
        status::of_call(error, &self.id)
    }

    /// What a stream of the call ends with when its work panics.
    pub(super) fn panicked<T>(&self) -> impl FnOnce(Panicked) -> std::result::Result<T, Status> + Send + use<T> {
        let call = self.clone();
        move |panicked| Err(call.refuse(panicked.into()))
    }

    /// The error of a use case as the status of one item of a batch.
    pub(super) fn item_error(&self, error: Error) -> tonic_types::Status {
        status::of_item(error, &self.id)
    }
}

impl RequestId {
    /// The name that a caller gave, where it is one: up to 64 letters, digits, dots, dashes and underscores, so that
    /// it cannot disturb a log.
    pub(super) fn given(text: &str) -> Option<Self> {
        let well_formed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let named = (1..=64).contains(&text.len()) && text.bytes().all(well_formed);
        named.then(|| Self::Given(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(name) => formatter.write_str(name),
            Self::Counted { server, number } => write!(formatter, "{server:08x}-{number}"),
        }
    }
}
