//! Where the events of a part of a profile lie: the latest in the part's entry, older ones in blocks of their own.

use super::codec;
use super::entry::{Entry, Head};
use super::index::Source;
use super::index::keys::{self, Key};
use super::journal::EventRef;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::store::{Error, Result};

/// Places that an entry holds before they become a block.
pub(super) const TAIL: usize = 64;

/// Adds the place of an event. Returns the block that must be written when the entry held as many as it may.
pub(super) fn push(
    workspace: &WorkspaceId,
    id: ProfileId,
    head: &mut Head,
    at: EventRef,
) -> Result<Option<(Key, Vec<u8>)>> {
    let full = head.tail.len() >= TAIL;
    let block = if full { Some(std::mem::take(&mut head.tail)) } else { None };
    head.tail.push(at);
    let Some(block) = block else { return Ok(None) };
    let key = keys::timeline_block(workspace, id, head.blocks);
    head.blocks += 1;
    Ok(Some((key, codec::encode(&block)?)))
}

/// The places of all events of one part of a profile, in no order.
pub(super) fn places(source: &impl Source, workspace: &WorkspaceId, part: ProfileId) -> Result<Vec<EventRef>> {
    let Some(entry) = Entry::find(source, workspace, part)? else { return Ok(Vec::new()) };
    let mut places = entry.head.tail;
    for number in 0..entry.head.blocks {
        let block = source.get(&keys::timeline_block(workspace, part, number))?;
        let block = block.ok_or_else(|| Error::Index("a block of a timeline is missing".to_owned()))?;
        places.extend(codec::decode::<Vec<EventRef>>("a block of a timeline", &block)?);
    }
    Ok(places)
}
