//! The processes that are asked, and what they take.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::client::Client;

/// The program that this package makes.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_rapport");
/// Ticks of the clock by which the operating system counts CPU time; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const ALL_SCOPES: &str = "events:write,profiles:read,profiles:pii,predictions:read,training:write,privacy:write,admin";

/// A process that is ended with this.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Process {
    /// An echo that answers with the content of a file.
    pub(crate) fn echo(reply: &Path) -> anyhow::Result<Self> {
        Self::announced(Command::new(std::env::current_exe()?).arg("echo").arg(reply))
    }

    /// A service of somebody else's, which a script is.
    pub(crate) fn peer(python: &Path, script: &Path, customers: usize) -> anyhow::Result<Self> {
        Self::announced(Command::new(python).arg(script).arg(customers.to_string()))
    }

    /// A process that says on its first line where it listens.
    fn announced(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().context("an output")?).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// A server over a directory, with `settings` in TOML beside those that say where it is.
    pub(crate) async fn server(directory: &Path, settings: &str) -> anyhow::Result<Self> {
        let process = Self::begin(directory, settings)?;
        for _ in 0..600 {
            if Client::connect(&process.address, "none").await.is_ok() {
                return Ok(process);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the server does not answer")
    }

    /// The same without waiting until it answers.
    pub(crate) fn begin(directory: &Path, settings: &str) -> anyhow::Result<Self> {
        let [address, metrics] = [free_address()?, free_address()?];
        let data = directory.join("data");
        let config = format!(
            "listen = \"{address}\"\ndata_dir = {data:?}\n{settings}\n[metrics]\nlisten = \"{metrics}\"\n[log]\nfilter = \"warn,h2=error\"\n"
        );
        let file = directory.join("rapport.toml");
        std::fs::write(&file, config)?;
        let child = Command::new(PROGRAM).arg("serve").arg("--config").arg(&file).spawn()?;
        Ok(Self { child, address })
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may hold anything; what follows it does not.
        let (_, rest) = stat.rsplit_once(')').context("a name")?;
        let numbers: Vec<&str> = rest.split_whitespace().collect();
        let ticks = [11, 12].map(|field| numbers.get(field).and_then(|number| number.parse::<f64>().ok()));
        let [Some(user), Some(system)] = ticks else { anyhow::bail!("no times in {stat}") };
        Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
    }

    /// Waits until it does nothing more of what it was asked for before.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        for _ in 0..120 {
            let before = self.cpu()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.cpu()? - before <= Duration::from_millis(20) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets it end in order.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(told.success(), "the server cannot be told to end");
        ensure!(self.child.wait()?.success(), "the server did not end in order");
        Ok(())
    }

    /// Its number among the processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Files and connections that it has open.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Bytes of memory that are its own at the moment.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a size")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }
}

/// A key to a workspace of a server that does not run.
pub(crate) fn make_key(directory: &Path, workspace: &str) -> anyhow::Result<String> {
    let mut command = Command::new(PROGRAM);
    command.args(["keys", "create", "--output", "json", "--workspace", workspace, "--scopes", ALL_SCOPES]);
    let made = command.arg("--data-dir").arg(directory.join("data")).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    Ok(made["api_key"].as_str().or(made["apiKey"].as_str()).context("a key")?.to_owned())
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
