//! `PrivacyService`.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::{audit, consent, customer, erasure, page, read};
use super::pb::privacy_service_server::PrivacyService;
use super::{export_stream, pb};
use crate::app::{App, Result};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Privacy {
    app: App,
}

impl Privacy {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn consents(&self, call: &Call, request: pb::GetConsentsRequest) -> Result<pb::GetConsentsResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (records, revision) = self.app.get_consents(&call.caller, &customer, &read).await?;
        let consents = records.iter().map(consent::record).collect();
        Ok(pb::GetConsentsResponse { consents, revision: revision.to_string() })
    }

    async fn record(&self, call: &Call, request: pb::RecordConsentRequest) -> Result<pb::RecordConsentResponse> {
        let recorded = self.app.record_consent(&call.caller, &consent::request(request)).await?;
        let (consent, allowed) = (Some(consent::record(&recorded.record)), recorded.allowed);
        Ok(pb::RecordConsentResponse { consent, allowed, revision: recorded.revision.to_string() })
    }

    async fn list(
        &self,
        call: &Call,
        request: pb::ListConsentRecordsRequest,
    ) -> Result<pb::ListConsentRecordsResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_consent_records(&call.caller, &customer, &wanted, &read).await?;
        let (records, next_page_token) = page::to_pb(page, consent::record);
        Ok(pb::ListConsentRecordsResponse { records, next_page_token, revision: revision.to_string() })
    }

    async fn erase(&self, call: &Call, request: pb::EraseCustomerRequest) -> Result<pb::EraseCustomerResponse> {
        let (receipt, revision) = self.app.erase_customer(&call.caller, &erasure::request(request)).await?;
        Ok(pb::EraseCustomerResponse { receipt: Some(erasure::receipt(&receipt)), revision: revision.to_string() })
    }

    async fn verify(&self, call: &Call, request: pb::VerifyErasureRequest) -> Result<pb::VerifyErasureResponse> {
        let read = read::without_purpose(&request.at_least_revision, Violations::new());
        let verified = self.app.verify_erasure(&call.caller, erasure::receipt_id(&request.receipt_id), &read).await?;
        Ok(pb::VerifyErasureResponse { erased: verified.erased, signature_valid: verified.signature_valid })
    }

    async fn audited(&self, call: &Call, request: pb::ListAuditEntriesRequest) -> Result<pb::ListAuditEntriesResponse> {
        let at_least = request.at_least_revision.clone();
        let (wanted, violations) = audit::request(request);
        let read = read::without_purpose(&at_least, violations);
        let (page, revision) = self.app.list_audit_entries(&call.caller, &wanted, &read).await?;
        let (entries, next_page_token) = page::to_pb(page, |numbered| audit::entry(&numbered.entry));
        Ok(pb::ListAuditEntriesResponse { entries, next_page_token, revision: revision.to_string() })
    }

    async fn export(
        &self,
        call: &Call,
        request: pb::ExportCustomerRequest,
    ) -> Result<BoxStream<pb::ExportCustomerResponse>> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        export_stream::begin(&self.app, call, &customer, &read).await
    }
}

#[tonic::async_trait]
impl PrivacyService for Privacy {
    type ExportCustomerStream = BoxStream<pb::ExportCustomerResponse>;

    async fn get_consents(
        &self,
        request: Request<pb::GetConsentsRequest>,
    ) -> std::result::Result<Response<pb::GetConsentsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.consents(&call, request).await)
    }

    async fn record_consent(
        &self,
        request: Request<pb::RecordConsentRequest>,
    ) -> std::result::Result<Response<pb::RecordConsentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.record(&call, request).await)
    }

    async fn list_consent_records(
        &self,
        request: Request<pb::ListConsentRecordsRequest>,
    ) -> std::result::Result<Response<pb::ListConsentRecordsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list(&call, request).await)
    }

    async fn erase_customer(
        &self,
        request: Request<pb::EraseCustomerRequest>,
    ) -> std::result::Result<Response<pb::EraseCustomerResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.erase(&call, request).await)
    }

    async fn verify_erasure(
        &self,
        request: Request<pb::VerifyErasureRequest>,
    ) -> std::result::Result<Response<pb::VerifyErasureResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.verify(&call, request).await)
    }

    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> std::result::Result<Response<pb::ListAuditEntriesResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.audited(&call, request).await)
    }

    async fn export_customer(
        &self,
        request: Request<pb::ExportCustomerRequest>,
    ) -> std::result::Result<Response<Self::ExportCustomerStream>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.export(&call, request).await)
    }
}
