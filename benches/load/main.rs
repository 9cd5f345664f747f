//! What a server takes beside a bare echo, asked as its users ask: over sockets, with keys, figures and sealed data.
//!
//! ```text
//! cargo bench --bench load -- reads [PROFILES [PYTHON]]  # CPU, throughput and latency of reads beside an echo of the
//!                                                  # same bytes, and of a peer, by a Python that has grpcio and scikit-learn
//! cargo bench --bench load -- events [PROFILES]    # events a second, durable, and what each takes
//! cargo bench --bench load -- noisy [PROFILES]     # what a workspace notices of one that sends ten times its quota
//! cargo bench --bench load -- growth [PROFILES…]   # what a read takes of CPU, and the server of memory, as profiles become many
//! cargo bench --bench load -- retrain [PROFILES]   # reads beside a training
//! cargo bench --bench load -- stream [PROFILES]    # predictions of everybody by one stream
//! cargo bench --bench load -- size                 # the program, its start, and what it takes without work
//! cargo bench --bench load -- overload [PROFILES] # a quarter of a core, and two, five and ten times what it can take
//! cargo bench --bench load -- hostile [PROFILES]  # what readers notice of a thousand connections that mean harm
//! ```
//!
//! `growth`, `retrain` and `stream` fill stores that take a while; with a directory in `BENCH_KEEP` they are filled
//! once and used again. `BENCH_SETTINGS` adds to the server's settings, in TOML.
//!
//! The server is the program itself, in a process of its own, with a key, `metrics.listen` and a data directory in the
//! temporary directory; the echo is a server of the same library on the same kind of runtime, which answers every request
//! with the bytes that the server answered the first one with. Both are asked in turn, several times, by the same
//! client. CPU is what the operating system says of the process; a table has the medians and the ratios. Latencies of open
//! loads count from the moment at which a request was due, so that a server that stalls is not asked less (no coordinated
//! omission).

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod client;
mod crowd;
mod data;
mod echo;
mod growth;
mod hostile;
mod kept;
mod overload;
mod peer;
mod process;
mod quota;
#[path = "../../fuzz/src/raw.rs"]
mod raw;
mod retrain;
mod scenarios;
mod size;
mod stream;

use std::path::Path;

use anyhow::bail;

/// Profiles, unless the command line says otherwise.
const PROFILES: usize = 100_000;

fn main() -> anyhow::Result<()> {
    // cargo passes a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["echo", reply] = words[..] {
        return echo::serve(reply.as_ref());
    }
    if let ["stalls"] = words[..] {
        return quota::print_stalls();
    }
    let profiles = words.get(1).map(|number| number.parse()).transpose()?.unwrap_or(PROFILES);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match words.first() {
        None | Some(&"reads") => runtime.block_on(scenarios::reads(profiles, words.get(2).map(Path::new))),
        Some(&"events") => runtime.block_on(scenarios::events(profiles)),
        Some(&"noisy") => runtime.block_on(scenarios::noisy(profiles)),
        Some(&"growth") => runtime.block_on(growth::growth(&numbers(&words[1..])?)),
        Some(&"retrain") => runtime.block_on(retrain::retrain(profiles)),
        Some(&"stream") => runtime.block_on(stream::stream(profiles)),
        Some(&"size") => runtime.block_on(size::size()),
        Some(&"overload") => runtime.block_on(overload::overload(profiles)),
        Some(&"hostile") => runtime.block_on(hostile::hostile(profiles)),
        Some(other) => bail!("there is no scenario {other}; the head of the bench's source lists them"),
    }
}

/// Numbers of profiles, the smallest of which the others are held against.
fn numbers(words: &[&str]) -> anyhow::Result<Vec<usize>> {
    let numbers: Vec<usize> = words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    Ok(if numbers.is_empty() { vec![10_000, PROFILES] } else { numbers })
}
