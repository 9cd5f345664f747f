//! What a workspace says about types of identifiers: how many of one a customer may have, how much one says about who
//! it is, and which values stand for nobody.

use serde::{Deserialize, Serialize};

use super::identifier::is_kind;
use super::limits;
use super::violation::Violations;

/// The rule for every `crm:SYSTEM` that has none of its own.
pub const ANY_CRM: &str = "crm:*";
/// The rule for every type that has none of its own.
pub const ANY: &str = "*";

/// Values that systems write where they know nobody, in any case. They are blocked for every type; values that consist
/// of zeroes and hyphens are too.
pub const NOBODY: [&str; 8] = ["", "-1", "null", "undefined", "none", "anonymous", "unknown", "n/a"];

/// A workspace's rules. A type that it says nothing about has the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdentityRules {
    /// At most one for a type.
    pub rules: Vec<IdentifierRule>,
}

/// The rule of one type of identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierRule {
    /// The type, or [`ANY_CRM`] or [`ANY`].
    pub kind: String,
    /// How many identifiers of the type one profile may have.
    pub limit: u32,
    /// How much the type says about who it is; 1 is the strongest.
    pub priority: u32,
    /// Values that stand for nobody, in any case, beside [`NOBODY`].
    pub blocked_values: Vec<String>,
    /// Regular expressions of values that stand for nobody.
    pub blocked_patterns: Vec<String>,
}

impl IdentifierRule {
    /// The rule of a type that nobody made one for.
    pub fn default_of(kind: &str) -> Self {
        let (limit, priority) = match kind {
            "user_id" => (1, 1),
            "email" => (5, 3),
            "phone" => (5, 4),
            "loyalty_id" => (5, 5),
            "device_id" => (50, 7),
            "anonymous_id" => (50, 8),
            kind if kind.starts_with("crm:") => (5, 2),
            _ => (5, 6),
        };
        let (blocked_values, blocked_patterns) = (Vec::new(), Vec::new());
        Self { kind: kind.to_owned(), limit, priority, blocked_values, blocked_patterns }
    }

    fn check(&self, violations: &mut Violations) {
        if !(is_kind(&self.kind) || [ANY, ANY_CRM].contains(&self.kind.as_str())) {
            violations.add("type", "must be a lower_snake word, crm:SYSTEM, crm:* or *");
        }
        if !limits::IDENTIFIER_LIMIT.contains(&self.limit) {
            violations.add("limit", format!("must be at most {}", limits::IDENTIFIER_LIMIT.end()));
        }
        if !limits::IDENTIFIER_PRIORITY.contains(&self.priority) {
            violations.add("priority", format!("must be from 1 to {}", limits::IDENTIFIER_PRIORITY.end()));
        }
        check_list(violations, "blocked_values", &self.blocked_values, limits::BLOCKED_VALUES, |value| {
            (value.len() > limits::IDENTIFIER_VALUE_BYTES)
                .then(|| format!("must be at most {} bytes", limits::IDENTIFIER_VALUE_BYTES))
        });
        check_list(violations, "blocked_patterns", &self.blocked_patterns, limits::BLOCKED_PATTERNS, |pattern| {
            if pattern.len() > limits::PATTERN_BYTES {
                return Some(format!("must be at most {} bytes", limits::PATTERN_BYTES));
            }
            // What the library says repeats the pattern, line by line.
            let too_large = "is no regular expression, or one that would take too much memory";
            super::identity::compile(pattern).is_err().then(|| too_large.to_owned())
        });
    }
}

impl IdentityRules {
    /// The rules in force: those of the workspace, and the defaults for the types that it says nothing about.
    pub fn complete(&self) -> Vec<IdentifierRule> {
        let known = ["user_id", ANY_CRM, "email", "phone", "loyalty_id", ANY, "device_id", "anonymous_id"];
        let named = |kind: &&&str| self.rules.iter().all(|rule| rule.kind != **kind);
        let defaults = known.iter().filter(named).map(|kind| IdentifierRule::default_of(kind));
        let mut complete: Vec<_> = self.rules.iter().cloned().chain(defaults).collect();
        complete.sort_by(|a, b| (a.priority, &a.kind).cmp(&(b.priority, &b.kind)));
        complete
    }

    /// Checks everything that the types do not already rule out.
    pub fn check(&self, violations: &mut Violations) {
        if self.rules.len() > limits::IDENTIFIER_RULES {
            let (count, limit) = (self.rules.len(), limits::IDENTIFIER_RULES);
            return violations.add("rules", format!("has {count} items; the limit is {limit}"));
        }
        for (position, rule) in self.rules.iter().enumerate() {
            violations.within(format_args!("rules[{position}]"), |violations| {
                rule.check(violations);
                if self.rules[..position].iter().any(|earlier| earlier.kind == rule.kind) {
                    violations.add("type", "has a rule already");
                }
            });
        }
    }
}

fn check_list(
    violations: &mut Violations,
    field: &str,
    list: &[String],
    limit: usize,
    fault: impl Fn(&str) -> Option<String>,
) {
    if list.len() > limit {
        violations.add(field, format!("has {} items; the limit is {limit}", list.len()));
    }
    for (position, item) in list.iter().take(limit).enumerate() {
        if let Some(fault) = fault(item) {
            violations.add(&format!("{field}[{position}]"), fault);
        }
    }
}
