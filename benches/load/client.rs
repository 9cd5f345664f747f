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
    patience: Option<Duration>,
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
    /// The latencies of those by which the server said that it has too much to do; sorted.
    pub(crate) turned_away: Vec<Duration>,
}

impl Requests {
    pub(crate) fn new(path: &'static str, bodies: Vec<Vec<u8>>) -> Arc<Self> {
        let bodies = bodies.into_iter().map(Bytes::from).collect();
        Arc::new(Self { path: PathAndQuery::from_static(path), bodies })
    }
}

/// The latency that a share of some did not exceed, which are sorted.
pub(crate) fn quantile(latencies: &[Duration], share: f64) -> Duration {
    let last = latencies.len().saturating_sub(1);
    latencies.get((share * last as f64).round() as usize).copied().unwrap_or_default()
}

impl Lap {
    /// The latency that a share of the answers did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn join(parts: Vec<Self>, took: Duration) -> Self {
        let mut lap = Self { took, ..Self::default() };
        for part in parts {
            lap.latencies.extend(part.latencies);
            lap.turned_away.extend(part.turned_away);
            for (code, count) in part.refused {
                *lap.refused.entry(code).or_default() += count;
            }
        }
        lap.latencies.sort_unstable();
        lap.turned_away.sort_unstable();
        lap
    }

    fn note(&mut self, answer: Result<Bytes, Status>, took: Duration) {
        match answer {
            Ok(_) => self.latencies.push(took),
            Err(status) => {
                if status.code() == Code::ResourceExhausted {
                    self.turned_away.push(took);
                }
                *self.refused.entry(status.code().into()).or_default() += 1;
            }
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
        Self::connect_often(address, key, CONNECTIONS).await
    }

    /// The same over as many connections as are said.
    pub(crate) async fn connect_often(address: &str, key: &str, connections: usize) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..connections {
            channels.push(Channel::from_shared(format!("http://{address}"))?.connect().await?);
        }
        Ok(Self { channels, bearer: format!("Bearer {key}").parse()?, patience: None })
    }

    /// The same client, whose requests have a deadline.
    pub(crate) fn patient_for(&self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self.clone() }
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

    /// Asks once. A deadline is told to the server, and kept here from the first moment on.
    pub(crate) async fn ask(&self, number: usize, path: &PathAndQuery, body: Bytes) -> Result<Bytes, Status> {
        let mut request = self.with_key(body);
        let mut grpc = tonic::client::Grpc::new(self.channel(number));
        let Some(patience) = self.patience else { return sent(&mut grpc, request, path).await };
        request.set_timeout(patience);
        let answer = tokio::time::timeout(patience, sent(&mut grpc, request, path)).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("the client has waited long enough")))
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
    /// clock, whose sleep is more exact than that of a runtime. It ends with the last success, if that comes late.
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
                    let is_success = answer.is_ok();
                    lap.note(answer, due.elapsed());
                    lap.took = if is_success { began.elapsed() } else { Duration::ZERO };
                    lap
                };
                callers.spawn_on(call, &runtime);
            }
            callers
        });
        let laps = sending.await?.join_all().await;
        let last = laps.iter().map(|lap| lap.took).max().unwrap_or_default();
        Ok(Lap::join(laps, last.max(time)))
    }
}

async fn sent(
    grpc: &mut tonic::client::Grpc<Channel>,
    request: Request<Bytes>,
    path: &PathAndQuery,
) -> Result<Bytes, Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(grpc.unary(request, path.clone(), Raw).await?.into_inner())
}
