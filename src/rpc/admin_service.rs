//! `AdminService`.

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::{api_key, backup, count, model, page, read, settings, time};
use super::pb;
use super::pb::admin_service_server::AdminService;
use crate::app::{App, Invalid, Result};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Admin {
    app: App,
}

impl Admin {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn info(&self, call: &Call, request: pb::GetServerInfoRequest) -> Result<pb::GetServerInfoResponse> {
        let mut violations = Violations::new();
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let info = self.app.server_info(&call.caller, at_least).await?;
        Ok(pb::GetServerInfoResponse {
            version: info.version.to_owned(),
            store: info.store.to_owned(),
            start_time: Some(time::to_pb(info.start_time)),
            revision: info.revision.to_string(),
            profiles: count(info.profiles),
            events: count(info.events),
            consent_refusals: info.refusals.into_iter().map(|(purpose, refused)| (purpose, count(refused))).collect(),
            unserved_models: info.unserved.iter().map(model::unserved).collect(),
        })
    }

    async fn get(&self, call: &Call, request: pb::GetSettingsRequest) -> Result<pb::GetSettingsResponse> {
        let mut violations = Violations::new();
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let view = self.app.get_settings(&call.caller, at_least).await?;
        Ok(pb::GetSettingsResponse { revision: view.revision.to_string(), settings: Some(settings::to_pb(view)) })
    }

    async fn update(&self, call: &Call, request: pb::UpdateSettingsRequest) -> Result<pb::UpdateSettingsResponse> {
        let request_id = request.request_id.clone();
        let change = settings::change(request)?;
        let view = self.app.update_settings(&call.caller, change, &request_id).await?;
        Ok(pb::UpdateSettingsResponse { revision: view.revision.to_string(), settings: Some(settings::to_pb(view)) })
    }

    async fn create_key(&self, call: &Call, request: pb::CreateApiKeyRequest) -> Result<pb::CreateApiKeyResponse> {
        Ok(api_key::made(self.app.create_api_key(&call.caller, api_key::request(request)).await?))
    }

    async fn list_keys(&self, call: &Call, request: pb::ListApiKeysRequest) -> Result<pb::ListApiKeysResponse> {
        let violations = Violations::new();
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_api_keys(&call.caller, &request.workspace, &wanted, &read).await?;
        let (keys, next_page_token) = page::to_pb(page, api_key::to_pb);
        Ok(pb::ListApiKeysResponse { keys, next_page_token, revision: revision.to_string() })
    }

    async fn revoke_key(&self, call: &Call, request: pb::RevokeApiKeyRequest) -> Result<pb::RevokeApiKeyResponse> {
        let (view, revision) = self.app.revoke_api_key(&call.caller, &request.key_id, &request.request_id).await?;
        Ok(pb::RevokeApiKeyResponse { key: Some(api_key::to_pb(&view)), revision: revision.to_string() })
    }

    fn back_up(&self, call: &Call, request: pb::CreateBackupRequest) -> Result<BoxStream<pb::CreateBackupResponse>> {
        let steps = ReceiverStream::new(self.app.create_backup(&call.caller, request.directory.into())?);
        let call = call.clone();
        Ok(Box::pin(steps.map(move |step| step.map(backup::message).map_err(|error| call.refuse(error)))))
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type CreateBackupStream = BoxStream<pb::CreateBackupResponse>;

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> std::result::Result<Response<pb::GetServerInfoResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.info(&call, request).await)
    }

    async fn get_settings(
        &self,
        request: Request<pb::GetSettingsRequest>,
    ) -> std::result::Result<Response<pb::GetSettingsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.get(&call, request).await)
    }

    async fn update_settings(
        &self,
        request: Request<pb::UpdateSettingsRequest>,
    ) -> std::result::Result<Response<pb::UpdateSettingsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.update(&call, request).await)
    }

    async fn create_backup(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> std::result::Result<Response<Self::CreateBackupStream>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.back_up(&call, request))
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> std::result::Result<Response<pb::CreateApiKeyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.create_key(&call, request).await)
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> std::result::Result<Response<pb::ListApiKeysResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list_keys(&call, request).await)
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> std::result::Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.revoke_key(&call, request).await)
    }
}
