//! `ProfileService`.

use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::page::{self, Budget};
use super::convert::{customer, mask::Mask, read};
use super::pb::batch_get_profiles_result::Result as Outcome;
use super::pb::profile_service_server::ProfileService;
use super::reply::Viewer;
use super::{pb, status};
use crate::app::{App, Found, Result};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Profiles {
    app: App,
}

impl Profiles {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn get(&self, call: &Call, request: pb::GetProfileRequest) -> Result<pb::GetProfileResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let mask = Mask::of_profile(request.read_mask, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let (found, revision) = self.app.get_profile(&call.caller, &customer, &read).await?;
        let viewer = Viewer::new(&self.app, call, mask).await?;
        Ok(pb::GetProfileResponse { profile: Some(viewer.show(&found)), revision: revision.to_string() })
    }

    async fn batch_get(
        &self,
        call: &Call,
        request: pb::BatchGetProfilesRequest,
    ) -> Result<pb::BatchGetProfilesResponse> {
        let mut violations = Violations::new();
        let mask = Mask::of_profile(request.read_mask, &mut violations);
        let customers = customer::batch(request.customers, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, None, violations);
        let viewer = Viewer::new(&self.app, call, mask).await?;
        let (mut results, mut budget) = (Vec::with_capacity(customers.len()), Budget::default());
        let take = |found| results.push(outcome(call, &viewer, &mut budget, found));
        let revision = self.app.batch_get_profiles(&call.caller, customers, &read, take).await?;
        Ok(pb::BatchGetProfilesResponse { results, revision: revision.to_string() })
    }

    async fn list(&self, call: &Call, request: pb::ListProfilesRequest) -> Result<pb::ListProfilesResponse> {
        let mut violations = Violations::new();
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let mask = Mask::of_profile(request.read_mask, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, None, violations);
        let (page, revision) = self.app.list_profiles(&call.caller, &read, &wanted).await?;
        let viewer = Viewer::new(&self.app, call, mask).await?;
        let (profiles, next_page_token) = page::to_pb(page, |found| viewer.show(found));
        Ok(pb::ListProfilesResponse { profiles, next_page_token, revision: revision.to_string() })
    }
}

#[tonic::async_trait]
impl ProfileService for Profiles {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> std::result::Result<Response<pb::GetProfileResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.get(&call, request).await)
    }

    async fn batch_get_profiles(
        &self,
        request: Request<pb::BatchGetProfilesRequest>,
    ) -> std::result::Result<Response<pb::BatchGetProfilesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.batch_get(&call, request).await)
    }

    async fn list_profiles(
        &self,
        request: Request<pb::ListProfilesRequest>,
    ) -> std::result::Result<Response<pb::ListProfilesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list(&call, request).await)
    }
}

fn outcome(call: &Call, viewer: &Viewer<'_>, budget: &mut Budget, found: Result<Found>) -> pb::BatchGetProfilesResult {
    let outcome = match found {
        Ok(found) => Outcome::Profile(viewer.show(&found)),
        Err(error) => Outcome::Error(call.item_error(error)),
    };
    let result = pb::BatchGetProfilesResult { result: Some(outcome) };
    if budget.take(&result) {
        return result;
    }
    pb::BatchGetProfilesResult { result: Some(Outcome::Error(status::response_too_large().into_item())) }
}
