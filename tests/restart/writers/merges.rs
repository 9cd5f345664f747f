//! Merges and their end, each named by a request id, so that a repeat gets the first answer.

use async_trait::async_trait;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::{Fault, Writer, answered, end, same};

/// Two customers who become one and two again.
pub(crate) struct Merges {
    /// The merge that makes them one now.
    merge_id: Option<String>,
    /// Merges and ends of merges so far; it names the next one.
    steps: u64,
    began: bool,
}

impl Merges {
    pub(crate) fn new() -> Self {
        Self { merge_id: None, steps: 0, began: false }
    }

    /// Two customers with one event each. Sending them again changes nothing.
    async fn begin(&mut self, server: &Channel) -> Result<(), tonic::Status> {
        let event = |name: &str| pb::Event {
            event_id: name.to_owned(),
            source: "merges".to_owned(),
            identifiers: vec![user(name)],
            channel: "web".to_owned(),
            payload: Some(pb::event::Payload::Track(pb::Track { name: "met".to_owned(), properties: None })),
            ..Default::default()
        };
        let events = ["ann", "bea"].map(event).to_vec();
        let request = pb::IngestEventsRequest { events, validate_only: false };
        EventServiceClient::new(server.clone()).ingest_events(request).await?;
        self.began = true;
        Ok(())
    }

    /// Merges the two, or ends the merge. The same step again gets the same answer.
    async fn step(&mut self, server: &Channel) -> Result<(), tonic::Status> {
        let (mut client, request_id) = (ProfileServiceClient::new(server.clone()), format!("step-{}", self.steps));
        self.merge_id = match self.merge_id.clone() {
            None => {
                let (target, sources) = (Some(customer("ann")), vec![customer("bea")]);
                let request = pb::MergeProfilesRequest { target, sources, request_id, ..Default::default() };
                Some(client.merge_profiles(request).await?.into_inner().merge_id)
            }
            Some(merge_id) => {
                let request = pb::UnmergeProfilesRequest { merge_id, request_id, validate_only: false };
                client.unmerge_profiles(request).await?;
                None
            }
        };
        self.steps += 1;
        Ok(())
    }

    /// The profile of each, with its number of events.
    async fn profiles(server: &Channel) -> Result<[(String, i64); 2], Fault> {
        let mut client = ProfileServiceClient::new(server.clone());
        let mut found = Vec::new();
        for name in ["ann", "bea"] {
            let request = pb::GetProfileRequest { customer: Some(customer(name)), ..Default::default() };
            let profile = answered(client.get_profile(request).await)?.profile.unwrap_or_default();
            found.push((profile.profile_id, profile.activity.map_or(0, |activity| activity.events)));
        }
        found.try_into().map_err(|_| "two customers".to_owned())
    }
}

fn user(name: &str) -> pb::Identifier {
    pb::Identifier { r#type: "crm:shop".to_owned(), value: name.to_owned() }
}

fn customer(name: &str) -> pb::CustomerRef {
    pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(user(name))) }
}

#[async_trait]
impl Writer for Merges {
    async fn write(&mut self, server: Channel, _: watch::Sender<u64>) -> Result<(), Fault> {
        loop {
            let done = if self.began { self.step(&server).await } else { self.begin(&server).await };
            if let Some(end) = done.err().and_then(|status| end(&status)) {
                return end;
            }
        }
    }

    async fn settle(&mut self, server: Channel) -> Result<(), Fault> {
        self.begin(&server).await.map_err(|status| format!("the two customers are refused: {status}"))?;
        let [ann, bea] = Self::profiles(&server).await?;
        // One of both with two events, or both with one: nothing in between, whatever was on its way.
        same("events of the two", &(ann.1, bea.1), &if ann.0 == bea.0 { (2, 2) } else { (1, 1) })?;
        self.step(&server).await.map_err(|status| format!("a repeated merge is refused: {status}"))?;
        self.compare_all(server).await
    }

    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault> {
        let [ann, bea] = Self::profiles(&server).await?;
        same("whether the two are one", &(ann.0 == bea.0), &self.merge_id.is_some())
    }
}
