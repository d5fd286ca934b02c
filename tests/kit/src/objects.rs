//! Deployment objects of one namespace, with what was asked of each written down for the [oracle](crate::oracle).

use std::sync::Mutex;
use std::time::Instant;

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;

use crate::error::{Because, Error, Result};
use crate::lock;
use crate::oracle::Edit;

/// The operator's Deployments, as the API server serves them.
#[must_use]
pub fn deployments(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("agents.sarvam.ai", "v1alpha1", "Deployment");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, "deployments"))
}

/// Creates, edits and deletes the objects, and remembers each edit.
pub struct Objects {
    api: Api<DynamicObject>,
    workspace: String,
    edits: Mutex<Vec<Edit>>,
}

impl Objects {
    /// For objects that name this Workspace of their namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str, workspace: &str) -> Self {
        Self { api: deployments(client, namespace), workspace: workspace.to_owned(), edits: Mutex::default() }
    }

    /// Creates or edits a line's object, and returns its edit. `since` is when that was sent first, where this is another try.
    ///
    /// Fails when the API server does not say that it is stored.
    pub async fn ask(&self, name: &str, line: &str, paused: bool, since: Instant) -> Result<Edit> {
        let object = json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"workspaceRef": {"name": self.workspace}, "deploymentID": line, "paused": paused},
        });
        let params = PatchParams::apply("testkit").validation_strict();
        let object = self.api.patch(name, &params, &Patch::Apply(object)).await.because(name)?;
        let edit = Edit::of(&json!(object), since);
        lock(&self.edits).push(edit.clone());
        Ok(edit)
    }

    /// Deletes the object whose last edit was this one. One that has gone already is fine.
    ///
    /// Fails when the API server does not say that it is gone.
    pub async fn delete(&self, name: &str, last: &Edit, since: Instant) -> Result<()> {
        match self.api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => {}
            Err(error) => return Err(Error::new(format!("{name}: {error}"))),
            Ok(_) => {}
        }
        lock(&self.edits).push(last.clone().gone(since));
        Ok(())
    }

    /// The edits so far, in the order in which they were stored.
    #[must_use]
    pub fn edits(&self) -> Vec<Edit> {
        lock(&self.edits).clone()
    }
}
