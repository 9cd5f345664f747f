//! How a read wants to read.

use super::time;
use crate::app::{Error, Invalid, Read, Result};
use crate::domain::id::Revision;
use crate::domain::limits;
use crate::domain::violation::Violations;

/// What a read says about itself, beside what it reads.
///
/// # Errors
/// [`Error::Invalid`] naming every field at fault.
pub(in crate::rpc) fn from_pb(
    purpose: String,
    at_least_revision: &str,
    as_of_time: Option<prost_types::Timestamp>,
) -> Result<Read> {
    let mut violations = Violations::new();
    violations.check_text("purpose", &purpose, limits::NAME_BYTES);
    let at_least = revision(at_least_revision, &mut violations);
    let as_of = time::from_pb(as_of_time, "as_of_time", &mut violations);
    checked(violations).map(|()| Read { purpose, at_least, as_of })
}

/// The revision that a read wants to see at least; empty is any.
///
/// # Errors
/// [`Error::Invalid`] for a text that no server gives out.
pub(in crate::rpc) fn at_least(text: &str) -> Result<Option<Revision>> {
    let mut violations = Violations::new();
    let at_least = revision(text, &mut violations);
    checked(violations).map(|()| at_least)
}

/// Refuses the request when a fault was found.
pub(in crate::rpc) fn checked(violations: Violations) -> Result<()> {
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(Invalid(violations.into_vec()))) }
}

fn revision(text: &str, violations: &mut Violations) -> Option<Revision> {
    if text.is_empty() {
        return None;
    }
    let revision = text.parse().ok();
    if revision.is_none() {
        violations.add("at_least_revision", "must be the revision of an earlier answer, or empty");
    }
    revision
}
