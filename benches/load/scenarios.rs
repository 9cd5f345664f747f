//! What is asked of the server, and what it is held against.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{Client, Lap, Requests};
use crate::crowd::{BUYERS, PLAIN};
use crate::data;
use crate::peer;
use crate::process::{Process, make_key};

/// How often both sides are asked, in turn.
pub(crate) const ROUNDS: usize = 7;
/// Requests that are on their way at once, where throughput is looked for.
pub(crate) const AT_ONCE: usize = 32;
/// Requests of one measurement, one after the other over one connection.
const ALONE: usize = 2_000;
pub(crate) const WORKSPACE: &str = "bench";

/// A server with customers.
pub(crate) struct Filled {
    home: tempfile::TempDir,
    pub(crate) server: Process,
    pub(crate) client: Client,
    pub(crate) key: String,
}

impl Filled {
    pub(crate) async fn new(customers: usize, settings: &str) -> anyhow::Result<Self> {
        let filled = Self::empty(settings).await?;
        let began = Instant::now();
        data::fill(&filled.client, customers).await?;
        eprintln!("{customers} customers after {:.0?}", began.elapsed());
        filled.settle().await?;
        Ok(filled)
    }

    async fn empty(settings: &str) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let key = make_key(home.path(), WORKSPACE)?;
        let server = Process::server(home.path(), settings).await?;
        let client = Client::connect(&server.address, &key).await?;
        Ok(Self { home, server, client, key })
    }

    async fn settle(&self) -> anyhow::Result<()> {
        self.server.settle().await
    }
}

/// The medians of what a side took.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) cpu: Vec<f64>,
    pub(crate) per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Side {
    pub(crate) fn note(&mut self, cpu: Duration, lap: &Lap) {
        self.cpu.push(cpu.as_secs_f64() * 1e6 / lap.latencies.len().max(1) as f64);
        self.per_second.push(lap.per_second());
    }

    fn note_alone(&mut self, lap: &Lap) {
        self.p50.push(lap.quantile(0.5).as_secs_f64() * 1e6);
        self.p99.push(lap.quantile(0.99).as_secs_f64() * 1e6);
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) async fn measured(
    process: &Process,
    client: &Client,
    requests: &Arc<Requests>,
) -> anyhow::Result<(Duration, Lap)> {
    let before = process.cpu()?;
    let lap = client.closed(requests, AT_ONCE).await.whole()?;
    Ok((process.cpu()? - before, lap))
}

/// One method beside an echo that answers with as many bytes.
async fn beside_echo(filled: &Filled, name: &str, requests: &Arc<Requests>) -> anyhow::Result<()> {
    let first = requests.bodies.first().context("a request")?;
    let reply = filled.client.ask(0, &requests.path, first.clone()).await?;
    let file = filled.home.path().join("reply");
    std::fs::write(&file, &reply)?;
    let echo = Process::echo(&file)?;
    let to_echo = Client::connect(&echo.address, "none").await?;
    let echoed = Arc::new(Requests { path: "/bench.Echo/Echo".parse()?, bodies: requests.bodies.clone() });
    let alone = |requests: &Requests| {
        let bodies = requests.bodies.iter().take(ALONE).cloned().collect();
        Arc::new(Requests { path: requests.path.clone(), bodies })
    };
    let (one, one_echoed) = (alone(requests), alone(&echoed));
    let (mut ours, mut bare) = (Side::default(), Side::default());
    for _ in 0..ROUNDS {
        let (cpu, lap) = measured(&filled.server, &filled.client, requests).await?;
        ours.note(cpu, &lap);
        let (cpu, lap) = measured(&echo, &to_echo, &echoed).await?;
        bare.note(cpu, &lap);
        ours.note_alone(&filled.client.closed(&one, 1).await.whole()?);
        bare.note_alone(&to_echo.closed(&one_echoed, 1).await.whole()?);
    }
    let ratio = |of: fn(&Side) -> &Vec<f64>| median(of(&ours)) / median(of(&bare));
    println!(
        "| {name} | {} | {:.1} | {:.1} | {:.2} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.2} |",
        reply.len(),
        median(&ours.cpu),
        median(&bare.cpu),
        ratio(|side| &side.cpu),
        median(&ours.per_second),
        median(&bare.per_second),
        ratio(|side| &side.per_second),
        median(&ours.p99),
        median(&bare.p99),
        ratio(|side| &side.p99),
    );
    std::io::stdout().flush()?;
    Ok(())
}

/// Reads beside an echo.
pub(crate) async fn reads(customers: usize, python: Option<&Path>) -> anyhow::Result<()> {
    let filled = Filled::new(customers, "").await?;
    println!("{customers} customers, {} MB resident", filled.server.resident()? / 1_000_000);
    println!("| | bytes | CPU us | echo | ratio | per s | echo | ratio | p99 us alone | echo | ratio |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    beside_echo(&filled, "GetProfile", &data::profiles(customers, 20_000)).await?;
    predictions(&filled, customers).await?;
    // Of so few customers a linear model comes, which then answers about many.
    let plain = Filled::empty("").await?;
    BUYERS.send(&plain.client, 0..PLAIN).await?;
    train(&plain).await?;
    BUYERS.send(&plain.client, PLAIN..customers).await?;
    plain.settle().await?;
    ask_for_predictions(&plain, customers).await?;
    if let Some(python) = python {
        peer::predictions(python, customers).await?;
    }
    println!("{} MB resident", filled.server.resident()? / 1_000_000);
    Ok(())
}

/// Predictions by the models that customers like these come to.
async fn predictions(filled: &Filled, customers: usize) -> anyhow::Result<()> {
    train(filled).await?;
    ask_for_predictions(filled, customers).await
}

async fn train(filled: &Filled) -> anyhow::Result<()> {
    for kind in [pb::ModelKind::Segments, pb::ModelKind::Churn] {
        data::train(&filled.client, kind).await?;
    }
    filled.settle().await
}

async fn ask_for_predictions(filled: &Filled, customers: usize) -> anyhow::Result<()> {
    let model = data::churn_model(&filled.client).await?;
    beside_echo(filled, &format!("Predict, {model}"), &data::predictions(customers, 20_000)).await?;
    beside_echo(filled, &format!("BatchPredict of 100, {model}"), &data::batches(customers, 300)).await
}

/// Events, durable, in batches over one stream and one by one from many callers.
pub(crate) async fn events(customers: usize) -> anyhow::Result<()> {
    const BATCHES: usize = 1_000;
    const EACH: usize = 100;
    const SINGLE: usize = 30_000;
    const CALLERS: usize = 64;
    let filled = Filled::new(customers, "").await?;
    println!("| | events per s | CPU us per event | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|");
    for round in 0..3 {
        let batches: Vec<pb::StreamEventsRequest> = data::events(customers, BATCHES * EACH, &format!("s{round}"))
            .chunks(EACH)
            .zip(0..)
            .map(|(events, sequence)| pb::StreamEventsRequest { events: events.to_vec(), sequence })
            .collect();
        let (before, began) = (filled.server.cpu()?, Instant::now());
        stream(&filled.client, batches).await?;
        row("StreamEvents of 100", BATCHES * EACH, (began.elapsed(), filled.server.cpu()? - before), None);
        let requests = data::ingestions(customers, (SINGLE, 1), &format!("i{round}"));
        let before = filled.server.cpu()?;
        let lap = filled.client.closed(&requests, CALLERS).await.whole()?;
        row("IngestEvents of 1, 64 callers", SINGLE, (lap.took, filled.server.cpu()? - before), Some(&lap));
    }
    let bare = bare_sync(&filled)?;
    println!("| bare fdatasync of 4 KiB | | | {:.2} | {:.2} |", bare.0 * 1e3, bare.1 * 1e3);
    Ok(())
}

fn row(name: &str, events: usize, (took, cpu): (Duration, Duration), lap: Option<&Lap>) {
    let per_event = cpu.as_secs_f64() * 1e6 / events as f64;
    let millis = |share| lap.map(|lap| format!("{:.2}", lap.quantile(share).as_secs_f64() * 1e3)).unwrap_or_default();
    let per_second = events as f64 / took.as_secs_f64();
    println!("| {name} | {per_second:.0} | {per_event:.1} | {} | {} |", millis(0.5), millis(0.99));
}

/// Sends batches over one stream, as many ahead of their acknowledgements as the server gives credit for.
async fn stream(client: &Client, batches: Vec<pb::StreamEventsRequest>) -> anyhow::Result<()> {
    let count = batches.len();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut service = EventServiceClient::new(client.channel(0));
    let (credit, mut waits) = tokio::sync::watch::channel((0_usize, 8_usize));
    let sending = tokio::spawn(async move {
        for (number, batch) in batches.into_iter().enumerate() {
            waits.wait_for(|(answered, credit)| number < answered + credit).await?;
            sender.send(batch).await?;
        }
        anyhow::Ok(())
    });
    let mut answers = service.stream_events(client.with_key(ReceiverStream::new(receiver))).await?.into_inner();
    let mut answered = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        ensure!(answer.results.iter().all(|result| result.status() == pb::EventStatus::Accepted));
        answered += 1;
        credit.send_replace((answered, usize::try_from(answer.credit).unwrap_or(1).max(1)));
    }
    sending.await??;
    ensure!(answered == count, "{answered} of {count} batches were answered");
    Ok(())
}

/// The median and the 99th percentile of a sync of what was just written, in seconds.
fn bare_sync(filled: &Filled) -> anyhow::Result<(f64, f64)> {
    let mut file = File::create(filled.home.path().join("bare"))?;
    let mut times = Vec::new();
    for _ in 0..1_000 {
        file.write_all(&[1; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((times[500], times[990]))
}

/// What a workspace notices of another one that asks for ten times its quota.
pub(crate) async fn noisy(customers: usize) -> anyhow::Result<()> {
    const QUOTA: f64 = 200.0;
    const QUIET: f64 = 200.0;
    const TIME: Duration = Duration::from_secs(5);
    const TIMES: [f64; 3] = [0.0, 1.0, 10.0];
    let home = tempfile::tempdir()?;
    let keys = [make_key(home.path(), "quiet")?, make_key(home.path(), "noisy")?];
    let settings = format!("[limits]\nrequests_per_second_per_key = {QUOTA}\nrequests_in_flight_per_key = 64");
    let server = Process::server(home.path(), &settings).await?;
    let quiet = Client::connect(&server.address, &keys[0]).await?;
    let noisy = Client::connect(&server.address, &keys[1]).await?;
    for client in [&quiet, &noisy] {
        data::fill(client, customers).await?;
    }
    let requests = data::profiles(customers, 20_000);
    let refused = |lap: &Lap| lap.refused.values().sum::<usize>();
    let mut sides: [Side; TIMES.len()] = Default::default();
    println!("| the noisy one asks | is answered | is refused | refused of the quiet one |");
    println!("|---|---|---|---|");
    for round in 0..ROUNDS {
        for (times, side) in TIMES.iter().zip(&mut sides) {
            let rate = times * QUOTA;
            // A little below the quota, so that the quiet one never meets it.
            let of_quiet = quiet.open(&requests, 0.9 * QUIET, TIME);
            let (of_quiet, of_noisy) = tokio::try_join!(of_quiet, noisy.open(&requests, rate, TIME))?;
            side.note_alone(&of_quiet);
            if round == 0 {
                let (answered, of_noisy) = (of_noisy.latencies.len(), refused(&of_noisy));
                println!("| {rate:.0} per s | {answered} | {of_noisy} | {} |", refused(&of_quiet));
            }
        }
    }
    println!("| the noisy one asks | p50 us of the quiet one | p99 us | of that alone |");
    println!("|---|---|---|---|");
    let alone = median(&sides[0].p99);
    for (times, side) in TIMES.iter().zip(&sides) {
        let (rate, p50, p99) = (times * QUOTA, median(&side.p50), median(&side.p99));
        println!("| {rate:.0} per s | {p50:.0} | {p99:.0} | {:.2} |", p99 / alone);
    }
    Ok(())
}
