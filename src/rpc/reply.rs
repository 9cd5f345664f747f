//! Profiles in replies, with what an answer needs beside them: the workspace's currency and each one's segment.

use prost::Message as _;
use tonic::codegen::Bytes;

use super::call::Call;
use super::convert::consent;
use super::convert::mask::Mask;
use super::convert::profile::{self, View};
use super::pb;
use super::shown::{Moving, ShownProfile};
use crate::app::{App, Found, Show};
use crate::domain::access::Scope;
use crate::domain::consent::Consents;
use crate::domain::money::Currency;
use crate::domain::time::Timestamp;

/// Shows profiles as one reply wants them, and as the caller may see them.
pub(super) struct Viewer<'a> {
    app: &'a App,
    call: &'a Call,
    mask: Mask,
    currency: Currency,
    now: Timestamp,
}

impl<'a> Viewer<'a> {
    /// Gets what all profiles of the reply have in common.
    pub(super) fn new(app: &'a App, call: &'a Call, mask: Mask) -> Self {
        Self { app, call, mask, currency: app.summary_currency(&call.caller), now: app.now() }
    }

    /// The whole of a profile, with who said what: for the customer, who may see all of it.
    pub(super) fn show_whole(&self, found: &Found) -> pb::Profile {
        profile::whole(&self.view(), found, |found| self.app.segment_of(&self.call.caller, found))
    }

    pub(super) fn show(&self, found: &Found) -> pb::Profile {
        self.call.shown(self.view().to_pb(found, |found| self.app.segment_of(&self.call.caller, found)))
    }

    /// Whether all of a profile is shown that anybody is shown.
    pub(super) fn shows_everything(&self) -> bool {
        self.mask == Mask::default() && self.call.caller.scopes.has(Scope::ProfilesPii)
    }

    fn view(&self) -> View<'_> {
        View { mask: &self.mask, currency: &self.currency, now: self.now }
    }
}

/// What of a profile is shown in the same way until it changes.
pub(super) struct Lasting {
    currency: Currency,
    profile: Bytes,
}

/// For answers that show everything.
impl Show for Viewer<'_> {
    type Lasting = Lasting;
    type Answer = ShownProfile;

    fn lasting(&self, found: &Found) -> Lasting {
        let mut profile = self.view().to_pb(found, |_| String::new());
        profile.consents.clear();
        Lasting { currency: self.currency.clone(), profile: profile.encode_to_vec().into() }
    }

    fn bytes(&self, lasting: &Lasting) -> usize {
        size_of::<Lasting>() + lasting.profile.len()
    }

    fn is_current(&self, lasting: &Lasting) -> bool {
        lasting.currency == self.currency
    }

    fn answer(&self, lasting: &Lasting, segment_id: String, consents: &Consents) -> ShownProfile {
        let consents = consent::summaries(consents, self.now);
        ShownProfile::new(lasting.profile.clone(), Moving { segment_id, consents })
    }
}
