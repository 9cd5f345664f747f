//! Profiles in replies, with what an answer needs beside them: the workspace's currency and each one's segment.

use super::call::Call;
use super::convert::mask::Mask;
use super::convert::profile::{self, View};
use super::pb;
use crate::app::{App, Found};
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

    fn view(&self) -> View<'_> {
        View { mask: &self.mask, currency: &self.currency, now: self.now }
    }
}
