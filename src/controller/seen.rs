//! A `Deployment` object as it is read and kept: what is used of it, and no more.

use std::{
    borrow::Cow,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
};
use kube::{Resource, core::NamespaceResourceScope};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Value, value::RawValue};

use super::census::Key;
use crate::{
    api::{Deployment, DeploymentSpec, DeploymentStatus, RemoteStatus, RolloutStatus, conditions},
    clock::Clock,
    core::{
        config::Managed,
        identity::Identity,
        owner::Claimant,
        rollout::{Failure, Rollout},
        status::{Reason, Truth},
        step::{Mode, Object, Source, Uid, Version},
    },
};

/// A `Deployment` object as an answer of the API server tells it, also where its spec can't be read. What is not used, such
/// as who set which field, is read past.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    #[serde(rename = "metadata", deserialize_with = "meta")]
    meta: ObjectMeta,
    spec: Option<Json>,
    status: Option<Json>,
}

fn meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// The spec, or what is wrong with it and where.
fn spec(json: Option<Json>) -> Result<DeploymentSpec, String> {
    let json = json.ok_or("spec is missing")?;
    json.read().or_else(|error: serde_json::Error| {
        // From a tree, the error names no column of a text that nobody sees.
        let tree: Value = json.read().map_err(|_: serde_json::Error| format!("spec: {error}"))?;
        serde_path_to_error::deserialize(tree).map_err(|error| match error.path().iter().len() {
            0 => format!("spec: {}", error.inner()),
            _ => format!("spec.{}: {}", error.path(), error.inner()),
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

impl Resource for Received {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(dt: &()) -> Cow<'_, str> {
        Deployment::kind(dt)
    }

    fn group(dt: &()) -> Cow<'_, str> {
        Deployment::group(dt)
    }

    fn version(dt: &()) -> Cow<'_, str> {
        Deployment::version(dt)
    }

    fn plural(dt: &()) -> Cow<'_, str> {
        Deployment::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A `Deployment` object as it was seen, without its status. Its name is the key that it is kept by.
#[derive(Clone, Debug)]
pub struct Seen {
    uid: Box<str>,
    version: Box<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// In seconds.
    created: i64,
    /// Whether it is being deleted, and something keeps it.
    pub is_deleting: bool,
    /// The spec, or what is wrong with it.
    pub spec: Result<Spec, Box<str>>,
    /// The configuration that the spec manages, or what is wrong with that.
    pub managed: Result<Arc<Managed>, Box<str>>,
    /// For which generation its status says Ready=True.
    claimed: Option<i64>,
    /// Why its status says of this generation that the change of the configuration was given up.
    failed: Option<Failure>,
    /// Since when its status says that the line has been paused for a change.
    down_since: Option<Timestamp>,
    /// The line that it adopted, as its status tells it.
    identity: Identity,
    /// Whether its status, of whatever generation, says that the id leads to another line.
    identity_changed: bool,
}

/// What is used of a spec beside the configuration that it manages.
#[derive(Clone, Debug)]
pub struct Spec {
    /// `workspaceRef.name`.
    pub workspace: Box<str>,
    /// `deploymentID`.
    pub deployment_id: Box<str>,
    /// `paused`.
    pub paused: bool,
    mode: Mode,
    rollout: Rollout,
}

/// What stands in an object's status.
#[derive(Debug)]
pub enum Status {
    /// All of it.
    Whole(Box<DeploymentStatus>),
    /// It says that the line is as asked, and has this [`fingerprint`]. Ten thousand such are too much to keep.
    Ready(u64),
}

impl Default for Status {
    fn default() -> Self {
        Self::Whole(Box::default())
    }
}

impl Status {
    /// All of it, where it is kept.
    pub fn whole(&self) -> Option<&DeploymentStatus> {
        match self {
            Self::Whole(status) => Some(status),
            Self::Ready(_) => None,
        }
    }

    /// Whether it says just that.
    pub fn says(&self, status: &DeploymentStatus) -> bool {
        match self {
            Self::Whole(known) => **known == *status,
            Self::Ready(known) => *known == fingerprint(status),
        }
    }

    /// All that it says, in a number.
    pub fn fingerprint(&self) -> u64 {
        match self {
            Self::Whole(status) => fingerprint(status),
            Self::Ready(known) => *known,
        }
    }
}

/// All that a status says, in a number; the times of transitions apart, which follow from what it said before.
pub fn fingerprint(status: &DeploymentStatus) -> u64 {
    let DeploymentStatus { observed_generation, remote, rollout, conditions } = status;
    let mut hasher = DefaultHasher::new();
    let moment = |time: &Option<Time>| time.as_ref().map(|time| time.0.as_second());
    let remote = remote.as_ref().map(|remote| {
        let RemoteStatus {
            state,
            name,
            description,
            app_id,
            app_version,
            phone_numbers,
            connections,
            schedule,
            channel_direction,
            created_at,
            updated_at,
            updated_by,
        } = remote;
        let config = (name, description, app_version, phone_numbers, connections, schedule);
        (state, config, app_id, channel_direction, moment(created_at), moment(updated_at), updated_by)
    });
    let rollout = rollout.as_deref().map(|RolloutStatus { paused_since, from, to }| (moment(paused_since), from, to));
    (observed_generation, remote, rollout).hash(&mut hasher);
    for Condition { type_, status, reason, message, observed_generation, last_transition_time: _ } in conditions {
        (type_, status, reason, message, observed_generation).hash(&mut hasher);
    }
    hasher.finish()
}

/// A part of an object, which can be read more than once.
#[derive(Clone, Debug)]
enum Json {
    /// As it came: to read it into types is a fraction of the work of a tree.
    Text(Box<RawValue>),
    /// From who had to keep it before it was asked for, as for an event of a watch that says of which type it is behind the object.
    Tree(Value),
}

impl Json {
    fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        match self {
            Self::Text(text) => serde_json::from_str(text.get()),
            Self::Tree(tree) => T::deserialize(tree),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Json, A::Error> {
                Box::deserialize(MapAccessDeserializer::new(map)).map(Json::Text)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
                Value::deserialize(deserializer).map(Json::Tree)
            }
        }

        // By this name a `RawValue` asks for the text. It fails where there is none; whoever does not know the name has a tree.
        deserializer.deserialize_newtype_struct("$serde_json::private::RawValue", Either)
    }
}

/// What most objects manage beside `paused`: nothing. Kept once.
static NOTHING: LazyLock<Arc<Managed>> = LazyLock::new(Arc::default);

impl Received {
    /// Whether it is no news to who knows `seen`: the echo of a write of ours, whose answer was the same; or what a watch tells late.
    /// A list may go back, after a restore from a backup.
    pub fn is_old(&self, seen: &Seen, source: Source) -> bool {
        let ObjectMeta { uid, resource_version, .. } = &self.meta;
        let (uid, version) = (uid.as_deref().unwrap_or_default(), resource_version.as_deref().unwrap_or_default());
        let is_late = source == Source::Watch && Uid::of(uid) == seen.uid() && version_of(version) < seen.version();
        (uid, version) == seen.guard() || is_late
    }

    /// The object, and what stands in its status. A list brings very many of them.
    pub fn split(self, source: Source) -> (Seen, Status) {
        let Self { meta, spec: json, status } = self;
        let spec = spec(json);
        let status: DeploymentStatus = status.and_then(|status| status.read().ok()).unwrap_or_default();
        let generation = meta.generation.unwrap_or_default();
        let ready = conditions::ready(&status.conditions);
        let is_ready = ready.is_some_and(|it| it.status == Truth::True.as_str());
        let is_of_it = status.observed_generation == Some(generation);
        let seen = Seen {
            uid: meta.uid.unwrap_or_default().into(),
            version: meta.resource_version.unwrap_or_default().into(),
            generation,
            created: meta.creation_timestamp.map_or(i64::MAX, |time| time.0.as_second()),
            is_deleting: meta.deletion_timestamp.is_some(),
            managed: spec.as_ref().map_or_else(
                |_| Ok(Arc::clone(&NOTHING)),
                |spec| match spec.managed() {
                    Ok(managed) if managed.is_empty() => Ok(Arc::clone(&NOTHING)),
                    Ok(managed) => Ok(Arc::new(managed)),
                    Err(wrong) => Err(wrong.into()),
                },
            ),
            spec: spec.map_err(Into::into).map(|spec| Spec {
                paused: spec.paused,
                mode: spec.mode(),
                rollout: spec.rollout(),
                workspace: spec.workspace_ref.name.into(),
                deployment_id: spec.deployment_id.into(),
            }),
            claimed: status.observed_generation.filter(|_| is_ready),
            failed: ready.filter(|_| is_of_it && !is_ready).and_then(|ready| {
                Failure::ALL.into_iter().find(|failure| ready.reason == Reason::of_failure(*failure).to_string())
            }),
            down_since: status.rollout.as_ref().and_then(|it| it.paused_since.as_ref()).map(|time| time.0),
            identity: status.remote.as_ref().map(RemoteStatus::identity).unwrap_or_default(),
            identity_changed: ready.is_some_and(|it| it.reason == Reason::IdentityChanged.to_string()),
        };
        let status = if source == Source::List && seen.claims() {
            Status::Ready(fingerprint(&status))
        } else {
            Status::Whole(Box::new(status))
        };
        (seen, status)
    }
}

fn version_of(resource_version: &str) -> Version {
    Version(resource_version.parse().unwrap_or_default())
}

impl Seen {
    /// `metadata.uid`.
    pub fn uid(&self) -> Uid {
        Uid::of(&self.uid)
    }

    /// `metadata.resourceVersion`.
    pub fn version(&self) -> Version {
        version_of(&self.version)
    }

    /// `metadata.uid` and `metadata.resourceVersion` as they were sent: what guards a write.
    pub fn guard(&self) -> (&str, &str) {
        (&self.uid, &self.version)
    }

    /// Whether its status says Ready=True for this generation.
    pub fn claims(&self) -> bool {
        self.claimed == Some(self.generation)
    }

    /// The line that it adopted, as its status tells it.
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// What the step function needs of it.
    pub fn object(&self, clock: &Clock) -> Object {
        Object {
            uid: self.uid(),
            version: self.version(),
            generation: self.generation,
            // What can't be read is not acted on: an obstacle stands before it.
            paused: self.spec.as_ref().is_ok_and(|spec| spec.paused),
            mode: self.spec.as_ref().map_or(Mode::Report, |spec| spec.mode),
            // Nor is this: a bar does.
            config: self.managed.as_ref().map_or_else(|_| Arc::clone(&NOTHING), Arc::clone),
            rollout: self.spec.as_ref().map(|spec| spec.rollout).unwrap_or_default(),
            claims: self.claims(),
            edited: self.claimed.is_some_and(|generation| generation != self.generation),
            failed: self.failed,
            down_since: self.down_since.map(|time| clock.of_the_wall(time)),
            identity: self.identity,
            identity_changed: self.identity_changed,
        }
    }

    /// Whether an edit, a deletion, or another object under the same name lies between the two.
    pub fn is_another_than(&self, other: &Self) -> bool {
        (&self.uid, self.generation, self.is_deleting) != (&other.uid, other.generation, other.is_deleting)
    }

    /// What wants to own the line.
    pub fn claimant(&self) -> Claimant {
        Claimant { created: self.created, uid: self.uid() }
    }

    /// The object of that key as an Event names it.
    pub fn reference(&self, key: &Key) -> ObjectReference {
        ObjectReference {
            api_version: Some(Deployment::api_version(&()).into_owned()),
            kind: Some(Deployment::kind(&()).into_owned()),
            namespace: Some(key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: Some(self.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_read_as_far_as_it_can_be() {
        let spec = |paused: Value| json!({"workspaceRef": {"name": "w"}, "deploymentID": "d", "paused": paused});
        let ready = json!({"observedGeneration": 3, "conditions": [{"type": "Ready", "status": "True", "reason": "Synced",
            "message": "m", "lastTransitionTime": "2026-11-23T10:00:00Z"}]});
        // The object's spec and status, what is wrong with the spec, and whether it claims to be as asked.
        let table = [
            (spec(json!(true)), ready.clone(), None, true),
            (spec(json!(true)), json!(null), None, false),
            (spec(json!(true)), json!({"conditions": "none"}), None, false),
            (
                spec(json!("often")),
                ready.clone(),
                Some("spec.paused: invalid type: string \"often\", expected a boolean"),
                true,
            ),
            (
                json!({"workspaceRef": {"name": "w"}, "deploymentID": "d"}),
                ready.clone(),
                Some("spec: missing field `paused`"),
                true,
            ),
            (json!(null), ready, Some("spec is missing"), true),
        ];
        for (spec, status, wrong, claims) in table {
            let object = json!({
                "apiVersion": "agents.sarvam.ai/v1alpha1",
                "kind": "Deployment",
                "metadata": {"name": "n", "namespace": "s", "uid": "0000000a-0000-0000-0000-00000000000b",
                    "resourceVersion": "7", "generation": 3, "managedFields": [{"manager": "kubectl"}], "labels": {"a": "b"}},
                "spec": spec,
                "status": status,
            });
            let received: Received = serde_json::from_str(&object.to_string()).unwrap();
            assert_eq!(Key::of(received.meta()), Key::new("s", "n"));
            let (seen, status) = received.split(Source::List);
            assert_eq!(seen.spec.as_ref().err().map(|wrong| &**wrong), wrong, "{object}");
            assert_eq!(seen.claims(), claims, "{object}");
            assert_eq!(status.whole().is_none(), claims, "what says that all is well is not kept: {object}");
            assert_eq!(seen.object(&Clock::start()).uid, Uid(0xa << 96 | 0xb));
            assert_eq!((seen.version(), seen.guard()), (Version(7), ("0000000a-0000-0000-0000-00000000000b", "7")));
        }
    }

    #[test]
    fn an_object_is_read_from_text_and_where_there_is_none_as_well() {
        let object = r#"{"metadata": {"name": "n", "uid": "7"}, "spec": {"paused": 1}}"#;
        let events = [
            (format!(r#"{{"type": "MODIFIED", "object": {object}}}"#), true),
            (format!(r#"{{"object": {object}, "type": "MODIFIED"}}"#), false),
        ];
        for (event, is_text) in events {
            let WatchEvent::Modified(received) = serde_json::from_str::<WatchEvent<Received>>(&event).unwrap() else {
                panic!("{event} is of another type");
            };
            assert!(matches!(received.spec, Some(Json::Text(_))) == is_text, "{event} became {received:?}");
            let (seen, _) = received.split(Source::Watch);
            assert_eq!(seen.guard().0, "7");
            assert_eq!(&*seen.spec.unwrap_err(), "spec.paused: invalid type: integer `1`, expected a boolean");
        }
    }
}
