//! Errors as the wire carries them: one match from what a use case answers to a status with exactly one `ErrorInfo`.

use std::collections::HashMap;
use std::time::Duration;

use pb::ErrorReason;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::call::RequestId;
use super::pb;
use super::quotas::Exceeded;
use crate::app::{Error, Invalid, Reason, Resource, chain};
use crate::domain::access::Scopes;
use crate::domain::training::{TrainingFailureReason, TrainingRun, TrainingState};
use crate::domain::violation::{Violation, ViolationReason};

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "rapport";
/// For how long a caller waits before it repeats a request that was not taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of violations, or of a token, that a call's status carries. It travels in a trailer, in base 64, and some clients accept no
/// more than 8 KiB of trailers in all; a last violation says how many were left out.
const TRAILER_BYTES: usize = 3 << 10;
/// What the encoding of a violation adds to its texts: the keys and lengths of both and of itself.
const VIOLATION_BYTES: usize = 8;
/// Bytes of violations that the status of one item carries: enough for every fault that people make.
const ITEM_BYTES: usize = 64 << 10;

/// An error before it is written down as a status.
pub(super) struct Refused {
    code: Code,
    message: String,
    details: Box<ErrorDetails>,
}

/// The status of a call that failed.
pub(super) fn of_call(error: Error, request: &RequestId) -> Status {
    of(error, request, TRAILER_BYTES).into_status()
}

/// The status of one item of a batch that failed, while the others went on.
pub(super) fn of_item(error: Error, request: &RequestId) -> tonic_types::Status {
    of(error, request, ITEM_BYTES).into_item()
}

/// The same with the first violation only, for a reply that would become too large.
pub(super) fn of_item_in_short(error: Error, request: &RequestId) -> tonic_types::Status {
    of(error, request, 0).into_item()
}

/// Why a training run made no model; `None` for one that may still make one, or did.
pub(super) fn of_run(run: &TrainingRun) -> Option<tonic_types::Status> {
    let refused = match (&run.failure, run.state) {
        (None, TrainingState::Cancelled) => {
            Refused::new(Code::Cancelled, ErrorReason::TrainingCancelled, "the training run was cancelled")
        }
        (None, _) => return None,
        (Some(failure), _) => match failure.reason {
            TrainingFailureReason::NotEnoughData => {
                Refused::new(Code::FailedPrecondition, ErrorReason::NotEnoughData, &failure.message)
                    .precondition(run.kind.name())
            }
            TrainingFailureReason::Interrupted => {
                Refused::new(Code::Aborted, ErrorReason::TrainingInterrupted, &failure.message)
            }
            TrainingFailureReason::Internal => {
                let mut refused = Refused::new(Code::Internal, ErrorReason::TrainingFailed, &failure.message);
                refused.details.set_request_info(run.id.to_string(), "");
                refused
            }
        },
    };
    Some(refused.into_item())
}

/// The metadata name a workspace that cannot be one.
pub(super) fn workspace_invalid(fault: impl std::fmt::Display) -> Refused {
    Refused::new(Code::InvalidArgument, ErrorReason::WorkspaceInvalid, format!("rapport-workspace: {fault}"))
}

/// There is no credential, or none that is valid. Which of them it is helps only those who try others.
pub(super) fn unauthenticated() -> Refused {
    let message = "this server asks for a credential: send `authorization: Bearer …` with a key that is valid";
    Refused::new(Code::Unauthenticated, ErrorReason::Unauthenticated, message)
}

/// The credential does not allow the method.
pub(super) fn scope_missing(missing: Scopes) -> Refused {
    let message = format!("the credential lacks what this method needs: {missing}");
    Refused::new(Code::PermissionDenied, ErrorReason::PermissionDenied, message).about("scope", &missing.to_string())
}

/// There is more work than the server takes on.
pub(super) fn overloaded() -> Refused {
    let message = "the server has more requests than it takes on at once; wait, then send this one again";
    Refused::new(Code::ResourceExhausted, ErrorReason::Overloaded, message).retry_after(RETRY_AFTER)
}

/// The credential has asked for its share, which is no fault of the server's.
pub(super) fn quota_exceeded(Exceeded { quota, wait }: &Exceeded) -> Refused {
    let message = format!("the credential has used up its quota `{quota}`; wait, then send this one again");
    let mut refused = Refused::new(Code::ResourceExhausted, ErrorReason::QuotaExceeded, message.as_str());
    refused.details.add_quota_failure_violation(*quota, message);
    refused.about("quota", quota).retry_after(wait.unwrap_or(RETRY_AFTER))
}

/// The time is over.
pub(super) fn deadline_exceeded() -> Refused {
    let message = "the call took longer than its deadline; a write may have been done all the same";
    Refused::new(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, message)
}

/// The server does not take this now: the store is not writable, or the server stops.
pub(super) fn unavailable(message: &str) -> Refused {
    Refused::new(Code::Unavailable, ErrorReason::StoreUnavailable, message).retry_after(RETRY_AFTER)
}

/// Whoever follows a stream does not take its messages; `resume_token` is that of the last one.
pub(super) fn reader_too_slow(resume_token: &str) -> Refused {
    let message = "the stream waited too long for a message to be taken; go on with the last resume_token";
    let refused = Refused::new(Code::ResourceExhausted, ErrorReason::ReaderTooSlow, message).retry_after(RETRY_AFTER);
    if resume_token.len() > TRAILER_BYTES { refused } else { refused.about("resume_token", resume_token) }
}

/// The server does not have what was asked for.
pub(super) fn unimplemented(message: impl Into<String>) -> Refused {
    Refused::new(Code::Unimplemented, ErrorReason::Unimplemented, message)
}

/// The answer is larger than clients accept.
pub(super) fn response_too_large() -> Refused {
    let message = "the answer does not fit into one reply; ask for less at once";
    Refused::new(Code::ResourceExhausted, ErrorReason::ResponseTooLarge, message)
}

/// A request that cannot be read, with the field at fault.
pub(super) fn unreadable(reason: ErrorReason, field: &str, message: &str) -> Refused {
    let mut refused = Refused::new(Code::InvalidArgument, reason, message);
    refused.details.add_bad_request_violation(field, message);
    refused
}

/// A fault of ours; the log line that tells what it was is written by whoever noticed it.
pub(super) fn internal(request: &RequestId) -> Refused {
    let message = "an internal error; the server's log has its cause under the request id";
    let mut refused = Refused::new(Code::Internal, ErrorReason::Internal, message);
    refused.details.set_request_info(request.to_string(), "");
    refused
}

/// The one place where errors of use cases get their code.
fn of(error: Error, request: &RequestId, violation_bytes: usize) -> Refused {
    let message = error.to_string();
    match error {
        Error::Invalid(invalid) => of_invalid(invalid, violation_bytes),
        Error::NotFound { resource, name } => of_missing(resource, &name, &message),
        Error::AlreadyExists(reason) => of_reason(Code::AlreadyExists, &reason),
        Error::Precondition(reason) => of_reason(Code::FailedPrecondition, &reason),
        Error::OutOfRange(reason) => of_reason(Code::OutOfRange, &reason),
        Error::Conflict(reason) => of_reason(Code::Aborted, &reason),
        Error::Exhausted { reason, retry_after } => {
            of_reason(Code::ResourceExhausted, &reason).retry_after(retry_after)
        }
        Error::Unavailable => unavailable(&message),
        Error::Forbidden(reason) => of_reason(Code::PermissionDenied, &reason),
        Error::Internal(source) => {
            tracing::error!(request_id = %request, error = %chain(&*source), "a request failed");
            internal(request)
        }
    }
}

fn of_invalid(invalid: Invalid, bytes: usize) -> Refused {
    let reason = match invalid.0.reason() {
        ViolationReason::InvalidField => ErrorReason::InvalidField,
        ViolationReason::BatchTooLarge => ErrorReason::BatchTooLarge,
        ViolationReason::IdentifierRequired => ErrorReason::IdentifierRequired,
        ViolationReason::IdentifierInvalid => ErrorReason::IdentifierInvalid,
        ViolationReason::PageTokenInvalid => ErrorReason::PageTokenInvalid,
        ViolationReason::ResumeTokenInvalid => ErrorReason::ResumeTokenInvalid,
    };
    let mut refused = Refused::new(Code::InvalidArgument, reason, invalid.to_string());
    let (all, mut taken, mut told) = (invalid.0.len(), 0, 0);
    for Violation { field, description, reason: _ } in invalid.0.into_vec() {
        taken += field.len() + description.len() + VIOLATION_BYTES;
        if told > 0 && taken > bytes {
            break;
        }
        refused.details.add_bad_request_violation(field, description);
        told += 1;
    }
    if told < all {
        refused.details.add_bad_request_violation("", format!("{} more faults are not listed", all - told));
    }
    refused
}

fn of_missing(resource: Resource, name: &str, message: &str) -> Refused {
    let (reason, resource_type) = match resource {
        Resource::Customer => (ErrorReason::CustomerNotFound, "rapport.v1.Profile"),
        Resource::Segment => (ErrorReason::SegmentNotFound, "rapport.v1.Segment"),
        Resource::Model => (ErrorReason::ModelNotFound, "rapport.v1.Model"),
        Resource::TrainingRun => (ErrorReason::TrainingRunNotFound, "rapport.v1.TrainingRun"),
        Resource::Merge => (ErrorReason::MergeNotFound, "rapport.v1.MergeRecord"),
        Resource::ApiKey => (ErrorReason::ApiKeyNotFound, "rapport.v1.ApiKey"),
        Resource::Erasure => (ErrorReason::ReceiptNotFound, "rapport.v1.ErasureReceipt"),
    };
    Refused::new(Code::NotFound, reason, message).resource(resource_type, name)
}

fn of_reason(code: Code, reason: &Reason) -> Refused {
    let refused = |error_reason| Refused::new(code, error_reason, reason.to_string());
    match reason {
        Reason::ModelNotTrained(kind) => {
            refused(ErrorReason::ModelNotTrained).about("kind", kind.name()).precondition(kind.name())
        }
        Reason::RevisionAhead(wanted) => refused(ErrorReason::RevisionAhead).precondition(&wanted.to_string()),
        Reason::ResumeTokenAhead(wanted) => refused(ErrorReason::RevisionAhead).precondition(&wanted.to_string()),
        Reason::ResumeTokenExpired => refused(ErrorReason::ResumeTokenExpired),
        Reason::HistoryExpired { oldest } => {
            refused(ErrorReason::HistoryExpired).about("oldest_time", &oldest.rfc3339())
        }
        Reason::EventTooOld { oldest } => refused(ErrorReason::EventTooOld).about("oldest_time", &oldest.rfc3339()),
        Reason::CustomerErased => refused(ErrorReason::CustomerErased).precondition("identifiers"),
        Reason::TrainingNotRunning => refused(ErrorReason::TrainingNotRunning).precondition("run_id"),
        Reason::TrainingBusy => {
            let mut refused = refused(ErrorReason::TrainingBusy);
            refused.details.add_quota_failure_violation("training_runs", reason.to_string());
            refused
        }
        Reason::EventIdReused => refused(ErrorReason::EventIdReused).resource("rapport.v1.Event", "event_id"),
        Reason::RequestIdReused => refused(ErrorReason::RequestIdReused).resource("request", "request_id"),
        Reason::Refused(crate::domain::decision::Refusal::TraitLimit) => {
            refused(ErrorReason::TraitLimitReached).precondition("traits")
        }
        Reason::IdentifierLimit { kind, .. } => refused(ErrorReason::IdentifierLimitReached).precondition(kind),
        Reason::IdentifierTotal => refused(ErrorReason::IdentifierLimitReached).precondition("identifiers"),
        Reason::PartLimit => refused(ErrorReason::IdentifierLimitReached).precondition("sources"),
        Reason::MergeUndone => refused(ErrorReason::MergeUndone).precondition("merge_id"),
        Reason::BackupRefused(_) => refused(ErrorReason::BackupRefused).precondition("directory"),
        Reason::BackupRunning => {
            let mut refused = refused(ErrorReason::BackupRunning);
            refused.details.add_quota_failure_violation("backups", reason.to_string());
            refused
        }
        Reason::OperatorOnly | Reason::OtherWorkspace => refused(ErrorReason::PermissionDenied),
        Reason::ApiKeyLimit => refused(ErrorReason::ApiKeyLimitReached).precondition("keys"),
        Reason::EtagMismatch => refused(ErrorReason::EtagMismatch),
        Reason::StorageFull => {
            let mut refused = refused(ErrorReason::StorageFull);
            refused.details.add_quota_failure_violation("disk", reason.to_string());
            refused
        }
        Reason::Contention => refused(ErrorReason::Conflict),
        Reason::ConsentDenied { purpose } => refused(ErrorReason::ConsentDenied).about("purpose", purpose),
    }
}

impl Refused {
    fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        let details = ErrorDetails::with_error_info(name(reason), DOMAIN, HashMap::new());
        Self { code, message: message.into(), details: Box::new(details) }
    }

    /// As the status of a call.
    pub(super) fn into_status(self) -> Status {
        Status::with_error_details(self.code, self.message, *self.details)
    }

    /// As the status of one item of a batch.
    pub(super) fn into_item(self) -> tonic_types::Status {
        let (code, message) = (self.code, self.message.clone());
        tonic_types::Status::decode(self.into_status().details()).unwrap_or_else(|_| tonic_types::Status {
            code: code.into(),
            message,
            details: Vec::new(),
        })
    }

    /// Adds what a program may read beside the reason.
    fn about(mut self, key: &str, value: &str) -> Self {
        if let Some(info) = self.details.error_info().cloned() {
            let mut metadata = info.metadata;
            metadata.insert(key.to_owned(), value.to_owned());
            self.details.set_error_info(info.reason, info.domain, metadata);
        }
        self
    }

    fn resource(mut self, resource_type: &str, resource_name: &str) -> Self {
        self.details.set_resource_info(resource_type, resource_name, "", self.message.clone());
        self.about("resource_type", resource_type)
    }

    fn precondition(mut self, subject: &str) -> Self {
        let reason = self.details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        self.details.add_precondition_failure_violation(reason, subject, self.message.clone());
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }
}

/// A reason as `ErrorInfo` spells it: without the prefix of the enum.
fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
