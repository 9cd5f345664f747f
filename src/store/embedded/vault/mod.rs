//! The vault: under which keys what is stored is sealed, so that a stolen disk or backup says nothing, and a customer whose
//! key is destroyed is forgotten wherever a copy may lie.
//!
//! ```text
//! master key        from outside (`encryption.key_file` or `encryption.key`), if there is one
//!   root key        keys/root: sealed with the master key, or bare where there is none
//!     key           of a workspace, or, with the secrets of slots, of customers in it; derived, never stored
//! keys/slots        secrets, 32 random bytes each; a customer has one. keys/slots.copy is the same once more
//! ```
//!
//! A key is BLAKE3, keyed with the root key, of the workspace's name and the secrets; content is sealed with AES-256-GCM.
//! The nonce is a keyed digest of the content and its place, so that the same content sealed twice gives the same bytes:
//! an index that is made again from the journal is the same one, and no nonce is ever used for two contents (a synthetic
//! nonce, Rogaway and Shrimpton 2006). What is learned from equal bytes is that equal content stood at the same place.
//!
//! Of an entry that speaks of several customers as one, such as a merged profile, the key depends on all their secrets:
//! with one of them destroyed it cannot be opened any more.

mod erasing;
mod ledger;
mod opening;
mod root;
mod seal;
mod slots;
#[cfg(test)]
mod tests;

pub(super) use erasing::Erasing;
pub use ledger::take_over as take_over_erasures;
pub(super) use ledger::{Entry as Erased, parse as parse_erasures};
pub(super) use opening::{DIRECTORY, FILES, Vault, root_file};
pub use root::MasterKeys;
pub(super) use seal::{Opened, Place, slots_of};
pub(super) use slots::{Slot, parse as parse_slots};
