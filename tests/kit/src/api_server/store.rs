//! The objects, and what requests do to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rules::{Kind, Target, merge, withdrawn};
use crate::clock::{Wall, now};

/// The version before the first write: what is older was compacted before this server began, as at every real one.
const FIRST_VERSION: u64 = 1000;

/// A request that is answered with a failure.
pub(super) struct Refused {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NotFound", message)
    }

    fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {}: {why}", kind.named(name)))
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It was made.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One write that changed something.
#[derive(Debug, Clone)]
pub struct Change {
    /// The version that it made.
    pub version: u64,
    /// When.
    pub at: Instant,
    /// The kind's name in paths.
    pub plural: String,
    /// What.
    pub happened: Happened,
    /// The object after it; where it is gone, as it last was.
    pub object: Arc<Value>,
}

type Place = (String, String, String);

pub(super) struct Store {
    objects: BTreeMap<Place, Arc<Value>>,
    /// What was last applied, and by whom.
    applied: BTreeMap<(Place, String), Value>,
    history: Vec<Change>,
    compacted: u64,
    uids: u64,
    wall: Wall,
}

impl Store {
    pub(super) fn new(wall: Timestamp) -> Self {
        Self {
            objects: BTreeMap::new(),
            applied: BTreeMap::new(),
            history: Vec::new(),
            compacted: FIRST_VERSION,
            uids: 0,
            wall: Wall::start_at(wall),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.history.last().map_or(FIRST_VERSION, |change| change.version)
    }

    pub(super) fn history(&self) -> &[Change] {
        &self.history
    }

    pub(super) fn compact(&mut self) {
        self.compacted = self.version();
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(super) fn get(&self, target: &Target) -> Result<Value, Refused> {
        let (place, name) = place(target);
        let found = self
            .objects
            .get(&place)
            .ok_or_else(|| Refused::not_found(format!("{} not found", target.kind.named(&name))))?;
        Ok((**found).clone())
    }

    /// The objects; where an older view will do, as they were at version `limit`.
    pub(super) fn list(&self, target: &Target, limit: u64) -> Value {
        let version =
            if target.parameter("resourceVersion") == Some("0") { limit.min(self.version()) } else { self.version() };
        let items: Vec<Arc<Value>> = self.at(target, version);
        json!({
            "apiVersion": target.kind.api_version,
            "kind": format!("{}List", target.kind.kind),
            "metadata": {"resourceVersion": version.to_string(), "continue": ""},
            "items": items.iter().map(|item| (**item).clone()).collect::<Vec<_>>(),
        })
    }

    /// The objects that `target` covers, as they were at a version, in the order of their names.
    pub(super) fn at(&self, target: &Target, version: u64) -> Vec<Arc<Value>> {
        let mut objects: BTreeMap<(&str, &str), &Arc<Value>> = BTreeMap::new();
        let changes = self.history.iter().take_while(|change| change.version <= version);
        for change in changes.filter(|change| change.plural == target.kind.plural && target.covers(&change.object)) {
            let meta = &change.object["metadata"];
            let name = (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
            match change.happened {
                Happened::Deleted => objects.remove(&name),
                Happened::Added | Happened::Modified => objects.insert(name, &change.object),
            };
        }
        objects.into_values().cloned().collect()
    }

    pub(super) fn create(&mut self, target: &Target, mut object: Value) -> Result<Value, Refused> {
        let namespace = target.namespace.clone().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let place = (target.kind.plural.clone(), namespace.clone(), name.clone());
        if self.objects.contains_key(&place) {
            return Err(Refused::new(409, "AlreadyExists", format!("{} already exists", target.kind.named(&name))));
        }
        if target.kind.is_custom() {
            object.as_object_mut().map(|fields| fields.remove("status"));
        }
        target.kind.fill_in(&mut object);
        self.uids += 1;
        object["apiVersion"] = json!(target.kind.api_version);
        object["kind"] = json!(target.kind.kind);
        let meta = &mut object["metadata"];
        meta["namespace"] = json!(namespace);
        meta["uid"] = json!(format!("00000000-0000-4000-8000-{:012x}", self.uids));
        meta["creationTimestamp"] = self.second();
        if target.kind.is_custom() {
            meta["generation"] = json!(1);
        }
        Ok(self.write(place, object, Happened::Added))
    }

    pub(super) fn update(&mut self, target: &Target, object: Value) -> Result<(u16, Value), Refused> {
        let (place, name) = place(target);
        if self.objects.contains_key(&place) {
            return self.replace(target, object).map(|object| (200, object));
        }
        if !target.kind.is_made_by_update() {
            return Err(Refused::not_found(format!("{} not found", target.kind.named(&name))));
        }
        if !object["metadata"]["uid"].is_null() {
            return Err(Refused::conflict(&target.kind, &name, "the uid names an object that isn't there"));
        }
        self.create(target, object).map(|object| (201, object))
    }

    /// A merge patch, or an apply where it names the manager: the fields that it had applied before and no longer does are taken away.
    pub(super) fn patch(&mut self, target: &Target, patch: &Value) -> Result<(u16, Value), Refused> {
        let (place, _) = place(target);
        let manager = target.manager().map(|manager| (place.clone(), manager.to_owned()));
        let Some(manager) = manager else {
            let mut object = self.get(target)?;
            let uid = object["metadata"]["uid"].clone();
            merge(&mut object, patch);
            if target.status {
                // A patch of a status is not held to the uid that it names.
                object["metadata"]["uid"] = uid;
            } else if !object["metadata"]["uid"].is_null() && object["metadata"]["uid"] != uid {
                return Err(Refused::new(422, "Invalid", "metadata.uid: field is immutable"));
            }
            return self.replace(target, object).map(|object| (200, object));
        };
        let answer = if self.objects.contains_key(&place) {
            let mut object = self.get(target)?;
            if let Some(before) = self.applied.get(&manager) {
                merge(&mut object, &withdrawn(before, patch));
            }
            merge(&mut object, patch);
            (200, self.replace(target, object)?)
        } else {
            (201, self.create(target, patch.clone())?)
        };
        self.applied.insert(manager, patch.clone());
        Ok(answer)
    }

    /// Puts `object` in the place of the one that is there, as far as the path lets it.
    fn replace(&mut self, target: &Target, mut object: Value) -> Result<Value, Refused> {
        let (place, name) = place(target);
        let before = self.get(target)?;
        check(target, &name, &before, &object["metadata"])?;
        if target.status {
            object = Value::Object(
                before
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .chain([("status".to_owned(), object["status"].take())])
                    .collect(),
            );
        } else if target.kind.is_custom() {
            object["status"] = before["status"].clone();
        }
        object["apiVersion"] = json!(target.kind.api_version);
        object["kind"] = json!(target.kind.kind);
        target.kind.fill_in(&mut object);
        for field in
            ["uid", "creationTimestamp", "generation", "namespace", "name", "resourceVersion", "deletionTimestamp"]
        {
            match before["metadata"].get(field) {
                Some(value) => object["metadata"][field] = value.clone(),
                None => drop(object["metadata"].as_object_mut().map(|meta| meta.remove(field))),
            }
        }
        if object == before {
            return Ok(before);
        }
        let wish = |object: &Value| {
            let mut object = object.clone();
            object["metadata"].take();
            object["status"].take();
            object
        };
        if target.kind.is_custom() && wish(&object) != wish(&before) {
            object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        let finalizers = object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        if !object["metadata"]["deletionTimestamp"].is_null() && finalizers == 0 {
            // The answer is from before the removal, which makes a version of its own.
            self.remove(&place, object.clone());
            return Ok(object);
        }
        Ok(self.write(place, object, Happened::Modified))
    }

    pub(super) fn delete(&mut self, target: &Target, options: &Value) -> Result<Value, Refused> {
        let (place, name) = place(target);
        let mut object = self.get(target)?;
        check(target, &name, &object, &options["preconditions"])?;
        let finalizers = object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        if finalizers > 0 {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = self.second();
                object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                if let Some(generation) = object["metadata"]["generation"].as_i64() {
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                object = self.write(place, object, Happened::Modified);
            }
            return Ok(object);
        }
        let removed = self.remove(&place, object);
        let details = json!({"name": name, "kind": target.kind.plural, "uid": removed["metadata"]["uid"]});
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}))
    }

    fn remove(&mut self, place: &Place, object: Value) -> Value {
        self.objects.remove(place);
        self.applied.retain(|(applied, _), _| applied != place);
        self.record(place, object, Happened::Deleted)
    }

    fn write(&mut self, place: Place, object: Value, happened: Happened) -> Value {
        let written = self.record(&place, object, happened);
        self.objects.insert(place, Arc::new(written.clone()));
        written
    }

    fn record(&mut self, place: &Place, mut object: Value, happened: Happened) -> Value {
        let version = self.version() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.history.push(Change {
            version,
            at: now(),
            plural: place.0.clone(),
            happened,
            object: Arc::new(object.clone()),
        });
        object
    }

    /// The wall's time in whole seconds.
    fn second(&self) -> Value {
        json!(format!("{:.0}", self.wall.now()))
    }
}

fn place(target: &Target) -> (Place, String) {
    let name = target.name.clone().unwrap_or_default();
    ((target.kind.plural.clone(), target.namespace.clone().unwrap_or_default(), name.clone()), name)
}

/// Holds what a request says of an object's identity against the object.
fn check(target: &Target, name: &str, object: &Value, said: &Value) -> Result<(), Refused> {
    for (field, why) in [
        (
            "resourceVersion",
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        ("uid", "the uid is another object's"),
    ] {
        if !said[field].is_null() && said[field] != "" && said[field] != object["metadata"][field] {
            return Err(Refused::conflict(&target.kind, name, why));
        }
    }
    Ok(())
}
