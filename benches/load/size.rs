//! The program, its start, and what it takes without work.

use std::process::Command;
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::process::{PROGRAM, Process};
use crate::scenarios::median;

const STARTS: usize = 7;
/// Between two looks whether a server that starts serves.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Prints all three beside their targets.
pub(crate) async fn size() -> anyhow::Result<()> {
    println!("| | measured | target |");
    println!("|---|---|---|");
    println!("| the program, stripped | {:.1} MB | < 25 MB |", stripped()? as f64 / 1e6);
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let home = tempfile::tempdir()?;
        let began = Instant::now();
        let server = Process::begin(home.path(), "")?;
        while !serves(&server.address).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        starts.push(began.elapsed().as_secs_f64() * 1e3);
        server.settle().await?;
        idle.push(server.resident()? as f64 / 1e6);
    }
    println!("| from the start on an empty directory to SERVING | {:.0} ms | < 300 ms |", median(&starts));
    println!("| resident without work | {:.1} MB | < 50 MB |", median(&idle));
    Ok(())
}

async fn serves(address: &str) -> bool {
    let Ok(endpoint) = Channel::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    let mut client = HealthClient::new(channel);
    let answer = client.check(HealthCheckRequest { service: String::new() }).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

/// Bytes of the program without symbols, where there is a `strip`; as it lies elsewhere.
fn stripped() -> anyhow::Result<u64> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("rapport");
    std::fs::copy(PROGRAM, &copy)?;
    if !Command::new("strip").arg(&copy).status().is_ok_and(|status| status.success()) {
        eprintln!("there is no strip: symbols are counted too");
    }
    Ok(copy.metadata()?.len())
}
