//! What a team would write instead, asked as we are.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::client::{Client, Requests};
use crate::process::Process;
use crate::scenarios::{AT_ONCE, median};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/grpc_peer.py");
const PREDICT: &str = "/bench.Peer/Predict";
const ROUNDS: usize = 5;
const REQUESTS: usize = 5_000;

/// A row about a service of grpcio and scikit-learn, by a Python that has both.
pub(crate) async fn predictions(python: &Path, customers: usize) -> anyhow::Result<()> {
    let peer = Process::peer(python, SCRIPT.as_ref(), customers)?;
    let client = Client::connect(&peer.address, "none").await?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let request = |_| random.gen_range(0..customers).to_string().into_bytes();
    let requests = Requests::new(PREDICT, (0..REQUESTS).map(request).collect());
    let one = Arc::new(Requests {
        path: requests.path.clone(),
        bodies: requests.bodies.get(..REQUESTS / 5).context("requests")?.to_vec(),
    });
    let (mut cpu, mut per_second, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = peer.cpu()?;
        let lap = client.closed(&requests, AT_ONCE).await.whole()?;
        cpu.push((peer.cpu()? - before).as_secs_f64() * 1e6 / REQUESTS as f64);
        per_second.push(lap.per_second());
        p99.push(client.closed(&one, 1).await.whole()?.quantile(0.99).as_secs_f64() * 1e6);
    }
    let (cpu, per_second, p99) = (median(&cpu), median(&per_second), median(&p99));
    println!("| grpcio and scikit-learn, one prediction | | {cpu:.1} | | | {per_second:.0} | | | {p99:.0} | | |");
    Ok(())
}
