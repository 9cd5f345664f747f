//! `ProfileService`.

use std::time::Duration;

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::page::{self, Budget};
use super::convert::{change, customer, mask::Mask, merge, read};
use super::options::RpcOptions;
use super::pb::batch_get_profiles_result::Result as Outcome;
use super::pb::profile_service_server::ProfileService;
use super::reply::Viewer;
use super::shown::GetProfileResponse;
use super::stopping::Stopping;
use super::watch_stream::WatchStream;
use super::{pb, status};
use crate::app::{App, Found, Invalid, Result, RulesChange, WriteMode};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Profiles {
    app: App,
    stopping: Stopping,
    checkpoint_interval: Duration,
    stalled_send_timeout: Duration,
}

impl Profiles {
    pub(super) fn new(app: App, stopping: Stopping, options: &RpcOptions) -> Self {
        let RpcOptions { checkpoint_interval, stalled_send_timeout, .. } = *options;
        Self { app, stopping, checkpoint_interval, stalled_send_timeout }
    }

    async fn get(&self, call: &Call, request: pb::GetProfileRequest) -> Result<GetProfileResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let mask = Mask::of_profile(request.read_mask, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let viewer = Viewer::new(&self.app, call, mask);
        let (profile, revision) = if viewer.shows_everything() {
            self.app.show_profile(&call.caller, &customer, &read, &viewer).await?
        } else {
            let (found, revision) = self.app.get_profile(&call.caller, &customer, &read).await?;
            (viewer.show(&found).into(), revision)
        };
        Ok(GetProfileResponse { profile: Some(profile), revision: revision.to_string() })
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
        let viewer = Viewer::new(&self.app, call, mask);
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
        let viewer = Viewer::new(&self.app, call, mask);
        let (profiles, next_page_token) = page::to_pb(page, |found| viewer.show(found));
        Ok(pb::ListProfilesResponse { profiles, next_page_token, revision: revision.to_string() })
    }

    async fn merge(&self, call: &Call, request: pb::MergeProfilesRequest) -> Result<pb::MergeProfilesResponse> {
        let (mode, named) = (mode(request.validate_only), !request.validate_only);
        let wanted = merge::request(request);
        let merged = self.app.merge_profiles(&call.caller, &wanted, mode).await?;
        let viewer = Viewer::new(&self.app, call, Mask::default());
        Ok(pb::MergeProfilesResponse {
            merge_id: if named { merged.record.id.to_string() } else { String::new() },
            profile: Some(viewer.show(&merged.found)),
            outcomes: merge::outcomes(&merged).into_iter().map(|outcome| call.shown(outcome)).collect(),
            revision: merged.revision.to_string(),
        })
    }

    async fn unmerge(&self, call: &Call, request: pb::UnmergeProfilesRequest) -> Result<pb::UnmergeProfilesResponse> {
        let mode = mode(request.validate_only);
        let wanted = merge::undo(request)?;
        let unmerged = self.app.unmerge_profiles(&call.caller, &wanted, mode).await?;
        let viewer = Viewer::new(&self.app, call, Mask::default());
        let profiles = unmerged.found.iter().map(|found| viewer.show(found)).collect();
        Ok(pb::UnmergeProfilesResponse { profiles, revision: unmerged.revision.to_string() })
    }

    async fn list_merges(&self, call: &Call, request: pb::ListMergesRequest) -> Result<pb::ListMergesResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, None, violations);
        let (page, revision) = self.app.list_merges(&call.caller, &customer, &wanted, &read).await?;
        let (merges, next_page_token) = page::to_pb(page, |found| call.shown(merge::record(found)));
        Ok(pb::ListMergesResponse { merges, next_page_token, revision: revision.to_string() })
    }

    async fn rules(&self, call: &Call, request: pb::GetIdentityRulesRequest) -> Result<pb::GetIdentityRulesResponse> {
        let mut violations = Violations::new();
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let view = self.app.get_identity_rules(&call.caller, at_least).await?;
        Ok(pb::GetIdentityRulesResponse { revision: view.revision.to_string(), rules: Some(merge::rules(view)) })
    }

    async fn update_rules(
        &self,
        call: &Call,
        request: pb::UpdateIdentityRulesRequest,
    ) -> Result<pb::UpdateIdentityRulesResponse> {
        let mode = mode(request.validate_only);
        let change = merge::rules_from_pb(request);
        let RulesChange { view, preview } = self.app.update_identity_rules(&call.caller, change, mode).await?;
        Ok(pb::UpdateIdentityRulesResponse {
            revision: view.revision.to_string(),
            rules: Some(merge::rules(view)),
            preview: preview.map(merge::preview),
        })
    }

    async fn watch(
        &self,
        call: &Call,
        request: pb::WatchProfilesRequest,
    ) -> Result<BoxStream<pb::WatchProfilesResponse>> {
        let wanted = change::request(request, self.checkpoint_interval);
        let changes = self.app.watch_profiles(&call.caller, &wanted).await?;
        let stream = WatchStream::new(call.clone(), self.stopping.clone(), self.stalled_send_timeout);
        Ok(stream.of(changes))
    }
}

fn mode(validate_only: bool) -> WriteMode {
    if validate_only { WriteMode::ValidateOnly } else { WriteMode::Commit }
}

#[tonic::async_trait]
impl ProfileService for Profiles {
    type WatchProfilesStream = BoxStream<pb::WatchProfilesResponse>;

    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> std::result::Result<Response<GetProfileResponse>, Status> {
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

    async fn merge_profiles(
        &self,
        request: Request<pb::MergeProfilesRequest>,
    ) -> std::result::Result<Response<pb::MergeProfilesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.merge(&call, request).await)
    }

    async fn unmerge_profiles(
        &self,
        request: Request<pb::UnmergeProfilesRequest>,
    ) -> std::result::Result<Response<pb::UnmergeProfilesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.unmerge(&call, request).await)
    }

    async fn list_merges(
        &self,
        request: Request<pb::ListMergesRequest>,
    ) -> std::result::Result<Response<pb::ListMergesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list_merges(&call, request).await)
    }

    async fn get_identity_rules(
        &self,
        request: Request<pb::GetIdentityRulesRequest>,
    ) -> std::result::Result<Response<pb::GetIdentityRulesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.rules(&call, request).await)
    }

    async fn update_identity_rules(
        &self,
        request: Request<pb::UpdateIdentityRulesRequest>,
    ) -> std::result::Result<Response<pb::UpdateIdentityRulesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.update_rules(&call, request).await)
    }

    async fn watch_profiles(
        &self,
        request: Request<pb::WatchProfilesRequest>,
    ) -> std::result::Result<Response<Self::WatchProfilesStream>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.watch(&call, request).await)
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
