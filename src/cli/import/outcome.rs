//! What the server made of the events.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tonic_types::{RpcStatusExt as _, Status};

/// Rejections that are shown one by one.
const SHOWN: usize = 20;

/// Counts of what became of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// New events.
    pub accepted: u64,
    /// Events that were accepted before.
    pub duplicate: u64,
    /// Events that were not taken.
    pub rejected: u64,
    /// Those by their reason.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// The first of them.
    pub first_rejections: Vec<Rejection>,
}

/// One event that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejection {
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: u64,
    /// The reason as the contract names it.
    pub reason: String,
    /// The fields that are at fault, or the server's sentence.
    pub message: String,
}

impl Outcome {
    /// Adds what became of other events.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        for (reason, events) in other.rejected_by_reason {
            *self.rejected_by_reason.entry(reason).or_default() += events;
        }
        self.first_rejections.extend(other.first_rejections);
        self.first_rejections.sort();
        self.first_rejections.truncate(SHOWN);
    }

    /// Counts a rejected event.
    pub fn reject(&mut self, rejection: Rejection) {
        self.rejected += 1;
        *self.rejected_by_reason.entry(rejection.reason.clone()).or_default() += 1;
        if self.first_rejections.len() < SHOWN {
            self.first_rejections.push(rejection);
        }
    }

    /// Events that were answered.
    pub fn events(&self) -> u64 {
        self.accepted + self.duplicate + self.rejected
    }
}

impl Rejection {
    /// A rejection as the server states it.
    pub fn new(file: Arc<str>, line: u64, error: Option<&Status>) -> Self {
        let reason = error.and_then(|error| error.get_details_error_info()).map(|info| info.reason);
        let fields = error.and_then(|error| error.get_details_bad_request()).map(|request| {
            let fields = request.field_violations.iter();
            fields
                .map(|fault| format!("{} {}", own_path(&fault.field), fault.description))
                .collect::<Vec<_>>()
                .join("; ")
        });
        let sentence = || error.map_or_else(String::new, |error| error.message.clone());
        Self {
            file,
            line,
            reason: reason.unwrap_or_else(|| "UNSPECIFIED".to_owned()),
            message: fields.filter(|fields| !fields.is_empty()).unwrap_or_else(sentence),
        }
    }
}

/// A field's path without its place in the batch, which means nothing to who reads a file.
fn own_path(path: &str) -> &str {
    path.strip_prefix("events[").and_then(|rest| rest.split_once("].")).map_or(path, |(_, own)| own)
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}: {} ({})", self.file, self.line, self.reason, self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_rejection_names_line_reason_and_fields() {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "rapport", HashMap::new());
        details.add_bad_request_violation("events[7].purchase.revenue", "must not be negative");
        let status = tonic::Status::with_error_details(Code::InvalidArgument, "event is invalid", details);
        let status = Status { code: 3, message: String::new(), details: prost_details(&status) };
        let rejection = Rejection::new("a.csv".into(), 9, Some(&status));
        let expected = "a.csv line 9: INVALID_FIELD (purchase.revenue must not be negative)";
        assert_eq!(rejection.to_string(), expected);
    }

    fn prost_details(status: &tonic::Status) -> Vec<prost_types::Any> {
        use prost::Message as _;
        Status::decode(status.details()).expect("encoded above").details
    }

    #[test]
    fn counts_of_lanes_add_up_and_the_first_lines_are_shown() {
        let mut outcome = Outcome::default();
        for line in (0..50).rev() {
            let mut other = Outcome::default();
            other.reject(Rejection::new("a.csv".into(), line, None));
            outcome.add(other);
        }
        assert_eq!((outcome.rejected, outcome.first_rejections.len()), (50, SHOWN));
        assert_eq!(outcome.first_rejections[0].line, 0);
        assert_eq!(outcome.rejected_by_reason, BTreeMap::from([("UNSPECIFIED".to_owned(), 50)]));
    }
}
