//! Forgetting a customer, and proving it.

use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use uuid::Uuid;

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::{Error, Invalid, Reason, Resource, Result};
use super::request::{Repeat, finish};
use crate::domain::erasure::{Erasure, Tombstone};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::limits;
use crate::domain::profile::Profile;
use crate::domain::violation::Violations;
use crate::store::{self, Commit, Outstanding, Precondition};

/// What the key of receipts is derived for.
const RECEIPTS: &str = "rapport 2026 signatures of erasure receipts";
/// What the key of what stands for customers on receipts is.
const SUBJECTS: &str = "rapport 2026 subjects of erasure receipts";

/// Whom to forget.
#[derive(Debug, Clone)]
pub struct EraseRequest {
    /// Whom.
    pub customer: CustomerRef,
    /// Why, in words that name nobody.
    pub reason: String,
    /// The caller's name for the request; empty is none.
    pub request_id: String,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// An erasure with what its receipt is verified by.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The erasure.
    pub erasure: Erasure,
    /// The public key (Ed25519) of the signature.
    pub public_key: Vec<u8>,
}

/// What was found of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether nothing of the customer is there.
    pub erased: bool,
    /// Whether the receipt is ours and says what it said.
    pub signature_valid: bool,
}

impl App {
    /// Forgets a customer: the profile with everything that it is made of, what they and others said about it, and the keys
    /// that copies of it elsewhere are sealed with. Identifiers leave a pseudonym behind, so that a late event does not bring
    /// the customer back. Models keep what they learned from many.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown customer, also for one that is forgotten; [`Error::AlreadyExists`] for a request id
    /// that names another request.
    pub async fn erase_customer(&self, caller: &Caller, request: &EraseRequest) -> Result<(Receipt, Revision)> {
        let mut faults = request.faults.clone();
        faults.check_text("reason", &request.reason, limits::REASON_BYTES);
        Invalid::check(faults)?;
        let named = match self.find_repeat(caller, &request.request_id, "EraseCustomer", &request.content()).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::Erasure(id), revision) => {
                return Ok((self.receipt(self.erasure(caller, id).await?)?, revision));
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        for _ in 0..limits::CONFLICT_RETRIES {
            let profile = self.find(caller, &request.customer, &Read::default()).await?.profile;
            let new = (self.context.new_id(), request.reason.as_str());
            let (erasure, mut commit) = self.erasing(&caller.workspace, new, &profile)?;
            named.record(RequestResult::Erasure(erasure.id), &mut commit);
            // A caller who hangs up must not leave a customer behind who is erased and whose keys are not destroyed.
            let (store, fact) = (Arc::clone(&self.store), erasure.fact());
            match finish(async move { Ok(store.erase(commit, &fact).await) }).await? {
                Ok(revision) => return Ok((self.receipt(erasure)?, revision)),
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    /// Whether what a receipt says is so.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a receipt that this workspace did not give.
    pub async fn verify_erasure(&self, caller: &Caller, id: Option<Uuid>, read: &Read) -> Result<Verified> {
        self.check_read(read)?;
        let id = id.ok_or_else(|| Error::not_found(Resource::Erasure, "receipt_id"))?;
        let erasure = self.erasure(caller, id).await?;
        let profiles = self.store.profiles(&caller.workspace, &erasure.parts).await?;
        let histories = self.store.histories(&caller.workspace, &erasure.parts).await?;
        let nothing = histories.iter().all(|history| history.events.is_empty() && history.bases.is_empty());
        let key = UnparsedPublicKey::new(&ED25519, self.receipt_key()?.public_key().as_ref().to_vec());
        let statement = erasure.statement(caller.workspace.as_str());
        let signature_valid = key.verify(statement.as_bytes(), &erasure.signature).is_ok();
        Ok(Verified { erased: nothing && profiles.iter().all(Option::is_none), signature_valid })
    }

    /// What to commit for a customer to be forgotten.
    fn erasing(
        &self,
        workspace: &WorkspaceId,
        (id, reason): (Uuid, &str),
        profile: &Profile,
    ) -> Result<(Erasure, Commit)> {
        let mut commit = self.new_commit_in(workspace);
        let parts: Vec<_> = profile.parts.iter().map(|part| part.id).collect();
        let subjects = self.store.derived_key(SUBJECTS)?;
        let mut erasure = Erasure {
            id,
            profile: profile.id,
            parts: parts.clone(),
            subject: *blake3::keyed_hash(&subjects, profile.id.as_bytes()).as_bytes(),
            time: commit.time,
            events: profile.state.activity.events(),
            reason: reason.to_owned(),
            signature: Vec::new(),
        };
        let statement = erasure.statement(workspace.as_str());
        erasure.signature = self.receipt_key()?.sign(statement.as_bytes()).as_ref().to_vec();
        commit.preconditions.push(Precondition::Profile(profile.id, Some(profile.revision)));
        commit.facts.push(Fact::Erase(erasure.fact()));
        for identifier in profile.identifiers() {
            let mark = self.store.mark(workspace, identifier)?;
            commit.facts.push(Fact::Document(Document::Tombstone(Tombstone { mark, erasure: erasure.id })));
        }
        commit.facts.push(Fact::Document(Document::Erasure(erasure.clone())));
        commit.projection.erased = parts;
        Ok((erasure, commit))
    }

    /// Carries out erasures again that a restored backup has undone.
    pub(super) async fn erase_again(&self) -> Result<()> {
        for Outstanding { workspace, erasure, parts } in self.store.outstanding().await? {
            let mut profiles: Vec<Profile> =
                self.store.profiles(&workspace, &parts).await?.into_iter().flatten().collect();
            profiles.sort_by_key(|profile| profile.id);
            profiles.dedup_by_key(|profile| profile.id);
            for profile in profiles {
                let id = profile.id;
                if profile.parts.iter().any(|part| !parts.contains(&part.id)) {
                    tracing::error!(
                        %workspace, %erasure, profile = %id,
                        "a customer who was erased is one with others in this backup: undo the merge, and erase them again"
                    );
                    continue;
                }
                let (erased, commit) = self.erasing(&workspace, (erasure, "erased before the restore"), &profile)?;
                self.store.erase(commit, &erased.fact()).await?;
                tracing::info!(%workspace, %erasure, "an erasure was carried out again");
            }
        }
        Ok(())
    }

    async fn erasure(&self, caller: &Caller, id: Uuid) -> Result<Erasure> {
        match self.store.document(&caller.workspace, &DocumentKey::erasure(id)).await?.map(|stored| stored.value) {
            Some(Document::Erasure(erasure)) => Ok(erasure),
            _ => Err(Error::not_found(Resource::Erasure, id.hyphenated().to_string())),
        }
    }

    fn receipt(&self, erasure: Erasure) -> Result<Receipt> {
        Ok(Receipt { erasure, public_key: self.receipt_key()?.public_key().as_ref().to_vec() })
    }

    fn receipt_key(&self) -> Result<Ed25519KeyPair> {
        let seed = self.store.derived_key(RECEIPTS)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Error::Internal("a seed is no seed of a key".into()))
    }
}

impl EraseRequest {
    /// What makes the request the same when it is sent again.
    fn content(&self) -> impl Serialize + '_ {
        (self.customer.binding(), &self.reason)
    }
}
