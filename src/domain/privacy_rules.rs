//! What a workspace decides about the use of its customers' data where a call does not say it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::consent::{self, SERVICE};
use super::limits;
use super::violation::Violations;

/// The rules of one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PrivacyRules {
    /// What customers must have agreed to for models to learn from them; empty is the service itself.
    pub training_purpose: String,
    /// What a read is for where it does not say, by the full name of its method; the service itself for the others.
    pub method_purposes: BTreeMap<String, String>,
    /// Whether an event whose identifiers were all a forgotten customer's begins a new customer, of whom nothing from before is
    /// known. Otherwise such events are refused.
    pub erased_may_return: bool,
}

impl PrivacyRules {
    /// What a training is for.
    pub fn training_purpose(&self) -> &str {
        if self.training_purpose.is_empty() { SERVICE } else { &self.training_purpose }
    }

    /// What a call of a method is for that does not say it.
    pub fn purpose_of(&self, method: &str) -> &str {
        self.method_purposes.get(method).map_or(SERVICE, String::as_str)
    }

    /// Checks everything that can be checked without knowing which methods there are.
    pub fn check(&self, violations: &mut Violations) {
        if !self.training_purpose.is_empty() {
            consent::check_purpose("training_purpose", &self.training_purpose, violations);
        }
        let (count, limit) = (self.method_purposes.len(), limits::METHOD_PURPOSES);
        if count > limit {
            violations.add("method_purposes", format!("has {count} items; the limit is {limit}"));
        }
        for (method, purpose) in self.method_purposes.iter().take(limit) {
            consent::check_purpose(&format!("method_purposes.{method}"), purpose, violations);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_service() {
        let mut rules = PrivacyRules::default();
        assert_eq!((rules.training_purpose(), rules.purpose_of("a.B/C")), (SERVICE, SERVICE));
        rules.training_purpose = "analytics".to_owned();
        rules.method_purposes.insert("a.B/C".to_owned(), "marketing".to_owned());
        assert_eq!((rules.training_purpose(), rules.purpose_of("a.B/C")), ("analytics", "marketing"));
        assert_eq!(rules.purpose_of("a.B/D"), SERVICE);
    }

    #[test]
    fn purposes_are_spelled_as_consents_spell_them() {
        let mut rules = PrivacyRules { training_purpose: "Analytics".to_owned(), ..PrivacyRules::default() };
        rules.method_purposes.insert("a.B/C".to_owned(), String::new());
        let mut violations = Violations::new();
        rules.check(&mut violations);
        let fields: Vec<String> = violations.into_vec().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["training_purpose", "method_purposes.a.B/C"]);
    }
}
