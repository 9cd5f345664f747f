//! What a use case may answer instead of a result: coarse, and prescriptive for the caller.

use std::time::Duration;

use super::unwind::Panicked;
use crate::domain::decision::Refusal;
use crate::domain::id::Revision;
use crate::domain::model::ModelKind;
use crate::domain::rejection::EventRejection;
use crate::domain::time::Timestamp;
use crate::domain::violation::{ViolationReason, Violations};
use crate::{models, store};

/// How long whoever finds a backup under way should wait before they ask again.
const BACKUP_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// How long to wait where the disk is full: writes are taken again as soon as there is room.
const ROOM_AFTER: Duration = Duration::from_secs(5);

/// Why a use case did not answer. A kind is added only where a caller would act differently; no text in here holds
/// personal data, except the source of [`Error::Internal`], which holds none either and is never shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong: mend the named fields.
    #[error("{0}")]
    Invalid(Invalid),
    /// What was asked for does not exist.
    #[error("{resource} not found")]
    NotFound {
        /// What sort of thing.
        resource: Resource,
        /// Which one, without personal data: an id, or the type of an identifier.
        name: String,
    },
    /// The key was used for something else: choose another.
    #[error("{0}")]
    AlreadyExists(Reason),
    /// The workspace is not in the state that this needs: do what the reason says first.
    #[error("{0}")]
    Precondition(Reason),
    /// What was asked for lies outside of what is kept: begin anew.
    #[error("{0}")]
    OutOfRange(Reason),
    /// Somebody else was faster: read again and decide again.
    #[error("{0}")]
    Conflict(Reason),
    /// Too much at once: wait, then send the same again.
    #[error("{reason}")]
    Exhausted {
        /// What there is too much of.
        reason: Reason,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The store takes no writes now: send the same again later.
    #[error("the store takes no writes at the moment")]
    Unavailable,
    /// The caller may not do this: it needs another credential, or the customer's consent.
    #[error("{0}")]
    Forbidden(Reason),
    /// A fault of ours. The caller sees a fixed sentence, the log sees the source.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// All faults of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Violations);

impl Invalid {
    /// Refuses a request in which faults were found.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all of them.
    pub fn check(violations: Violations) -> Result<()> {
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(Self(violations))) }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(first) = self.0.first() else { return formatter.write_str("the request is invalid") };
        write!(formatter, "{} {}", first.field, first.description)?;
        match self.0.len() {
            1 => Ok(()),
            faults => write!(formatter, " (and {} more)", faults - 1),
        }
    }
}

/// What may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A customer.
    Customer,
    /// A segment.
    Segment,
    /// A model.
    Model,
    /// A training run.
    TrainingRun,
    /// A merge of profiles.
    Merge,
    /// A key that programs show.
    ApiKey,
    /// The record of an erasure.
    Erasure,
}

impl std::fmt::Display for Resource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Customer => "customer",
            Self::Segment => "segment",
            Self::Model => "model",
            Self::TrainingRun => "training run",
            Self::Merge => "merge",
            Self::ApiKey => "key",
            Self::Erasure => "receipt",
        })
    }
}

/// What exactly was in the way, as far as a program would tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No model of the kind answers yet.
    #[error("no {} model is trained yet; train one with TrainingService.CreateTrainingRun", .0.name())]
    ModelNotTrained(ModelKind),
    /// The named revision lies ahead of everything that this store has.
    #[error("at_least_revision {0} is ahead of this server; it belongs to another or a newer data directory")]
    RevisionAhead(Revision),
    /// The resume token lies ahead of everything that this store has.
    #[error(
        "the resume_token, of revision {0}, is ahead of this server; it belongs to another or a newer data directory"
    )]
    ResumeTokenAhead(Revision),
    /// The resume token is older than what is kept.
    #[error("the changes after the resume_token are not kept any more; read the profiles anew and begin without it")]
    ResumeTokenExpired,
    /// The history that this needs is not kept any more.
    #[error("what happened before {} is not kept any more; ask for what came later", .oldest.rfc3339())]
    HistoryExpired {
        /// What happened before has expired.
        oldest: Timestamp,
    },
    /// The event happened before the history that is kept.
    #[error("the event happened before {}, and what did is not kept; do not send it again", .oldest.rfc3339())]
    EventTooOld {
        /// What happened before has expired.
        oldest: Timestamp,
    },
    /// The run has ended.
    #[error("the training run has already ended")]
    TrainingNotRunning,
    /// Too many runs wait.
    #[error("too many training runs are waiting")]
    TrainingBusy,
    /// The event id was used with another content.
    #[error("this event_id was accepted from this source before with another content")]
    EventIdReused,
    /// The request id was used with another request.
    #[error("this request_id was used before with another request")]
    RequestIdReused,
    /// The customer of the event was forgotten.
    #[error("the customer whom the event names is erased; do not send it again")]
    CustomerErased,
    /// An event that must not be accepted.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The etag is stale.
    #[error("the etag is stale; read again and decide again")]
    EtagMismatch,
    /// A profile would be known by too many identifiers of a type.
    #[error("the profile would have more than {limit} identifiers of the type {kind}")]
    IdentifierLimit {
        /// The type.
        kind: String,
        /// How many there may be.
        limit: usize,
    },
    /// A profile would be known by too many identifiers of all types together.
    #[error("the profile would have more than {} identifiers", crate::domain::limits::PROFILE_IDENTIFIERS)]
    IdentifierTotal,
    /// A profile would be made of too many.
    #[error("the profile would be made of more than {} profiles", crate::domain::limits::PROFILE_PARTS)]
    PartLimit,
    /// The merge was undone before.
    #[error("the merge was undone before")]
    MergeUndone,
    /// The backup cannot be made as it was asked for.
    #[error("{0}")]
    BackupRefused(String),
    /// One backup at a time.
    #[error("a backup is being made already; wait until it is done")]
    BackupRunning,
    /// The disk is full.
    #[error("the server's disk is full, so that nothing can be written; reads go on")]
    StorageFull,
    /// Lost every race.
    #[error("others kept changing the same customers; send the request again")]
    Contention,
    /// What is asked for touches every workspace.
    #[error("this touches every workspace, so that it needs the scope admin in the workspace default")]
    OperatorOnly,
    /// What is asked for is in a workspace that is not the caller's.
    #[error(
        "a credential reaches its own workspace only; one with the scope admin in the workspace default reaches all"
    )]
    OtherWorkspace,
    /// The workspace has as many keys as it may have.
    #[error(
        "the workspace has {} keys that are accepted; revoke those that nobody uses",
        crate::domain::limits::API_KEYS
    )]
    ApiKeyLimit,
    /// Not agreed.
    #[error("the customer has not consented to the purpose {purpose:?}")]
    ConsentDenied {
        /// The purpose that the read named.
        purpose: String,
    },
}

impl Error {
    /// Why an event was refused, as it is kept, with the fields at fault.
    pub(super) fn as_rejection(&self) -> (EventRejection, Vec<String>) {
        match self {
            Self::Invalid(invalid) => {
                let reason = match invalid.0.reason() {
                    ViolationReason::IdentifierRequired => EventRejection::IdentifierRequired,
                    _ => EventRejection::InvalidField,
                };
                (reason, invalid.0.clone().into_vec().into_iter().map(|violation| violation.field).collect())
            }
            Self::Precondition(Reason::Refused(Refusal::TraitLimit)) => (EventRejection::TraitLimitReached, Vec::new()),
            Self::OutOfRange(Reason::EventTooOld { .. }) => (EventRejection::EventTooOld, Vec::new()),
            Self::Precondition(Reason::CustomerErased) => (EventRejection::CustomerErased, Vec::new()),
            // No other error stands for one event.
            _ => (EventRejection::EventIdReused, Vec::new()),
        }
    }

    /// A request whose only fault is `description` of `field`.
    pub fn invalid(field: &str, description: impl Into<String>) -> Self {
        Self::invalid_because(ViolationReason::InvalidField, field, description)
    }

    /// A request with one fault that has a reason of its own.
    pub fn invalid_because(reason: ViolationReason, field: &str, description: impl Into<String>) -> Self {
        let mut violations = Violations::new();
        violations.add_because(reason, field, description);
        Self::Invalid(Invalid(violations))
    }

    /// Something that does not exist.
    pub fn not_found(resource: Resource, name: impl Into<String>) -> Self {
        Self::NotFound { resource, name: name.into() }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict => Self::Conflict(Reason::Contention),
            store::Error::Poisoned(_) | store::Error::Closed | store::Error::Abandoned => Self::Unavailable,
            store::Error::Refused(why) => Self::Precondition(Reason::BackupRefused(why)),
            store::Error::Unsupported(why) => Self::Precondition(Reason::BackupRefused(why.to_owned())),
            store::Error::BackupRunning => {
                Self::Exhausted { reason: Reason::BackupRunning, retry_after: BACKUP_RETRY_AFTER }
            }
            store::Error::DiskFull(_) => Self::Exhausted { reason: Reason::StorageFull, retry_after: ROOM_AFTER },
            store::Error::Forgotten { .. } => Self::OutOfRange(Reason::ResumeTokenExpired),
            store::Error::TooLarge { .. }
            | store::Error::InUse { .. }
            | store::Error::Damaged { .. }
            | store::Error::Format { .. }
            | store::Error::Io { .. }
            | store::Error::Index(_) => Self::Internal(error.into()),
        }
    }
}

impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::Internal(panicked.into())
    }
}

impl From<models::artifact::ArtifactError> for Error {
    fn from(error: models::artifact::ArtifactError) -> Self {
        Self::Internal(error.into())
    }
}

/// An error with all its causes on one line, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line.push_str(": ");
        line.push_str(&source.to_string());
        cause = source.source();
    }
    line
}
