//! `SegmentService`.

use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::{mask::Mask, page, read, segment};
use super::pb;
use super::pb::segment_service_server::SegmentService;
use super::reply::Viewer;
use crate::app::{App, Invalid, Result};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Segments {
    app: App,
}

impl Segments {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn list(&self, call: &Call, request: pb::ListSegmentsRequest) -> Result<pb::ListSegmentsResponse> {
        let violations = Violations::new();
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_segments(&call.caller, &wanted, &read).await?;
        let (segments, next_page_token) = page::to_pb(page, |(found, model)| segment::to_pb(found, model));
        Ok(pb::ListSegmentsResponse { segments, next_page_token, revision: revision.to_string() })
    }

    async fn get(&self, call: &Call, request: pb::GetSegmentRequest) -> Result<pb::GetSegmentResponse> {
        let mut violations = Violations::new();
        let id = segment::id(request.segment_id, &mut violations);
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let (found, model, revision) = self.app.get_segment(&call.caller, &id, at_least).await?;
        Ok(pb::GetSegmentResponse { segment: Some(segment::to_pb(&found, &model)), revision: revision.to_string() })
    }

    async fn list_members(
        &self,
        call: &Call,
        request: pb::ListSegmentMembersRequest,
    ) -> Result<pb::ListSegmentMembersResponse> {
        let mut violations = Violations::new();
        let id = segment::id(request.segment_id, &mut violations);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let mask = Mask::of_profile(request.read_mask, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, None, violations);
        let (page, revision) = self.app.list_segment_members(&call.caller, &id, &read, &wanted).await?;
        let viewer = Viewer::new(&self.app, call, mask);
        let (profiles, next_page_token) = page::to_pb(page, |found| viewer.show(found));
        Ok(pb::ListSegmentMembersResponse { profiles, next_page_token, revision: revision.to_string() })
    }
}

#[tonic::async_trait]
impl SegmentService for Segments {
    async fn list_segments(
        &self,
        request: Request<pb::ListSegmentsRequest>,
    ) -> std::result::Result<Response<pb::ListSegmentsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list(&call, request).await)
    }

    async fn get_segment(
        &self,
        request: Request<pb::GetSegmentRequest>,
    ) -> std::result::Result<Response<pb::GetSegmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.get(&call, request).await)
    }

    async fn list_segment_members(
        &self,
        request: Request<pb::ListSegmentMembersRequest>,
    ) -> std::result::Result<Response<pb::ListSegmentMembersResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list_members(&call, request).await)
    }
}
