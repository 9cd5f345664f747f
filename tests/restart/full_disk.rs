//! A disk that fills up, on a small file system that `RAPPORT_FAULT_DISK` names, and that nothing else is on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prost::Message as _;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::{EventStatus, IngestEventsRequest, ListEventsRequest, customer_ref};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::server::Server;
use crate::{event_of_a_user_of_its_own, user_of};

/// From which a disk counts as full, and what is kept back for then, on a disk of a few dozen MiB.
const SETTINGS: [(&str, &str); 3] = [
    ("RAPPORT_STORAGE_MIN_FREE_BYTES", "4194304"),
    ("RAPPORT_STORAGE_MIN_FREE_RATIO", "0.5"),
    ("RAPPORT_STORAGE_RESERVE_BYTES", "2097152"),
];
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
const RESUMES_WITHIN: Duration = Duration::from_secs(10);
/// Refusals in a row that show that a full disk stays full.
const REFUSALS: usize = 10;
const BATCH: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_serves_reads_and_takes_writes_again_when_there_is_room() {
    let Ok(disk) = std::env::var("RAPPORT_FAULT_DISK").map(PathBuf::from) else {
        eprintln!("skipped: set RAPPORT_FAULT_DISK to a small file system of its own");
        return;
    };
    let rounds = std::env::var("RAPPORT_FAULT_CASES").map_or(1, |text| text.parse::<u64>().expect("a number"));
    let data = disk.join("data");
    let mut accepted = 0;
    for round in 0..rounds {
        let server = Server::spawn_with(&data, &SETTINGS).serving().await;
        let mut caller = Caller { channel: server.channel(), accepted };
        // What fills the disk is half of the rounds somebody else, and else ourselves.
        let ballast = disk.join("ballast");
        if round % 2 == 0 {
            caller.send_until_refused_while(|| fill_a_little(&ballast)).await;
        } else {
            fill_up_to(&ballast, 8 << 20, &disk);
            caller.send_until_refused_while(|| {}).await;
        }
        caller.expect_refusals().await;
        caller.expect_all_readable().await;
        assert_eq!(caller.health().await, ServingStatus::NotServing, "round {round}");
        // A start on the full disk serves what is there.
        fill_up_to(&ballast, 0, &disk);
        accepted = caller.accepted;
        server.kill();
        let server = Server::spawn_with(&data, &SETTINGS).serving().await;
        let mut caller = Caller { channel: server.channel(), accepted };
        caller.expect_all_readable().await;
        caller.expect_refusals().await;
        fs::remove_file(&ballast).expect("removable");
        let waited = caller.wait_until_accepted().await;
        eprintln!("full disk: round {}: {accepted} events kept, writes resumed after {waited:?}", round + 1);
        assert_eq!(caller.health().await, ServingStatus::Serving, "round {round}");
        accepted = caller.accepted;
        server.kill();
        if fs::metadata(&data).is_ok() && round % 2 == 1 {
            // What events take is not given back: begin anew before they alone fill the disk.
            fs::remove_dir_all(&data).expect("removable");
            accepted = 0;
        }
    }
}

/// Sends numbered events, without a gap.
struct Caller {
    channel: Channel,
    accepted: u64,
}

impl Caller {
    async fn send(&mut self) -> Result<(), Status> {
        let events = (self.accepted..self.accepted + BATCH).map(event_of_a_user_of_its_own).collect();
        let request = IngestEventsRequest { events, validate_only: false };
        let results = EventServiceClient::new(self.channel.clone()).ingest_events(request).await?.into_inner().results;
        let taken = [EventStatus::Accepted, EventStatus::Duplicate];
        assert!(results.iter().all(|result| taken.contains(&result.status())), "{results:?}");
        self.accepted += BATCH;
        Ok(())
    }

    async fn send_until_refused_while(&mut self, mut fill: impl FnMut()) {
        for _ in 0..20_000 {
            if let Err(status) = self.send().await {
                expect_disk_full(&status);
                return;
            }
            fill();
        }
        panic!("the disk was never full");
    }

    /// Refused at once, each with what the caller needs. A checkpoint that is given up because of the full disk gives its
    /// room back once, and what is taken then fills it again: the refusals that count are those that go on.
    async fn expect_refusals(&mut self) {
        let mut refused = 0;
        for _ in 0..20_000 {
            let begun = now();
            let Err(status) = self.send().await else {
                refused = 0;
                continue;
            };
            let took = begun.elapsed();
            expect_disk_full(&status);
            assert!(took <= REFUSED_WITHIN, "a refusal took {took:?}");
            refused += 1;
            if refused == REFUSALS {
                return;
            }
        }
        panic!("the disk is full, and writes are taken");
    }

    async fn expect_all_readable(&self) {
        let mut client = EventServiceClient::new(self.channel.clone());
        for number in (0..self.accepted).rev().step_by(97).take(50) {
            let customer = Some(rapport::rpc::pb::CustomerRef {
                customer: Some(customer_ref::Customer::Identifier(user_of(number))),
            });
            let request = ListEventsRequest { customer, ..Default::default() };
            let events = client.list_events(request).await.expect("reads go on").into_inner().events;
            assert_eq!(events.len(), 1, "event {number}");
        }
    }

    async fn wait_until_accepted(&mut self) -> Duration {
        let begun = now();
        while let Err(status) = self.send().await {
            expect_disk_full(&status);
            assert!(begun.elapsed() <= RESUMES_WITHIN, "there is room, and writes are refused: {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }

    async fn health(&self) -> ServingStatus {
        let request = HealthCheckRequest { service: "rapport.v1.EventService".to_owned() };
        let answer = HealthClient::new(self.channel.clone()).check(request).await.expect("an answer");
        answer.into_inner().status()
    }
}

fn expect_disk_full(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let details = tonic_types::Status::decode(status.details()).expect("details").details;
    assert!(details.iter().any(|any| any.type_url.ends_with("google.rpc.RetryInfo")), "no RetryInfo in {status}");
}

fn fill_a_little(ballast: &Path) {
    let mut file = File::options().create(true).append(true).open(ballast).expect("writable");
    let _full_now = file.write_all(&[7; 256 << 10]);
}

/// Leaves so many bytes free, as nearly as can be.
fn fill_up_to(ballast: &Path, free: u64, disk: &Path) {
    // The server writes meanwhile, so that each look may see less.
    while let Some(above @ 1..) = free_bytes(disk).checked_sub(free) {
        let mut file = File::options().create(true).append(true).open(ballast).expect("writable");
        let bytes = above.min(1 << 20);
        if file.write_all(&vec![7; usize::try_from(bytes).expect("small")]).is_err() {
            return;
        }
    }
}

fn free_bytes(disk: &Path) -> u64 {
    let output = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(disk).output().expect("df");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number of bytes")
}

#[expect(clippy::disallowed_methods, reason = "how long a refusal takes is what is promised")]
fn now() -> Instant {
    Instant::now()
}
