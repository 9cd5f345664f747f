//! What it costs to know who is who: CPU per event, merges and unmerges, and memory per identifier.
//!
//! ```text
//! cargo bench --bench identity                        # a million profiles
//! cargo bench --bench identity -- 200000              # fewer
//! cargo bench --bench identity -- 1000000 DIRECTORY   # on the disk that matters, instead of the temporary directory
//! cargo bench --bench identity -- sealing [PROFILES]  # reads and events with and without sealing, in turn
//! ```
//!
//! The server runs in this process and is called over a socket, by a client that has a thread of its own. CPU time is
//! that of all other threads of the process, so the threads that sync, index and merge tables are in it. Measuring
//! begins once they have nothing left to do of what filled the store. The same batches are given to the application
//! without gRPC, and the deciding and folding alone is timed without a store, so that the shares can be told apart.
//! Every event names a profile at random by two identifiers that it has.
//!
//! Memory per identifier is the difference between two fresh processes that fill a store with the same profiles, one
//! with one identifier each and one with five: what one more identifier takes, its place in its profile included. The
//! index is on disk behind a bounded cache; while that is not full it grows, so the figure tells the worst case.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use rapport::app::context::{Context, SystemContext};
use rapport::app::{App, CustomerRef, Read};
use rapport::domain::decision::{Decider, Known};
use rapport::domain::event::Draft;
use rapport::domain::history::History;
use rapport::domain::id::ProfileId;
use rapport::domain::identifier::Identifier;
use rapport::domain::identity::Resolver;
use rapport::domain::profile::Profile;
use rapport::domain::projection::{self, Before};
use rapport::domain::violation::Violations;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::{self, RpcOptions, pb};
use rapport::store::Store;
use rapport::store::embedded::{EmbeddedStore, Options};
use rustix::time::ClockId;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use support::{accept, bytes_on_disk, caller, draft, event_id, names};

/// Profiles, unless the command line says otherwise.
const PROFILES: usize = 1_000_000;
/// Events of one batch while the store is filled.
const FILL_BATCH: usize = 1_000;
/// Batches on their way at the same time while the store is filled.
const FILLERS: usize = 4;
/// Identifiers of each profile.
const IDENTIFIERS: usize = 3;
/// Events of one measured batch.
const BATCH: usize = 100;
/// Batches that make one measurement of CPU time, and how many measurements.
const BATCHES: usize = 10;
const MEASUREMENTS: usize = 60;
/// Threads that use less than a fiftieth of this time are idle.
const SETTLING: Duration = Duration::from_secs(1);
/// Pairs that are merged and unmerged, and the events of each profile of a pair.
const PAIRS: usize = 25;
const PAIR_EVENTS: usize = 1_000;
/// Identifiers of each profile in the two stores whose memory is compared.
const FEW: usize = 1;
const MANY: usize = 5;
/// The first argument of the processes that fill those.
const FILL_ONLY: &str = "fill-only";
/// Profiles of either store whose sealing is compared.
const SEALED_PROFILES: usize = 100_000;
/// Reads that make one measurement of CPU time.
const READS: usize = 1_000;

fn main() -> anyhow::Result<()> {
    // cargo passes a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // The thread that runs this is the client.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let [mode, identifiers, profiles, directory] = &arguments[..]
        && mode == FILL_ONLY
    {
        return runtime.block_on(fill_only(identifiers.parse()?, profiles.parse()?, Path::new(directory)));
    }
    if let [mode, rest @ ..] = &arguments[..]
        && mode == "sealing"
    {
        let profiles = rest.first().map(|number| number.parse()).transpose()?.unwrap_or(SEALED_PROFILES);
        return runtime.block_on(sealing(profiles));
    }
    let profiles = arguments.first().map(|number| number.parse()).transpose()?.unwrap_or(PROFILES);
    let directory = arguments.get(1).map(PathBuf::from).unwrap_or_else(std::env::temp_dir);
    let memory = memory_per_identifier(profiles / 4, &directory)?;
    runtime.block_on(measure(profiles, &directory, &memory))
}

/// A server in this process, and ways to call it.
struct Server {
    app: App,
    channel: Channel,
    runtime: Runtime,
    home: tempfile::TempDir,
}

impl Server {
    async fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::start_with(directory, |_| {}).await
    }

    async fn start_with(directory: &Path, change: impl FnOnce(&mut Options)) -> anyhow::Result<Self> {
        let home = tempfile::tempdir_in(directory)?;
        let mut options = Options::new(home.path().join("store"), [1; 16]);
        change(&mut options);
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(options)?);
        let app = App::start(store, Arc::new(SystemContext)).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let listener = listener.into_std()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let served = app.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            rpc::serve(served, RpcOptions::default(), listener, std::future::pending()).await
        });
        let channel = Channel::from_shared(address)?.connect().await?;
        Ok(Self { app, channel, runtime, home })
    }

    /// Stops it, and gives back where its files are.
    async fn stop(self) -> anyhow::Result<tempfile::TempDir> {
        self.app.shut_down().await?;
        self.runtime.shutdown_background();
        Ok(self.home)
    }

    /// Makes profiles, each by one event that carries all their identifiers.
    async fn fill(&self, profiles: usize, identifiers: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut fillers = JoinSet::new();
        for filler in 0..FILLERS {
            let app = self.app.clone();
            fillers.spawn(async move {
                for first in (0..profiles).step_by(FILL_BATCH).skip(filler).step_by(FILLERS) {
                    let numbers = first..profiles.min(first + FILL_BATCH);
                    let drafts = numbers.map(|number| draft(number, 0, identifiers)).collect();
                    accept(&app, drafts).await?;
                    if (first / FILL_BATCH).is_multiple_of(50) {
                        eprintln!("filled {first} of {profiles} profiles after {:.0?}", began.elapsed());
                    }
                }
                anyhow::Ok(())
            });
        }
        fillers.join_all().await.into_iter().collect()
    }
}

/// The same event as it is sent.
fn message(customer: usize, number: usize) -> pb::Event {
    let identifier = |(kind, value): (&str, String)| pb::Identifier { r#type: kind.to_owned(), value };
    pb::Event {
        event_id: event_id(customer, number),
        source: "bench".to_owned(),
        identifiers: names(customer, 2).into_iter().map(identifier).collect(),
        channel: "web".to_owned(),
        touchpoint: "checkout".to_owned(),
        payload: Some(pb::event::Payload::Track(pb::Track { name: "order_viewed".to_owned(), properties: None })),
        ..Default::default()
    }
}

fn user(customer: usize) -> pb::CustomerRef {
    let identifier = pb::Identifier { r#type: "user_id".to_owned(), value: format!("customer-{customer}") };
    pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(identifier)) }
}

/// Threads whose CPU time counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    All,
    /// All but the one that asks, which is the client.
    Server,
}

/// CPU time of threads, of those that ended too.
fn cpu(of: Threads) -> Duration {
    let used = |clock| Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default();
    let all = used(ClockId::ProcessCPUTime);
    match of {
        Threads::All => all,
        Threads::Server => all.saturating_sub(used(ClockId::ThreadCPUTime)),
    }
}

/// Waits until the threads behind the store have nothing left to do.
async fn settle() {
    loop {
        let before = cpu(Threads::All);
        tokio::time::sleep(SETTLING).await;
        if cpu(Threads::All) - before < SETTLING / 50 {
            return;
        }
    }
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a resident size")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

/// Fills a store and prints what the process takes more than before, and what the index takes on disk.
async fn fill_only(identifiers: usize, profiles: usize, directory: &Path) -> anyhow::Result<()> {
    let server = Server::start(directory).await?;
    // What every first batch needs once is not the identifiers'.
    accept(&server.app, vec![draft(profiles, 0, identifiers)]).await?;
    let before = resident_bytes()?;
    server.fill(profiles, identifiers).await?;
    let grown = resident_bytes()?.saturating_sub(before);
    settle().await;
    let home = server.stop().await?;
    let on_disk = bytes_on_disk(&home.path().join("store").join("index"))?;
    println!("{grown} {on_disk}");
    Ok(())
}

/// What one more identifier takes.
struct Memory {
    resident: f64,
    on_disk: f64,
    profiles: usize,
}

fn memory_per_identifier(profiles: usize, directory: &Path) -> anyhow::Result<Memory> {
    let fill = |identifiers: usize| {
        let directory = directory.to_str().context("a directory in UTF-8")?;
        let arguments = [FILL_ONLY, &identifiers.to_string(), &profiles.to_string(), directory];
        let filled =
            Command::new(std::env::current_exe()?).args(arguments).stderr(std::process::Stdio::inherit()).output()?;
        let output = String::from_utf8(filled.stdout)?;
        let (resident, on_disk) = output.trim().split_once(' ').context("two figures")?;
        anyhow::Ok((resident.parse::<f64>()?, on_disk.parse::<f64>()?))
    };
    let (few, many) = (fill(FEW)?, fill(MANY)?);
    let more = ((MANY - FEW) * profiles) as f64;
    Ok(Memory { resident: (many.0 - few.0) / more, on_disk: (many.1 - few.1) / more, profiles })
}

async fn measure(profiles: usize, directory: &Path, memory: &Memory) -> anyhow::Result<()> {
    let server = Server::start(directory).await?;
    let before = resident_bytes()?;
    server.fill(profiles, IDENTIFIERS).await?;
    let filled = resident_bytes()?.saturating_sub(before);
    settle().await;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut next = 0;
    let mut batch = |count: usize| -> Vec<(usize, usize)> {
        let mut one = || {
            next += 1;
            (random.gen_range(0..profiles), next)
        };
        (0..count).map(|_| one()).collect()
    };
    eprintln!("measuring events");
    let over_grpc = server.events_over_grpc(&mut batch).await?;
    let without_grpc = server.events_without_grpc(&mut batch).await?;
    let deciding = server.deciding_alone(&mut batch).await?;
    eprintln!("measuring merges");
    let (merges, unmerges) = server.merges(profiles).await?;

    let micros = |per_event: &[Duration]| percentile(per_event, 50).as_secs_f64() * 1e6;
    let millis = |took: &[Duration], percent| percentile(took, percent).as_secs_f64() * 1e3;
    println!("{profiles} profiles with {IDENTIFIERS} identifiers each; batches of {BATCH} events; all figures medians");
    let print = |what: &str, figure: f64, target: &str| println!("{what:62}  {figure:9.2}  {target}");
    print("CPU of the server per event, over gRPC, µs", micros(&over_grpc), "at most 25");
    print("CPU per event, without gRPC, µs", micros(&without_grpc), "");
    print("  of which deciding and folding, without a store, µs", micros(&deciding), "");
    print(&format!("merge of two with {PAIR_EVENTS} events each, ms"), millis(&merges, 50), "at most 20");
    print("  its 95th percentile, ms", millis(&merges, 95), "");
    print("unmerge of the same, ms", millis(&unmerges, 50), "at most 20");
    print("  its 95th percentile, ms", millis(&unmerges, 95), "");
    print("resident memory of one more identifier, bytes", memory.resident, "at most 150");
    print("  its bytes on disk, in the index", memory.on_disk, "");
    println!("  both by stores of {} profiles with {FEW} and {MANY} identifiers", memory.profiles);
    let per_identifier = filled as f64 / (profiles * IDENTIFIERS) as f64;
    print("all that the fill took, resident, by identifier, bytes", per_identifier, "");
    server.stop().await?;
    Ok(())
}

/// What sealing adds to a read and to an event: two servers, one of which seals nothing, are asked in turn.
async fn sealing(profiles: usize) -> anyhow::Result<()> {
    let directory = std::env::temp_dir();
    let servers =
        [Server::start(&directory).await?, Server::start_with(&directory, |options| options.unsealed = true).await?];
    for server in &servers {
        server.fill(profiles, IDENTIFIERS).await?;
    }
    settle().await;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let (mut reads, mut events) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for measurement in 0..MEASUREMENTS {
        eprintln!("measurement {measurement} of {MEASUREMENTS}");
        let asked: Vec<usize> = (0..READS).map(|_| random.gen_range(0..profiles)).collect();
        for (server, reads) in servers.iter().zip(&mut reads) {
            reads.push(server.reads(&asked).await?);
        }
        let first = measurement * BATCHES * BATCH;
        let batches: Vec<Vec<(usize, usize)>> = (0..BATCHES)
            .map(|batch| (0..BATCH).map(|at| (random.gen_range(0..profiles), first + batch * BATCH + at + 1)).collect())
            .collect();
        for (server, events) in servers.iter().zip(&mut events) {
            events.push(server.batches(&batches).await?);
        }
    }
    println!("{profiles} profiles with {IDENTIFIERS} identifiers each; CPU of the server over gRPC, medians");
    for (what, [sealed, clear]) in [("GetProfile", &reads), ("event, batches of 100", &events)] {
        let [sealed, clear] = [sealed, clear].map(|took| percentile(took, 50).as_secs_f64() * 1e6);
        let more = (sealed / clear - 1.0) * 100.0;
        println!("{what:24}  sealed {sealed:7.2} µs  in the clear {clear:7.2} µs  {more:+6.1} %  at most +10 %");
    }
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort();
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Gives events of existing customers, as the customer and a number.
type Batch<'a> = dyn FnMut(usize) -> Vec<(usize, usize)> + 'a;

impl Server {
    async fn events_over_grpc(&self, batch: &mut Batch<'_>) -> anyhow::Result<Vec<Duration>> {
        let mut measured = Vec::with_capacity(MEASUREMENTS);
        for _ in 0..MEASUREMENTS {
            let batches: Vec<_> = (0..BATCHES).map(|_| batch(BATCH)).collect();
            measured.push(self.batches(&batches).await?);
        }
        Ok(measured)
    }

    /// Sends batches, and gives back what the server needed for an event.
    async fn batches(&self, batches: &[Vec<(usize, usize)>]) -> anyhow::Result<Duration> {
        let mut client = EventServiceClient::new(self.channel.clone());
        let request = |events: &Vec<(usize, usize)>| pb::IngestEventsRequest {
            events: events.iter().map(|(customer, number)| message(*customer, *number)).collect(),
            validate_only: false,
        };
        let requests: Vec<_> = batches.iter().map(request).collect();
        let before = cpu(Threads::Server);
        for request in requests {
            let results = client.ingest_events(request).await?.into_inner().results;
            ensure!(results.iter().all(|result| result.status() == pb::EventStatus::Accepted));
        }
        Ok((cpu(Threads::Server) - before) / u32::try_from(BATCHES * BATCH)?)
    }

    /// Reads customers one after the other, and gives back what the server needed for one.
    async fn reads(&self, customers: &[usize]) -> anyhow::Result<Duration> {
        let mut client = ProfileServiceClient::new(self.channel.clone());
        let before = cpu(Threads::Server);
        for customer in customers {
            let request = pb::GetProfileRequest { customer: Some(user(*customer)), ..Default::default() };
            ensure!(client.get_profile(request).await?.into_inner().profile.is_some());
        }
        Ok((cpu(Threads::Server) - before) / u32::try_from(customers.len())?)
    }

    async fn events_without_grpc(&self, batch: &mut Batch<'_>) -> anyhow::Result<Vec<Duration>> {
        let mut measured = Vec::with_capacity(MEASUREMENTS);
        for _ in 0..MEASUREMENTS {
            let drafts = |events: Vec<(usize, usize)>| -> Vec<Draft> {
                events.into_iter().map(|(customer, number)| draft(customer, number, 2)).collect()
            };
            let batches: Vec<_> = (0..BATCHES).map(|_| drafts(batch(BATCH))).collect();
            let before = cpu(Threads::All);
            for drafts in batches {
                accept(&self.app, drafts).await?;
            }
            measured.push((cpu(Threads::All) - before) / u32::try_from(BATCHES * BATCH)?);
        }
        Ok(measured)
    }

    /// Decides and folds batches whose customers were read before. One thread does nothing else, so that the wall clock
    /// is as good as the time of the CPU.
    async fn deciding_alone(&self, batch: &mut Batch<'_>) -> anyhow::Result<Vec<Duration>> {
        let resolver = Resolver::default();
        let mut measured = Vec::with_capacity(MEASUREMENTS);
        for _ in 0..MEASUREMENTS {
            let (mut known, mut events) = (Known::default(), Vec::new());
            let now = SystemContext.now();
            for (customer, number) in batch(BATCH) {
                let user = Identifier::parse("user_id", &format!("customer-{customer}"))?;
                let found = self.app.get_profile(&caller(), &CustomerRef::Identifier(user), &Read::default()).await?;
                let profile = found.0.profile;
                known.owners.extend(profile.identifiers().into_iter().map(|owned| (owned.clone(), profile.id)));
                known.profiles.insert(profile.id, profile);
                let accepted = draft(customer, number, 2).accept(now, &mut Violations::new());
                events.push(accepted.context("a well-formed event")?);
            }
            let mut before = Loaded(known.profiles.clone());
            let began = Instant::now();
            let mut new_id = || SystemContext.new_id();
            let mut decider = Decider::new(&resolver, known, &mut new_id);
            for (event, identifiers) in events {
                decider.decide(event, resolver.sort_out(identifiers))?;
            }
            let (facts, _) = decider.finish();
            let projected = projection::project(&facts, now, &mut before).unwrap_or_else(|never| match never {});
            measured.push(began.elapsed() / u32::try_from(BATCH)?);
            ensure!(!projected.profiles.is_empty());
        }
        Ok(measured)
    }

    /// Merges and unmerges pairs of customers that nobody else is; wall-clock time of each.
    async fn merges(&self, profiles: usize) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
        let mut client = ProfileServiceClient::new(self.channel.clone());
        let (mut merges, mut unmerges) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            let [target, source] = [0, 1].map(|side| profiles + 1 + 2 * pair + side);
            for customer in [target, source] {
                accept(&self.app, (0..PAIR_EVENTS).map(|number| draft(customer, number, 2)).collect()).await?;
            }
            let (target, sources) = (Some(user(target)), vec![user(source)]);
            let request = pb::MergeProfilesRequest { target, sources, ..Default::default() };
            let began = Instant::now();
            let merged = client.merge_profiles(request).await?.into_inner();
            merges.push(began.elapsed());
            let request = pb::UnmergeProfilesRequest { merge_id: merged.merge_id, ..Default::default() };
            let began = Instant::now();
            let unmerged = client.unmerge_profiles(request).await?.into_inner();
            unmerges.push(began.elapsed());
            ensure!(unmerged.profiles.len() == 2);
        }
        Ok((merges, unmerges))
    }
}

/// Customers that were read before, of whom no timeline is needed.
struct Loaded(HashMap<ProfileId, Arc<Profile>>);

impl Before for Loaded {
    type Error = Infallible;

    fn profile(&mut self, id: ProfileId) -> Result<Option<Profile>, Infallible> {
        Ok(self.0.remove(&id).map(Arc::unwrap_or_clone))
    }

    fn history(&self, _: ProfileId) -> Result<History, Infallible> {
        Ok(History::default())
    }
}
