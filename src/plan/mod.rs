//! `sarvam-operator plan`: what a set of manifests would change at the remote, without changing it.

pub mod manifests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use futures::{StreamExt, stream};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;

use crate::{
    access::{self, Kubernetes},
    api::{Deployment, Workspace, WorkspaceSpec},
    config::Plan as Flags,
    core::{
        classify::Remote,
        id::{Id, LineId},
        line::{Action, State},
        step::Mode,
    },
    output,
    sarvam::{self, Reader},
};
use manifests::Manifests;

/// From how many lines of one workspace on its list is walked first, a hundred lines a call. What the list shows as
/// asked is taken so; every other line is looked at by itself.
const WORTH_A_WALK: usize = 20;

/// How many lines are looked at at once. The Workspace's rate holds all the same.
const AT_ONCE: usize = 4;

/// What a set of manifests would do.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// The lines that are not as asked, or of which that can't be said.
    pub lines: Vec<Line>,
    /// How many lines are as asked.
    pub unchanged: usize,
}

/// One line that is not as its manifest asks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.deploymentID`.
    #[serde(rename = "deploymentID")]
    pub deployment_id: String,
    /// What differs, field by field.
    pub changes: Vec<Change>,
    /// The calls that the operator would make, in order; none where it may not write.
    pub calls: Vec<String>,
    /// For how long the line would answer no call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<&'static str>,
    /// Why the operator would leave it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// What is wrong, and the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A field that differs.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The field of the spec.
    pub field: &'static str,
    /// What the remote has.
    pub from: Value,
    /// What the manifest asks.
    pub to: Value,
}

/// What a plan comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every line is as asked, or stays as it is on purpose.
    NothingToDo,
    /// At least one line would change.
    Changes,
    /// Of at least one line it can't be said.
    Errors,
}

/// Prints the plan.
///
/// # Errors
/// What is wrong with the manifests or the way to the servers, one sentence a line.
pub async fn run(flags: Flags) -> Result<Outcome, String> {
    let remote = access::remote(&flags.remote)?;
    let kubernetes = access::kubernetes().await?;
    let namespace = flags.namespace.as_deref().unwrap_or(&kubernetes.namespace);
    let manifests = Manifests::read(&flags.filenames, namespace)?;
    let plan = plan(&kubernetes, &remote, &manifests).await;
    match output::document(flags.output, &plan)? {
        Some(text) => print!("{text}"),
        None => print!("{plan}"),
    }
    Ok(plan.outcome())
}

async fn plan(kubernetes: &Kubernetes, remote: &sarvam::Client, manifests: &Manifests) -> Plan {
    let mut of_workspace: BTreeMap<(&str, &str), Vec<&Deployment>> = BTreeMap::new();
    for line in &manifests.deployments {
        of_workspace.entry((namespace(line), &line.spec.workspace_ref.name)).or_default().push(line);
    }
    let bar = output::progress("looking at lines");
    bar.set_length(manifests.deployments.len() as u64);
    let (mut plan, mut owners) = (Plan::default(), HashMap::new());
    for ((namespace, workspace), lines) in of_workspace {
        match open(kubernetes, remote, manifests, namespace, workspace).await {
            Ok((spec, reader)) => {
                let lines = lines.into_iter().map(|line| (line, claim(&spec, line, &mut owners))).collect();
                for compared in compare_all(&reader, lines, &bar).await {
                    match compared {
                        Some(line) => plan.lines.push(line),
                        None => plan.unchanged += 1,
                    }
                }
            }
            Err(error) => {
                bar.inc(lines.len() as u64);
                plan.lines.extend(lines.into_iter().map(|line| Line::wrong(line, error.clone())));
            }
        }
    }
    plan
}

/// The Workspace of that name, from the manifests or else from the cluster, and a reader of its lines.
async fn open(
    kubernetes: &Kubernetes,
    remote: &sarvam::Client,
    manifests: &Manifests,
    namespace: &str,
    name: &str,
) -> Result<(WorkspaceSpec, Reader), String> {
    let is_it = |it: &&Workspace| {
        (it.metadata.namespace.as_deref(), it.metadata.name.as_deref()) == (Some(namespace), Some(name))
    };
    let spec = match manifests.workspaces.iter().find(is_it) {
        Some(given) => given.spec.clone(),
        None => match access::workspace(kubernetes, namespace, name).await? {
            Some(found) => found.spec,
            None => {
                return Err(format!(
                    "Workspace {namespace}/{name} is neither among the manifests nor in the cluster: add it, or create it."
                ));
            }
        },
    };
    let reader = access::reader(kubernetes, remote, namespace, &spec).await?;
    Ok((spec, reader))
}

/// The line that a manifest names, unless another manifest has named it before.
fn claim<'a>(
    workspace: &WorkspaceSpec,
    line: &'a Deployment,
    owners: &mut HashMap<LineId, &'a Deployment>,
) -> Result<Id, String> {
    let id = workspace.line(&line.spec.deployment_id)?;
    let deployment = id.deployment.clone();
    match owners.insert(id, line) {
        None => Ok(deployment),
        Some(other) => {
            Err(format!("Deployment {}/{} names the same line: keep one of the two.", namespace(other), name(other)))
        }
    }
}

/// Compares lines of one workspace with the remote, in the order given. `None`: as asked.
async fn compare_all(
    reader: &Reader,
    lines: Vec<(&Deployment, Result<Id, String>)>,
    bar: &ProgressBar,
) -> Vec<Option<Line>> {
    // A list that can't be had costs nothing but time: each line is looked at then.
    let listed = if lines.len() < WORTH_A_WALK { None } else { reader.walk(|_, _| {}).await.ok() };
    let listed = listed.unwrap_or_default();
    let compared: Vec<_> = lines.into_iter().map(|(line, id)| compare(reader, &listed, line, id, bar)).collect();
    stream::iter(compared).buffered(AT_ONCE).collect().await
}

async fn compare(
    reader: &Reader,
    listed: &BTreeMap<Id, Remote>,
    line: &Deployment,
    id: Result<Id, String>,
    bar: &ProgressBar,
) -> Option<Line> {
    let compared = match id {
        Err(error) => Some(Line::wrong(line, error)),
        Ok(id) if listed.get(&id).is_some_and(|seen| difference(line, seen).is_none()) => None,
        Ok(id) => match reader.get(&id).await {
            Ok(seen) => difference(line, &seen).map(|change| Line::changing(line, change)),
            Err(fault) => Some(Line::wrong(line, format!("The line can't be looked at: {fault}."))),
        },
    };
    bar.inc(1);
    compared
}

/// What the remote has otherwise than the manifest asks.
fn difference(line: &Deployment, seen: &Remote) -> Option<Change> {
    let paused = line.spec.paused;
    let from = match seen.state {
        State::Paused => true.into(),
        State::Active => false.into(),
        State::Unknown => Value::Null,
    };
    (seen.state != Action::for_paused(paused).state()).then(|| Change { field: "paused", from, to: paused.into() })
}

impl Line {
    fn of(line: &Deployment) -> Self {
        Self {
            namespace: namespace(line).to_owned(),
            name: name(line).to_owned(),
            deployment_id: line.spec.deployment_id.clone(),
            changes: Vec::new(),
            calls: Vec::new(),
            down: None,
            note: None,
            error: None,
        }
    }

    fn wrong(line: &Deployment, error: String) -> Self {
        Self { error: Some(error), ..Self::of(line) }
    }

    fn changing(line: &Deployment, change: Change) -> Self {
        let action = Action::for_paused(line.spec.paused);
        let note = match line.spec.mode() {
            Mode::Correct => None,
            Mode::Report => Some("stays: spec.driftPolicy is Report"),
            Mode::Suspend => Some("stays: spec.suspend is true"),
        };
        let stays = note.is_some();
        let call = format!("PUT {}/status {}", line.spec.deployment_id, action.verb());
        Self {
            changes: vec![change],
            calls: if stays { Vec::new() } else { vec![call] },
            down: (!stays && action == Action::Pause).then_some("until resumed"),
            note,
            ..Self::of(line)
        }
    }
}

impl Plan {
    fn outcome(&self) -> Outcome {
        if self.lines.iter().any(|line| line.error.is_some()) {
            Outcome::Errors
        } else if self.lines.iter().any(|line| !line.calls.is_empty()) {
            Outcome::Changes
        } else {
            Outcome::NothingToDo
        }
    }
}

impl fmt::Display for Plan {
    /// A table of the lines that are not as asked, and the sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.lines.is_empty() {
            let heads = ["NAMESPACE", "NAME", "DEPLOYMENT-ID", "CHANGE", "CALLS", "DOWN"].map(str::to_owned).to_vec();
            let rows = self.lines.iter().map(|line| {
                let changes = line.changes.iter().map(|it| format!("{}: {} -> {}", it.field, shown(&it.from), it.to));
                let calls = line.note.map_or_else(|| line.calls.join(", "), str::to_owned);
                vec![
                    line.namespace.clone(),
                    line.name.clone(),
                    line.deployment_id.clone(),
                    line.error.as_ref().map_or_else(|| changes.collect::<Vec<_>>().join(", "), |_| "error".to_owned()),
                    calls,
                    line.down.unwrap_or_default().to_owned(),
                ]
            });
            writeln!(f, "{}", output::table(&[heads].into_iter().chain(rows).collect::<Vec<_>>()))?;
        }
        for line in &self.lines {
            if let Some(error) = &line.error {
                writeln!(f, "{}/{}: {error}", line.namespace, line.name)?;
            }
        }
        let changing = self.lines.iter().filter(|line| !line.calls.is_empty()).count();
        let wrong = self.lines.iter().filter(|line| line.error.is_some()).count();
        let staying = self.lines.len() - changing - wrong;
        writeln!(
            f,
            "{changing} to change, {} as asked, {staying} to stay as they are, {wrong} with errors.",
            self.unchanged
        )
    }
}

/// A value of the remote; what it doesn't tell is unknown.
fn shown(value: &Value) -> String {
    if value.is_null() { "unknown".to_owned() } else { value.to_string() }
}

fn namespace(line: &Deployment) -> &str {
    line.metadata.namespace.as_deref().unwrap_or_default()
}

fn name(line: &Deployment) -> &str {
    line.metadata.name.as_deref().unwrap_or_default()
}
