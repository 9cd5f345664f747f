//! Where the events of a part of a profile lie: the latest in the part's entry, older ones in blocks of their own. What
//! the expired ones add up to lies beside them.

use super::codec;
use super::entry::{self, Entry, Head};
use super::index::keys::{self, Key};
use super::index::{Bytes, Source};
use super::journal::{EventRef, Segments};
use crate::domain::history::{Base, History};
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::time::Timestamp;
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

/// Forgets the places of events that happened before a time. Returns the blocks that must be written: of those that are
/// not needed any more nothing is left but an empty list.
pub(super) fn forget(
    (source, segments): (&impl Source, &Segments),
    workspace: &WorkspaceId,
    (part, before): (ProfileId, Timestamp),
    head: &mut Head,
) -> Result<Vec<(Bytes, Bytes)>> {
    let mut kept = Vec::new();
    for at in all_places(source, workspace, part, head)? {
        if segments.event(workspace, at)?.is_some_and(|fact| fact.event.times.event >= before) {
            kept.push(at);
        }
    }
    kept.sort_unstable();
    let older = kept.len().saturating_sub(1) / TAIL * TAIL;
    let mut blocks: Vec<&[EventRef]> = kept[..older].chunks(TAIL).collect();
    let in_use = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
    blocks.resize(blocks.len().max(head.blocks as usize), &[]);
    let mut entries = Vec::with_capacity(blocks.len());
    for (number, block) in (0..).zip(blocks) {
        entries.push((keys::timeline_block(workspace, part, number).into(), codec::encode(block)?.into()));
    }
    (head.blocks, head.tail) = (in_use, kept[older..].to_vec());
    Ok(entries)
}

/// What is kept of the events of one part of a profile.
pub(super) fn history(
    (source, segments): (&impl Source, &Segments),
    workspace: &WorkspaceId,
    part: ProfileId,
) -> Result<History> {
    // Events that have expired meanwhile are in the base, and whoever folds leaves them out.
    let events = segments.events(workspace, places(source, workspace, part)?)?;
    let key = keys::bases(workspace, part);
    let bases =
        source.get(&key)?.map(|bases| entry::open(source.vault(), workspace, &key, &bases)).transpose()?.flatten();
    let bases = bases.map(|bases| codec::decode::<Vec<Base>>("the bases of a part", &bases)).transpose()?;
    Ok(History { bases: bases.unwrap_or_default(), events })
}

/// The places in a block of a timeline.
pub(super) fn decode_block(block: &[u8]) -> Result<Vec<EventRef>> {
    codec::decode("a block of a timeline", block)
}

/// The places of all events of one part of a profile, in no order.
fn places(source: &impl Source, workspace: &WorkspaceId, part: ProfileId) -> Result<Vec<EventRef>> {
    let Some(entry) = Entry::find(source, workspace, part)? else { return Ok(Vec::new()) };
    all_places(source, workspace, part, &entry.head)
}

fn all_places(source: &impl Source, workspace: &WorkspaceId, part: ProfileId, head: &Head) -> Result<Vec<EventRef>> {
    let mut places = head.tail.clone();
    for number in 0..head.blocks {
        let block = source.get(&keys::timeline_block(workspace, part, number))?;
        let block = block.ok_or_else(|| Error::Index("a block of a timeline is missing".to_owned()))?;
        places.extend(decode_block(&block)?);
    }
    Ok(places)
}
