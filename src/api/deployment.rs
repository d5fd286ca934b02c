//! `Deployment`: one phone line.

#![allow(clippy::doc_markdown, reason = "these comments are what kubectl explain shows, where backticks would show")]

use std::fmt::Display;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::line_config::{
    self, APP_VERSION_MAX, CONNECTIONS_MAX, Connection, LineConfig, NUMBERS_MAX, RolloutSpec, SHOWN_TEXT_MAX, Schedule,
};
use super::{conditions, schema};
use crate::core::{
    config::{Fields, Managed, Shown},
    identity::Identity,
    line,
    rollout::Rollout,
    step::Mode,
};
use crate::merge_patch::merge_patch;

/// What a user asks of one line.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "agents.sarvam.ai",
    version = "v1alpha1",
    kind = "Deployment",
    namespaced,
    status = "DeploymentStatus",
    derive = "PartialEq",
    category = "sarvam",
    shortname = "sdep",
    doc = "One phone line: a deployment in a Sarvam workspace, and whether it answers. Ask for it by its short name, sdep: kubectl takes 'deployments' for those of apps/v1.",
    selectable = ".spec.workspaceRef.name",
    selectable = ".spec.deploymentID",
    selectable = ".spec.paused",
    validation = schema::name_rule(),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".spec.paused", description = "What is asked: true when the line shall not answer."),
    printcolumn(name = "State", type_ = "string", json_path = ".status.remote.state", description = "What the last look at the remote showed: Active, Paused or Unknown."),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "True when the line is as asked."),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why the line is Ready or not, in a word."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when the object exists."),
    printcolumn(name = "Workspace", type_ = "string", json_path = ".spec.workspaceRef.name", priority = 1, description = "The Workspace that the line is in."),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.remote.appVersion", priority = 1, description = "The version of the agent that answers."),
    printcolumn(name = "Numbers", type_ = "string", json_path = ".status.remote.phoneNumbers", priority = 1, description = "The numbers that the line answers."),
    printcolumn(name = "Deployment-ID", type_ = "string", json_path = ".spec.deploymentID", priority = 1, description = "The line's id at the remote."),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1, description = "Why the line is Ready or not, in a sentence.")
)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpec {
    /// The Workspace that the line is in. It can't be changed: an object speaks of one line for its whole life.
    pub workspace_ref: WorkspaceRef,

    /// The line's id at the remote. It can't be changed: an object speaks of one line for its whole life.
    #[serde(rename = "deploymentID")]
    #[schemars(schema_with = "schema::remote_id")]
    #[x_kube(validation = schema::immutable("deploymentID is immutable: delete this object and create another for the other line (the line itself stays as it is)"))]
    pub deployment_id: String,

    /// Whether the phone line is paused. true: it answers no new call. false: it answers, within its schedule. This is about the line at
    /// the remote, not about the operator: suspend is what stops the operator. There is no default, so that nobody brings a line to life
    /// by leaving this out.
    pub paused: bool,

    /// Whether the operator keeps its hands off. true: it goes on looking and reporting, but changes nothing at the remote, whatever
    /// paused and driftPolicy say; the line stays as it is.
    #[serde(default)]
    pub suspend: bool,

    /// What the operator does when the line isn't as asked. Correct: it makes it so. Report: it changes nothing at the remote, not even
    /// after an edit, and says what differs. Where suspend is true, neither counts.
    #[serde(default)]
    pub drift_policy: DriftPolicy,

    /// What happens to the line when this object is deleted. Retain, the only value: it stays as it is.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// The version of the agent that answers: one that is committed at the remote. Left out, it isn't managed: whatever the remote has
    /// stays, also after it was managed. A change pauses the line, unless rollout says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = APP_VERSION_MAX))]
    pub app_version: Option<i64>,

    /// The line's name at the remote, in one line; several blanks count as one. Left out, it isn't managed: whatever the remote has stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::display_name")]
    pub display_name: Option<String>,

    /// What the line is for, in one line; several blanks count as one. Left out, it isn't managed: whatever the remote has stays, and no
    /// call clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::description")]
    pub description: Option<String>,

    /// The telephony connections and the numbers of each that the line answers: all that it shall have. Left out, they aren't managed:
    /// whatever the remote has stays. A change pauses the line, unless rollout says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = CONNECTIONS_MAX), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["connectionID"]))]
    #[x_kube(validation = schema::some_connection(), validation = schema::each_number_once())]
    pub connections: Option<Vec<Connection>>,

    /// The daily window in which the line answers. Left out, it isn't managed: whatever the remote has stays, and no call clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,

    /// How a change of the line's configuration is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
}

impl DeploymentSpec {
    /// What the operator may write to the remote for it.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self.drift_policy {
            _ if self.suspend => Mode::Suspend,
            DriftPolicy::Correct => Mode::Correct,
            DriftPolicy::Report => Mode::Report,
        }
    }

    /// What it manages of the line's configuration.
    ///
    /// # Errors
    /// Which field breaks which rule, and the way out: what the schema can't check, or an older one has not.
    pub fn managed(&self) -> Result<Managed, String> {
        Ok(Managed {
            app_version: self.app_version,
            name: line_config::text(self.display_name.as_ref()),
            description: line_config::text(self.description.as_ref()),
            connections: self.connections.as_deref().map(line_config::connections),
            schedule: self.schedule.as_ref().map(Schedule::parse).transpose()?,
        })
    }

    /// How a change of the configuration is carried out.
    #[must_use]
    pub fn rollout(&self) -> Rollout {
        self.rollout.map(Rollout::from).unwrap_or_default()
    }
}

/// The Workspace object of a line, in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceRef {
    /// The name of a Workspace object in the same namespace. It can't be changed.
    #[schemars(schema_with = "schema::workspace_name")]
    #[x_kube(validation = schema::immutable("workspaceRef.name is immutable: delete this object and create another that names the other Workspace (the line itself stays as it is)"))]
    pub name: String,
}

/// What to do about a change that somebody else made at the remote.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriftPolicy {
    /// Make the line as the spec asks.
    #[default]
    Correct,
    /// Write nothing to the remote, and say what differs.
    Report,
}

/// What to do about the line when its object goes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    /// Leave the line as it is.
    #[default]
    Retain,
}

/// What the operator tells about one line.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = conditions::never_seen()))]
pub struct DeploymentStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// What the last look at the remote showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteStatus>,

    /// What of the configuration is not as asked, also where nothing is done about that; and since when the line is paused for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<RolloutStatus>>,

    /// Whether the line is as asked: Ready, and beside it Reconciling while the operator works on it, or Stalled when a person must act.
    /// RolloutOverdue is there while a change takes longer than spec.rollout.maxPauseSeconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl DeploymentStatus {
    /// The JSON merge patch that makes this status of another.
    #[must_use]
    pub fn patch_from<'a>(&'a self, other: &Self) -> StatusPatch<'a> {
        let Self { observed_generation, remote, rollout, conditions } = self;
        StatusPatch {
            observed_generation: (*observed_generation != other.observed_generation).then_some(*observed_generation),
            remote: (*remote != other.remote).then(|| merge_patch(&json!(other.remote), &json!(remote))),
            rollout: (*rollout != other.rollout).then(|| merge_patch(&json!(other.rollout), &json!(rollout))),
            conditions: (*conditions != other.conditions).then_some(Some(&**conditions).filter(|it| !it.is_empty())),
        }
    }
}

/// The fields of a [`DeploymentStatus`] that change; one that goes is null.
#[allow(clippy::option_option, reason = "a field of a merge patch is absent, null or a value")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusPatch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_generation: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Option<&'a [Condition]>>,
}

/// A change of the configuration that is under way.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Since when the line has been paused for it; absent where it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Time>,

    /// What the last look showed of the fields that differ.
    pub from: LineConfig,

    /// What the spec asks of them.
    pub to: LineConfig,
}

impl RolloutStatus {
    /// A change of these fields from what was shown to what is asked, in the form in which a status is read back.
    #[must_use]
    pub fn new(paused_since: Option<Timestamp>, fields: Fields, shown: &Shown, asked: &Managed) -> Self {
        Self {
            paused_since: paused_since.map(conditions::to_the_second),
            from: LineConfig::shown(shown, fields),
            to: LineConfig::from(&asked.only(fields)),
        }
    }
}

/// What the last look at the remote showed of a line. Cut with [`RemoteStatus::fitted`] before it is written.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStatus {
    /// Whether the line answers: Active, Paused, or Unknown while that isn't certain.
    pub state: RemoteState,

    /// The line's name at the remote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub name: Option<String>,

    /// What the line is for, as the remote has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub description: Option<String>,

    /// The agent that answers. With createdAt it tells which line this object has adopted; both stay as they are when the id leads to
    /// another line later.
    #[serde(default, rename = "appID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub app_id: Option<String>,

    /// The version of the agent that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<i64>,

    /// The numbers that the line answers, the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = NUMBERS_MAX),
        inner(length(max = SHOWN_TEXT_MAX)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub phone_numbers: Vec<String>,

    /// The telephony connections and their numbers, the first 10 with 100 each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::shown_connections")]
    pub connections: Vec<Connection>,

    /// The daily window in which the line answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::shown_schedule")]
    pub schedule: Option<Box<Schedule>>,

    /// The direction of calls, in the remote's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub channel_direction: Option<String>,

    /// When the line was made, by the remote's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,

    /// When the line was last changed, by the remote's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,

    /// Who changed the line last, as the remote tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SHOWN_TEXT_MAX))]
    pub updated_by: Option<String>,
}

impl RemoteStatus {
    /// The same, cut to what the schema allows, so that nothing a remote says gets a status write refused.
    /// Its times lose what JSON would lose, so that a status equals what is read back; a time before 1970 is none.
    #[must_use]
    pub fn fitted(self) -> Self {
        let cut = |text: String| line_config::cut(&text);
        let second = |Time(time): Time| (time >= Timestamp::UNIX_EPOCH).then(|| conditions::to_the_second(time));
        Self {
            state: self.state,
            name: self.name.map(cut),
            description: self.description.map(cut),
            app_id: self.app_id.map(cut),
            app_version: self.app_version,
            phone_numbers: self.phone_numbers.into_iter().take(NUMBERS_MAX).map(cut).collect(),
            connections: line_config::list(&line_config::connections(&self.connections)),
            schedule: self.schedule,
            channel_direction: self.channel_direction.map(cut),
            created_at: self.created_at.and_then(second),
            updated_at: self.updated_at.and_then(second),
            updated_by: self.updated_by.map(cut),
        }
    }

    /// Which line it is about.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(self.app_id.as_deref(), self.created_at.as_ref().map(|time| time.0))
    }

    /// The same, about the line that was adopted before: what this look doesn't tell of which line that is, stays.
    #[must_use]
    pub fn of_line(mut self, adopted: Option<&Self>) -> Self {
        self.app_id = self.app_id.or_else(|| adopted?.app_id.clone());
        self.created_at = self.created_at.or_else(|| adopted?.created_at.clone());
        self
    }

    /// By what another line differs from this one, in words.
    #[must_use]
    pub fn tell_apart(&self, other: &Self) -> String {
        fn tell<T: PartialEq + Display>(name: &str, was: Option<T>, is: Option<T>) -> Option<String> {
            let (was, is) = was.zip(is).filter(|(was, is)| was != is)?;
            Some(format!("{name} was {was}, and is {is}"))
        }
        let quoted = |it: &Self| it.app_id.as_ref().map(|app_id| format!("{app_id:?}"));
        let time = |it: &Self| it.created_at.as_ref().map(|time| time.0);
        let differences = [tell("appID", quoted(self), quoted(other)), tell("createdAt", time(self), time(other))];
        differences.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Whether a line answers.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RemoteState {
    /// It answers.
    Active,
    /// It does not answer.
    Paused,
    /// The remote doesn't say, or a call that would change it may still land.
    Unknown,
}

impl From<line::State> for RemoteState {
    fn from(state: line::State) -> Self {
        match state {
            line::State::Active => Self::Active,
            line::State::Paused => Self::Paused,
            line::State::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many_numbers(id: usize) -> Connection {
        Connection {
            connection_id: format!("{id}{}", "c".repeat(300)),
            phone_numbers: (0..=NUMBERS_MAX).map(|number| format!("+{number}")).collect(),
        }
    }

    #[test]
    fn what_is_fitted_is_cut_to_its_bounds_and_equals_what_is_read_back() {
        let long = Some("ü".repeat(300));
        let remote = RemoteStatus {
            state: RemoteState::Active,
            name: long.clone(),
            description: long.clone(),
            app_id: long.clone(),
            app_version: Some(i64::MIN),
            phone_numbers: vec!["+".repeat(300); 101],
            connections: (0..11).map(many_numbers).collect(),
            schedule: None,
            channel_direction: long.clone(),
            created_at: Some(Time("2026-11-22T10:00:00.987654Z".parse().unwrap())),
            updated_at: Some(Time("2026-11-23T10:00:00.987654Z".parse().unwrap())),
            updated_by: long,
        };
        let fitted = remote.fitted();
        assert_eq!(fitted.name, Some("ü".repeat(SHOWN_TEXT_MAX)));
        assert_eq!(fitted.phone_numbers, vec!["+".repeat(SHOWN_TEXT_MAX); NUMBERS_MAX]);
        let numbers: Vec<_> = fitted.connections.iter().map(|it| it.phone_numbers.len()).collect();
        assert_eq!(numbers, [NUMBERS_MAX; CONNECTIONS_MAX]);
        let json = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<RemoteStatus>(&json).unwrap(), fitted);
    }

    #[test]
    fn a_patch_is_that_of_the_whole_status() {
        let status = |json| serde_json::from_value::<DeploymentStatus>(json).unwrap();
        let condition = |status: &str| {
            json!([{"type": "Ready", "status": status, "reason": "Synced", "message": "m",
            "lastTransitionTime": "2026-11-25T10:00:00Z"}])
        };
        let table = [
            json!({}),
            json!({"observedGeneration": 1, "conditions": condition("True")}),
            json!({"observedGeneration": 2, "conditions": condition("False"), "remote": {"state": "Active"}}),
            json!({"conditions": condition("False"), "remote": {"state": "Paused", "name": "n", "phoneNumbers": ["+1"]}}),
            json!({"conditions": condition("True"), "rollout": {"from": {"appVersion": 1}, "to": {"appVersion": 2}}}),
            json!({"conditions": condition("True"), "remote": {"state": "Paused"},
                "rollout": {"pausedSince": "2026-11-25T10:00:00Z", "from": {"appVersion": 1}, "to": {}}}),
        ];
        for (old, new) in table.iter().flat_map(|old| table.iter().map(move |new| (old, new))) {
            let patch = json!(status(new.clone()).patch_from(&status(old.clone())));
            assert_eq!(patch, merge_patch(old, new), "{old} -> {new}");
        }
    }

    #[test]
    fn what_tells_lines_apart_is_told_and_kept() {
        let remote = |app_id: &str, created_at: &str| {
            let json = serde_json::json!({"state": "Active", "appID": app_id, "createdAt": created_at});
            let told = json.as_object().unwrap().clone().into_iter().filter(|(_, value)| value != "").collect();
            serde_json::from_value::<RemoteStatus>(serde_json::Value::Object(told)).unwrap()
        };
        let [then, later] = ["2026-11-25T10:00:00Z", "2026-11-25T10:00:01Z"];
        let adopted = remote("a", then);
        for (app_id, created_at, words, kept) in [
            ("a", then, "", ("a", then)),
            ("b", then, r#"appID was "a", and is "b""#, ("b", then)),
            (
                "b",
                later,
                r#"appID was "a", and is "b"; createdAt was 2026-11-25T10:00:00Z, and is 2026-11-25T10:00:01Z"#,
                ("b", later),
            ),
            ("", later, "createdAt was 2026-11-25T10:00:00Z, and is 2026-11-25T10:00:01Z", ("a", later)),
            ("a", "", "", ("a", then)),
            ("", "", "", ("a", then)),
        ] {
            let shown = remote(app_id, created_at);
            assert_eq!(adopted.tell_apart(&shown), words);
            assert_eq!(adopted.identity().differs_from(shown.identity()), !words.is_empty(), "{words}");
            assert_eq!(shown.of_line(Some(&adopted)), remote(kept.0, kept.1));
            assert_eq!(remote(app_id, created_at).of_line(None), remote(app_id, created_at));
        }
    }
}
