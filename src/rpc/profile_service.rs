//! `ProfileService`.

use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::page::{self, Budget};
use super::convert::{customer, mask::Mask, read};
use super::pb::batch_get_profiles_result::Result as Outcome;
use super::pb::profile_service_server::ProfileService;
use super::reply::Viewer;
use super::{pb, status};
use crate::app::{App, CustomerRef, Error, Found, PageRequest, Result};

/// Answers the calls of the service.
pub(super) struct Profiles {
    app: App,
}

impl Profiles {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn get(&self, call: &Call, request: pb::GetProfileRequest) -> Result<pb::GetProfileResponse> {
        let customer = customer::from_pb(request.customer, "customer")?;
        let mask = Mask::of_profile(request.read_mask)?;
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time)?;
        let (found, revision) = self.app.get_profile(&call.caller, &customer, &read).await?;
        let viewer = Viewer::new(&self.app, call, mask).await?;
        Ok(pb::GetProfileResponse { profile: Some(viewer.show(&found)), revision: revision.to_string() })
    }

    async fn batch_get(
        &self,
        call: &Call,
        request: pb::BatchGetProfilesRequest,
    ) -> Result<pb::BatchGetProfilesResponse> {
        let mask = Mask::of_profile(request.read_mask)?;
        let read = read::from_pb(request.purpose, &request.at_least_revision, None)?;
        let customers = customer::batch(request.customers)?;
        let named: Vec<CustomerRef> = customers.iter().flatten().cloned().collect();
        let (found, revision) = self.app.batch_get_profiles(&call.caller, &named, &read).await?;
        let viewer = Viewer::new(&self.app, call, mask).await?;
        let mut budget = Budget::default();
        let results = in_place(customers, found).map(|found| outcome(call, &viewer, &mut budget, found));
        Ok(pb::BatchGetProfilesResponse { results: results.collect(), revision: revision.to_string() })
    }

    async fn list(&self, call: &Call, request: pb::ListProfilesRequest) -> Result<pb::ListProfilesResponse> {
        let mask = Mask::of_profile(request.read_mask)?;
        let read = read::from_pb(request.purpose, &request.at_least_revision, None)?;
        let wanted = PageRequest { size: request.page_size, token: request.page_token };
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

/// The answers about the customers that could be named, in the places where they were named, among the errors of the
/// others.
pub(super) fn in_place<T>(
    customers: Vec<Result<CustomerRef>>,
    answers: Vec<Result<T>>,
) -> impl Iterator<Item = Result<T>> {
    let mut answers = answers.into_iter();
    let lost = || Error::Internal("a batch has fewer answers than customers".into());
    customers.into_iter().map(move |customer| customer.and_then(|_| answers.next().unwrap_or_else(|| Err(lost()))))
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
