//! What is kept as a whole and replaced as a whole: identity rules and settings. Both carry a number that counts up.

use std::time::Duration;

use async_trait::async_trait;
use rapport::rpc::pb;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::{Fault, Writer, answered, end};

/// The limit of the rule that is changed, from which it begins again.
const LIMIT_MAX: i32 = 50;
const RULE: &str = "loyalty_id";
const SOURCE: &str = "till";
/// Every decision about an event reads the rules and the settings: who changes them all the time lets nobody else go on.
const PAUSE: Duration = Duration::from_millis(20);

/// Changes one rule over and over.
#[derive(Default)]
pub(crate) struct Rules(Number);

/// Changes one setting over and over.
#[derive(Default)]
pub(crate) struct SourcePriorities(Number);

/// What was acknowledged last, and what was on its way.
#[derive(Debug, Default)]
struct Number {
    acknowledged: i32,
    on_its_way: i32,
}

impl Number {
    fn next(&mut self) -> i32 {
        self.on_its_way = self.acknowledged % LIMIT_MAX + 1;
        self.on_its_way
    }

    fn acknowledge(&mut self) {
        self.acknowledged = self.on_its_way;
    }

    fn settle(&mut self, what: &str, found: i32) -> Result<(), Fault> {
        if found != self.acknowledged && found != self.on_its_way {
            return Err(format!("{what} is {found}, and should be one of {self:?}"));
        }
        *self = Self { acknowledged: found, on_its_way: found };
        Ok(())
    }
}

async fn rules(server: Channel) -> Result<pb::IdentityRules, tonic::Status> {
    let request = pb::GetIdentityRulesRequest::default();
    let response = ProfileServiceClient::new(server).get_identity_rules(request).await?;
    Ok(response.into_inner().rules.unwrap_or_default())
}

impl Rules {
    async fn change(&mut self, server: Channel) -> Result<(), tonic::Status> {
        let mut rules = rules(server.clone()).await?;
        let limit = self.0.next();
        rules.rules.iter_mut().filter(|rule| rule.r#type == RULE).for_each(|rule| rule.limit = limit);
        let request = pb::UpdateIdentityRulesRequest { rules: Some(rules), ..Default::default() };
        ProfileServiceClient::new(server).update_identity_rules(request).await?;
        self.0.acknowledge();
        Ok(())
    }
}

#[async_trait]
impl Writer for Rules {
    async fn write(&mut self, server: Channel, _: watch::Sender<u64>) -> Result<(), Fault> {
        loop {
            if let Some(end) = self.change(server.clone()).await.err().and_then(|status| end(&status)) {
                return end;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn settle(&mut self, server: Channel) -> Result<(), Fault> {
        let rules = rules(server).await.map_err(|status| format!("rules are refused: {status}"))?;
        if self.0.acknowledged == 0 && self.0.on_its_way == 0 {
            return Ok(());
        }
        let limit = rules.rules.iter().find(|rule| rule.r#type == RULE).map_or(0, |rule| rule.limit);
        if self.0.acknowledged == 0 && limit != self.0.on_its_way {
            // The default, which nobody has changed yet.
            self.0 = Number::default();
            return Ok(());
        }
        self.0.settle("the limit of a rule", limit)
    }

    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault> {
        self.settle(server).await
    }
}

#[async_trait]
impl Writer for SourcePriorities {
    async fn write(&mut self, server: Channel, _: watch::Sender<u64>) -> Result<(), Fault> {
        let mut client = AdminServiceClient::new(server);
        loop {
            let source_priorities = [(SOURCE.to_owned(), self.0.next())].into();
            let settings = Some(pb::Settings { source_priorities, ..Default::default() });
            let request = pb::UpdateSettingsRequest { settings, ..Default::default() };
            match client.update_settings(request).await.map_err(|status| end(&status)) {
                Ok(_) => self.0.acknowledge(),
                Err(Some(end)) => return end,
                Err(None) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn settle(&mut self, server: Channel) -> Result<(), Fault> {
        let request = pb::GetSettingsRequest::default();
        let settings = answered(AdminServiceClient::new(server).get_settings(request).await)?.settings;
        let found = settings.and_then(|settings| settings.source_priorities.get(SOURCE).copied());
        self.0.settle("the priority of a source", found.unwrap_or(0))
    }

    async fn compare_all(&mut self, server: Channel) -> Result<(), Fault> {
        self.settle(server).await
    }
}
