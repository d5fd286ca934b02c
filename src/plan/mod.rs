//! `sarvam-operator plan`: what a set of manifests would change at the remote, without changing it.

pub mod manifests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use futures::{StreamExt, stream};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access::{self, Kubernetes},
    api::{Deployment, LineConfig, Workspace, WorkspaceSpec},
    config::Plan as Flags,
    core::{
        classify::Remote,
        config::{Connections, Field, Fields, Lists, Managed},
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
    pub down: Option<String>,
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
    let (mut plan, mut claims) = (Plan::default(), Claims::default());
    for ((namespace, workspace), lines) in of_workspace {
        match open(kubernetes, remote, manifests, namespace, workspace).await {
            Ok((spec, reader)) => {
                let lines = lines.into_iter().map(|line| (line, claims.take(&spec, line))).collect();
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

/// What manifests ask for that only one of them can have.
#[derive(Default)]
struct Claims<'a> {
    lines: HashMap<LineId, &'a Deployment>,
    numbers: HashMap<String, &'a Deployment>,
}

/// What a manifest asks of a line.
struct Asked {
    id: Id,
    managed: Managed,
}

impl<'a> Claims<'a> {
    /// What a manifest asks, unless another has asked before for the same line, or for one of its numbers.
    fn take(&mut self, workspace: &WorkspaceSpec, line: &'a Deployment) -> Result<Asked, String> {
        let id = workspace.line(&line.spec.deployment_id)?;
        let managed = line.spec.managed()?;
        if let Some(other) = self.lines.insert(id.clone(), line) {
            return Err(format!("{} names the same line: keep one of the two.", full_name(other)));
        }
        for number in managed.connections.iter().flat_map(Connections::numbers) {
            if let Some(other) = self.numbers.insert(number.to_owned(), line) {
                return Err(format!(
                    "spec.connections has {number}, and so has that of {}: a number reaches one line, so keep it in one of the two.",
                    full_name(other)
                ));
            }
        }
        Ok(Asked { id: id.deployment, managed })
    }
}

/// Compares lines of one workspace with the remote, in the order given. `None`: as asked.
async fn compare_all(
    reader: &Reader,
    lines: Vec<(&Deployment, Result<Asked, String>)>,
    bar: &ProgressBar,
) -> Vec<Option<Line>> {
    // A list that can't be had costs nothing but time: each line is looked at then.
    let listed = if lines.len() < WORTH_A_WALK { None } else { reader.walk(|_, _| {}).await.ok() };
    let listed = listed.unwrap_or_default();
    let compared: Vec<_> = lines.into_iter().map(|(line, asked)| compare(reader, &listed, line, asked, bar)).collect();
    stream::iter(compared).buffered(AT_ONCE).collect().await
}

async fn compare(
    reader: &Reader,
    listed: &BTreeMap<Id, Remote>,
    line: &Deployment,
    asked: Result<Asked, String>,
    bar: &ProgressBar,
) -> Option<Line> {
    let compared = match asked {
        Err(error) => Some(Line::wrong(line, error)),
        Ok(Asked { id, managed }) => {
            // A row of the list doesn't tell which number comes through which connection.
            let row = listed.get(&id).filter(|_| managed.connections.is_none());
            if row.is_some_and(|seen| Line::changing(line, &managed, seen, None).is_none()) {
                None
            } else {
                match reader.get(&id).await {
                    Ok(seen) => Line::changing(line, &managed, &seen, reader.round_trip()),
                    Err(fault) => Some(Line::wrong(line, format!("The line can't be looked at: {fault}."))),
                }
            }
        }
    };
    bar.inc(1);
    compared
}

/// What the remote has otherwise than the manifest asks, field by field.
fn changes(paused: bool, managed: &Managed, seen: &Remote, fields: Fields) -> Vec<Change> {
    let state = match seen.state {
        State::Paused => true.into(),
        State::Active => false.into(),
        State::Unknown => Value::Null,
    };
    let state = (seen.state != Action::for_paused(paused).state()).then(|| Change {
        field: "paused",
        from: state,
        to: paused.into(),
    });
    let from = json!(LineConfig::shown(&seen.config, fields));
    let to = json!(LineConfig::from(managed));
    let configuration =
        fields.iter().map(Field::name).map(|field| Change { field, from: from[field].clone(), to: to[field].clone() });
    state.into_iter().chain(configuration).collect()
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

    /// `None`: the line is as asked.
    fn changing(line: &Deployment, managed: &Managed, seen: &Remote, round_trip: Option<Duration>) -> Option<Self> {
        let spec = &line.spec;
        let difference = managed.difference(&seen.config, Lists::default());
        let changes = changes(spec.paused, managed, seen, difference.changes);
        if changes.is_empty() {
            return None;
        }
        let note = match spec.mode() {
            Mode::Correct => None,
            Mode::Report => Some("stays: spec.driftPolicy is Report"),
            Mode::Suspend => Some("stays: spec.suspend is true"),
        };
        let (calls, down) = match note {
            None => calls(line, difference.changes, seen.state, round_trip),
            Some(_) => (Vec::new(), None),
        };
        Some(Self { changes, calls, down, note, ..Self::of(line) })
    }
}

/// The calls that the operator would make, in order, and for how long the line would answer none because of them.
fn calls(
    line: &Deployment,
    fields: Fields,
    state: State,
    round_trip: Option<Duration>,
) -> (Vec<String>, Option<String>) {
    let id = &line.spec.deployment_id;
    let pause = state != State::Paused && (line.spec.paused || line.spec.rollout().pauses_for(fields));
    let resume = !line.spec.paused && (state != State::Active || pause);
    let status = |action: Action| format!("PUT {id}/status {}", action.verb());
    let names: Vec<&str> = fields.iter().map(Field::name).collect();
    let patch = (!fields.is_empty()).then(|| format!("PATCH {id} {}", names.join("+")));
    let down = match (pause, resume) {
        (true, false) => Some("until resumed".to_owned()),
        // From when the pause has taken effect: the change, a look whether it is there, the resume.
        (true, true) => Some(round_trip.map_or_else(
            || "about 3 calls".to_owned(),
            |one| format!("about 3 calls, ~{:.1} s", (one * 3).as_secs_f64().max(0.1)),
        )),
        (false, _) => None,
    };
    let calls = [pause.then(|| status(Action::Pause)), patch, resume.then(|| status(Action::Resume))];
    (calls.into_iter().flatten().collect(), down)
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
                let changes = line.changes.iter().map(Change::to_string);
                let calls = line.note.map_or_else(|| line.calls.join(", "), str::to_owned);
                vec![
                    line.namespace.clone(),
                    line.name.clone(),
                    line.deployment_id.clone(),
                    line.error.as_ref().map_or_else(|| changes.collect::<Vec<_>>().join(", "), |_| "error".to_owned()),
                    calls,
                    line.down.clone().unwrap_or_default(),
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

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, shown(&self.from), shown(&self.to))
    }
}

/// A value in a line of a table.
fn shown(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let words = |list: &Value| list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(" ");
    match value {
        // What the remote doesn't tell, or doesn't have.
        Value::Null => "unknown".to_owned(),
        Value::Array(connections) => {
            let one = |it: &Value| format!("{} {}", text(&it["connectionID"]), words(&it["phoneNumbers"]));
            format!("[{}]", connections.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Value::Object(it) => format!(
            "{}-{} {} {}",
            text(&it["startTime"]),
            text(&it["endTime"]),
            words(&it["allowedDays"]),
            text(&it["timezone"])
        ),
        _ => value.to_string(),
    }
}

fn full_name(line: &Deployment) -> String {
    format!("Deployment {}/{}", namespace(line), name(line))
}

fn namespace(line: &Deployment) -> &str {
    line.metadata.namespace.as_deref().unwrap_or_default()
}

fn name(line: &Deployment) -> &str {
    line.metadata.name.as_deref().unwrap_or_default()
}
