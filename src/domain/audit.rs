//! Who asked for what, and what came of it: entries of the audit log. They hold names and ids, never a value of a
//! customer.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::id::{ProfileId, WorkspaceId};
use super::limits;
use super::time::Timestamp;

/// A call as the audit log sees it. Calls that are equal in all of this are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditedCall {
    /// In which workspace, by the credential; that of the operator where nobody knows.
    pub workspace: WorkspaceId,
    /// Who asked: what kind of credential was shown, and the name by which the operator knows it. Never the credential.
    pub principal: SmolStr,
    /// What was asked for: the full name of the method, as `rapport.v1.ProfileService/GetProfile`.
    pub method: SmolStr,
    /// Which customer it was about, where it was one.
    pub subject: Option<ProfileId>,
    /// What the data were for; empty where the method asks for no purpose.
    pub purpose: SmolStr,
    /// What came of it: the number of a status code of gRPC, of which 0 is success.
    pub status: u8,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When the call was answered; of several the first.
    pub time: Timestamp,
    /// What was asked for.
    pub call: AuditedCall,
    /// How many calls were alike.
    pub count: u64,
}

/// A purpose as the log keeps it. Callers write it, so that what has not the form of one, and might be anything, only
/// counts as another one.
pub fn purpose(text: &str) -> SmolStr {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    let is_name = text.len() <= limits::PURPOSE_BYTES && text.bytes().all(is_word);
    if is_name { text.into() } else { SmolStr::new_static(limits::OTHER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_the_form_of_a_purpose_is_not_kept() {
        for kept in ["", "service", "a_b-c.9"] {
            assert_eq!(purpose(kept), kept);
        }
        for other in ["ann@example.com", "Ann", "ann smith", &"x".repeat(65)] {
            assert_eq!(purpose(other), limits::OTHER);
        }
    }
}
