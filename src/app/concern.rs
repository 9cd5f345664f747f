//! What a call turns out to be about: told by its use case on the way, and read by whoever records the call.

use std::sync::{Arc, OnceLock};

use smol_str::SmolStr;

use super::customer::Caller;
use crate::domain::audit::{self, AuditedCall};
use crate::domain::id::ProfileId;

/// Who asks for what, and about whom as soon as that is known. Without content, nobody records the call.
#[derive(Debug, Clone, Default)]
pub struct Concern(Option<Arc<Told>>);

#[derive(Debug)]
struct Told {
    principal: SmolStr,
    method: SmolStr,
    subject: OnceLock<ProfileId>,
    purpose: OnceLock<SmolStr>,
}

impl Concern {
    /// Of a call of `principal` to `method`, by the names that the audit log has for both.
    pub fn new(principal: SmolStr, method: SmolStr) -> Self {
        Self(Some(Arc::new(Told { principal, method, subject: OnceLock::new(), purpose: OnceLock::new() })))
    }

    /// The call is about this customer. Of several the first counts: it is the one that was asked for.
    pub(super) fn is_about(&self, subject: ProfileId) {
        if let Some(told) = &self.0 {
            told.subject.get_or_init(|| subject);
        }
    }

    /// The call is for this purpose.
    pub(super) fn is_for(&self, purpose: &str) {
        if let Some(told) = &self.0 {
            told.purpose.get_or_init(|| audit::purpose(purpose));
        }
    }

    /// The name of the method, without one where nobody records the call.
    pub(super) fn method(&self) -> &str {
        self.0.as_ref().map_or("", |told| told.method.as_str())
    }

    /// Whether the call is about one customer.
    pub(super) fn has_subject(&self) -> bool {
        self.0.as_ref().is_some_and(|told| told.subject.get().is_some())
    }

    /// The call as the audit log sees it, with what came of it.
    pub(super) fn call(caller: &Caller, status: u8) -> Option<AuditedCall> {
        let told = caller.concern.0.as_deref()?;
        Some(AuditedCall {
            workspace: caller.workspace.clone(),
            principal: told.principal.clone(),
            method: told.method.clone(),
            subject: told.subject.get().copied(),
            purpose: told.purpose.get().cloned().unwrap_or_default(),
            status,
        })
    }
}
