//! How a read wants to read.

use super::time;
use crate::app::Read;
use crate::domain::id::Revision;
use crate::domain::limits;
use crate::domain::violation::Violations;

/// What a read says about itself, beside what it reads. It takes along the faults of everything else in the request,
/// so it is converted last.
pub(in crate::rpc) fn from_pb(
    purpose: String,
    at_least_revision: &str,
    as_of_time: Option<prost_types::Timestamp>,
    mut faults: Violations,
) -> Read {
    faults.check_text("purpose", &purpose, limits::NAME_BYTES);
    let at_least = at_least(at_least_revision, &mut faults);
    let as_of = time::from_pb(as_of_time, "as_of_time", &mut faults);
    Read { purpose, at_least, as_of, reasons: None, faults }
}

/// A read of what is no customer's, which needs no purpose.
pub(in crate::rpc) fn without_purpose(at_least_revision: &str, faults: Violations) -> Read {
    from_pb(String::new(), at_least_revision, None, faults)
}

/// How many reasons an answer about one customer lists: 0 is all.
pub(in crate::rpc) fn reasons_of_one(contribution_limit: i32, violations: &mut Violations) -> Option<usize> {
    let limit = usize::try_from(contribution_limit);
    if limit.is_err() {
        violations.add("contribution_limit", "must not be negative");
    }
    limit.ok().filter(|limit| *limit > 0)
}

/// How many reasons each answer about many customers lists: 0 is a few, and there is a largest number.
pub(in crate::rpc) fn reasons_of_many(contribution_limit: i32, violations: &mut Violations) -> Option<usize> {
    let limit = reasons_of_one(contribution_limit, violations).unwrap_or(limits::CONTRIBUTIONS_DEFAULT);
    Some(limit.min(limits::CONTRIBUTIONS_MAX))
}

/// The revision that a read wants to see at least; empty is any.
pub(in crate::rpc) fn at_least(text: &str, violations: &mut Violations) -> Option<Revision> {
    if text.is_empty() {
        return None;
    }
    let revision = text.parse().ok();
    if revision.is_none() {
        violations.add("at_least_revision", "must be the revision of an earlier answer, or empty");
    }
    revision
}
