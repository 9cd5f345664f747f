//! Whose data a request is about.

use http::HeaderMap;

use crate::app::Caller;
use crate::domain::id::{MalformedWorkspace, WorkspaceId};

/// The metadata key that names the workspace.
const KEY: &str = "rapport-workspace";
/// Services that belong to no workspace, by the beginning of their paths.
const WITHOUT: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// Who asks, as far as the metadata tell; without the key it is the default workspace.
///
/// # Errors
/// When the key's value is no name of a workspace. Services that belong to none do not look at it.
pub(super) fn caller(path: &str, headers: &HeaderMap) -> Result<Caller, MalformedWorkspace> {
    let named = headers.get(KEY).filter(|_| !WITHOUT.iter().any(|service| path.starts_with(service)));
    let workspace = match named {
        None => WorkspaceId::default_workspace(),
        Some(value) => value.to_str().map_err(|_| MalformedWorkspace)?.parse()?,
    };
    Ok(Caller { workspace })
}
