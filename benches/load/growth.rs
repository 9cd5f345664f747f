//! What a read takes of CPU, and the server of memory, as profiles become many.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;

use crate::client::{Client, Requests};
use crate::crowd::PLACID;
use crate::data;
use crate::kept::{Kept, nothing};
use crate::process::Process;
use crate::scenarios::{AT_ONCE, ROUNDS, Side, measured, median};

/// Requests of one measurement; the customers of each are others.
const REQUESTS: usize = 20_000;

/// Reads of random customers beside an echo, with more and more of them: after a start, when few are in memory, and when
/// each has been read once.
pub(crate) async fn growth(sizes: &[usize]) -> anyhow::Result<()> {
    println!(
        "| profiles | read before | bytes | CPU us | echo | ratio | of the first | per s | MB after the start | MB after reads |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut first = None;
    for customers in sizes {
        let kept = Kept::new(PLACID, *customers, (0, nothing)).await?;
        let started = kept.server.resident()? / 1_000_000;
        for read_before in ["some", "all"] {
            if read_before == "all" {
                kept.client.closed(&data::everybody(*customers), AT_ONCE).await.whole()?;
            }
            let (ours, bare, bytes) = beside_echo(&kept, *customers).await?;
            let (cpu, echo) = (median(&ours.cpu), median(&bare.cpu));
            let of_first =
                if read_before == "all" { format!("{:.2}", cpu / *first.get_or_insert(cpu)) } else { String::new() };
            println!(
                "| {customers} | {read_before} | {bytes} | {cpu:.1} | {echo:.1} | {:.2} | {of_first} | {:.0} | {started} | {} |",
                cpu / echo,
                median(&ours.per_second),
                kept.server.resident()? / 1_000_000,
            );
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

async fn beside_echo(kept: &Kept, customers: usize) -> anyhow::Result<(Side, Side, usize)> {
    let all = data::profiles(customers, (ROUNDS + 1) * REQUESTS);
    let mut rounds = all.bodies.chunks(REQUESTS);
    let part =
        |path: &str, bodies: &[_]| anyhow::Ok(Arc::new(Requests { path: path.parse()?, bodies: bodies.to_vec() }));
    let reply = kept.client.ask(0, &all.path, all.bodies[0].clone()).await?;
    let file = kept.home.join("reply");
    std::fs::write(&file, &reply)?;
    let echo = Process::echo(&file)?;
    let to_echo = Client::connect(&echo.address, "none").await?;
    let warm = part(data::GET_PROFILE, rounds.next().context("a round")?)?;
    measured(&kept.server, &kept.client, &warm).await?;
    let (mut ours, mut bare) = (Side::default(), Side::default());
    for bodies in rounds {
        let (cpu, lap) = measured(&kept.server, &kept.client, &part(data::GET_PROFILE, bodies)?).await?;
        ours.note(cpu, &lap);
        let (cpu, lap) = measured(&echo, &to_echo, &part("/bench.Echo/Echo", bodies)?).await?;
        bare.note(cpu, &lap);
    }
    Ok((ours, bare, reply.len()))
}
