//! What reads notice of a training.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rapport::rpc::pb;

use crate::client::{Client, Lap, Requests};
use crate::crowd::{BUYERS, PLAIN};
use crate::data;
use crate::kept::Kept;
use crate::stream::linear;

/// Reads a second: a tenth of what the server can.
const RATE: f64 = 1_000.0;
/// For how long they are asked at a time.
const TIME: Duration = Duration::from_secs(5);
/// How often, before the training and behind it.
const ALONE: usize = 3;

/// Reads at a modest rate alone, and while models are trained.
pub(crate) async fn retrain(customers: usize) -> anyhow::Result<()> {
    // Prepared as for `stream`, which may be asked for over the same store.
    let kept = Kept::new(BUYERS, customers, (PLAIN, linear)).await?;
    let requests = data::profiles(customers, 100_000);
    kept.client.closed(&requests, 32).await.whole()?;
    println!("| reads, {RATE} per s | p50 us | p99 us | p99.9 us | of p99 alone |");
    println!("|---|---|---|---|---|");
    for kind in [pb::ModelKind::Segments, pb::ModelKind::Churn] {
        // Before each training, because the machine is not the same all the time.
        let alone = laps(&kept.client, &requests, || true, ALONE).await?;
        let (client, began) = (kept.client.clone(), Instant::now());
        let training = tokio::spawn(async move { data::train(&client, kind).await.map(|()| began.elapsed()) });
        let beside = laps(&kept.client, &requests, || !training.is_finished(), usize::MAX).await?;
        let took = training.await?;
        row(&format!("beside a training of {kind:?}, {took:.0?}"), &beside, &alone);
        row("alone before it", &alone, &alone);
        kept.server.settle().await?;
    }
    println!("{} MB resident", kept.server.resident()? / 1_000_000);
    Ok(())
}

/// Reads for as long as there is something to see, as one.
async fn laps(
    client: &Client,
    requests: &Arc<Requests>,
    goes_on: impl Fn() -> bool,
    most: usize,
) -> anyhow::Result<Lap> {
    let mut all = Lap::default();
    for _ in 0..most {
        let lap = client.open(requests, RATE, TIME).await?.whole()?;
        all.latencies.extend(lap.latencies);
        all.took += lap.took;
        if !goes_on() {
            break;
        }
    }
    all.latencies.sort_unstable();
    Ok(all)
}

fn row(name: &str, lap: &Lap, alone: &Lap) {
    let micros = |lap: &Lap, share| lap.quantile(share).as_secs_f64() * 1e6;
    let (p50, p99, p999) = (micros(lap, 0.5), micros(lap, 0.99), micros(lap, 0.999));
    println!("| {name} | {p50:.0} | {p99:.0} | {p999:.0} | {:.2} |", p99 / micros(alone, 0.99));
}
