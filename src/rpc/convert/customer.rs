//! Naming customers.

use pb::customer_ref::Customer;

use crate::app::{CustomerRef, Error, Resource, Result};
use crate::domain::identifier::Identifier;
use crate::domain::limits;
use crate::domain::violation::ViolationReason;
use crate::rpc::pb;

/// The customer that a request names in `field`.
///
/// # Errors
/// [`Error::Invalid`] where nobody is named or the identifier cannot be one; [`Error::NotFound`] for an id that we
/// never hand out, because ids are opaque to callers.
pub(in crate::rpc) fn from_pb(sent: Option<pb::CustomerRef>, field: &str) -> Result<CustomerRef> {
    match sent.and_then(|sent| sent.customer) {
        None => Err(Error::invalid(field, "must name a customer by profile_id or identifier")),
        Some(Customer::ProfileId(id)) if id.is_empty() => {
            Err(Error::invalid(&format!("{field}.profile_id"), "must not be empty"))
        }
        Some(Customer::ProfileId(id)) => match id.parse() {
            Ok(id) => Ok(CustomerRef::Profile(id)),
            // The text may be anything, an address even, so the error names only where it stood.
            Err(_) => Err(Error::not_found(Resource::Customer, "profile_id")),
        },
        Some(Customer::Identifier(sent)) => identifier(&sent, field).map(CustomerRef::Identifier),
    }
}

/// The customers of a batch, each or why it cannot be one.
///
/// # Errors
/// [`Error::Invalid`] for more than the limit.
pub(in crate::rpc) fn batch(sent: Vec<pb::CustomerRef>) -> Result<Vec<Result<CustomerRef>>> {
    if sent.len() > limits::BATCH_CUSTOMERS {
        let description = format!("has {} customers; the limit is {}", sent.len(), limits::BATCH_CUSTOMERS);
        return Err(Error::invalid_because(ViolationReason::BatchTooLarge, "customers", description));
    }
    let customers = sent.into_iter().enumerate();
    Ok(customers.map(|(position, sent)| from_pb(Some(sent), &format!("customers[{position}]"))).collect())
}

fn identifier(sent: &pb::Identifier, field: &str) -> Result<Identifier> {
    let field = format!("{field}.identifier");
    if sent.r#type.is_empty() && sent.value.is_empty() {
        return Err(Error::invalid(&field, "must have a type and a value"));
    }
    let refused = |description: String| Error::invalid_because(ViolationReason::IdentifierInvalid, &field, description);
    let parsed = Identifier::parse(&sent.r#type, &sent.value).map_err(|fault| refused(fault.to_string()))?;
    if parsed.value().is_empty() {
        return Err(refused("the value must not be empty".to_owned()));
    }
    if !parsed.is_complete() {
        return Err(refused("a phone number must have its country: + and 8 to 15 digits".to_owned()));
    }
    Ok(parsed)
}
