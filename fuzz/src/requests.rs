//! Requests of every method, through the real server.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use http::uri::PathAndQuery;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use rapport::app::App;
use rapport::app::context::SystemContext;
use rapport::rpc::pb::FILE_DESCRIPTOR_SET;
use rapport::rpc::{self, RpcOptions};
use rapport::store::memory::MemoryStore;
use tonic::codegen::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::raw::Raw;

/// Calls after which the server begins anew, so that what was accepted does not pile up.
const CALLS_PER_SERVER: usize = 2_000;

/// Paths of all methods whose answers end.
static METHODS: LazyLock<Vec<PathAndQuery>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors").file;
    let mut paths = Vec::new();
    for file in files.iter().filter(|file| file.package() == "rapport.v1") {
        for service in &file.service {
            let methods = service.method.iter().map(|method| method.name());
            let ending = methods.filter(|name| !name.starts_with("Watch"));
            paths.extend(ending.map(|name| format!("/rapport.v1.{}/{name}", service.name())));
        }
    }
    paths.sort();
    paths.into_iter().map(|path| path.parse().expect("a path")).collect()
});

thread_local!(static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) });

/// A server and its runtime.
struct Server {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    calls: usize,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let channel = runtime.block_on(async {
            let app = App::start(Arc::new(MemoryStore::default()), Arc::new(SystemContext)).await.expect("starts");
            rpc::in_process(app, RpcOptions::default()).expect("serves")
        });
        Self { runtime, channel, calls: 0 }
    }
}

/// The first byte chooses a method, the others are the request. Whatever comes, the answer is never a fault of ours.
///
/// # Panics
/// Where it is.
pub fn requests(bytes: &[u8]) {
    let Some((method, message)) = bytes.split_first() else { return };
    let path = METHODS[usize::from(*method) % METHODS.len()].clone();
    SERVER.with_borrow_mut(|server| {
        let server = server.get_or_insert_with(Server::start);
        server.calls += 1;
        if let Err(status) =
            server.runtime.block_on(call(server.channel.clone(), path.clone(), Bytes::copy_from_slice(message)))
        {
            assert!(![Code::Unknown, Code::Internal].contains(&status.code()), "{path}: {status:?}");
        }
    });
    SERVER.with_borrow_mut(|server| server.take_if(|server| server.calls >= CALLS_PER_SERVER));
}

async fn call(channel: Channel, path: PathAndQuery, message: Bytes) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut answers = client.server_streaming(tonic::Request::new(message), path, Raw).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}
