//! One story with a seed and what goes wrong: played, judged, and named by a text that replays it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use sarvam_testkit::api_server::{Answer, Happened, View};
use sarvam_testkit::clock;
use sarvam_testkit::lock;
use sarvam_testkit::oracle::{Claim, Edit, asked, judge};
use sarvam_testkit::simulator::{Line, LineState, What};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};
use tokio::time::sleep;

use crate::rules;
use crate::story::{self, End, Story};
use crate::trouble::{self, Seam, Trouble};
use crate::world::World;

/// How long a run may take to its end, in its own time: the pause after a spent quota is ten minutes.
const LIMIT: Duration = Duration::from_mins(40);

/// How long it must stay as it is then: longer than a sync interval, and, where one is late, than any call takes to land.
const QUIET: Duration = Duration::from_secs(12);
const QUIET_WITH_LATE_CALLS: Duration = Duration::from_secs(45);

const ORG: &str = "org-1";
const WORKSPACE: &str = "ws-1";

/// What a run is made of.
#[derive(Clone)]
pub struct Case {
    pub story: &'static Story,
    pub seed: u64,
    /// What goes wrong, by the number of the seam.
    pub troubles: Vec<(usize, &'static Trouble)>,
}

/// What came of a run.
pub struct Outcome {
    /// What was wrong; `None`: nothing.
    pub failure: Option<String>,
    pub seams: Vec<(Seam, String)>,
    /// How often Events told of each reason.
    pub events: BTreeMap<String, i64>,
    /// Empty unless it was asked for.
    pub trace: String,
}

/// As in `drift:7:12=lost-reply,15=crash-before`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.story.name, self.seed)?;
        for (i, (number, trouble)) in self.troubles.iter().enumerate() {
            write!(f, "{}{number}={}", if i == 0 { ":" } else { "," }, trouble.name)?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("SEED={text} is none: write it like drift:7:12=lost-reply,15=crash-before");
        let mut parts = text.splitn(3, ':');
        let story = parts.next().and_then(Story::named).ok_or_else(wrong)?;
        let seed = parts.next().and_then(|seed| seed.parse().ok()).ok_or_else(wrong)?;
        let trouble = |text: &str| {
            let (number, name) = text.split_once('=')?;
            Some((number.parse().ok()?, Trouble::named(name)?))
        };
        let troubles = parts.next().map_or_else(|| Some(Vec::new()), |all| all.split(',').map(trouble).collect());
        Ok(Self { story, seed, troubles: troubles.ok_or_else(wrong)? })
    }
}

impl Case {
    /// The story with nothing going wrong.
    pub fn clean(story: &'static Story, seed: u64) -> Self {
        Self { story, seed, troubles: Vec::new() }
    }

    /// The same with one more trouble.
    pub fn with(&self, number: usize, trouble: &'static Trouble) -> Self {
        let mut troubles = self.troubles.clone();
        troubles.push((number, trouble));
        Self { troubles, ..self.clone() }
    }

    /// Plays it and judges it.
    pub fn play(&self, traced: bool) -> Outcome {
        let runtime = paused_runtime();
        let (mut outcome, world) = runtime.block_on(async {
            let world = World::new(self.seed, self.troubles.iter().copied().collect(), traced);
            let played = self.unfold(&world).await;
            let judged = catch_unwind(AssertUnwindSafe(|| judge_run(self.story, &world)));
            let judged = judged.unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                Err(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a rule is broken").to_owned())
            });
            let (seams, events, trace) = (world.seams(), events(&world), world.trace());
            (Outcome { failure: played.and(judged).err(), seams, events, trace }, world)
        });
        drop(runtime);
        let holders = Arc::strong_count(&world) - 1;
        if holders > 0 {
            outcome
                .failure
                .get_or_insert_with(|| format!("{holders} things of operators that have ended hold the world"));
        }
        outcome
    }

    /// Plays the story to its end.
    async fn unfold(&self, world: &Arc<World>) -> Result<(), String> {
        let start = tokio::time::Instant::now();
        set_up(world, self.story);
        let mut steps = self.story.steps.iter().peekable();
        while let Some(first) = steps.next_if(|step| step.at.is_zero()) {
            step(world, self.story, &first.words);
        }
        world.start_operator();
        for next in steps {
            tokio::time::sleep_until(start + next.at).await;
            step(world, self.story, &next.words);
        }
        let may_be_late = self.troubles.iter().any(|(_, trouble)| matches!(trouble.what, trouble::What::Remote(_)));
        let quiet = if may_be_late { QUIET_WITH_LATE_CALLS } else { QUIET };
        let limit = LIMIT.saturating_sub(start.elapsed());
        comes_to(world, &self.story.ends, quiet, limit).await.map(drop)
    }
}

/// Waits until all of it is so, and has stayed so for a while. Returns how long the first took.
async fn comes_to(world: &World, ends: &[End], quiet: Duration, limit: Duration) -> Result<Duration, String> {
    let start = tokio::time::Instant::now();
    let mut since = None;
    loop {
        let now = tokio::time::Instant::now();
        match ends.iter().find_map(|end| missing(world, end)) {
            None if now - *since.get_or_insert(now) >= quiet => return Ok(now - quiet - start),
            None => {}
            Some(missing) if now - start > limit => return Err(format!("{limit:?} later: {missing}")),
            Some(_) => since = None,
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// One thread, on time that goes on when nothing is left to do.
pub fn paused_runtime() -> Runtime {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O")
}

/// Makes what is there when a story begins.
pub fn set_up(world: &Arc<World>, story: &Story) {
    let at = world.wall();
    for (id, state) in &story.lines {
        let line = Line { status: *state, created_at: at, updated_at: at, ..Line::new(*id) };
        world.remote.add_line(ORG, WORKSPACE, line);
    }
    world.remote.add_key(ORG, WORKSPACE, "first", "key-first");
    if story.with_secret {
        step(world, story, &["secret", "first"]);
    }
    if story.with_workspace {
        step(world, story, &["workspace", "create"]);
    }
}

/// A world in which each line of the story has an object, which asks for what the line is: active.
pub fn world_of(story: &Story) -> Arc<World> {
    let world = World::new(1, BTreeMap::new(), false);
    set_up(&world, story);
    for (id, _) in &story.lines {
        step(&world, story, &["create", id, id, "active"]);
    }
    world
}

/// Holds the run against what must hold of every run.
pub fn judge_run(story: &Story, world: &World) -> Result<(), String> {
    let changes = world.api.history();
    let ours = || changes.iter().filter(|change| ["deployments", "workspaces"].contains(&change.plural.as_str()));
    for change in ours() {
        rules::check(&change.object);
    }
    let versions: Vec<Value> = ours().map(|change| (*change.object).clone()).collect();
    rules::check_transitions(&versions);
    let claims: Vec<Claim> = changes
        .iter()
        .filter(|change| change.plural == "deployments")
        .map(|change| {
            let claim = Claim::of(&change.object, change.at);
            if change.happened == Happened::Deleted { claim.gone(change.at) } else { claim }
        })
        .collect();
    let history = world.remote.history();
    if let Some(stray) = history.iter().find(|entry| matches!(entry.what, What::Stray { .. })) {
        return Err(format!("a call to nowhere: {stray:?}"));
    }
    let in_place = story.steps.iter().flat_map(|step| &step.words).any(|word| word.contains("InPlace"));
    // A late PATCH of what is there already is no change.
    let heard = history.iter().find(|entry| entry.what.changed_an_answering_line());
    if let Some(entry) = heard.filter(|_| !in_place) {
        return Err(format!("the configuration of a line that answers was changed: {entry:?}"));
    }
    if world.metrics.panics.get() > 0 {
        return Err("the operator panicked".to_owned());
    }
    let verdict = judge(&lock(&world.edits), &claims, &history, clock::now());
    if verdict.lie.total().is_zero() { Ok(()) } else { Err(format!("the status lied:\n{verdict}")) }
}

/// What is not yet as the end asks.
fn missing(world: &World, end: &End) -> Option<String> {
    let line = |id: &str| world.remote.line(id).map(|line| line.status);
    match end {
        End::Line(id, state) => {
            (line(id) != Some(*state)).then(|| format!("the line {id} is {:?}, not {state:?}", line(id)))
        }
        End::Version(id, version) => {
            let is = world.remote.line(id).map(|line| line.app_version);
            (is != Some(*version)).then(|| format!("the line {id} has version {is:?}, not {version}"))
        }
        End::Says(name, reason) => {
            let Some(object) = get(world, "deployments", name) else {
                return Some(format!("there is no object {name}"));
            };
            let status = &object["status"];
            let ready = &status["conditions"][0];
            let current = status["observedGeneration"] == object["metadata"]["generation"];
            let is_so = *reason != "Synced" || line(object["spec"]["deploymentID"].as_str()?) == Some(asked(&object));
            let said = current && ready["reason"] == *reason && is_so;
            (!said).then(|| format!("{name} should be {reason} and says {}: {}", ready["reason"], ready["message"]))
        }
    }
}

/// What a person asks of the API server. `None`: it is refused.
fn ask(world: &World, method: &Method, path: &str, body: &Value) -> Option<Value> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let uri = format!("/{path}").parse().expect("a path");
    match world.api.request(&View::default(), method, &uri, &body) {
        Answer::Whole(200 | 201, object) => Some(object),
        _ => None,
    }
}

fn path(plural: &str, name: &str) -> String {
    let group = match plural {
        "secrets" => "api/v1",
        "events" => "apis/events.k8s.io/v1",
        _ => "apis/agents.sarvam.ai/v1alpha1",
    };
    format!("{group}/namespaces/voice/{plural}{}{name}", if name.is_empty() { "" } else { "/" })
}

fn get(world: &World, plural: &str, name: &str) -> Option<Value> {
    ask(world, &Method::GET, &path(plural, name), &Value::Null)
}

/// How often Events tell of each reason.
fn events(world: &World) -> BTreeMap<String, i64> {
    let list = get(world, "events", "").expect("a list");
    let mut reasons = BTreeMap::new();
    for event in list["items"].as_array().expect("a list of Events") {
        let reason = event["reason"].as_str().expect("a reason").to_owned();
        *reasons.entry(reason).or_default() += event["series"]["count"].as_i64().unwrap_or(1);
    }
    reasons
}

/// Waits until each object that is there, of those that have their line's name, says Synced and its line is so, and the Workspace
/// counts those and no others. Returns how long that took.
pub async fn all_synced(world: &World, story: &Story, limit: Duration) -> Duration {
    let names = story.lines.iter().map(|(id, _)| *id).filter(|name| get(world, "deployments", name).is_some());
    let ends: Vec<_> = names.map(|name| End::Says(name, "Synced")).collect();
    let took = comes_to(world, &ends, QUIET, limit).await.unwrap_or_else(|missing| panic!("{}: {missing}", story.name));
    let counted = get(world, "workspaces", "main").map(|workspace| workspace["status"]["lines"].clone());
    assert_eq!(counted, Some(json!({"total": ends.len(), "asAsked": ends.len()})), "{}", story.name);
    took
}

/// Does what a step says about `LINE`, which is this one.
pub fn step_of(world: &Arc<World>, story: &Story, line: &str, words: &str) {
    let words = words.replace("LINE", line);
    step(world, story, &words.split(' ').collect::<Vec<_>>());
}

/// Does what a step says.
pub fn step(world: &Arc<World>, story: &Story, words: &[&str]) {
    world.note(|| format!("-- {}", words.join(" ")));
    let edit = |object: &Value| Edit::of(object, clock::now());
    let remember = |edit: Edit| lock(&world.edits).push(edit);
    let merge = |plural: &str, name: &str, patch: Value| {
        ask(world, &Method::PATCH, &path(plural, name), &patch)
            .unwrap_or_else(|| panic!("{}: {name} can't be changed", story.name))
    };
    match *words {
        ["create", name, line, state, ref fields @ ..] => {
            let mut spec = self::fields(fields);
            spec["workspaceRef"] = json!({"name": "main"});
            spec["deploymentID"] = json!(line);
            spec["paused"] = json!(story::state(state) == LineState::Paused);
            let object = json!({"metadata": {"name": name}, "spec": spec});
            let made = ask(world, &Method::POST, &path("deployments", ""), &object);
            remember(edit(&made.expect("a new object")));
        }
        ["edit", name, ref fields @ ..] => {
            remember(edit(&merge("deployments", name, json!({"spec": self::fields(fields)}))));
        }
        ["label", name, value] => {
            merge("deployments", name, json!({"metadata": {"labels": {"story": value}}}));
        }
        ["delete", name] => {
            let object = get(world, "deployments", name).expect("an object to delete");
            ask(world, &Method::DELETE, &path("deployments", name), &Value::Null);
            remember(edit(&object).gone(clock::now()));
        }
        ["dashboard", line, state] => world.remote.set_from_dashboard(line, story::state(state), "somebody"),
        ["remove", line] => world.remote.remove_line(line, "somebody"),
        ["accept", key] => world.remote.add_key(ORG, WORKSPACE, key, &format!("key-{key}")),
        ["revoke", key] => world.remote.revoke_key(key),
        ["secret", "none"] => drop(ask(world, &Method::DELETE, &path("secrets", "sarvam"), &Value::Null)),
        ["secret", key] => {
            // In base64, as Secrets have it.
            let data = match key {
                "first" => "a2V5LWZpcnN0",
                "second" => "a2V5LXNlY29uZA==",
                "wrong" => "a2V5LXdyb25n",
                "broken" => "YSBrZXk=",
                other => panic!("{}: there is no key {other}", story.name),
            };
            let secret = json!({"metadata": {"name": "sarvam"}, "data": {"api-key": data}});
            if get(world, "secrets", "sarvam").is_some() {
                merge("secrets", "sarvam", secret);
            } else {
                ask(world, &Method::POST, &path("secrets", ""), &secret);
            }
        }
        ["workspace", "create"] => {
            let spec = json!({
                "orgID": ORG,
                "workspaceID": WORKSPACE,
                "apiKeySecretRef": {"name": "sarvam", "key": "api-key"},
                "syncInterval": "10s",
                "requestsPerSecond": story.rate,
            });
            ask(world, &Method::POST, &path("workspaces", ""), &json!({"metadata": {"name": "main"}, "spec": spec}));
        }
        ["workspace", "delete"] => drop(ask(world, &Method::DELETE, &path("workspaces", "main"), &Value::Null)),
        ["workspace", "sync", interval] => {
            merge("workspaces", "main", json!({"spec": {"syncInterval": interval}}));
        }
        ["restart"] => world.roll_over(),
        ["kill"] => world.kill_newest(),
        ["compact"] => world.api.compact(),
        _ => panic!("{}: no story has a step {words:?}", story.name),
    }
}

/// Fields of a spec, as in `paused=true driftPolicy="Report"`.
fn fields(words: &[&str]) -> Value {
    let field = |word: &&str| {
        let (name, value) = word.split_once('=').expect("a field is name=value");
        (name.to_owned(), serde_json::from_str::<Value>(value).expect("a value is JSON"))
    };
    Value::Object(words.iter().map(field).collect())
}
