//! Reading segments and who is in them.

use super::application::App;
use super::customer::{Caller, Found, Read};
use super::error::{Error, Resource, Result};
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::model::ModelRef;
use crate::domain::segment::Segment;

/// Profiles that one page of members looks at, at most: a page of a rare segment ends early rather than late.
const LOOKED_AT_PER_PAGE: usize = 20_000;
/// Profiles that it reads at a time.
const LOOKED_AT_ONCE: usize = 500;

impl Listed for (Segment, ModelRef) {
    type Cursor = String;

    fn cursor(&self) -> String {
        self.0.id.clone()
    }
}

impl App {
    /// A page of segments in the order of their ids, with the model that learned them; none before the first training.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad page.
    pub async fn list_segments(
        &self,
        caller: &Caller,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<(Segment, ModelRef)>, Revision)> {
        let binding = Binding::new("ListSegments", caller.workspace.as_str(), &());
        let Begin { revision, limit, after } = self.check_page::<String>(read, page, &binding)?;
        let serving = self.registry.serving(&caller.workspace);
        let mut items: Vec<(Segment, ModelRef)> = serving
            .segments
            .iter()
            .flat_map(|served| {
                served.model.segments().iter().map(|segment| (segment.clone(), (*served.reference).clone()))
            })
            .filter(|(segment, _)| after.as_ref().is_none_or(|after| segment.id > *after))
            .collect();
        items.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let more = items.len() > limit;
        items.truncate(limit);
        Ok((Page::new(items, more, binding), revision))
    }

    /// One segment, with the model that learned it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id.
    pub async fn get_segment(
        &self,
        caller: &Caller,
        segment_id: &str,
        at_least: Option<Revision>,
    ) -> Result<(Segment, ModelRef, Revision)> {
        let revision = self.require_revision(at_least)?;
        let serving = self.registry.serving(&caller.workspace);
        let found = serving.segments.as_ref().and_then(|served| {
            let segment = served.model.segments().iter().find(|segment| segment.id == segment_id)?;
            Some((segment.clone(), (*served.reference).clone(), revision))
        });
        found.ok_or_else(|| Error::not_found(Resource::Segment, segment_id))
    }

    /// A page of the customers that are in a segment now and whose consent covers the purpose, in the order of their ids. Membership is computed as
    /// `PredictSegment` computes it, so the two never disagree; the page of a rare segment may hold fewer customers
    /// than asked for and still have a next one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown segment, [`Error::Invalid`] for a bad page.
    pub async fn list_segment_members(
        &self,
        caller: &Caller,
        segment_id: &str,
        read: &Read,
        page: &PageRequest,
    ) -> Result<(Page<Found>, Revision)> {
        let binding = Binding::new("ListSegmentMembers", caller.workspace.as_str(), &segment_id);
        let Begin { revision, limit, mut after } = self.check_page::<ProfileId>(read, page, &binding)?;
        self.get_segment(caller, segment_id, None).await?;
        let serving = self.registry.serving(&caller.workspace);
        let model = &serving.segments()?.model;
        let now = self.reading_time(read);
        let mut items: Vec<Found> = Vec::new();
        let mut looked_at = 0;
        loop {
            let profiles = self.store.scan_profiles(&caller.workspace, after, LOOKED_AT_ONCE).await?;
            let at_end = profiles.len() < LOOKED_AT_ONCE;
            looked_at += profiles.len();
            for profile in profiles {
                let id = profile.id;
                after = Some(id);
                if model.predict(&profile.state, now).segment_id == segment_id {
                    items.extend(self.permit(caller, Found::new(profile, now), read).ok());
                }
                if items.len() == limit {
                    return Ok((Page::before(items, &id, binding), revision));
                }
            }
            if at_end {
                return Ok((Page::new(items, false, binding), revision));
            }
            if let (Some(id), true) = (after, looked_at >= LOOKED_AT_PER_PAGE) {
                return Ok((Page::before(items, &id, binding), revision));
            }
        }
    }
}
