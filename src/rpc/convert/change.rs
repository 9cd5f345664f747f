//! Changes of profiles, and which of them to follow.

use std::time::Duration;

use pb::profile_change::Cause;

use super::{customer, read, time};
use crate::app::{ProfileChanges, WatchRequest, Watched};
use crate::domain::change::{ChangeCause, ChangeKind};
use crate::domain::limits;
use crate::domain::violation::{ViolationReason, Violations};
use crate::rpc::pb;

/// The stream that a request asks for.
pub(in crate::rpc) fn request(sent: pb::WatchProfilesRequest, checkpoint_interval: Duration) -> WatchRequest {
    let mut faults = Violations::new();
    if sent.customers.len() > limits::BATCH_CUSTOMERS {
        let description = format!("has {} customers; the limit is {}", sent.customers.len(), limits::BATCH_CUSTOMERS);
        faults.add_because(ViolationReason::BatchTooLarge, "customers", description);
    }
    let customers = sent.customers.into_iter().take(limits::BATCH_CUSTOMERS).enumerate();
    let one = |(position, sent)| customer::from_pb(Some(sent), &format!("customers[{position}]"), &mut faults);
    let customers = customers.map(one).collect();
    let at_least = read::at_least(&sent.at_least_revision, &mut faults);
    WatchRequest {
        resume_token: sent.resume_token,
        customers,
        segment_ids: sent.segment_ids,
        at_least,
        checkpoint_interval,
        faults,
    }
}

/// A message of the stream.
pub(in crate::rpc) fn message(told: ProfileChanges) -> pb::WatchProfilesResponse {
    let changes: Vec<_> = told.changes.into_iter().map(to_pb).collect();
    pb::WatchProfilesResponse { checkpoint: changes.is_empty(), changes, resume_token: told.resume_token }
}

fn to_pb(watched: Watched) -> pb::ProfileChange {
    let Watched { change, revision, time } = watched;
    let (change_type, merged_into) = match change.kind {
        ChangeKind::Created => (pb::ChangeType::Created, String::new()),
        ChangeKind::Updated => (pb::ChangeType::Updated, String::new()),
        ChangeKind::Merged(into) => (pb::ChangeType::Merged, into.to_string()),
        ChangeKind::Unmerged(_) => (pb::ChangeType::Unmerged, String::new()),
        ChangeKind::Erased => (pb::ChangeType::Erased, String::new()),
        // It is told to nobody.
        ChangeKind::Forgotten => (pb::ChangeType::Unspecified, String::new()),
    };
    let cause = match change.cause {
        ChangeCause::Event(key) => {
            Cause::Event(pb::EventRef { source: key.source.into(), event_id: key.event_id.into() })
        }
        ChangeCause::Merge(id) => Cause::MergeId(id.to_string()),
        ChangeCause::Unmerge(id) => Cause::UnmergeId(id.to_string()),
        ChangeCause::Consent(id) => Cause::ConsentId(id.hyphenated().to_string()),
        ChangeCause::Erasure(id) => Cause::ReceiptId(id.hyphenated().to_string()),
        ChangeCause::Forgotten => Cause::ReceiptId(String::new()),
    };
    pb::ProfileChange {
        profile_id: change.profile.to_string(),
        change_type: change_type.into(),
        changed_fields: change.fields.into_iter().map(str::to_owned).collect(),
        merged_into,
        cause: Some(cause),
        revision: revision.to_string(),
        commit_time: Some(time::to_pb(time)),
    }
}
