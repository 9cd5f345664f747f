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
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

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
        if let Err(status) = server.runtime.block_on(call(server.channel.clone(), path.clone(), message.to_vec())) {
            assert!(![Code::Unknown, Code::Internal].contains(&status.code()), "{path}: {status:?}");
        }
    });
    SERVER.with_borrow_mut(|server| server.take_if(|server| server.calls >= CALLS_PER_SERVER));
}

async fn call(channel: Channel, path: PathAndQuery, message: Vec<u8>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut answers = client.server_streaming(tonic::Request::new(message), path, Raw).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

/// Messages as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use prost::bytes::BufMut as _;
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        use prost::bytes::Buf as _;
        let length = buffer.remaining();
        buffer.advance(length);
        Ok(Some(()))
    }
}
