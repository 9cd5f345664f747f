//! Errors of tonic itself, completed to what the contract promises: a message that is too large or cannot be read, a
//! method or a compression that we do not have. tonic answers them without details and partly with other codes.

use http::HeaderMap;
use pb::ErrorReason;
use tonic::{Code, Status};

use crate::rpc::call::RequestId;
use crate::rpc::{pb, status};

/// Services that speak another contract, with errors of its own.
const NOT_OURS: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// The code of nearly all answers, as headers have it.
const SUCCESS: &str = "0";

/// Completes the status in the headers or trailers of an answer, and tells its code; `None` where there is none yet.
pub(super) fn complete(headers: &mut HeaderMap, path: &str, request: &RequestId) -> Option<Code> {
    if headers.get(Status::GRPC_STATUS)? == SUCCESS {
        return Some(Code::Ok);
    }
    let found = Status::from_header_map(headers)?;
    let bare = found.code() != Code::Ok && found.details().is_empty();
    if !bare || NOT_OURS.iter().any(|service| path.starts_with(service)) {
        return Some(found.code());
    }
    let completed = completion(&found, path, request);
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE, Status::GRPC_STATUS_DETAILS] {
        headers.remove(name);
    }
    // Its parts are text of ours and encoded details, which always fit into headers.
    let _infallible = completed.add_header(headers);
    Some(completed.code())
}

fn completion(found: &Status, path: &str, request: &RequestId) -> Status {
    let message = found.message();
    let refused = match found.code() {
        Code::Unimplemented if message.is_empty() => status::unimplemented("this server has no such method"),
        Code::Unimplemented => status::unimplemented(message),
        Code::OutOfRange if message.contains("encoded message") => status::response_too_large(),
        Code::OutOfRange | Code::ResourceExhausted => too_large(path, message),
        // tonic calls it internal when it cannot read what the caller sent.
        Code::Internal => status::unreadable(ErrorReason::InvalidField, "", &format!("cannot be read: {message}")),
        _ => {
            tracing::error!(request_id = %request, error = message, code = ?found.code(), "a request failed");
            status::internal(request)
        }
    };
    refused.into_status()
}

/// A batch that is too large can be split; another message that is too large holds a field that is.
fn too_large(path: &str, message: &str) -> status::Refused {
    match path {
        "/rapport.v1.EventService/IngestEvents" | "/rapport.v1.EventService/StreamEvents" => {
            status::unreadable(ErrorReason::BatchTooLarge, "events", message)
        }
        "/rapport.v1.ProfileService/BatchGetProfiles" | "/rapport.v1.PredictionService/BatchPredict" => {
            status::unreadable(ErrorReason::BatchTooLarge, "customers", message)
        }
        _ => status::unreadable(ErrorReason::InvalidField, "", message),
    }
}
