//! Who asks, and whether they may: everything that is asked of a request before any work is done for it.

use std::sync::Arc;

use http::{Extensions, HeaderMap, header};
use smol_str::SmolStr;

use super::shed::PeerState;
use crate::app::{App, Caller, Concern, Credential};
use crate::domain::access::Scopes;
use crate::domain::id::{MalformedWorkspace, WorkspaceId};
use crate::rpc::access::{Audit, Entry, Need, Rights};
use crate::rpc::credentials::Credentials;
use crate::rpc::status::{self, Refused};

/// The metadata key that names the workspace where nobody is asked for a credential.
const WORKSPACE: &str = "rapport-workspace";
/// How the value of `authorization` begins. Schemes are told apart without regard to case.
const SCHEME: &str = "bearer ";
/// How a key of ours begins; anything else is a token of somebody else's.
const KEY: &str = "rpk_";
/// Bytes of a credential. A token of an issuer has one or two thousand; what is longer is not looked at.
const CREDENTIAL_BYTES: usize = 8 << 10;

/// Whom the server asks for a credential.
#[derive(Clone)]
pub(in crate::rpc) enum Door {
    /// Nobody: whoever is here is in this process already.
    Open,
    /// Everybody, from the moment on at which there is something to ask for.
    Guarded(Credentials),
}

/// By what name the audit log knows those whom nobody asks who they are,
const ANONYMOUS: &str = "anonymous";
/// and those who were asked and showed nothing that is valid.
const UNKNOWN: &str = "unknown";

/// Who asks, and what proved it, where that was asked for.
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) credential: Option<Credential>,
    /// What the audit log says of the call.
    pub(super) audit: Audit,
}

/// Why somebody may not ask.
pub(super) struct Denied {
    pub(super) refused: Refused,
    /// Who asked, where the audit log is to know of it.
    pub(super) caller: Option<Caller>,
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self { refused, caller: None }
    }
}

/// What requests are held against.
pub(super) struct Doorkeeper {
    app: App,
    door: Door,
    rights: Rights,
}

impl Doorkeeper {
    pub(super) fn new(app: App, door: Door) -> Self {
        Self { app, door, rights: Rights::new() }
    }

    /// Who asks for the method of a path.
    ///
    /// # Errors
    /// When they may not, with what would be right.
    pub(super) fn identify(&self, path: &str, headers: &HeaderMap, extensions: &Extensions) -> Result<Known, Denied> {
        let entry = self.rights.of(path).ok_or_else(|| status::unimplemented("this server has no such method"))?;
        let Entry { need, audit, .. } = entry;
        let concern = |name: &str| Concern::new(name.into(), SmolStr::new_static(entry.name()));
        if need == Need::Nothing {
            return Ok(Known { caller: nobody(Concern::default()), credential: None, audit });
        }
        if !self.asks() {
            let workspace =
                if path.starts_with("/grpc.") { Ok(WorkspaceId::default_workspace()) } else { named(headers) };
            let workspace = workspace.map_err(status::workspace_invalid)?;
            let caller = Caller { concern: concern(ANONYMOUS), ..Caller::unrestricted(workspace) };
            return Ok(Known { caller, credential: None, audit });
        }
        let credential = self.credential(headers, extensions).ok_or_else(|| {
            // Whose data a stranger was after nobody knows, so that it is for whoever runs the server.
            Denied { refused: status::unauthenticated(), caller: Some(nobody(concern(UNKNOWN))) }
        })?;
        let principal = &credential.principal;
        let caller = Caller { concern: concern(&principal.name), ..Caller::of(principal) };
        if headers.contains_key(WORKSPACE) {
            let what = "is not taken together with a credential, which says the workspace";
            return Err(status::workspace_invalid(what).into());
        }
        if let Some(missing) = need.missing(principal.scopes) {
            return Err(Denied { refused: status::scope_missing(missing), caller: Some(caller) });
        }
        Ok(Known { caller, credential: Some(credential), audit })
    }

    /// Whether a credential is asked for.
    fn asks(&self) -> bool {
        match &self.door {
            Door::Open => false,
            Door::Guarded(credentials) => !credentials.is_empty() || self.app.has_keys(),
        }
    }

    /// The credential of a request: what it shows itself, or else the certificate of its connection. One that is not
    /// valid is not made good by another one beside it.
    fn credential(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Credential> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = shown.next() else {
            let principal = extensions.get::<PeerState>()?.principal()?;
            return Some(Credential::of_connection(Arc::clone(principal)));
        };
        let value = Some(value).filter(|_| shown.next().is_none())?.to_str().ok()?;
        let (scheme, token) = value.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) || token.len() > CREDENTIAL_BYTES {
            return None;
        }
        match &self.door {
            Door::Guarded(credentials) if !token.starts_with(KEY) => credentials.of_token(token, self.app.now()),
            _ => self.app.authenticate(token),
        }
    }
}

/// Somebody who may do nothing.
fn nobody(concern: Concern) -> Caller {
    Caller { workspace: WorkspaceId::default_workspace(), scopes: Scopes::default(), operator: false, concern }
}

/// The workspace that the metadata name; without the key it is the default one.
fn named(headers: &HeaderMap) -> Result<WorkspaceId, MalformedWorkspace> {
    match headers.get(WORKSPACE) {
        None => Ok(WorkspaceId::default_workspace()),
        Some(value) => value.to_str().map_err(|_| MalformedWorkspace)?.parse(),
    }
}
