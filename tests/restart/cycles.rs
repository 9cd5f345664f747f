//! Cycles of writing, SIGKILL, and a look at what is left.
//!
//! A cycle starts a server, lets one writer for each kind of write work, kills the server, kills further starts in one
//! of several phases, and then holds what is left to what the writers were told.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rand::Rng;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::backups;
use crate::server::Server;
use crate::writers::{Events, Fault, Merges, Route, Rules, SourcePriorities, Training, Writer};

/// A load that comes to nothing ends here; every cycle of a healthy server is over long before.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a checkpoint is waited for, with a server that is busy enough to make one.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(20);

/// What else is killed in a cycle, before the server may start in peace. A new phase is one entry.
const PHASES: [(&str, Phase); 7] = [
    ("nothing else", Phase::Nothing),
    ("a start before it serves", Phase::Start { within_ms: 400 }),
    ("two starts before they serve", Phase::TwoStarts { within_ms: 200 }),
    ("the rebuilding of the index", Phase::Rebuild { within_ms: 1_500 }),
    ("an orderly stop", Phase::Stop { within_ms: 150 }),
    ("a checkpoint", Phase::Checkpoint { within_ms: 10 }),
    ("a backup and its restoring", Phase::Backup { within_ms: 200 }),
];

#[derive(Debug, Clone, Copy)]
enum Phase {
    Nothing,
    Start { within_ms: u64 },
    TwoStarts { within_ms: u64 },
    Rebuild { within_ms: u64 },
    Stop { within_ms: u64 },
    Checkpoint { within_ms: u64 },
    Backup { within_ms: u64 },
}

/// How much is done, by default little.
struct Plan {
    cycles: u64,
    /// Cycles after which a directory is compared as a whole and left for a new one.
    cycles_per_directory: u64,
    /// Events of a batch.
    batch: u64,
    /// Acknowledged events that a cycle waits for before it kills, at least.
    events: u64,
    seed: u64,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str, own| std::env::var(name).ok().map_or(own, |text| text.parse().expect("a number"));
        Self {
            cycles: number("RAPPORT_FAULT_CASES", 10),
            cycles_per_directory: number("RAPPORT_KILL_CYCLES_PER_DIRECTORY", 10),
            batch: number("RAPPORT_KILL_BATCH", 50),
            events: number("RAPPORT_KILL_EVENTS", 400),
            seed: number("RAPPORT_FAULT_SEED", 0),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_halved_or_doubled_by_kills() {
    let plan = Plan::from_environment();
    let (mut home, mut acknowledged) = (None::<Home>, 0);
    for cycle in 0..plan.cycles {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(plan.seed + cycle);
        let (name, phase) = PHASES[usize::try_from((plan.seed + cycle) % PHASES.len() as u64).expect("small")];
        let ends = (cycle + 1) % plan.cycles_per_directory == 0 || cycle + 1 == plan.cycles;
        let this = home.get_or_insert_with(|| Home::new(plan.batch));
        let events = plan.events + random.gen_range(0..=plan.events);
        let played = this.cycle(events, phase, &mut random).await;
        acknowledged += played.unwrap_or_else(|fault| panic!("cycle {cycle}, which also killed {name}: {fault}"));
        if ends {
            let compared = home.take().expect("a directory").compare_all().await;
            compared.unwrap_or_else(|fault| panic!("after cycle {cycle}: {fault}"));
        }
        if (cycle + 1) % 10 == 0 || cycle + 1 == plan.cycles {
            eprintln!("{} of {} cycles, {acknowledged} events acknowledged, 0 faults", cycle + 1, plan.cycles);
        }
    }
    assert!(acknowledged >= plan.cycles * plan.events, "only {acknowledged} events were acknowledged");
}

/// A data directory with those who write to it.
struct Home {
    directory: TempDir,
    writers: Vec<Box<dyn Writer>>,
}

impl Home {
    fn new(batch: u64) -> Self {
        let writers: Vec<Box<dyn Writer>> = vec![
            Box::new(Events::new("stream", Route::Stream, batch)),
            Box::new(Events::new("batch", Route::Calls, batch)),
            Box::new(Events::new("single", Route::Calls, 1)),
            Box::new(Merges::new()),
            Box::new(Rules::default()),
            Box::new(SourcePriorities::default()),
            Box::new(Training::default()),
        ];
        Self { directory: tempfile::tempdir().expect("a directory"), writers }
    }

    /// One cycle; the number of events that were acknowledged before the kill.
    async fn cycle(&mut self, events: u64, phase: Phase, random: &mut Xoshiro256PlusPlus) -> Result<u64, Fault> {
        let home = self.directory.path().join("data");
        let server = Server::start(&home).await;
        let (progress, mut seen) = watch::channel(0);
        let mut writing = JoinSet::new();
        for (position, mut writer) in self.writers.drain(..).enumerate() {
            let (channel, progress) = (server.channel(), progress.clone());
            writing.spawn(async move {
                let written = writer.write(channel, progress).await;
                (position, writer, written)
            });
        }
        // Nobody of them ends while the server is there.
        tokio::select! {
            _ = seen.wait_for(|seen| *seen >= events) => {}
            Some(early) = writing.join_next() => {
                let (.., written) = early.map_err(|error| error.to_string())?;
                written?;
                return Err("a writer ended, and the server was not killed yet".to_owned());
            }
            () = tokio::time::sleep(LOAD_TIMEOUT) => return Err("the writers come to nothing".to_owned()),
        }
        pause(random.gen_range(0..40)).await;
        phase.begin(&server, &home, random).await;
        server.kill();
        let mut writers = writing.join_all().await;
        writers.sort_by_key(|(position, ..)| *position);
        for (_, writer, written) in writers {
            written?;
            self.writers.push(writer);
        }
        let acknowledged = *seen.borrow();
        phase.play(&home, random).await;
        let server = Server::start(&home).await;
        self.settle(&server).await?;
        if let Phase::Backup { .. } = phase {
            backups::replace(server, &home, random).await?;
            let server = Server::start(&home).await;
            self.settle(&server).await?;
        }
        Ok(acknowledged)
    }

    async fn settle(&mut self, server: &Server) -> Result<(), Fault> {
        for writer in &mut self.writers {
            writer.settle(server.channel()).await?;
        }
        Ok(())
    }

    async fn compare_all(mut self) -> Result<(), Fault> {
        let server = Server::start(&self.directory.path().join("data")).await;
        for writer in &mut self.writers {
            writer.compare_all(server.channel()).await?;
        }
        Ok(())
    }
}

impl Phase {
    /// Begins what the death of the server is to interrupt.
    async fn begin(self, server: &Server, home: &Path, random: &mut Xoshiro256PlusPlus) {
        match self {
            Self::Stop { within_ms } => {
                server.terminate();
                pause(random.gen_range(0..within_ms)).await;
            }
            Self::Checkpoint { within_ms } => {
                // A busy machine may begin none in time: the kill then meets what there is.
                let _none_in_time = tokio::time::timeout(CHECKPOINT_TIMEOUT, until_checkpoint(home)).await;
                pause(random.gen_range(0..within_ms)).await;
            }
            Self::Backup { within_ms } => backups::begin(server, home, within_ms, random).await,
            Self::Nothing | Self::Start { .. } | Self::TwoStarts { .. } | Self::Rebuild { .. } => {}
        }
    }

    /// Kills what the phase is about, after the server of the cycle is dead.
    async fn play(self, home: &Path, random: &mut Xoshiro256PlusPlus) {
        let (starts, within_ms) = match self {
            Self::Nothing | Self::Stop { .. } | Self::Checkpoint { .. } | Self::Backup { .. } => return,
            Self::Start { within_ms } => (1, within_ms),
            Self::TwoStarts { within_ms } => (2, within_ms),
            Self::Rebuild { within_ms } => {
                std::fs::remove_dir_all(home.join("index")).expect("an index");
                (1, within_ms)
            }
        };
        for _ in 0..starts {
            let server = Server::spawn(home);
            pause(random.gen_range(0..within_ms)).await;
            server.kill();
        }
    }
}

/// Waits until a checkpoint is being written, or was since this began.
async fn until_checkpoint(home: &Path) {
    let names = || -> BTreeSet<OsString> {
        let files = std::fs::read_dir(home.join("checkpoints")).into_iter().flatten().flatten();
        files.map(|file| file.file_name()).collect()
    };
    let before = names();
    while names().is_subset(&before) {
        pause(1).await;
    }
}

/// The moment of a kill is the one thing here that time decides.
pub(crate) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
