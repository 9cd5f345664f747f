//! The proof by trace, where `RAPPORT_FAULT_STRACE=1` asks for it and strace is there.

use std::process::Command;
use std::time::Duration;

use rapport::rpc::pb::IngestEventsRequest;
use rapport::rpc::pb::event_service_client::EventServiceClient;

use crate::event_of_a_user_of_its_own;
use crate::server::Server;
use crate::trace;

const EVENTS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_follows_the_sync_of_its_commit_in_a_trace_of_the_system() {
    if std::env::var("RAPPORT_FAULT_STRACE").is_err() || Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: set RAPPORT_FAULT_STRACE=1 on a machine with strace");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trace");
    let calls = "trace=fdatasync,fsync,write,writev,sendmsg,sendto,pwrite64";
    // With -D the server is our child, and strace ends with it.
    let tracer = ["strace", "-D", "-f", "-y", "-xx", "-s", "100000", "-e", calls, "-o"].map(str::to_owned);
    let tracer = [&tracer[..], &[path.display().to_string()]].concat();
    let server = Server::spawn_under(&tracer, &directory.path().join("data")).serving().await;
    let mut client = EventServiceClient::new(server.channel());
    for number in 0..EVENTS {
        let events = vec![event_of_a_user_of_its_own(number)];
        client.ingest_events(IngestEventsRequest { events, validate_only: false }).await.expect("accepted");
    }
    server.stop().await.expect("ends");
    let trace = whole_trace(&path).await;
    let seen = trace::check(&trace).expect("each sync came first");
    eprintln!("strace: {} commits, {} answers, each behind the fdatasync of its segment", seen.commits, seen.answers);
    let least = usize::try_from(EVENTS).expect("small");
    assert!(seen.commits >= least && seen.answers >= least, "{seen:?}");
}

/// The trace, once strace has written the end of it.
async fn whole_trace(path: &std::path::Path) -> String {
    for _ in 0..100 {
        let trace = std::fs::read_to_string(path).expect("a trace");
        if trace.trim_end().ends_with("+++ exited with 0 +++") {
            return trace;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the trace has no end");
}
