//! The manifests that a plan is about, from files, folders and standard input.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Deployment, GROUP, VERSION, Workspace};

/// The objects of our kinds, in the order in which they were found. Each has a namespace and a name.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The Workspaces.
    pub workspaces: Vec<Workspace>,
    /// The lines.
    pub deployments: Vec<Deployment>,
}

impl Manifests {
    /// Reads everything that `paths` name: a file, a folder (every `.yaml`, `.yml` and `.json` in it and below), or `-`.
    /// Objects that name no namespace get `namespace`. Other kinds are passed over.
    ///
    /// # Errors
    /// Every mistake on a line of its own: the place, the field, the rule.
    pub fn read(paths: &[PathBuf], namespace: &str) -> Result<Self, String> {
        let (mut manifests, mut mistakes) = (Self::default(), Vec::new());
        for path in paths {
            match sources(path) {
                Ok(sources) => {
                    for (place, text) in sources {
                        mistakes.extend(manifests.take(&place, &text, namespace));
                    }
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(manifests) } else { Err(mistakes.join("\n")) }
    }

    /// Takes in the documents of one source, and returns what is wrong with them: sentences that begin with `place`.
    pub fn take(&mut self, place: &str, text: &str, namespace: &str) -> Vec<String> {
        let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
            Ok(documents) => documents,
            Err(error) => return vec![format!("{place} is no YAML: {error}")],
        };
        let mut mistakes = Vec::new();
        for (number, document) in (1..).zip(documents) {
            let place = format!("{place}, document {number}");
            // `kubectl get -o yaml` writes a list.
            let items = match document.get("items") {
                Some(Value::Array(items)) if is_list(&document) => items.clone(),
                _ => vec![document],
            };
            for item in items {
                mistakes.extend(self.take_object(&place, item, namespace).err());
            }
        }
        mistakes
    }

    fn take_object(&mut self, place: &str, mut object: Value, namespace: &str) -> Result<(), String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let Some(version) = api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(());
        };
        let place = format!("{place}, {kind} {name:?}");
        if version != VERSION {
            return Err(format!("{place}: apiVersion is {api_version}; this version knows {GROUP}/{VERSION}"));
        }
        if name.is_empty() {
            return Err(format!("{place}: metadata.name is missing; give the object a name"));
        }
        if text("/metadata/namespace").is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        match kind.as_str() {
            "Deployment" => self.deployments.push(typed(&place, object)?),
            "Workspace" => self.workspaces.push(typed(&place, object)?),
            _ => return Err(format!("{place}: {GROUP} has no such kind; it has Workspace and Deployment")),
        }
        Ok(())
    }
}

fn is_list(document: &Value) -> bool {
    document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
}

/// Reads an object strictly: an unknown field of the spec is a mistake, as it is to `kubectl apply`.
fn typed<K: DeserializeOwned + serde::Serialize>(place: &str, mut object: Value) -> Result<K, String> {
    // What is told, not asked.
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    let read: K = serde_path_to_error::deserialize(object.clone()).map_err(|error| {
        let field = error.path().to_string();
        format!("{place}: {field}: {}", error.into_inner())
    })?;
    let known = serde_json::to_value(&read).map_err(|error| format!("{place}: {error}"))?;
    match unknown_field(&object["spec"], &known["spec"]) {
        Some(field) => Err(format!(
            "{place}: spec.{field} is no field of this kind; see kubectl explain, and mind the case of letters"
        )),
        None => Ok(read),
    }
}

/// The first field of `given` that reading it has dropped.
fn unknown_field(given: &Value, known: &Value) -> Option<String> {
    let given = given.as_object()?;
    given.iter().find_map(|(name, value)| match known.get(name) {
        None if value.is_null() => None,
        None => Some(name.clone()),
        Some(known) => unknown_field(value, known).map(|field| format!("{name}.{field}")),
    })
}

/// The texts that a path names, each with its place.
fn sources(path: &Path) -> Result<Vec<(String, String)>, String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input can't be read: {error}"))?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let wrong = |error: io::Error| format!("{} can't be read: {error}", path.display());
    if !fs::metadata(path).map_err(wrong)?.is_dir() {
        return Ok(vec![(path.display().to_string(), fs::read_to_string(path).map_err(wrong)?)]);
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).map_err(wrong)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(wrong)?;
    entries.sort_unstable();
    let is_manifest = |path: &Path| {
        path.extension().and_then(|it| it.to_str()).is_some_and(|it| ["yaml", "yml", "json"].contains(&it))
    };
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_dir() || is_manifest(entry)) {
        found.extend(sources(entry)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "apiVersion: agents.sarvam.ai/v1alpha1\nkind: Deployment\nmetadata: {name: a}\n";

    fn read(text: &str) -> Result<Manifests, Vec<String>> {
        let mut manifests = Manifests::default();
        let mistakes = manifests.take("a.yaml", text, "voice");
        if mistakes.is_empty() { Ok(manifests) } else { Err(mistakes) }
    }

    #[test]
    fn our_kinds_are_found_among_others() {
        let line = format!("{LINE}spec: {{workspaceRef: {{name: w}}, deploymentID: d, paused: true}}\n");
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: agents.sarvam.ai/v1alpha1\n  kind: Deployment\n  metadata: {name: b, namespace: other}\n  spec: {workspaceRef: {name: w}, deploymentID: e, paused: false}\n  status: {whatever: 1}\n";
        let found =
            read(&format!("{line}---\n{list}---\napiVersion: v1\nkind: Secret\ndata: {{a: b}}\n---\n")).unwrap();
        let keys: Vec<_> = found
            .deployments
            .iter()
            .map(|it| (it.metadata.namespace.as_deref(), it.metadata.name.as_deref()))
            .collect();
        assert_eq!(keys, [(Some("voice"), Some("a")), (Some("other"), Some("b"))]);
        assert!(found.workspaces.is_empty());
    }

    #[test]
    fn a_mistake_is_named_by_its_place_and_field() {
        for (text, parts) in [
            ("a: [", vec!["a.yaml is no YAML"]),
            (
                &format!("{LINE}spec: {{workspaceRef: {{name: w}}, deploymentID: d}}\n"),
                vec!["document 1", "Deployment \"a\"", "paused"],
            ),
            (
                &format!("{LINE}spec: {{workspaceRef: {{name: w}}, deploymentID: d, paused: yes please}}\n"),
                vec!["spec.paused", "boolean"],
            ),
            (
                &format!("{LINE}spec: {{workspaceRef: {{name: w, kind: x}}, deploymentID: d, paused: true}}\n"),
                vec!["spec.workspaceRef.kind is no field"],
            ),
            (
                &format!("{LINE}spec: {{workspaceRef: {{name: w}}, deploymentId: d, deploymentID: d, paused: true}}\n"),
                vec!["spec.deploymentId is no field"],
            ),
            (
                "apiVersion: agents.sarvam.ai/v1\nkind: Deployment\nmetadata: {name: a}\n",
                vec!["apiVersion", "v1alpha1"],
            ),
            (
                "apiVersion: agents.sarvam.ai/v1alpha1\nkind: Line\nmetadata: {name: a}\n",
                vec!["no such kind", "Deployment"],
            ),
            ("apiVersion: agents.sarvam.ai/v1alpha1\nkind: Deployment\n", vec!["metadata.name is missing"]),
        ] {
            let mistakes = read(text).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
            for part in parts {
                assert!(mistakes[0].contains(part), "{part:?} is not in {:?}", mistakes[0]);
            }
        }
    }
}
