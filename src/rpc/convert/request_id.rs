//! How a write names itself, so that it can be repeated.

use crate::domain::limits;
use crate::domain::violation::Violations;

/// A name that is too long is a violation; none is as good as any.
pub(in crate::rpc) fn check(request_id: &str, violations: &mut Violations) {
    violations.check_text("request_id", request_id, limits::REQUEST_ID_BYTES);
}
