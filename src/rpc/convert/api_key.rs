//! Keys that programs show.

use super::time;
use crate::app::{KeyRequest, KeyView, MadeKey};
use crate::domain::access::Scope;
use crate::domain::violation::Violations;
use crate::rpc::convert::request_id;
use crate::rpc::pb;

/// The key that a request asks for.
pub(in crate::rpc) fn request(sent: pb::CreateApiKeyRequest) -> KeyRequest {
    let mut faults = Violations::new();
    request_id::check(&sent.request_id, &mut faults);
    let expire_time = time::from_pb(sent.expire_time, "expire_time", &mut faults);
    KeyRequest {
        workspace: sent.workspace,
        scopes: sent.scopes,
        display_name: sent.display_name,
        expire_time,
        request_id: sent.request_id,
        faults,
    }
}

/// A key that was made, with its secret where it is known.
pub(in crate::rpc) fn made(made: MadeKey) -> pb::CreateApiKeyResponse {
    pb::CreateApiKeyResponse {
        key_id: made.view.key.id.clone(),
        api_key: made.shown.unwrap_or_default(),
        key: Some(to_pb(&made.view)),
        revision: made.revision.to_string(),
    }
}

/// A key without its secret.
pub(in crate::rpc) fn to_pb(view: &KeyView) -> pb::ApiKey {
    let key = &view.key;
    pb::ApiKey {
        key_id: key.id.clone(),
        workspace: view.workspace.to_string(),
        scopes: key.scopes.iter().map(Scope::name).map(str::to_owned).collect(),
        display_name: key.display_name.clone(),
        create_time: Some(time::to_pb(key.create_time)),
        expire_time: key.expire_time.map(time::to_pb),
        revoke_time: key.revoke_time.map(time::to_pb),
        last_use_time: view.last_use.map(time::to_pb),
    }
}
