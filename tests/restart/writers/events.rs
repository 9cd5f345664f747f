//! Events: one by one, in batches, and over a stream.

use std::collections::VecDeque;
use std::ops::Range;

use async_trait::async_trait;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::pb::{self, EventStatus, batch_get_profiles_result, customer_ref};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{Fault, Writer, answered, end, same};

/// Batches that a stream has on their way at the same time; the server grants no fewer.
const UNANSWERED: usize = 4;
/// Acknowledged batches that are asked for again after each restart.
const SAMPLES: u64 = 4;

/// How events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Calls,
    Stream,
}

/// Numbered events, the same ones to the same users, without a gap.
pub(crate) struct Events {
    /// What the ids of its events and users begin with.
    pub(crate) name: &'static str,
    pub(crate) route: Route,
    /// Events of a batch.
    pub(crate) batch: u64,
    /// Users who get them in turn.
    pub(crate) users: u64,
    /// All before this one are acknowledged.
    accepted: u64,
    /// Batches whose answer did not come.
    unanswered: VecDeque<Range<u64>>,
}

impl Events {
    pub(crate) fn new(name: &'static str, route: Route, batch: u64) -> Self {
        Self { name, route, batch, users: batch.clamp(2, 50), accepted: 0, unanswered: VecDeque::new() }
    }

    fn event(&self, number: u64) -> pb::Event {
        let payload = pb::event::Payload::Track(pb::Track { name: "step".to_owned(), properties: None });
        pb::Event {
            event_id: number.to_string(),
            source: self.name.to_owned(),
            identifiers: vec![self.user(number % self.users)],
            channel: "web".to_owned(),
            payload: Some(payload),
            ..pb::Event::default()
        }
    }

    fn user(&self, number: u64) -> pb::Identifier {
        pb::Identifier { r#type: "user_id".to_owned(), value: format!("{}{number}", self.name) }
    }

    fn customer(&self, number: u64) -> pb::CustomerRef {
        pb::CustomerRef { customer: Some(customer_ref::Customer::Identifier(self.user(number))) }
    }

    /// The next batch, which is on its way from now on.
    fn next(&mut self) -> Range<u64> {
        let start = self.unanswered.back().map_or(self.accepted, |last| last.end);
        let range = start..start + self.batch;
        self.unanswered.push_back(range.clone());
        range
    }

    fn events(&self, range: Range<u64>) -> Vec<pb::Event> {
        range.map(|number| self.event(number)).collect()
    }

    /// The oldest batch on its way was acknowledged.
    fn acknowledged(&mut self, results: &[pb::EventResult], progress: &watch::Sender<u64>) {
        let range = self.unanswered.pop_front().expect("an answer to something");
        assert_eq!(results.len() as u64, range.end - range.start, "one result for each event");
        let is_accepted = |result: &pb::EventResult| result.status() == EventStatus::Accepted;
        assert!(results.iter().all(is_accepted), "{:?}", results.iter().find(|result| !is_accepted(result)));
        self.accepted = range.end;
        progress.send_modify(|events| *events += range.end - range.start);
    }

    async fn call(&mut self, server: Channel, progress: &watch::Sender<u64>) -> Result<(), tonic::Status> {
        let mut client = EventServiceClient::new(server);
        loop {
            let range = self.next();
            let request = pb::IngestEventsRequest { events: self.events(range), validate_only: false };
            let response = client.ingest_events(request).await?;
            self.acknowledged(&response.into_inner().results, progress);
        }
    }

    async fn stream(&mut self, server: Channel, progress: &watch::Sender<u64>) -> Result<(), tonic::Status> {
        let mut client = EventServiceClient::new(server);
        let (sender, requests) = mpsc::channel(UNANSWERED);
        let mut answers = client.stream_events(ReceiverStream::new(requests)).await?.into_inner();
        loop {
            while self.unanswered.len() < UNANSWERED {
                let range = self.next();
                let sequence = i64::try_from(range.end).expect("small");
                let request = pb::StreamEventsRequest { events: self.events(range), sequence };
                // Where nobody takes it any more, the answer says why.
                let _hung_up = sender.send(request).await;
            }
            let Some(answer) = answers.message().await? else { return Ok(()) };
            let oldest = self.unanswered.front().expect("a full stream").end;
            assert_eq!(u64::try_from(answer.durable_sequence), Ok(oldest), "answers come in order");
            self.acknowledged(&answer.results, progress);
        }
    }

    /// Of the events of a range, those that the server has.
    async fn known(&self, server: &Channel, range: Range<u64>) -> Result<u64, Fault> {
        let request = pb::IngestEventsRequest { events: self.events(range), validate_only: true };
        let results = answered(EventServiceClient::new(server.clone()).ingest_events(request).await)?.results;
        Ok(results.iter().filter(|result| result.status() == EventStatus::Duplicate).count() as u64)
    }

    /// How many events each user must have.
    fn expected(&self) -> Vec<i64> {
        let of = |user| (self.accepted + self.users - 1 - user) / self.users;
        (0..self.users).map(|user| i64::try_from(of(user)).expect("small")).collect()
    }

    async fn counted(&self, server: &Channel) -> Result<Vec<i64>, Fault> {
        let read_mask = Some(prost_types::FieldMask { paths: vec!["activity".to_owned()] });
        let customers = (0..self.users).map(|user| self.customer(user)).collect();
        let request = pb::BatchGetProfilesRequest { customers, read_mask, ..Default::default() };
        let results = answered(ProfileServiceClient::new(server.clone()).batch_get_profiles(request).await)?.results;
        let count = |result: pb::BatchGetProfilesResult| match result.result {
            Some(batch_get_profiles_result::Result::Profile(profile)) => {
                profile.activity.map_or(0, |activity| activity.events)
            }
            _ => 0,
        };
        Ok(results.into_iter().map(count).collect())
    }
}

#[async_trait]
impl Writer for Events {
    async fn write(&mut self, server: Channel, progress: watch::Sender<u64>) -> Result<(), Fault> {
        loop {
            let written = match self.route {
                Route::Calls => self.call(server.clone(), &progress).await,
                Route::Stream => self.stream(server.clone(), &progress).await,
            };
            match written.map_err(|status| end(&status)) {
                Ok(()) => return Ok(()),
                Err(Some(end)) => return end,
                Err(None) => self.unanswered.clear(),
            }
        }
    }

    async fn settle(&mut self, server: Channel) -> Result<(), Fault> {
        for sample in 0..SAMPLES.min(self.accepted / self.batch) {
            // The last ones, which were acknowledged just before the end, and with them some that are older.
            let end = self.accepted - sample * sample * sample * self.batch % self.accepted;
            let range = end.saturating_sub(self.batch)..end;
            let size = range.end - range.start;
            same(&format!("{}: acknowledged events {range:?}", self.name), &self.known(&server, range).await?, &size)?;
        }
        let mut earlier_is_missing = false;
        for range in std::mem::take(&mut self.unanswered) {
            let (known, size) = (self.known(&server, range.clone()).await?, range.end - range.start);
            if known != 0 && known != size {
                return Err(format!("{}: of the batch {range:?}, {known} events are there", self.name));
            }
            if known != 0 && earlier_is_missing {
                return Err(format!("{}: the batch {range:?} is there, and one before it is not", self.name));
            }
            earlier_is_missing |= known == 0;
            let request = pb::IngestEventsRequest { events: self.events(range.clone()), validate_only: false };
            let results = answered(EventServiceClient::new(server.clone()).ingest_events(request).await)?.results;
            let expected = if known == 0 { EventStatus::Accepted } else { EventStatus::Duplicate };
            if results.iter().any(|result| result.status() != expected) {
                return Err(format!("{}: the batch {range:?} is not answered with {expected:?}", self.name));
            }
            self.accepted = range.end;
        }
        same(&format!("{}: events of each user", self.name), &self.counted(&server).await?, &self.expected())
    }

    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault> {
        let mut client = EventServiceClient::new(server);
        for user in 0..self.users.min(self.accepted) {
            let (mut found, mut page_token) = (Vec::new(), String::new());
            loop {
                let customer = Some(self.customer(user));
                let request = pb::ListEventsRequest { customer, page_size: 1_000, page_token, ..Default::default() };
                let page = answered(client.list_events(request).await)?;
                found.extend(page.events.iter().map(|event| event.event_id.parse::<u64>().expect("a number")));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            found.sort_unstable();
            let step = usize::try_from(self.users).expect("small");
            let expected: Vec<u64> = (user..self.accepted).step_by(step).collect();
            if found != expected {
                let (found, expected) = (found.len(), expected.len());
                return Err(format!("{}{user} has {found} events, and should have {expected} others", self.name));
            }
        }
        Ok(())
    }
}
