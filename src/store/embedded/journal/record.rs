//! What a record says, once it is opened.

use super::frame::Fault;
use crate::domain::erasure::Remains;
use crate::domain::fact::Fact;
use crate::domain::id::WorkspaceId;
use crate::store::embedded::codec;
use crate::store::embedded::seals::{SEALED, SEALED_EVENT, record_place};
use crate::store::embedded::vault::{Opened, Slot, Vault, slots_of};

/// A fact, and what it is sealed with.
pub(super) struct Recorded {
    pub(super) fact: Fact,
    pub(super) slots: Vec<Slot>,
}

/// Opens the content of a record.
pub(super) fn open(vault: &Vault, workspace: &WorkspaceId, content: &[u8]) -> std::result::Result<Recorded, Fault> {
    let (left, sealed) = match content {
        [SEALED, sealed @ ..] => (Remains::Document, sealed),
        [SEALED_EVENT, rest @ ..] => {
            let (event, sealed) = postcard::take_from_bytes(rest).map_err(|_| "a record begins in an unknown way")?;
            (Remains::Event(event), sealed)
        }
        _ => return Ok(Recorded { fact: codec::decode_fact(content)?, slots: Vec::new() }),
    };
    let (slots, _) = slots_of(sealed)?;
    match vault.open_sealed(record_place(workspace), sealed)? {
        Opened::Content(content) => Ok(Recorded { fact: codec::decode_fact(&content)?, slots }),
        Opened::Forgotten => Ok(Recorded { fact: Fact::Forgotten(left), slots: Vec::new() }),
    }
}
