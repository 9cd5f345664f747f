//! Compiles the contract in `proto/` with protox, so that no protoc is needed on the machine.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message as _;

const ROOTS: [&str; 2] = ["proto", "third_party/proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for root in ["proto", "third_party"] {
        println!("cargo:rerun-if-changed={root}");
    }

    let mut descriptors = protox::compile(protos(Path::new("proto/rapport/v1"))?, ROOTS)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .btree_map(".")
        .build_server(false)
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors.clone())?;
    // Servers answer with the messages that clients read, except where a message is partly encoded already, and by a codec
    // whose buffers are no larger than most messages.
    let served = out.join("served");
    fs::create_dir_all(&served)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::rpc::codec::Codec")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .extern_path(".rapport.v1", "crate::rpc::pb")
        .extern_path(".rapport.v1.GetProfileResponse", "crate::rpc::shown::GetProfileResponse")
        .out_dir(served)
        .compile_fds(descriptors.clone())?;

    // Reflection needs names, types and imports; comments and positions would only weigh the binary down.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(out.join("rapport.v1.bin"), descriptors.encode_to_vec())?;
    Ok(())
}

/// The proto files of a folder by name, so that two builds read them in the same order.
fn protos(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    Ok(files)
}
