//! Profiles in replies, with what an answer needs beside them: the workspace's currency and each one's segment.

use super::call::Call;
use super::convert::mask::Mask;
use super::convert::profile::{self, View};
use super::pb;
use crate::app::{App, Caller, Found, Result};
use crate::domain::money::Currency;
use crate::domain::time::Timestamp;

/// Shows profiles as one reply wants them.
pub(super) struct Viewer<'a> {
    app: &'a App,
    caller: &'a Caller,
    mask: Mask,
    currency: Currency,
    now: Timestamp,
}

impl<'a> Viewer<'a> {
    /// Gets what all profiles of the reply have in common.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub(super) async fn new(app: &'a App, call: &'a Call, mask: Mask) -> Result<Self> {
        let currency = app.summary_currency(&call.caller).await?;
        Ok(Self { app, caller: &call.caller, mask, currency, now: app.now() })
    }

    /// The whole of a profile, with who said what.
    pub(super) fn show_whole(&self, found: &Found) -> pb::Profile {
        let view = View { mask: &self.mask, currency: &self.currency, now: self.now };
        profile::whole(&view, found, |found| self.app.segment_of(self.caller, found))
    }

    pub(super) fn show(&self, found: &Found) -> pb::Profile {
        let view = View { mask: &self.mask, currency: &self.currency, now: self.now };
        view.to_pb(found, |found| self.app.segment_of(self.caller, found))
    }
}
