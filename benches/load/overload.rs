//! A server with a quarter of a core, and several times as many reads as it can answer.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::client::{Client, Lap, Requests, quantile};
use crate::data;
use crate::quota::Quota;
use crate::scenarios::Filled;

/// What the server has of a core.
const CORES: f64 = 0.25;
/// Requests that are on their way at once while the peak is looked for; the best of them is the peak.
const AT_ONCE: [usize; 3] = [32, 64, 128];
/// Requests of each look for the peak.
const LOOK: usize = 20_000;
/// What is offered, as a multiple of the peak.
const TIMES: [f64; 3] = [2.0, 5.0, 10.0];
/// Share of the peak that is to be answered all the same.
const TARGETS: [f64; 3] = [0.90, 0.85, 0.80];
/// For how long it is offered.
const TIME: Duration = Duration::from_secs(10);
/// Connections that the load comes over, and the deadline of its requests.
const CONNECTIONS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(1);
/// Probes in a second, of each kind.
const PROBES: f64 = 20.0;
/// Reads in a second of a well-behaved caller, by which it is told when the server is as it was, and how many make a look.
const CALM: f64 = 100.0;
const WINDOW: Duration = Duration::from_millis(500);
/// How long the server has to become as it was.
const RECOVERY: Duration = Duration::from_secs(30);

/// What somebody who only looks in now and then has seen.
#[derive(Default)]
struct Seen {
    answered: usize,
    refused: usize,
    lost: usize,
    latencies: Vec<Duration>,
}

/// What was seen beside a load.
struct Beside {
    health: Seen,
    reads: Seen,
    resident: u64,
}

impl Seen {
    fn note(&mut self, code: Code, took: Duration) {
        match code {
            Code::Ok => self.answered += 1,
            Code::ResourceExhausted => self.refused += 1,
            _ => self.lost += 1,
        }
        self.latencies.push(took);
    }

    fn row(mut self) -> String {
        self.latencies.sort_unstable();
        let (p99, all) = (millis(quantile(&self.latencies, 0.99)), self.latencies.len());
        format!("{} / {} / {} of {all}, p99 {p99} ms", self.answered, self.refused, self.lost)
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// Asks for health and for a read over connections of its own, time and again until it is told to end.
async fn look_in(filled: &Filled, requests: &Requests, end: &AtomicBool) -> anyhow::Result<Beside> {
    let client = Client::connect_often(&filled.server.address, &filled.key, 2).await?.patient_for(PATIENCE);
    let mut health = HealthClient::new(client.channel(0));
    let mut beside = Beside { health: Seen::default(), reads: Seen::default(), resident: 0 };
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / PROBES));
    while !end.load(Ordering::Relaxed) {
        ticks.tick().await;
        let asked = Instant::now();
        let mut check = tonic::Request::new(HealthCheckRequest::default());
        check.set_timeout(PATIENCE);
        let code = health.check(check).await.map_or_else(|status| status.code(), |_| Code::Ok);
        beside.health.note(code, asked.elapsed());
        let asked = Instant::now();
        let body = requests.bodies[beside.reads.latencies.len() % requests.bodies.len()].clone();
        let code = client.ask(1, &requests.path, body).await.map_or_else(|status| status.code(), |_| Code::Ok);
        beside.reads.note(code, asked.elapsed());
        beside.resident = beside.resident.max(filled.server.resident()?);
    }
    Ok(beside)
}

/// The most that the server answers in a second.
async fn peak(filled: &Filled, requests: &Arc<Requests>) -> anyhow::Result<f64> {
    let mut peak = 0.0_f64;
    let looked = Arc::new(Requests { path: requests.path.clone(), bodies: requests.bodies[..LOOK].to_vec() });
    for at_once in AT_ONCE {
        let before = filled.server.cpu()?;
        let lap = filled.client.closed(&looked, at_once).await.whole()?;
        let cpu = (filled.server.cpu()? - before).as_secs_f64();
        let (p50, p99) = (millis(lap.quantile(0.5)), millis(lap.quantile(0.99)));
        eprintln!("{at_once} at once: {:.0} per s, p50 {p50} ms, p99 {p99} ms, {cpu:.2} s", lap.per_second());
        peak = peak.max(lap.per_second());
    }
    Ok(peak)
}

/// The p99 of a few reads.
async fn calm(filled: &Filled, requests: &Arc<Requests>) -> anyhow::Result<Option<Duration>> {
    let lap = filled.client.patient_for(PATIENCE).open(requests, CALM, WINDOW).await?;
    Ok(lap.refused.is_empty().then(|| lap.quantile(0.99)))
}

/// How long it takes until reads are answered as they were before.
async fn recovered(filled: &Filled, requests: &Arc<Requests>, usual: Duration) -> anyhow::Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < RECOVERY {
        let since = began.elapsed();
        if calm(filled, requests).await?.is_some_and(|p99| p99 <= usual * 2) {
            return Ok(Some(since));
        }
    }
    Ok(None)
}

/// The driver takes most of the machine, and so does this while the peak is looked for: both are measured beside as much.
async fn offered(filled: &Filled, requests: &Arc<Requests>, rate: f64) -> anyhow::Result<(Lap, Beside)> {
    let driver = Client::connect_often(&filled.server.address, &filled.key, CONNECTIONS).await?;
    let end = AtomicBool::new(false);
    let load = async {
        let lap = driver.patient_for(PATIENCE).open(requests, rate, TIME).await;
        end.store(true, Ordering::Relaxed);
        lap
    };
    tokio::try_join!(load, look_in(filled, requests, &end))
}

/// What the codes of refusals are, and how many of each.
fn codes(lap: &Lap) -> String {
    let all: Vec<String> = lap.refused.iter().map(|(code, count)| format!("{:?} {count}", Code::from(*code))).collect();
    all.join(", ")
}

/// How much a server still answers that is asked for more than it can.
pub(crate) async fn overload(customers: usize) -> anyhow::Result<()> {
    let quota = Quota::new(CORES)?;
    let filled = Filled::new(customers, "").await?;
    let requests = data::profiles(customers, 100_000);
    let (median, longest) = quota.stalls()?;
    println!(
        "a busy process with {CORES} of a core sleeps {} ms at a time, {} at most",
        millis(median),
        millis(longest)
    );
    quota.hold(filled.server.id())?;
    let peak = peak(&filled, &requests).await?;
    let mut usual = Duration::ZERO;
    for _ in 0..4 {
        usual = usual.max(calm(&filled, &requests).await?.unwrap_or_default());
    }
    println!(
        "peak {peak:.0} per s; {CALM:.0} reads per s have a p99 of {} ms; {} MB resident",
        millis(usual),
        filled.server.resident()? / 1_000_000
    );
    println!(
        "| offered | sent per s | answered of the peak | target | p99 ms | refused, p50 and p99 ms | all codes | \
         health ok / refused / lost | a read ok / refused / lost | MB | normal after s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (times, target) in TIMES.into_iter().zip(TARGETS) {
        let before = filled.server.cpu()?;
        let (lap, beside) = offered(&filled, &requests, times * peak).await?;
        let cpu = filled.server.cpu()? - before;
        let after = recovered(&filled, &requests, usual).await?;
        let took = lap.took.as_secs_f64();
        let all = lap.latencies.len() + lap.refused.values().sum::<usize>();
        println!(
            "| {times}x | {:.0} | {:.2} | {target} | {} | {}, {} | {} | {} | {} | {} | {} |",
            all as f64 / TIME.as_secs_f64(),
            lap.per_second() / peak,
            millis(lap.quantile(0.99)),
            millis(quantile(&lap.turned_away, 0.5)),
            millis(quantile(&lap.turned_away, 0.99)),
            codes(&lap),
            beside.health.row(),
            beside.reads.row(),
            beside.resident / 1_000_000,
            after.map_or_else(|| "never".to_owned(), |after| format!("{:.1}", after.as_secs_f64())),
        );
        eprintln!("{:.2} of a core", cpu.as_secs_f64() / took);
        std::io::stdout().flush()?;
    }
    Ok(())
}
