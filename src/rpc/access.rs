//! What each method asks of whoever calls it: one table, and what is not in it is not served.

use std::collections::HashMap;

use crate::domain::access::Scope::{
    self, Admin, EventsWrite, PredictionsRead, PrivacyWrite, ProfilesRead, TrainingWrite,
};
use crate::domain::access::Scopes;

/// What a method asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: load balancers ask without a credential.
    Nothing,
    /// All scopes of at least one of these sets.
    OneOf(&'static [Scopes]),
}

/// The needs of all methods by their paths.
pub(super) struct Rights(HashMap<&'static str, Need>);

const fn one(scope: Scope) -> Scopes {
    Scopes::of(&[scope])
}

const ADMIN: Need = Need::OneOf(&[one(Admin)]);
const EVENTS: Need = Need::OneOf(&[one(EventsWrite)]);
const PROFILES: Need = Need::OneOf(&[one(ProfilesRead)]);
/// A merge changes what is known of customers, as events do, and shows what became of them.
const MERGES: Need = Need::OneOf(&[Scopes::of(&[EventsWrite, ProfilesRead])]);
const PREDICTIONS: Need = Need::OneOf(&[one(PredictionsRead)]);
/// Profiles and predictions name segments, so that both may look them up.
const SEGMENTS: Need = Need::OneOf(&[one(PredictionsRead), one(ProfilesRead)]);
/// Whoever serves the rights of customers sees all of them.
const PRIVACY: Need = Need::OneOf(&[one(PrivacyWrite)]);
const TRAINING: Need = Need::OneOf(&[one(TrainingWrite)]);
/// A card says how far to trust a prediction, and what a training has come to.
const MODELS: Need = Need::OneOf(&[one(PredictionsRead), one(TrainingWrite)]);

const NEEDS: [(&str, Need); 49] = [
    ("/rapport.v1.EventService/IngestEvents", EVENTS),
    ("/rapport.v1.EventService/StreamEvents", EVENTS),
    ("/rapport.v1.EventService/ListRejections", EVENTS),
    ("/rapport.v1.EventService/ListEvents", PROFILES),
    ("/rapport.v1.ProfileService/GetProfile", PROFILES),
    ("/rapport.v1.ProfileService/BatchGetProfiles", PROFILES),
    ("/rapport.v1.ProfileService/ListProfiles", PROFILES),
    ("/rapport.v1.ProfileService/ListMerges", PROFILES),
    ("/rapport.v1.ProfileService/WatchProfiles", PROFILES),
    ("/rapport.v1.ProfileService/MergeProfiles", MERGES),
    ("/rapport.v1.ProfileService/UnmergeProfiles", MERGES),
    ("/rapport.v1.ProfileService/GetIdentityRules", ADMIN),
    ("/rapport.v1.ProfileService/UpdateIdentityRules", ADMIN),
    ("/rapport.v1.SegmentService/ListSegments", SEGMENTS),
    ("/rapport.v1.SegmentService/GetSegment", SEGMENTS),
    ("/rapport.v1.SegmentService/ListSegmentMembers", PROFILES),
    ("/rapport.v1.PredictionService/PredictSegment", PREDICTIONS),
    ("/rapport.v1.PredictionService/PredictEffort", PREDICTIONS),
    ("/rapport.v1.PredictionService/PredictChurn", PREDICTIONS),
    ("/rapport.v1.PredictionService/PredictSatisfaction", PREDICTIONS),
    ("/rapport.v1.PredictionService/PredictValue", PREDICTIONS),
    ("/rapport.v1.PredictionService/Predict", PREDICTIONS),
    ("/rapport.v1.PredictionService/BatchPredict", PREDICTIONS),
    ("/rapport.v1.PredictionService/StreamPredictions", PREDICTIONS),
    ("/rapport.v1.TrainingService/CreateTrainingRun", TRAINING),
    ("/rapport.v1.TrainingService/GetTrainingRun", TRAINING),
    ("/rapport.v1.TrainingService/ListTrainingRuns", TRAINING),
    ("/rapport.v1.TrainingService/CancelTrainingRun", TRAINING),
    ("/rapport.v1.TrainingService/WatchTrainingRun", TRAINING),
    ("/rapport.v1.TrainingService/ListModels", MODELS),
    ("/rapport.v1.TrainingService/GetModel", MODELS),
    ("/rapport.v1.TrainingService/ActivateModel", TRAINING),
    ("/rapport.v1.TrainingService/GetTrainingPlan", TRAINING),
    ("/rapport.v1.TrainingService/UpdateTrainingPlan", TRAINING),
    ("/rapport.v1.PrivacyService/GetConsents", PRIVACY),
    ("/rapport.v1.PrivacyService/RecordConsent", PRIVACY),
    ("/rapport.v1.PrivacyService/ListConsentRecords", PRIVACY),
    ("/rapport.v1.PrivacyService/ExportCustomer", PRIVACY),
    ("/rapport.v1.AdminService/GetServerInfo", ADMIN),
    ("/rapport.v1.AdminService/GetSettings", ADMIN),
    ("/rapport.v1.AdminService/UpdateSettings", ADMIN),
    ("/rapport.v1.AdminService/CreateBackup", ADMIN),
    ("/rapport.v1.AdminService/CreateApiKey", ADMIN),
    ("/rapport.v1.AdminService/ListApiKeys", ADMIN),
    ("/rapport.v1.AdminService/RevokeApiKey", ADMIN),
    ("/grpc.health.v1.Health/Check", Need::Nothing),
    ("/grpc.health.v1.Health/Watch", Need::Nothing),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ADMIN),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ADMIN),
];

/// The paths of all methods.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    NEEDS.iter().map(|(path, _)| *path)
}

impl Rights {
    pub(super) fn new() -> Self {
        Self(NEEDS.into_iter().collect())
    }

    /// What a method asks for; `None` for one that nobody may call.
    pub(super) fn of(&self, path: &str) -> Option<Need> {
        self.0.get(path).copied()
    }
}

impl Need {
    /// The scopes that are missing, in the way that asks for the fewest; `None` where nothing is.
    pub(super) fn missing(self, held: Scopes) -> Option<Scopes> {
        let Self::OneOf(sets) = self else { return None };
        let lacking = |set: &Scopes| set.iter().filter(|scope| !held.has(*scope)).collect::<Scopes>();
        sets.iter().map(lacking).min_by_key(|lacking| lacking.iter().count()).filter(|lacking| !lacking.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of all methods that descriptors declare.
    fn declared(encoded: &[u8]) -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(encoded).expect("descriptors").file;
        let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        let paths = services.flat_map(|(package, service)| {
            service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
        });
        paths.collect()
    }

    #[test]
    fn every_method_of_every_service_has_an_entry_and_every_entry_a_method() {
        let mut methods = declared(crate::rpc::pb::FILE_DESCRIPTOR_SET);
        assert!(methods.len() > 30, "only {} methods are declared", methods.len());
        methods.extend(declared(tonic_health::pb::FILE_DESCRIPTOR_SET));
        methods.extend(declared(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        methods.extend(declared(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
        let entries: BTreeSet<String> = NEEDS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(entries.len(), NEEDS.len(), "a method has two entries");
        assert_eq!(methods, entries, "methods on the left, entries of NEEDS on the right");
    }

    #[test]
    fn only_health_is_open() {
        for (path, need) in NEEDS {
            assert_eq!(need == Need::Nothing, path.starts_with("/grpc.health.v1."), "{path}");
            assert_eq!(need.missing(Scopes::default()).is_none(), need == Need::Nothing, "{path}");
            assert_eq!(need.missing(Scopes::ALL), None, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_the_least_that_would_do() {
        assert_eq!(MERGES.missing(one(ProfilesRead)), Some(one(EventsWrite)));
        assert_eq!(MODELS.missing(one(TrainingWrite)), None);
        assert_eq!(MODELS.missing(one(Admin)), Some(one(PredictionsRead)));
    }
}
