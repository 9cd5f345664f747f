//! Everything that is held about one customer, for the customer.

use tokio::sync::mpsc;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use super::predict::{Answer, Kinds, answer};
use super::unwind::produce;
use crate::domain::audit::AuditEntry;
use crate::domain::consent::ConsentRecord;
use crate::domain::event::Event;
use crate::domain::id::Revision;
use crate::domain::merge::MergeRecord;

/// Records that wait for a slow caller before the reading waits too.
const RECORDS_AHEAD: usize = 64;

/// One thing that is held about a customer.
#[derive(Debug)]
pub enum Exported {
    /// What the events add up to, with who said what.
    Profile(Box<Found>),
    /// What the customer said about the use of their data.
    Consent(ConsentRecord),
    /// How several profiles became the customer's.
    Merge(MergeRecord),
    /// What the models say, and why.
    Prediction(Box<Answer>),
    /// What happened.
    Event(Event),
    /// Who asked for what about the customer.
    Audit(AuditEntry),
}

impl App {
    /// Begins a stream of everything that is held about a customer: the profile, then consents and merges, newest first,
    /// then predictions, then the events that are kept, oldest first, then who read and changed it, newest first. It is the customer's right to have it, so that no
    /// consent is asked for. Errors on the way come through the stream.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer.
    pub async fn export_customer(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<(mpsc::Receiver<Result<Exported>>, Revision)> {
        let revision = self.check_read(read)?;
        let found = self.find(caller, customer, read).await?;
        let (app, caller) = (self.clone(), caller.clone());
        let export = |sender: mpsc::Sender<Result<Exported>>| async move {
            if let Err(error) = app.export(&caller, found, &sender).await {
                let _hung_up = sender.send(Err(error)).await;
            }
        };
        Ok((produce(RECORDS_AHEAD, |panicked| Err(panicked.into()), export), revision))
    }

    async fn export(&self, caller: &Caller, found: Found, sender: &mpsc::Sender<Result<Exported>>) -> Result<()> {
        // Whoever hangs up wants no more.
        let tell = async |exported| sender.send(Ok(exported)).await.is_ok();
        if !tell(Exported::Profile(Box::new(found.clone()))).await {
            return Ok(());
        }
        for record in self.consent_ledger(caller, &found.profile).await? {
            if !tell(Exported::Consent(record)).await {
                return Ok(());
            }
        }
        for id in self.merge_ids(caller, &found.profile).await? {
            if let Some(record) = self.kept_merge(caller, id).await?
                && !tell(Exported::Merge(record)).await
            {
                return Ok(());
            }
        }
        let serving = self.registry.serving(&caller.workspace);
        let answers = answer(&serving, &found, Kinds::everything(&serving), usize::MAX);
        let mut goes_on = tell(Exported::Prediction(Box::new(answers))).await;
        let histories = self.histories(&caller.workspace, &[&found.profile]).await?;
        let kept = self.history_kept(&caller.workspace).await?;
        // What has expired is not told, although it may not have been forgotten yet.
        let events = histories.into_iter().flat_map(|history| history.events);
        for event in events.filter(|event| kept.check(event.times.event).is_ok()) {
            goes_on = goes_on && tell(Exported::Event(event)).await;
        }
        let mut next = None;
        while goes_on {
            let (entries, before) = self.audit_about(caller, &found.profile, next).await?;
            for entry in entries {
                goes_on = goes_on && tell(Exported::Audit(entry)).await;
            }
            goes_on = goes_on && before.is_some();
            next = before;
        }
        Ok(())
    }
}
