//! A customer says for what their data may be used.

use serde::Serialize;

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::{Error, Invalid, Reason, Result};
use super::request::Repeat;
use crate::domain::consent::{ConsentRecord, ConsentState, Standing};
use crate::domain::fact::{ConsentFact, Document, Fact, RequestResult};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::limits;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::domain::violation::Violations;
use crate::store::{self, Precondition};

/// An answer of a customer, as it was sent.
#[derive(Debug, Clone)]
pub struct ConsentRequest {
    /// Who answered.
    pub customer: CustomerRef,
    /// For which purpose.
    pub purpose: String,
    /// What.
    pub state: ConsentState,
    /// Where it was given.
    pub source: String,
    /// What shows it; empty is nothing.
    pub proof: String,
    /// When it was given; `None` is now.
    pub time: Option<Timestamp>,
    /// When it ends; `None` is never.
    pub expire_time: Option<Timestamp>,
    /// The caller's name for the request; empty is none.
    pub request_id: String,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// An answer that was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The record.
    pub record: ConsentRecord,
    /// Whether the customer's data may be used for the purpose now. An answer that is older than what was known, or that
    /// has expired already, changes nothing about that.
    pub allowed: bool,
    /// The commit.
    pub revision: Revision,
}

impl App {
    /// Adds an answer to the ledger of a customer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a purpose, time or text that cannot be; [`Error::NotFound`] for an unknown customer;
    /// [`Error::AlreadyExists`] for a request id that names another request.
    pub async fn record_consent(&self, caller: &Caller, request: &ConsentRequest) -> Result<Recorded> {
        let named = match self.find_repeat(caller, &request.request_id, "RecordConsent", &request.content()).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::Consent(record), revision) => {
                let holder = CustomerRef::Profile(record.standing.part);
                let profile = self.find(caller, &holder, &Read::default()).await?.profile;
                let allowed = profile.consents.allow(&record.standing.purpose, self.context.now());
                return Ok(Recorded { record, allowed, revision });
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        for _ in 0..limits::CONFLICT_RETRIES {
            let record = self.check_consent(request)?;
            let profile = self.find(caller, &request.customer, &Read::default()).await?.profile;
            let record = self.place(caller, record, request, &profile).await?;
            let mut commit = self.new_commit(caller);
            let (id, revision) = (profile.id, profile.revision);
            commit.preconditions.push(Precondition::Profile(id, Some(revision)));
            commit.facts.push(Fact::Consent(ConsentFact { profile: id, standing: record.standing.clone() }));
            commit.facts.push(Fact::Document(Document::Consent(record.clone())));
            let before = [(id, profile)].into();
            commit.projection = self.project(caller, &commit.facts, commit.time, before).await?;
            let after = commit.projection.profiles.first();
            let purpose = &record.standing.purpose;
            let allowed = after.is_some_and(|after| after.consents.allow(purpose, self.context.now()));
            named.record(RequestResult::Consent(record.clone()), &mut commit);
            match self.store.commit(commit).await {
                Ok(revision) => return Ok(Recorded { record, allowed, revision }),
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    fn check_consent(&self, request: &ConsentRequest) -> Result<ConsentRecord> {
        let now = self.context.now();
        let standing = Standing {
            record: self.context.new_id(),
            part: ProfileId::MIN,
            purpose: request.purpose.as_str().into(),
            state: request.state,
            time: request.time.unwrap_or(now),
            expire_time: request.expire_time,
            covers: Vec::new(),
        };
        let (source, proof) = (request.source.clone(), request.proof.clone());
        let record = ConsentRecord { standing, source, proof, record_time: now };
        let mut violations = request.faults.clone();
        record.check(now, &mut violations);
        Invalid::check(violations)?;
        Ok(record)
    }

    /// Puts the answer where it stays whatever merges are undone: to the part that the customer was named by.
    async fn place(
        &self,
        caller: &Caller,
        mut record: ConsentRecord,
        request: &ConsentRequest,
        profile: &Profile,
    ) -> Result<ConsentRecord> {
        let purposes = profile.consents.purposes();
        if !purposes.contains(&record.standing.purpose.as_str()) && purposes.len() >= limits::CONSENT_PURPOSES {
            let limit = limits::CONSENT_PURPOSES;
            return Err(Error::invalid("purpose", format!("is one more than the {limit} that are kept of a customer")));
        }
        let part = match &request.customer {
            CustomerRef::Identifier(identifier) => {
                let (resolver, _) = self.resolver(&caller.workspace).await?;
                let named = resolver.normalise(identifier.clone());
                profile.part_of(named.as_slice())
            }
            CustomerRef::Profile(id) => {
                profile.parts.iter().find(|part| part.id == *id).map_or(profile.id, |part| part.id)
            }
            CustomerRef::Nobody => profile.id,
        };
        record.standing.part = part;
        record.standing.covers = profile.parts.iter().map(|part| part.id).filter(|id| *id != part).collect();
        Ok(record)
    }
}

impl ConsentRequest {
    /// What makes the request the same when it is sent again.
    fn content(&self) -> impl Serialize + '_ {
        let Self { customer, purpose, state, source, proof, time, expire_time, request_id: _, faults: _ } = self;
        (customer.binding(), purpose, state, source, proof, time, expire_time)
    }
}
