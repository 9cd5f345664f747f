//! For what a customer's data may be used.

/// The purpose of serving the customer: the default where a read names none, and the only one that needs no consent.
pub const SERVICE: &str = "service";
