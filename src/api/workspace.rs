//! `Workspace`: one remote workspace and the key to it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SyncInterval, conditions, schema};
use crate::core::id::{Id, LineId};

/// What a user says about one remote workspace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "agents.sarvam.ai",
    version = "v1alpha1",
    kind = "Workspace",
    namespaced,
    status = "WorkspaceStatus",
    derive = "PartialEq",
    category = "sarvam",
    shortname = "swks",
    doc = "One Sarvam workspace and the key to it. The Deployment objects of its lines name it.",
    validation = schema::name_rule(),
    printcolumn(name = "Lines", type_ = "integer", json_path = ".status.lines.total", description = "How many Deployment objects name this workspace."),
    printcolumn(name = "As-Asked", type_ = "integer", json_path = ".status.lines.asAsked", description = "How many of them are Ready: the line is as asked."),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "True when the key works."),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why the workspace is Ready or not, in a word."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when the object exists."),
    printcolumn(name = "Workspace-ID", type_ = "string", json_path = ".spec.workspaceID", priority = 1, description = "The workspace's id at the remote."),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1, description = "Why the workspace is Ready or not, in a sentence.")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// The organisation's id at the remote. It can't be changed.
    #[serde(rename = "orgID")]
    #[schemars(schema_with = "schema::remote_id")]
    #[x_kube(validation = schema::immutable("orgID is immutable: create another Workspace, and Deployments that name it (the lines themselves stay as they are)"))]
    pub org_id: String,

    /// The workspace's id at the remote. It can't be changed.
    #[serde(rename = "workspaceID")]
    #[schemars(schema_with = "schema::remote_id")]
    #[x_kube(validation = schema::immutable("workspaceID is immutable: create another Workspace, and Deployments that name it (the lines themselves stay as they are)"))]
    pub workspace_id: String,

    /// Where the API key is: a Secret in the same namespace, and a key in its data. A changed Secret is used at once.
    pub api_key_secret_ref: SecretKeyRef,

    /// How often every line of this workspace is compared with the remote, from 1s to 1h: 60s, 5m or 1m30s for example.
    #[serde(default)]
    pub sync_interval: SyncInterval,

    /// How many calls a second may be made to the remote with this key, from 1 to 1000. The remote limits each account, so Workspaces with
    /// the same key share one budget, and the least that one of them asks for holds for all. Where the remote takes less, fewer are made.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second: i32,
}

impl WorkspaceSpec {
    /// The line of this workspace that a `spec.deploymentID` names.
    ///
    /// # Errors
    /// Which field holds no id, and the rule: an older schema may not have checked it.
    pub fn line(&self, deployment_id: &str) -> Result<LineId, String> {
        let id = |field: &str, text: &str| Id::new(text).map_err(|error| format!("{field} {text:?} is no id: {error}"));
        Ok(LineId {
            org: id("The Workspace's spec.orgID", &self.org_id)?,
            workspace: id("The Workspace's spec.workspaceID", &self.workspace_id)?,
            deployment: id("spec.deploymentID", deployment_id)?,
        })
    }
}

const fn five() -> i32 {
    5
}

/// One entry of a Secret in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of a Secret in the same namespace.
    #[schemars(schema_with = "schema::secret_name")]
    pub name: String,

    /// The key in the Secret's data that holds the API key.
    #[schemars(schema_with = "schema::secret_key")]
    pub key: String,
}

/// What the operator tells about one workspace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = conditions::never_seen()))]
pub struct WorkspaceStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// How many lines there are, and how many are as asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,

    /// The lines that no Deployment object names, where the last look at the whole list found any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmanaged: Option<Unmanaged>,

    /// Whether the workspace can be used: Ready, and beside it Reconciling while the operator works on it, or Stalled when a person must act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The lines of a workspace, counted by their Deployment objects.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lines {
    /// How many Deployment objects name this workspace.
    #[schemars(range(min = 0))]
    pub total: i32,

    /// How many of them are Ready: the line is as asked.
    #[schemars(range(min = 0))]
    pub as_asked: i32,
}

/// The lines of a workspace that no Deployment object names. `sarvam-operator import` writes manifests for them.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmanaged {
    /// How many there are.
    #[schemars(range(min = 0))]
    pub total: i32,

    /// The ids of the first 10 of them, in order.
    #[serde(default, rename = "deploymentIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = UNMANAGED_MAX), inner(length(max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub deployment_ids: Vec<String>,
}

/// How many ids of lines that no object names are told.
pub const UNMANAGED_MAX: usize = 10;
