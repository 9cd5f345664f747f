//! The real binary on a data directory.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_rapport");
/// Variables that choose our cases.
const OURS: [&str; 3] = ["RAPPORT_FAULT_", "RAPPORT_KILL_", "RAPPORT_SIMULATION_"];
/// A start takes no longer than this, also where everything is rebuilt on a machine that does much else.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A process that may or may not serve yet; killed when dropped.
pub(crate) struct Server {
    process: Child,
    address: Option<oneshot::Receiver<String>>,
    channel: Option<Channel>,
}

impl Server {
    /// Starts the process and does not wait for it.
    pub(crate) fn spawn(data_dir: &Path) -> Self {
        Self::spawn_with(data_dir, &[])
    }

    /// The same with settings from the environment.
    pub(crate) fn spawn_with(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.envs(settings.iter().copied());
        Self::spawn_as(command, data_dir)
    }

    /// The same under another program that starts it.
    pub(crate) fn spawn_under(other: &[String], data_dir: &Path) -> Self {
        let (program, arguments) = other.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments).arg(PROGRAM);
        Self::spawn_as(command, data_dir)
    }

    fn spawn_as(mut command: Command, data_dir: &Path) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        // They are no setting of the server, which would refuse it.
        for (name, _) in std::env::vars().filter(|(name, _)| OURS.iter().any(|ours| name.starts_with(ours))) {
            command.env_remove(name);
        }
        // Small segments, so that they end often, and a checkpoint after as many bytes.
        command.env("RAPPORT_LOG_FORMAT", "json");
        command.env("RAPPORT_STORAGE_SEGMENT_BYTES", "1048576").env("RAPPORT_STORAGE_CHECKPOINT_BYTES", "1048576");
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let (sender, address) = oneshot::channel();
        // The pipe is read to its end, so that the server never waits for us.
        std::thread::spawn(move || {
            let mut sender = Some(sender);
            for line in lines.map_while(Result::ok) {
                if let Some(address) = served_address(&line)
                    && let Some(sender) = sender.take()
                {
                    let _nobody_waits_any_more = sender.send(address);
                }
            }
        });
        Self { process, address: Some(address), channel: None }
    }

    /// Starts the process and waits until it serves.
    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::spawn(data_dir).serving().await
    }

    /// Waits until it serves.
    pub(crate) async fn serving(mut self) -> Self {
        let address = self.address.take().expect("waited for once");
        let address = tokio::time::timeout(START_TIMEOUT, address).await.expect("it serves in time");
        let address = address.expect("it serves; its last lines say why it does not");
        let endpoint = Endpoint::from_shared(address).expect("an address").timeout(Duration::from_secs(60));
        self.channel = Some(endpoint.connect().await.expect("connects"));
        self
    }

    /// Where clients connect.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone().expect("it serves")
    }

    /// Asks the process to end, as a supervisor does.
    pub(crate) fn terminate(&self) {
        let terminate = format!("kill -TERM {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &terminate]).status().expect("a shell").success());
    }

    /// Asks the process to end and gives back how it ended; `None` where it has not after a while that is far above
    /// what it may take.
    pub(crate) async fn stop(mut self) -> Option<ExitStatus> {
        self.terminate();
        for _ in 0..300 {
            if let Some(status) = self.process.try_wait().expect("a child of ours") {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("dies");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

/// The address, from the log line that tells it. Others go to where a failing test shows them, and so does what is said
/// by a program that does not even come to log.
fn served_address(line: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
        eprintln!("{line}");
        return None;
    };
    if line["message"] == "serving" {
        return Some(format!("http://{}", line["address"].as_str()?));
    }
    if line["level"] == "ERROR" {
        eprintln!("{line}");
    }
    None
}
