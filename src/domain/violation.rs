//! What is wrong with a request, field by field.

use std::fmt;

use super::limits;

/// One fault of one field. It names the field and the limit, and never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field as the proto spells it, such as `events[3].purchase.items[0].quantity`.
    pub field: String,
    /// What is wrong and what would be right, lower-case without a full stop.
    pub description: String,
    /// What a program would tell apart.
    pub reason: ViolationReason,
}

/// Why a field was refused, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViolationReason {
    /// Outside of its documented form or range.
    InvalidField,
    /// More items than one request may carry.
    BatchTooLarge,
    /// No identifier of the event can name a customer.
    IdentifierRequired,
    /// A reference to a customer by an identifier that cannot be one.
    IdentifierInvalid,
    /// A page token that this method did not give out for these arguments.
    PageTokenInvalid,
    /// A resume token that this method did not give out for these arguments.
    ResumeTokenInvalid,
}

/// Collects *all* faults of a message while it is read, each with its path. It keeps the first [`limits::VIOLATIONS`] and
/// counts the others: a message of a few MiB can have a million faults, and nobody mends them by a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    path: Vec<String>,
    found: Vec<Violation>,
    beyond: usize,
    reason: Option<ViolationReason>,
}

impl Violations {
    /// An empty collection at the root of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `check` with `field` appended to the path.
    pub fn within<T>(&mut self, field: impl fmt::Display, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(field.to_string());
        let result = check(self);
        self.path.pop();
        result
    }

    /// Records a fault of `field` below the current path; an empty `field` is the path itself.
    pub fn add(&mut self, field: &str, description: impl Into<String>) {
        self.add_because(ViolationReason::InvalidField, field, description);
    }

    /// Records a fault with a reason of its own.
    pub fn add_because(&mut self, reason: ViolationReason, field: &str, description: impl Into<String>) {
        self.reason = self.reason.max(Some(reason));
        if self.found.len() >= limits::VIOLATIONS {
            self.beyond += 1;
            return;
        }
        let mut path = self.path.join(".");
        if !field.is_empty() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(field);
        }
        self.found.push(Violation { field: path, description: description.into(), reason });
    }

    /// Records a fault when `text` is longer than `limit` bytes or holds a NUL.
    pub fn check_text(&mut self, field: &str, text: &str, limit: usize) {
        if text.len() > limit {
            self.add(field, format!("is {} bytes long; the limit is {limit}", text.len()));
        } else if text.contains('\0') {
            self.add(field, "must not contain a NUL character");
        }
    }

    /// Records a fault when `text` is empty, longer than `limit` bytes or holds a NUL.
    pub fn check_required_text(&mut self, field: &str, text: &str, limit: usize) {
        if text.is_empty() {
            self.add(field, "must not be empty");
        } else {
            self.check_text(field, text, limit);
        }
    }

    /// Records a fault when `number` is not finite or outside of `range`.
    pub fn check_number(&mut self, field: &str, number: f64, range: std::ops::RangeInclusive<f64>) {
        if !range.contains(&number) {
            self.add(field, format!("must be a number from {} to {}", range.start(), range.end()));
        }
    }

    /// True while nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many faults there are, those that are only counted included.
    pub fn len(&self) -> usize {
        self.found.len() + self.beyond
    }

    /// The reason that weighs most among all faults: the most special one.
    pub fn reason(&self) -> ViolationReason {
        self.reason.unwrap_or(ViolationReason::InvalidField)
    }

    /// The fault that was found first.
    pub fn first(&self) -> Option<&Violation> {
        self.found.first()
    }

    /// The faults that were kept.
    pub fn into_vec(self) -> Vec<Violation> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_without_end_are_counted_and_not_kept() {
        let mut violations = Violations::new();
        for position in 0..1_000_000 {
            violations.add(&format!("kinds[{position}]"), "must be a kind");
        }
        violations.add_because(ViolationReason::PageTokenInvalid, "page_token", "was not given out");
        assert_eq!((violations.len(), violations.reason()), (1_000_001, ViolationReason::PageTokenInvalid));
        assert_eq!(violations.into_vec().len(), limits::VIOLATIONS);
    }
}
