//! What was refused of a workspace's events, newest first.

use super::application::App;
use super::customer::{Caller, Read};
use super::error::Result;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::fact::{Document, DocumentKind};
use crate::domain::id::Revision;
use crate::domain::rejection::{Rejection, Rejections};
use crate::domain::time::Timestamp;

/// Requests whose rejections are read at a time.
const AT_ONCE: usize = 100;

/// How often one page reads so many: a source of which little was refused must not read all there is.
const READS: usize = 50;

/// Something that was refused, and when.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What, and why.
    pub rejection: Rejection,
    /// When its request came, by our clock.
    pub time: Timestamp,
    /// Its place among all: its request, and its place in that.
    place: (String, u32),
}

impl Listed for Refused {
    type Cursor = (String, u32);

    fn cursor(&self) -> (String, u32) {
        self.place.clone()
    }
}

impl App {
    /// A page of what was refused, of one source or, where that is empty, of all.
    ///
    /// # Errors
    /// [`Error::Invalid`](super::Error::Invalid) for a bad page.
    pub async fn list_rejections(
        &self,
        caller: &Caller,
        source: &str,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<Refused>, Revision)> {
        let binding = Binding::new("ListRejections", caller.workspace.as_str(), &source);
        let Begin { revision, limit, after } = self.check_page::<(String, u32)>(read, page, &binding)?;
        let mut found = Vec::new();
        // The request that a page ended in is read again: its rest may belong to this page.
        let mut from = after.as_ref().map(|(name, _)| just_before(name));
        for read in 1.. {
            let kind = DocumentKind::Rejections;
            let requests = self.store.documents(&caller.workspace, kind, from.as_deref(), AT_ONCE).await?;
            let at_end = requests.len() < AT_ONCE;
            for request in requests {
                let Document::Rejections(rejections) = request.value else { continue };
                from = Some(rejections.name.clone());
                let of_source = |refused: &Refused| source.is_empty() || refused.rejection.event.source == source;
                let is_after = |refused: &Refused| after.as_ref().is_none_or(|after| refused.place > *after);
                found.extend(each(rejections).filter(of_source).filter(is_after));
            }
            if at_end || found.len() > limit {
                break;
            }
            if let (READS, Some(last)) = (read, &from) {
                // A page may be short; the next one goes on from here.
                let items = found.into_iter().take(limit).collect();
                return Ok((Page::before(items, &(last.clone(), u32::MAX), binding), revision));
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        Ok((Page::new(found, more, binding), revision))
    }
}

fn each(rejections: Rejections) -> impl Iterator<Item = Refused> {
    let Rejections { name, time, items } = rejections;
    (0..).zip(items).map(move |(number, rejection)| Refused { rejection, time, place: (name.clone(), number) })
}

/// A name after which only `name` and later ones come: all of a name but its last character.
fn just_before(name: &str) -> String {
    name[..name.len().saturating_sub(1)].to_owned()
}
