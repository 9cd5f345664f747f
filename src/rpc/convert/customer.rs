//! Naming customers.

use pb::customer_ref::Customer;

use crate::app::{CustomerRef, Invalid, Result};
use crate::domain::identifier::Identifier;
use crate::domain::limits;
use crate::domain::violation::{ViolationReason, Violations};
use crate::rpc::pb;

/// The customer that a request names in `field`; in the place of one that cannot be stands nobody.
pub(in crate::rpc) fn from_pb(sent: Option<pb::CustomerRef>, field: &str, violations: &mut Violations) -> CustomerRef {
    match sent.and_then(|sent| sent.customer) {
        None => {
            violations.add(field, "must name a customer by profile_id or identifier");
            CustomerRef::Nobody
        }
        Some(Customer::ProfileId(id)) => {
            violations.check_required_text(&format!("{field}.profile_id"), &id, limits::NAME_BYTES);
            id.parse().map_or(CustomerRef::Nobody, CustomerRef::Profile)
        }
        Some(Customer::Identifier(sent)) => {
            identifier(&sent, &format!("{field}.identifier"), violations).unwrap_or(CustomerRef::Nobody)
        }
    }
}

/// The customers of a batch, each or why it cannot be one. More than the limit are a fault of the whole batch.
pub(in crate::rpc) fn batch(sent: Vec<pb::CustomerRef>, violations: &mut Violations) -> Vec<Result<CustomerRef>> {
    if sent.len() > limits::BATCH_CUSTOMERS {
        let description = format!("has {} customers; the limit is {}", sent.len(), limits::BATCH_CUSTOMERS);
        violations.add_because(ViolationReason::BatchTooLarge, "customers", description);
    }
    let customers = sent.into_iter().take(limits::BATCH_CUSTOMERS).enumerate();
    let customers = customers.map(|(position, sent)| {
        let mut violations = Violations::new();
        let customer = from_pb(Some(sent), &format!("customers[{position}]"), &mut violations);
        Invalid::check(violations).map(|()| customer)
    });
    customers.collect()
}

fn identifier(sent: &pb::Identifier, field: &str, violations: &mut Violations) -> Option<CustomerRef> {
    if sent.r#type.is_empty() && sent.value.is_empty() {
        violations.add(field, "must have a type and a value");
        return None;
    }
    let mut refuse = |description: String| {
        violations.add_because(ViolationReason::IdentifierInvalid, field, description);
        None
    };
    let parsed = match Identifier::parse(&sent.r#type, &sent.value) {
        Ok(parsed) => parsed,
        Err(fault) => return refuse(fault.to_string()),
    };
    if parsed.value().is_empty() {
        return refuse("the value must not be empty".to_owned());
    }
    Some(CustomerRef::Identifier(parsed))
}
