//! Everything that a caller can read, as text.

use std::fmt::Write as _;
use std::sync::Arc;

use rapport::app::App;
use rapport::app::context::Context;
use rapport::domain::time::Timestamp;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use rapport::rpc::pb::customer_ref::Customer;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use rapport::rpc::{RpcOptions, in_process, pb};
use rapport::store::Store;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::history;

/// A clock that stands still.
struct Clock;

impl Context for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros((history::START + 86_400) * 1_000_000)
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

/// What the callers of a server over the store get to see, in an order that does not change.
pub(crate) async fn of(store: Arc<dyn Store>) -> String {
    let artifact = store.artifact(&history::workspace(), &history::version()).await.expect("readable");
    let app = App::start(Arc::clone(&store), Arc::new(Clock)).await.expect("starts");
    let channel = in_process(app, RpcOptions::default()).expect("serves");
    let named = |mut request: Request<()>| {
        request.metadata_mut().insert("rapport-workspace", MetadataValue::from_static("acme"));
        Ok::<_, Status>(request)
    };
    let mut admin = AdminServiceClient::with_interceptor(channel.clone(), named);
    let mut events = EventServiceClient::with_interceptor(channel.clone(), named);
    let mut profiles = ProfileServiceClient::with_interceptor(channel.clone(), named);
    let mut training = TrainingServiceClient::with_interceptor(channel, named);
    let mut text = String::new();
    let mut add = |answer: &dyn std::fmt::Debug| {
        // Brackets and indentation say nothing that the names do not.
        let answer = format!("{answer:#?}");
        for line in answer.lines().map(str::trim).filter(|line| line.contains(char::is_alphanumeric)) {
            writeln!(text, "{line}").expect("a text");
        }
    };

    let all = profiles.list_profiles(pb::ListProfilesRequest::default()).await.expect("read").into_inner().profiles;
    for profile in all {
        add(&profile);
        let customer = Some(pb::CustomerRef { customer: Some(Customer::ProfileId(profile.profile_id)) });
        let timeline = pb::ListEventsRequest { customer: customer.clone(), ..Default::default() };
        add(&events.list_events(timeline).await.expect("read").into_inner().events);
        let merges = pb::ListMergesRequest { customer, ..Default::default() };
        add(&profiles.list_merges(merges).await.expect("read").into_inner().merges);
    }
    add(&events.list_rejections(pb::ListRejectionsRequest::default()).await.expect("read").into_inner().rejections);
    add(&admin.get_settings(pb::GetSettingsRequest::default()).await.expect("read").into_inner());
    add(&profiles.get_identity_rules(pb::GetIdentityRulesRequest::default()).await.expect("read").into_inner());
    add(&training.list_training_runs(pb::ListTrainingRunsRequest::default()).await.expect("read").into_inner().runs);
    add(&training.list_models(pb::ListModelsRequest::default()).await.expect("read").into_inner().models);
    writeln!(text, "artifact: {artifact:02x?}").expect("a text");
    text
}
