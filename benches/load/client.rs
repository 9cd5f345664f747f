//! A client that sends and takes bytes as they are, as fast as it can or at given moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use http::uri::PathAndQuery;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::codegen::Bytes;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::raw::Raw;

/// Connections of a client.
const CONNECTIONS: usize = 4;

/// A server with a key to it.
#[derive(Clone)]
pub(crate) struct Client {
    channels: Vec<Channel>,
    bearer: AsciiMetadataValue,
}

/// Requests to a method; each next one is taken when somebody has time for it.
pub(crate) struct Requests {
    pub(crate) path: PathAndQuery,
    pub(crate) bodies: Vec<Bytes>,
}

/// What came of some requests.
#[derive(Debug, Default)]
pub(crate) struct Lap {
    pub(crate) took: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
    /// Answers that were no success.
    pub(crate) refused: BTreeMap<i32, usize>,
}

impl Requests {
    pub(crate) fn new(path: &'static str, bodies: Vec<Vec<u8>>) -> Arc<Self> {
        let bodies = bodies.into_iter().map(Bytes::from).collect();
        Arc::new(Self { path: PathAndQuery::from_static(path), bodies })
    }
}

impl Lap {
    /// The latency that a share of the answers did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((share * last as f64).round() as usize).copied().unwrap_or_default()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn join(parts: Vec<Self>, took: Duration) -> Self {
        let mut lap = Self { took, ..Self::default() };
        for part in parts {
            lap.latencies.extend(part.latencies);
            for (code, count) in part.refused {
                *lap.refused.entry(code).or_default() += count;
            }
        }
        lap.latencies.sort_unstable();
        lap
    }

    fn note(&mut self, answer: Result<Bytes, Status>, took: Duration) {
        match answer {
            Ok(_) => self.latencies.push(took),
            Err(status) => *self.refused.entry(status.code().into()).or_default() += 1,
        }
    }

    /// Fails where anything was refused.
    pub(crate) fn whole(self) -> anyhow::Result<Self> {
        let codes: Vec<Code> = self.refused.keys().map(|code| Code::from(*code)).collect();
        ensure!(codes.is_empty(), "requests were refused: {codes:?}");
        Ok(self)
    }
}

impl Client {
    pub(crate) async fn connect(address: &str, key: &str) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(Channel::from_shared(format!("http://{address}"))?.connect().await?);
        }
        Ok(Self { channels, bearer: format!("Bearer {key}").parse()? })
    }

    /// One of its connections, whose calls show the key.
    pub(crate) fn channel(&self, number: usize) -> Channel {
        self.channels[number % self.channels.len()].clone()
    }

    pub(crate) fn with_key<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// Asks once.
    pub(crate) async fn ask(&self, number: usize, path: &PathAndQuery, body: Bytes) -> Result<Bytes, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel(number));
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc.unary(self.with_key(body), path.clone(), Raw).await?.into_inner())
    }

    /// Sends all requests as fast as answers come, so many at a time.
    pub(crate) async fn closed(&self, requests: &Arc<Requests>, at_once: usize) -> Lap {
        let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let mut callers = JoinSet::new();
        for number in 0..at_once {
            let (client, requests, next) = (self.clone(), Arc::clone(requests), Arc::clone(&next));
            callers.spawn(async move {
                let mut lap = Lap::default();
                while let Some(body) = requests.bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    let answer = client.ask(number, &requests.path, body.clone()).await;
                    lap.note(answer, sent.elapsed());
                }
                lap
            });
        }
        Lap::join(callers.join_all().await, began.elapsed())
    }

    /// Sends requests at a rate for a while, whatever comes back, one body after the other. A thread of its own looks at the
    /// clock, whose sleep is more exact than that of a runtime.
    pub(crate) async fn open(&self, requests: &Arc<Requests>, per_second: f64, time: Duration) -> anyhow::Result<Lap> {
        let (client, requests, runtime) = (self.clone(), Arc::clone(requests), Handle::current());
        let began = Instant::now();
        let sending = tokio::task::spawn_blocking(move || {
            let mut callers = JoinSet::new();
            for number in 0..(per_second * time.as_secs_f64()) as usize {
                let due = began + Duration::from_secs_f64(number as f64 / per_second);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let (client, requests) = (client.clone(), Arc::clone(&requests));
                let call = async move {
                    let mut lap = Lap::default();
                    let body = requests.bodies[number % requests.bodies.len()].clone();
                    let answer = client.ask(number, &requests.path, body).await;
                    lap.note(answer, due.elapsed());
                    lap
                };
                callers.spawn_on(call, &runtime);
            }
            callers
        });
        Ok(Lap::join(sending.await?.join_all().await, began.elapsed()))
    }
}
