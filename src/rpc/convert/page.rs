//! Pages that end early, because a reply stays below what clients accept.

use prost::Message;

use crate::app::{Listed, Page, PageRequest};
use crate::domain::limits;
use crate::domain::violation::Violations;

/// The page that a request asks for. The arguments that a token is bound to are converted before it: where one of them
/// is at fault, nobody can say whether the token belongs to them, so that it is not looked at and one fault is named
/// once.
pub(in crate::rpc) fn request(size: i32, token: String, violations: &Violations) -> PageRequest {
    PageRequest { size, token: if violations.is_empty() { token } else { String::new() } }
}

/// The items of a page as the wire carries them, as many as fit into a reply and at least one, and the token of the
/// next page.
pub(in crate::rpc) fn to_pb<T: Listed, M: Message>(
    mut page: Page<T>,
    mut convert: impl FnMut(&T) -> M,
) -> (Vec<M>, String) {
    let mut budget = Budget::default();
    let mut messages = Vec::with_capacity(page.items.len());
    for item in &page.items {
        let message = convert(item);
        if !budget.take(&message) && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    page.end_after(messages.len());
    (messages, page.next_token)
}

/// What may still be put into a reply.
pub(in crate::rpc) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(limits::REPLY_BYTES)
    }
}

impl Budget {
    /// Takes what a repeated field of this message adds to a reply; `false` where it does not fit any more.
    pub(in crate::rpc) fn take(&mut self, message: &impl Message) -> bool {
        // The length of a message below 4 MiB and its key take at most five bytes.
        match self.0.checked_sub(message.encoded_len() + 5) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}
