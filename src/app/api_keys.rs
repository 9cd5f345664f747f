//! Making, listing and ending the keys that programs show.

use std::collections::BTreeSet;

use super::application::App;
use super::customer::{Caller, Read};
use super::error::{Error, Invalid, Reason, Resource, Result};
use super::keyring::compose;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use super::request::{Repeat, finish};
use crate::domain::access::{ApiKey, Scope, Scopes};
use crate::domain::fact::{Document, DocumentKey, DocumentKind, Fact, RequestResult};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::domain::violation::Violations;
use crate::store::Precondition;

/// A key that somebody wants.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// The workspace that it reaches; empty is the caller's.
    pub workspace: String,
    /// The names of its scopes.
    pub scopes: Vec<String>,
    /// What it is for.
    pub display_name: String,
    /// From when on it is refused; `None` is never.
    pub expire_time: Option<Timestamp>,
    /// The caller's name of the request, may be empty.
    pub request_id: String,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// A key as an operator sees it.
#[derive(Debug, Clone)]
pub struct KeyView {
    /// The key.
    pub key: ApiKey,
    /// The workspace that it reaches.
    pub workspace: WorkspaceId,
    /// When it was last used, to about a minute since the start of the server and to an hour before; `None` is never.
    pub last_use: Option<Timestamp>,
}

/// A key that was made.
#[derive(Clone)]
pub struct MadeKey {
    /// The key.
    pub view: KeyView,
    /// What a program shows; `None` for the repeat of a request, because nobody knows it any more.
    pub shown: Option<String>,
    /// The commit.
    pub revision: Revision,
}

impl Listed for KeyView {
    type Cursor = String;

    fn cursor(&self) -> String {
        self.key.id.clone()
    }
}

impl App {
    /// Makes a key. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values out of range, [`Error::Forbidden`] for a workspace that is not the caller's.
    pub async fn create_api_key(&self, caller: &Caller, request: KeyRequest) -> Result<MadeKey> {
        let KeyRequest { workspace, scopes, display_name, expire_time, request_id, mut faults } = request;
        let target = self.target(caller, &workspace, &mut faults);
        let scopes = read_scopes(&scopes, &mut faults);
        faults.check_text("display_name", &display_name, limits::NAME_BYTES);
        let now = self.context.now();
        if expire_time.is_some_and(|expire| expire <= now) {
            faults.add("expire_time", "must be in the future");
        }
        Invalid::check(faults)?;
        let target = target?;
        let content = (target.workspace.as_str(), scopes, &display_name, expire_time);
        let named = match self.find_repeat(&target, &request_id, "CreateApiKey", &content).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::ApiKey(id), revision) => {
                let view = self.key_view(&target, &id)?;
                return Ok(MadeKey { view, shown: None, revision });
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let held = self.all_documents(&target.workspace, DocumentKind::ApiKey).await?.into_iter();
        let live = held.filter(|held| matches!(held, Document::ApiKey(key) if key.is_live(now))).count();
        if live >= limits::API_KEYS {
            return Err(Error::Precondition(Reason::ApiKeyLimit));
        }
        let (id, secret) = self.draw_key()?;
        let digest = *self.keyring.digest_key().digest(&id, &secret).as_bytes();
        let shown = compose(&id, &secret);
        let key = ApiKey { id, scopes, display_name, digest, create_time: now, expire_time, revoke_time: None };
        let mut commit = self.new_commit(&target);
        commit.preconditions.push(Precondition::Document(DocumentKey::api_key(&key.id), None));
        commit.facts.push(Fact::Document(Document::ApiKey(key.clone())));
        named.record(RequestResult::ApiKey(key.id.clone()), &mut commit);
        let (app, workspace) = (self.clone(), target.workspace);
        // A caller who hangs up must not come between the commit and the keyring.
        finish(async move {
            let revision = app.store.commit(commit).await?;
            app.keyring.put(&workspace, key.clone());
            let view = KeyView { key, workspace, last_use: None };
            Ok(MadeKey { view, shown: Some(shown), revision })
        })
        .await
    }

    /// Ends a key at once; ending it again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a key that is none of the caller's workspace.
    pub async fn revoke_api_key(&self, caller: &Caller, id: &str, request_id: &str) -> Result<(KeyView, Revision)> {
        let mut faults = Violations::new();
        faults.check_required_text("key_id", id, limits::NAME_BYTES);
        faults.check_text("request_id", request_id, limits::REQUEST_ID_BYTES);
        Invalid::check(faults)?;
        let target = self.owner_of(caller, id)?;
        let named = match self.find_repeat(&target, request_id, "RevokeApiKey", &id).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::ApiKey(id), revision) => return Ok((self.key_view(&target, &id)?, revision)),
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let stored = self.store.document(&target.workspace, &DocumentKey::api_key(id)).await?;
        let Some((Document::ApiKey(mut key), seen)) = stored.map(|stored| (stored.value, stored.revision)) else {
            return Err(missing());
        };
        if key.revoke_time.is_some() {
            return Ok((self.key_view(&target, id)?, self.store.revision()));
        }
        key.revoke_time = Some(self.context.now());
        let mut commit = self.new_commit(&target);
        commit.preconditions.push(Precondition::Document(DocumentKey::api_key(id), Some(seen)));
        commit.facts.push(Fact::Document(Document::ApiKey(key.clone())));
        named.record(RequestResult::ApiKey(id.to_owned()), &mut commit);
        let app = self.clone();
        finish(async move {
            let revision = app.store.commit(commit).await?;
            app.keyring.put(&target.workspace, key.clone());
            Ok((app.key_view(&target, &key.id)?, revision))
        })
        .await
    }

    /// A page of a workspace's keys, revoked ones included, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad page, [`Error::Forbidden`] for a workspace that is not the caller's.
    pub async fn list_api_keys(
        &self,
        caller: &Caller,
        workspace: &str,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<KeyView>, Revision)> {
        let mut faults = read.faults.clone();
        let target = self.target(caller, workspace, &mut faults);
        Invalid::check(faults)?;
        let target = target?;
        let binding = Binding::new("ListApiKeys", target.workspace.as_str(), &());
        let Begin { revision, limit, after } = self.check_page::<String>(read, page, &binding)?;
        let kind = DocumentKind::ApiKey;
        let mut found = self.store.documents(&target.workspace, kind, after.as_deref(), limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let keys = found.into_iter().filter_map(|found| match found.value {
            Document::ApiKey(key) => Some(self.view_of(key, &target.workspace)),
            _ => None,
        });
        Ok((Page::new(keys.collect(), more, binding), revision))
    }

    /// The workspace that a request about keys is for, as if a caller of it asked.
    fn target(&self, caller: &Caller, workspace: &str, faults: &mut Violations) -> Result<Caller> {
        if workspace.is_empty() {
            return Ok(caller.clone());
        }
        match workspace.parse::<WorkspaceId>() {
            Ok(workspace) if workspace == caller.workspace || caller.operator => {
                Ok(Caller { workspace, ..caller.clone() })
            }
            Ok(_) => Err(Error::Forbidden(Reason::OtherWorkspace)),
            Err(fault) => {
                faults.add("workspace", fault.to_string());
                Ok(caller.clone())
            }
        }
    }

    /// A caller of the workspace that a key belongs to. A key of another workspace is as good as none.
    fn owner_of(&self, caller: &Caller, id: &str) -> Result<Caller> {
        let held = self.keyring.get(id).ok_or_else(missing)?;
        let workspace = held.principal.workspace.clone();
        if workspace != caller.workspace && !caller.operator {
            return Err(missing());
        }
        Ok(Caller { workspace, ..caller.clone() })
    }

    fn key_view(&self, target: &Caller, id: &str) -> Result<KeyView> {
        let held = self.keyring.get(id).filter(|held| held.principal.workspace == target.workspace);
        let held = held.ok_or_else(missing)?;
        let key = held.key.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Ok(self.view_of(key, &target.workspace))
    }

    fn view_of(&self, key: ApiKey, workspace: &WorkspaceId) -> KeyView {
        let last_use = self.keyring.get(&key.id).and_then(|held| held.last_use());
        KeyView { key, workspace: workspace.clone(), last_use }
    }

    /// An id that no key has, and a secret.
    fn draw_key(&self) -> Result<(String, [u8; 32])> {
        loop {
            let [named, secret] = [self.context.secret(), self.context.secret()];
            let (named, secret) = (named.map_err(internal)?, secret.map_err(internal)?);
            let id: String = named[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            if self.keyring.get(&id).is_none() {
                return Ok((id, secret));
            }
        }
    }
}

fn read_scopes(names: &[String], faults: &mut Violations) -> Scopes {
    if names.is_empty() {
        faults.add("scopes", "must name at least one scope");
    }
    if names.len() > Scope::ALL.len() {
        faults.add("scopes", format!("has {} items; the limit is {}", names.len(), Scope::ALL.len()));
    }
    let (mut scopes, mut seen) = (Vec::new(), BTreeSet::new());
    for (position, name) in names.iter().take(Scope::ALL.len()).enumerate() {
        match name.parse::<Scope>() {
            Ok(_) if !seen.insert(name) => faults.add(&format!("scopes[{position}]"), "is named twice"),
            Ok(scope) => scopes.push(scope),
            Err(fault) => faults.add(&format!("scopes[{position}]"), fault.to_string()),
        }
    }
    scopes.into_iter().collect()
}

/// No such key. The id may be anything, a whole key even, so it is not repeated.
fn missing() -> Error {
    Error::not_found(Resource::ApiKey, "key_id")
}

fn internal(error: std::io::Error) -> Error {
    Error::Internal(error.into())
}
