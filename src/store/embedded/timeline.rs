//! Where the events of a profile lie: the latest in the profile's entry, older ones in blocks of their own, those of
//! merged profiles with these.

use std::collections::BTreeSet;

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

/// The places of all events of a profile, in no order.
pub(super) fn places(source: &impl Source, workspace: &WorkspaceId, id: ProfileId) -> Result<Vec<EventRef>> {
    let (mut places, mut known, mut open) = (Vec::new(), BTreeSet::from([id]), vec![id]);
    while let Some(id) = open.pop() {
        let Some(entry) = Entry::find(source, workspace, id)? else { continue };
        for number in 0..entry.head.blocks {
            let block = source.get(&keys::timeline_block(workspace, id, number))?;
            let block = block.ok_or_else(|| Error::Index("a block of a timeline is missing".to_owned()))?;
            places.extend(codec::decode::<Vec<EventRef>>("a block of a timeline", &block)?);
        }
        places.extend(entry.head.tail);
        open.extend(entry.head.parts.into_iter().filter(|part| known.insert(*part)));
    }
    Ok(places)
}
