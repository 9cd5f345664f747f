//! A thousand connections that mean harm, or are merely slow, beside somebody who reads.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::Requests;
use crate::data;
use crate::scenarios::Filled;

/// Connections of each kind, and how many come from one address: less than the server lets one have.
const HOSTILE: usize = 1_000;
const PER_ADDRESS: usize = 125;
/// Reads in a second of whoever means well, for how long, and how often.
const READS: f64 = 200.0;
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;
/// How long all connections have to be there, and what they held to be free again.
const ARRIVAL: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection that was closed waits before it comes again.
const AGAIN: Duration = Duration::from_secs(1);
/// Requests of a connection that takes no answers, and requests in a second that are reset at once.
const UNREAD: u32 = 8;
const RESETS: u32 = 10;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const INITIAL_WINDOW: u16 = 4;

/// What a connection does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Says nothing at all.
    Silent,
    /// Says a byte a second.
    Slow,
    /// Asks, and takes no answer.
    Deaf,
    /// Takes back what it asks for, at once.
    Resets,
    /// Begins a request whose headers do not end.
    Endless,
}

/// What the connections say.
struct Words {
    server: SocketAddr,
    key: String,
    read: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Words {
    fn hello(window: u32) -> Vec<u8> {
        let setting = [&INITIAL_WINDOW.to_be_bytes()[..], &window.to_be_bytes()].concat();
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &setting)].concat()
    }

    /// Headers of a read, without any compression.
    fn headers(&self) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.key);
        let names = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", data::GET_PROFILE),
            (":authority", "bench"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", &bearer),
        ];
        let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
        names.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
    }

    fn ask(&self, stream: u32) -> Vec<u8> {
        let message = [&[0][..], &(self.read.len() as u32).to_be_bytes(), &self.read].concat();
        let headers = frame(HEADERS, END_HEADERS, stream, &self.headers());
        [headers, frame(DATA, END_STREAM, stream, &message)].concat()
    }

    async fn connect(&self, number: usize) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let last = (number / PER_ADDRESS) as u8 + 2;
        socket.bind((IpAddr::from(Ipv4Addr::new(127, 0, 0, last)), 0).into())?;
        socket.connect(self.server).await
    }

    /// Does what the kind does until the server has enough of it.
    async fn harm(&self, kind: Kind, stream: &mut TcpStream) -> std::io::Result<()> {
        match kind {
            Kind::Silent => {}
            Kind::Slow => {
                for byte in [Self::hello(65_535), self.ask(1)].concat() {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Kind::Deaf => {
                let asks = (0..UNREAD).flat_map(|number| self.ask(number * 2 + 1));
                stream.write_all(&Self::hello(0).into_iter().chain(asks).collect::<Vec<u8>>()).await?;
                // It reads nothing, and so does not hear of the end either.
                return std::future::pending().await;
            }
            Kind::Resets => {
                stream.write_all(&Self::hello(65_535)).await?;
                for burst in 0.. {
                    let taken_back = |number: u32| {
                        let id = (burst * RESETS + number) * 2 + 1;
                        [frame(HEADERS, END_HEADERS, id, &self.headers()), frame(RESET, 0, id, &CANCEL.to_be_bytes())]
                            .concat()
                    };
                    stream.write_all(&(0..RESETS).flat_map(taken_back).collect::<Vec<u8>>()).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Kind::Endless => {
                let begin = frame(HEADERS, 0, 1, &self.headers());
                stream.write_all(&[Self::hello(65_535), begin].concat()).await?;
                let header = [&[0, 1, b'x', 127, 128, 7][..], &[b'y'; 1_023]].concat();
                loop {
                    stream.write_all(&frame(CONTINUATION, 0, 1, &header)).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).await.map(drop)
    }

    /// Comes again and again, not all at the same moment.
    async fn come(self: Arc<Self>, kind: Kind, number: usize) {
        tokio::time::sleep(AGAIN.mul_f64(number as f64 / HOSTILE as f64)).await;
        loop {
            if let Ok(mut stream) = self.connect(number).await {
                let _closed = self.harm(kind, &mut stream).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// What the reader noticed.
struct Noticed {
    p99: Duration,
    refused: usize,
    resident: u64,
    descriptors: usize,
}

async fn read(filled: &Filled, requests: &Arc<Requests>) -> anyhow::Result<Noticed> {
    let mut noticed = Noticed { p99: Duration::ZERO, refused: 0, resident: 0, descriptors: 0 };
    let mut p99 = Vec::new();
    for _ in 0..ROUNDS {
        let lap = filled.client.open(requests, READS, TIME).await?;
        p99.push(lap.quantile(0.99));
        noticed.refused += lap.refused.values().sum::<usize>();
        noticed.resident = noticed.resident.max(filled.server.resident()?);
        noticed.descriptors = noticed.descriptors.max(filled.server.descriptors()?);
    }
    p99.sort_unstable();
    noticed.p99 = p99[ROUNDS / 2];
    Ok(noticed)
}

/// How long it takes until the server holds no more files and connections than before.
async fn freed(filled: &Filled, before: usize) -> anyhow::Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if filled.server.descriptors()? <= before {
            return Ok(Some(began.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(None)
}

/// What a reader notices of connections that mean harm.
pub(crate) async fn hostile(customers: usize) -> anyhow::Result<()> {
    let filled = Filled::new(customers, "").await?;
    let requests = data::profiles(customers, 20_000);
    let read_once = requests.bodies[0].to_vec();
    let words = Words { server: filled.server.address.parse()?, key: filled.key.clone(), read: read_once };
    let words = Arc::new(words);
    let alone = read(&filled, &requests).await?;
    println!(
        "| {HOSTILE} connections that | p99 us | of that alone | refused | MB more | descriptors | back after s |"
    );
    println!("|---|---|---|---|---|---|---|");
    println!("| are not there | {} | 1.00 | {} | | {} | |", alone.p99.as_micros(), alone.refused, alone.descriptors);
    for kind in [Kind::Silent, Kind::Slow, Kind::Resets, Kind::Endless, Kind::Deaf] {
        let (before, descriptors) = (filled.server.resident()?, filled.server.descriptors()?);
        let mut harm = JoinSet::new();
        for number in 0..HOSTILE {
            harm.spawn(Arc::clone(&words).come(kind, number));
        }
        tokio::time::sleep(ARRIVAL).await;
        let noticed = read(&filled, &requests).await?;
        harm.shutdown().await;
        let back = freed(&filled, descriptors).await?;
        println!(
            "| {kind:?} | {} | {:.2} | {} | {:.0} | {} | {} |",
            noticed.p99.as_micros(),
            noticed.p99.as_secs_f64() / alone.p99.as_secs_f64(),
            noticed.refused,
            (noticed.resident as f64 - before as f64) / 1e6,
            noticed.descriptors,
            back.map_or_else(|| "never".to_owned(), |back| format!("{:.2}", back.as_secs_f64())),
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
