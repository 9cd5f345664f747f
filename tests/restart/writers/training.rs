//! Training runs, whose models are published in several steps.

use async_trait::async_trait;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::{Fault, Writer, answered, end};

/// Customers to learn from: enough for segments, and few enough to learn quickly.
const CUSTOMERS: usize = 200;

/// Trains segments over and over.
#[derive(Default)]
pub(crate) struct Training {
    began: bool,
    /// Runs that were acknowledged.
    runs: Vec<String>,
    /// Models whose publication was told.
    models: Vec<String>,
}

impl Training {
    async fn begin(&mut self, server: &Channel) -> Result<(), tonic::Status> {
        let event = |number: usize| pb::Event {
            event_id: number.to_string(),
            source: "training".to_owned(),
            identifiers: vec![pb::Identifier { r#type: "user_id".to_owned(), value: format!("t{}", number / 3) }],
            channel: "web".to_owned(),
            payload: Some(pb::event::Payload::Purchase(pb::Purchase {
                revenue: f64::from(u8::try_from(number % 97).unwrap_or_default()) + 1.0,
                currency: "EUR".to_owned(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let events = (0..CUSTOMERS * 3).map(event).collect();
        let request = pb::IngestEventsRequest { events, validate_only: false };
        EventServiceClient::new(server.clone()).ingest_events(request).await?;
        self.began = true;
        Ok(())
    }

    /// One run from its beginning to its end.
    async fn train(&mut self, server: &Channel) -> Result<(), tonic::Status> {
        let mut client = TrainingServiceClient::new(server.clone());
        let request = pb::CreateTrainingRunRequest { kind: pb::ModelKind::Segments.into(), ..Default::default() };
        let run = client.create_training_run(request).await?.into_inner().run.unwrap_or_default();
        self.runs.push(run.run_id.clone());
        let request = pb::WatchTrainingRunRequest { run_id: run.run_id, ..Default::default() };
        let mut states = client.watch_training_run(request).await?.into_inner();
        while let Some(state) = states.message().await? {
            let run = state.run.unwrap_or_default();
            if run.state() == pb::TrainingState::Succeeded {
                self.models.push(run.model_version);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for Training {
    async fn write(&mut self, server: Channel, _: watch::Sender<u64>) -> Result<(), Fault> {
        loop {
            let done = if self.began { self.train(&server).await } else { self.begin(&server).await };
            if let Some(end) = done.err().and_then(|status| end(&status)) {
                return end;
            }
        }
    }

    async fn settle(&mut self, server: Channel) -> Result<(), Fault> {
        let mut client = TrainingServiceClient::new(server);
        for run_id in self.runs.split_off(self.runs.len().saturating_sub(3)) {
            let request = pb::GetTrainingRunRequest { run_id: run_id.clone(), ..Default::default() };
            let run = answered(client.get_training_run(request).await)?.run.unwrap_or_default();
            use pb::TrainingState::{Failed, Succeeded};
            match run.state() {
                // A model was published as a whole, also where nobody was told of it any more.
                Succeeded if !self.models.contains(&run.model_version) => self.models.push(run.model_version),
                Succeeded => {}
                Failed if !self.models.contains(&run.model_version) => {}
                _ => return Err(format!("a run that a restart ended is {run:?}")),
            }
            self.runs.push(run_id);
        }
        for model_version in self.models.iter().rev().take(3) {
            let request = pb::ActivateModelRequest { model_version: model_version.clone(), ..Default::default() };
            // This reads the artifact.
            answered(client.activate_model(request).await).map_err(|fault| format!("{model_version}: {fault}"))?;
        }
        Ok(())
    }

    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault> {
        self.settle(server).await
    }
}
