//! Workspace `servicedesk`: a *simulated* service desk, and who has it hardest there.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::import::build::Outgoing;
use crate::cli::import::outcome::Outcome;
use crate::cli::import::sender::Sender;
use crate::cli::progress::Progress;
use crate::cli::session::{Session, refused};
use crate::cli::{clock, report, servicedesk};
use crate::rpc::pb;
use crate::rpc::pb::batch_get_profiles_result::Result as Read;
use crate::rpc::pb::batch_predict_result::Result as Predicted;

/// The workspace.
pub const WORKSPACE: &str = "servicedesk";

const SEED: u64 = 20_260_301;
const DAY_MICROS: i64 = 86_400_000_000;

/// A customer who has it hard.
pub struct Hard {
    /// The customer's id in the desk.
    pub user_id: String,
    /// How hard, and why.
    pub effort: pb::PredictEffortResponse,
    /// The episodes that the profile keeps.
    pub episodes: Vec<pb::Episode>,
}

/// Generates the desk, up to the beginning of today, and sends it. Returns that time too: a desk that ended at the
/// moment of the demo would have other days, and with them other figures, at another time of day.
///
/// # Errors
/// When the server refuses to go on.
pub async fn generate(session: &Session) -> anyhow::Result<(String, Outcome)> {
    let progress = Progress::share("simulate servicedesk");
    let sender = Sender { client: session.events(), strict: true, answered: Arc::default() };
    let end = clock::now_micros().div_euclid(DAY_MICROS) * DAY_MICROS;
    let (_, outcome) = sender
        .send(move |inlet| {
            let events = servicedesk::generate(servicedesk::DEMO, SEED, end);
            let mut outgoing = events.into_iter().zip(1..).map(|(event, line)| Outgoing {
                event,
                file: servicedesk::SOURCE.into(),
                line,
            });
            Ok(outgoing.all(|outgoing| inlet.put(outgoing)))
        })
        .await?;
    progress.finish(&format!("{} events", report::counted(outcome.events())));
    Ok((clock::rfc3339(end), outcome))
}

/// The customers with the highest effort index, the hardest first.
///
/// # Errors
/// When the server does not answer.
pub async fn hardest(session: &Session, customers: usize) -> anyhow::Result<Vec<Hard>> {
    let request = pb::StreamPredictionsRequest {
        kinds: vec![pb::ModelKind::Effort.into()],
        ..pb::StreamPredictionsRequest::default()
    };
    let stream = session.predictions().stream_predictions(request).await;
    let mut stream = stream.map_err(|status| refused("StreamPredictions", &status))?.into_inner();
    let mut all: Vec<(String, pb::PredictEffortResponse)> = Vec::new();
    while let Some(some) = stream.message().await.map_err(|status| refused("StreamPredictions", &status))? {
        all.extend(some.results.into_iter().filter_map(|result| match result.result {
            Some(Predicted::Prediction(prediction)) => Some((result.profile_id, prediction.effort?)),
            _ => None,
        }));
    }
    all.sort_by(|a, b| b.1.effort_index.total_cmp(&a.1.effort_index).then_with(|| a.0.cmp(&b.0)));
    all.truncate(customers);
    let mut profiles = profiles(session, all.iter().map(|(id, _)| id.clone()).collect()).await?;
    let found = all.into_iter().filter_map(|(id, effort)| {
        let profile = profiles.remove(&id)?;
        let user_id = profile.identifiers.into_iter().find(|identifier| identifier.r#type == "user_id")?.value;
        Some(Hard { user_id, effort, episodes: profile.support.map(|s| s.recent_episodes).unwrap_or_default() })
    });
    Ok(found.collect())
}

async fn profiles(session: &Session, ids: Vec<String>) -> anyhow::Result<HashMap<String, pb::Profile>> {
    let customers =
        ids.into_iter().map(|id| pb::CustomerRef { customer: Some(pb::customer_ref::Customer::ProfileId(id)) });
    let request = pb::BatchGetProfilesRequest { customers: customers.collect(), ..Default::default() };
    let response = session.profiles().batch_get_profiles(request).await;
    let results = response.map_err(|status| refused("BatchGetProfiles", &status))?.into_inner().results;
    let read = results.into_iter().map(|result| match result.result {
        Some(Read::Profile(profile)) => Some((profile.profile_id.clone(), profile)),
        _ => None,
    });
    read.collect::<Option<_>>().context("a customer of the desk has no profile")
}
