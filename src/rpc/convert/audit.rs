//! Entries of the audit log.

use tonic::Code;

use super::{customer, page, time};
use crate::app::{AuditFilter, AuditRequest};
use crate::domain::audit::AuditEntry;
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// Which entries a request asks for, and what of it could not be read.
pub(in crate::rpc) fn request(sent: pb::ListAuditEntriesRequest) -> (AuditRequest, Violations) {
    let mut violations = Violations::new();
    let named = sent.customer.map(|named| customer::from_pb(Some(named), "customer", &mut violations));
    let start = time::from_pb(sent.start_time, "start_time", &mut violations);
    let end = time::from_pb(sent.end_time, "end_time", &mut violations);
    let page = page::request(sent.page_size, sent.page_token, &violations);
    (AuditRequest { customer: named, filter: AuditFilter { start, end }, page }, violations)
}

/// An entry as the wire carries it.
pub(in crate::rpc) fn entry(entry: &AuditEntry) -> pb::AuditEntry {
    let AuditEntry { time, call, count } = entry;
    pb::AuditEntry {
        call_time: Some(time::to_pb(*time)),
        principal: call.principal.to_string(),
        method: call.method.to_string(),
        profile_id: call.subject.map(|id| id.to_string()).unwrap_or_default(),
        purpose: call.purpose.to_string(),
        result: name(call.status).to_owned(),
        count: i64::try_from(*count).unwrap_or(i64::MAX),
    }
}

/// A status code as the specification of gRPC spells it.
fn name(status: u8) -> &'static str {
    match Code::from(i32::from(status)) {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
