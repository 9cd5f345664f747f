//! How long it takes until a store serves again, and what it takes on disk.
//!
//! ```text
//! cargo bench --bench recovery                        # a million profiles with three events each
//! cargo bench --bench recovery -- 200000              # fewer
//! cargo bench --bench recovery -- 1000000 DIRECTORY   # on the disk that matters, instead of the temporary directory
//! ```
//!
//! The store is filled by a process of its own, customers in turn and not one after the other, so that every profile
//! is written several times. Each start is that of a fresh process, from opening the directory until a customer is
//! answered: after a clean end, after SIGKILL in the middle of writing, with the index deleted (it is made from a
//! checkpoint), and with the checkpoints deleted too (it is made from the whole journal). The files are as the system
//! has them in memory; a machine that was just booted reads them from its disk first.
//!
//! *Live* is what nobody could do without: the journal, and for each profile, identifier and event the bytes of its
//! newest value in the index with its key.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rapport::app::context::SystemContext;
use rapport::app::{App, CustomerRef, Read};
use rapport::domain::event::Draft;
use rapport::domain::identifier::Identifier;
use rapport::domain::time::Timestamp;
use rapport::store::embedded::{self, EmbeddedStore, Mode, Options};
use rapport::store::{BackupRequest, Backups as _, ProfileReader as _, Store};
use tokio::task::JoinSet;

use support::{accept, bytes_on_disk, caller, draft};

/// Profiles, unless the command line says otherwise.
const PROFILES: usize = 1_000_000;
/// Events and identifiers of each profile.
const EVENTS: usize = 3;
const IDENTIFIERS: usize = 3;
/// Events of one batch, and batches on their way at the same time.
const BATCH: usize = 1_000;
const WRITERS: usize = 4;
/// How long a process writes before it is killed.
const WRITING: Duration = Duration::from_secs(3);
/// Profiles that are read at a time.
const PAGE: usize = 1_000;
/// Bytes of a profile's key and of an identifier's, of an identifier's value, and of what the index has of an event: its
/// place, and the digest of its key with its place again.
const PROFILE_KEY_BYTES: u64 = 25;
const OWNER_BYTES: u64 = 25 + 16;
const EVENT_BYTES: u64 = 16 + 32;

fn main() -> anyhow::Result<()> {
    // cargo passes a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let [role, profiles, directory] = &arguments[..] {
        let (profiles, directory) = (profiles.parse()?, Path::new(directory));
        return match role.as_str() {
            "fill" => runtime.block_on(fill(profiles, directory)),
            "write" => runtime.block_on(write(profiles, directory)),
            _ => runtime.block_on(start(directory)),
        };
    }
    let profiles = arguments.first().map(|number| number.parse()).transpose()?.unwrap_or(PROFILES);
    let directory = arguments.get(1).map(PathBuf::from).unwrap_or_else(std::env::temp_dir);
    let home = tempfile::tempdir_in(directory)?;
    runtime.block_on(measure(profiles, home.path()))
}

fn open(directory: &Path) -> anyhow::Result<Arc<EmbeddedStore>> {
    Ok(Arc::new(EmbeddedStore::open(Options::new(directory, [1; 16]))?))
}

async fn serve(store: &Arc<EmbeddedStore>) -> anyhow::Result<App> {
    Ok(App::start(Arc::clone(store) as Arc<dyn Store>, Arc::new(SystemContext)).await?)
}

/// Gives events to a server, some batches at a time.
async fn send(app: &App, batches: impl Iterator<Item = Vec<Draft>>) -> anyhow::Result<()> {
    let mut sending = JoinSet::new();
    for batch in batches {
        if sending.len() == WRITERS {
            sending.join_next().await.context("a batch")???;
        }
        let app = app.clone();
        sending.spawn(async move { accept(&app, batch).await });
    }
    sending.join_all().await.into_iter().collect()
}

/// The process that fills a store.
async fn fill(profiles: usize, directory: &Path) -> anyhow::Result<()> {
    let app = serve(&open(directory)?).await?;
    let began = Instant::now();
    for number in 0..EVENTS {
        let identifiers = if number == 0 { IDENTIFIERS } else { 2 };
        let batch = |first: usize| {
            let customers = first..profiles.min(first + BATCH);
            customers.map(|customer| draft(customer, number, identifiers)).collect()
        };
        send(&app, (0..profiles).step_by(BATCH).map(batch)).await?;
        eprintln!("filled {} of {EVENTS} events of each profile after {:.0?}", number + 1, began.elapsed());
    }
    app.shut_down().await?;
    Ok(())
}

/// The process that writes until it is killed.
async fn write(profiles: usize, directory: &Path) -> anyhow::Result<()> {
    let app = serve(&open(directory)?).await?;
    println!("writing");
    std::io::stdout().flush()?;
    let batch =
        |first: usize| (first..first + BATCH).map(|event| draft(event * 7_919 % profiles, EVENTS + event, 2)).collect();
    send(&app, (0..).step_by(BATCH).map(batch)).await
}

/// The process that starts, answers, and says how many seconds that took.
async fn start(directory: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    let app = serve(&open(directory)?).await?;
    let first = CustomerRef::Identifier(Identifier::parse("user_id", "customer-0")?);
    app.get_profile(&caller(), &first, &Read::default()).await?;
    println!("{}", began.elapsed().as_secs_f64());
    app.shut_down().await?;
    Ok(())
}

fn process(role: &str, profiles: usize, directory: &Path) -> anyhow::Result<Child> {
    let directory = directory.to_str().context("a directory in UTF-8")?;
    let arguments = [role, &profiles.to_string(), directory];
    Ok(Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?)
}

/// Runs a process to its end and gives back what it said.
fn run(role: &str, profiles: usize, directory: &Path) -> anyhow::Result<String> {
    let ended = process(role, profiles, directory)?.wait_with_output()?;
    ensure!(ended.status.success(), "the process to {role} failed");
    Ok(String::from_utf8(ended.stdout)?)
}

fn seconds_to_start(profiles: usize, directory: &Path) -> anyhow::Result<f64> {
    eprintln!("starting");
    Ok(run("start", profiles, directory)?.trim().parse()?)
}

fn kill_in_the_middle(profiles: usize, directory: &Path) -> anyhow::Result<()> {
    let mut writer = process("write", profiles, directory)?;
    let mut said = String::new();
    BufReader::new(writer.stdout.take().context("its output")?).read_line(&mut said)?;
    ensure!(said.trim() == "writing");
    std::thread::sleep(WRITING);
    writer.kill()?;
    writer.wait()?;
    Ok(())
}

/// Bytes of what the index could not do without.
async fn live_bytes_of_index(store: &EmbeddedStore) -> anyhow::Result<u64> {
    let (mut bytes, mut after) = (0, None);
    loop {
        let page = store.scan_profiles(&caller().workspace, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(bytes) };
        after = Some(last.id);
        for profile in &page {
            let (owned, events) = (profile.count_identifiers() as u64, profile.state.activity.events());
            let profile = postcard::to_allocvec(profile)?.len() as u64;
            bytes += PROFILE_KEY_BYTES + profile + owned * OWNER_BYTES + events * EVENT_BYTES;
        }
    }
}

async fn measure(profiles: usize, home: &Path) -> anyhow::Result<()> {
    let (data, backup, restored) = (home.join("data"), home.join("backup"), home.join("restored"));
    run("fill", profiles, &data)?;
    let print = |what: &str, figure: f64, unit: &str, target: &str| {
        println!("{what:58}  {figure:9.2} {unit:5}  {target}");
    };
    println!("{profiles} profiles with {EVENTS} events and {IDENTIFIERS} identifiers each");
    let part = |name: &str| bytes_on_disk(&data.join(name));
    let (journal, index, checkpoints) = (part("journal")?, part("index")?, part("checkpoints")?);
    let store = open(&data)?;
    let live = journal + live_bytes_of_index(&store).await?;
    store.close().await?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    print("journal", megabytes(journal), "MB", "");
    print("index", megabytes(index), "MB", "");
    print("checkpoints", megabytes(checkpoints), "MB", "");
    let ratio = (journal + index + checkpoints) as f64 / live as f64;
    print("all of it beside what is live", ratio, "times", "at most 2.5");

    print("start after a clean end", seconds_to_start(profiles, &data)?, "s", "at most 2");
    kill_in_the_middle(profiles, &data)?;
    print("start after SIGKILL in the middle of writing", seconds_to_start(profiles, &data)?, "s", "at most 5");
    std::fs::remove_dir_all(data.join("index"))?;
    print("start without an index, from a checkpoint", seconds_to_start(profiles, &data)?, "s", "at most 60");
    std::fs::remove_dir_all(data.join("index"))?;
    std::fs::remove_dir_all(data.join("checkpoints"))?;
    print("start without either, from the journal", seconds_to_start(profiles, &data)?, "s", "at most 60");

    let store = open(&data)?;
    let observer = Box::new(|_| ControlFlow::Continue(()));
    let request = BackupRequest { directory: backup.clone(), time: Timestamp::from_micros(0), observer };
    let began = Instant::now();
    let made = store.back_up(request).await?;
    print("backup", began.elapsed().as_secs_f64(), "s", "");
    print("  its size", megabytes(made.bytes_copied), "MB", "");
    store.close().await?;
    let began = Instant::now();
    embedded::restore(&backup, &restored, &mut |_| ControlFlow::Continue(()))?;
    let took = began.elapsed();
    print("restore", took.as_secs_f64(), "s", "");
    let verified = embedded::verify(&Options::new(&restored, [1; 16]), Mode::Look, &mut |_| ControlFlow::Continue(()))?;
    print("restore and verify", began.elapsed().as_secs_f64(), "s", "at most 60 for 1,000 MB");
    ensure!(verified.remaining().all(|finding| !finding.remains()), "the restored store has faults");
    Ok(())
}
