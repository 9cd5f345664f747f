//! Erasures and their receipts.

use uuid::Uuid;

use super::{count, customer, request_id, time};
use crate::app::{EraseRequest, Receipt};
use crate::domain::erasure::hex;
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// Whom a request wants to have forgotten.
pub(in crate::rpc) fn request(sent: pb::EraseCustomerRequest) -> EraseRequest {
    let mut faults = Violations::new();
    request_id::check(&sent.request_id, &mut faults);
    let customer = customer::from_pb(sent.customer, "customer", &mut faults);
    EraseRequest { customer, reason: sent.reason, request_id: sent.request_id, faults }
}

/// The id of a receipt; `None` for what is none.
pub(in crate::rpc) fn receipt_id(sent: &str) -> Option<Uuid> {
    sent.parse().ok()
}

/// A receipt.
pub(in crate::rpc) fn receipt(receipt: &Receipt) -> pb::ErasureReceipt {
    let Receipt { erasure, public_key } = receipt;
    pb::ErasureReceipt {
        receipt_id: erasure.id.hyphenated().to_string(),
        subject_digest: hex(&erasure.subject),
        erase_time: Some(time::to_pb(erasure.time)),
        events_erased: count::count(erasure.events),
        signature: hex(&erasure.signature),
        public_key: hex(public_key),
    }
}
