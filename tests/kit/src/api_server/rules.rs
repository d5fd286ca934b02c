//! Which kinds there are, what holds for their objects, and where a request points.

use std::path::Path;

use hyper::Uri;
use serde_json::{Value, json};

use crate::control_plane::crds;
use crate::error::Result;

/// A kind of objects.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Kind {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// The name in paths.
    pub plural: String,
    /// The schema of a custom resource.
    schema: Option<Value>,
    /// Whether a PUT makes an object that isn't there.
    made_by_update: bool,
}

impl Kind {
    /// The kinds of the CRDs in the YAML files of a folder, and the built-in ones.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let custom = crds::read(folder)?.into_iter().map(|crd| {
            let spec = &crd["spec"];
            let version = &spec["versions"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Self {
                api_version: format!("{}/{}", text(&spec["group"]), text(&version["name"])),
                kind: text(&spec["names"]["kind"]),
                plural: text(&spec["names"]["plural"]),
                schema: Some(version["schema"]["openAPIV3Schema"].clone()),
                made_by_update: false,
            }
        });
        let built_in = [
            ("v1", "Secret", "secrets", false),
            ("coordination.k8s.io/v1", "Lease", "leases", true),
            ("events.k8s.io/v1", "Event", "events", true),
        ];
        let built_in = built_in.map(|(api_version, kind, plural, made_by_update)| Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            schema: None,
            made_by_update,
        });
        Ok(custom.chain(built_in).collect())
    }

    /// Whether a PUT makes an object that isn't there.
    pub(super) fn is_made_by_update(&self) -> bool {
        self.made_by_update
    }

    /// Whether its objects have a generation and a status of their own path: of ours, the custom resources do.
    pub(super) fn is_custom(&self) -> bool {
        self.schema.is_some()
    }

    /// Fills in what the schema gives to fields that are left out.
    pub(super) fn fill_in(&self, object: &mut Value) {
        if let Some(schema) = &self.schema {
            fill_in(schema, object);
        }
    }

    /// How messages name one object.
    pub(super) fn named(&self, name: &str) -> String {
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{}.{group} {name:?}", self.plural),
            None => format!("{} {name:?}", self.plural),
        }
    }
}

fn fill_in(schema: &Value, value: &mut Value) {
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object_mut()) {
        for (name, schema) in properties {
            // null is what a client says that means the default.
            if fields.get(name).is_none_or(Value::is_null) && !schema["default"].is_null() {
                fields.insert(name.clone(), schema["default"].clone());
            }
            if let Some(value) = fields.get_mut(name) {
                fill_in(schema, value);
            }
        }
    }
    if let (schema @ Value::Object(_), Some(items)) = (&schema["items"], value.as_array_mut()) {
        for item in items {
            fill_in(schema, item);
        }
    }
}

/// Where a request points.
pub(super) struct Target {
    pub kind: Kind,
    /// `None`: all namespaces.
    pub namespace: Option<String>,
    /// `None`: all objects.
    pub name: Option<String>,
    /// Whether it is the object's status alone.
    pub status: bool,
    query: Vec<(String, String)>,
}

impl Target {
    pub(super) fn parse(kinds: &[Kind], uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/apis/").or_else(|| uri.path().strip_prefix("/api/"))?;
        let kind = |version: &str, plural: &str| {
            kinds.iter().find(|kind| kind.api_version == version && kind.plural == plural)
        };
        // The core group's version is one segment, the others' are two.
        let (version, rest) = kinds.iter().find_map(|kind| {
            let rest = path.strip_prefix(&kind.api_version)?.strip_prefix('/')?;
            Some((&kind.api_version, rest))
        })?;
        let segments: Vec<&str> = rest.split('/').collect();
        let (namespace, plural, rest) = match segments[..] {
            ["namespaces", namespace, plural, ref rest @ ..] => (Some(namespace), plural, rest),
            [plural] => (None, plural, &[][..]),
            _ => return None,
        };
        let kind = kind(version, plural)?;
        let (name, status) = match *rest {
            [] => (None, false),
            [name] => (Some(name), false),
            [name, "status"] if kind.is_custom() => (Some(name), true),
            _ => return None,
        };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Self { kind: kind.clone(), namespace: owned(namespace), name: owned(name), status, query })
    }

    /// A query parameter; empty counts as left out.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_watch(&self) -> bool {
        matches!(self.parameter("watch"), Some("true" | "1"))
    }

    /// The manager who applies, where the request is an apply.
    pub(super) fn manager(&self) -> Option<&str> {
        self.parameter("fieldManager")
    }

    /// Whether an object of its kind is among those that it points to.
    pub(super) fn covers(&self, object: &Value) -> bool {
        let is =
            |wanted: &Option<String>, field: &str| wanted.as_ref().is_none_or(|it| object["metadata"][field] == **it);
        is(&self.namespace, "namespace") && is(&self.name, "name")
    }
}

/// RFC 7396.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (field, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|fields| fields.remove(field));
        } else {
            merge(&mut target[field], value);
        }
    }
}

/// The merge patch that takes away what `before` has and `after` has not.
pub(super) fn withdrawn(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return json!({}) };
    let gone = before.iter().map(|(field, value)| match after.get(field) {
        None => (field.clone(), Value::Null),
        Some(after) => (field.clone(), withdrawn(value, after)),
    });
    Value::Object(gone.filter(|(_, patch)| *patch != json!({})).collect())
}
