//! What the operator tells Prometheus: `docs/metrics.md` lists it. Labels are bounded: never one series a line.

mod objects;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use self::objects::Objects;
pub use self::objects::{Told, Walked};
use crate::{
    core::{
        classify::{Call, Fault},
        line::{Action, Trouble},
        status::{Reason, Truth},
        step::Uid,
    },
    sarvam::{Lane, Meter},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    route: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    request: ApiRequest,
}

/// What was asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ApiRequest {
    /// A list or a watch of a kind.
    Watch,
    /// A quorum read of one Deployment object.
    Read,
    /// A write of a status.
    Status,
    /// A read of a Secret.
    Secret,
}

/// The bounds of the call durations, in seconds. Past the last are calls that ran into a long `--call-timeout`.
const SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The bounds of what takes next to no time unless something holds it up, in seconds.
const WAITS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Makes histograms with these bounds.
#[derive(Clone)]
struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// The process's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls: Family<CallLabels, Counter>,
    durations: Family<RouteLabel, Histogram, Bounds>,
    /// By [`Lane`]. At hand: they are told of a wait before the call is made.
    waits: [Histogram; Lane::COUNT],
    edits: Family<ActionLabel, Histogram, Bounds>,
    api_failures: Family<RequestLabel, Counter>,
    objects: Objects,
    leader: Gauge,
    ready: Gauge,
    /// `sarvam_reconcile_panics_total`: pieces of work that panicked and were caught.
    pub panics: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sarvam");
        let (calls, durations) = (Family::default(), Family::new_with_constructor(Bounds(&SECONDS)));
        let by_lane = Family::new_with_constructor(Bounds(&WAITS));
        let waits = Lane::ALL.map(|lane| by_lane.get_or_create_owned(&LaneLabel { lane: lane.name() }));
        let edits = Family::new_with_constructor(Bounds(&WAITS));
        let (api_failures, objects) = (Family::default(), Objects::default());
        let (panics, leader, ready) = (Counter::default(), Gauge::default(), Gauge::default());
        registry.register(
            "operator_build",
            "The operator's version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("leader", "1 while this process holds the Lease", leader.clone());
        registry.register("ready", "1 while /readyz answers 200", ready.clone());
        registry.register("reconcile_panics", "Pieces of work that panicked and were caught: bugs", panics.clone());
        registry.register("remote_calls", "Calls to the remote, by route and outcome", calls.clone());
        registry.register_with_unit(
            "remote_call_duration",
            "How long calls to the remote took, by route",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register_with_unit(
            "remote_call_wait",
            "How long calls to the remote waited for their turn, by lane",
            Unit::Seconds,
            by_lane,
        );
        registry.register_with_unit(
            "edit_to_remote",
            "From the news of an edit to the remote's good answer to the call that carries it out, by action",
            Unit::Seconds,
            edits.clone(),
        );
        registry.register(
            "api_failures",
            "Requests to the Kubernetes API server that failed; conflicts are no failures",
            api_failures.clone(),
        );
        registry.register_collector(Box::new(objects.clone()));
        let registry = Arc::new(registry);
        let metrics = Self { registry, calls, durations, waits, edits, api_failures, objects, leader, ready, panics };
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// A counter that only appears with its first event has no increase for it.
    fn begin_at_zero(&self) {
        for route in Call::ALL.map(route) {
            let outcomes = [None].into_iter().chain(Trouble::ALL.map(Some));
            for outcome in outcomes.map(outcome) {
                drop(self.calls.get_or_create(&CallLabels { route, outcome }));
            }
            drop(self.durations.get_or_create(&RouteLabel { route }));
        }
        for action in [Action::Pause, Action::Resume].map(Action::verb) {
            drop(self.edits.get_or_create(&ActionLabel { action }));
        }
        for request in [ApiRequest::Watch, ApiRequest::Read, ApiRequest::Status, ApiRequest::Secret] {
            drop(self.api_failures.get_or_create(&RequestLabel { request }));
        }
    }

    /// Whether this process leads. What a term knew of the objects ends with it: the next leader tells of them.
    pub fn lead(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            self.objects.clear();
        }
    }

    /// Whether `/readyz` answers 200.
    pub fn ready(&self, ready: bool) {
        self.ready.set(ready.into());
    }

    /// Makes a call to the remote for the Workspace `workspace` (`namespace/name`), and counts and times it. A call that is
    /// given up does not count.
    pub async fn call<T>(
        &self,
        call: Call,
        workspace: &str,
        answer: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let began = Instant::now();
        let answer = answer.await;
        let route = route(call);
        self.durations.get_or_create(&RouteLabel { route }).observe(began.elapsed().as_secs_f64());
        let outcome = outcome(answer.as_ref().err().map(|fault| fault.trouble));
        self.calls.get_or_create(&CallLabels { route, outcome }).inc();
        if answer.is_ok() && call.is_look() {
            self.objects.looked(workspace, Timestamp::now());
        }
        answer
    }

    /// How long a call that may be made now has waited for its turn.
    pub fn waited(&self, lane: Lane, wait: Duration) {
        self.waits[lane as usize].observe(wait.as_secs_f64());
    }

    /// How long after the news of an edit the remote has answered its call well.
    pub fn carried_out(&self, action: Action, after: Duration) {
        self.edits.get_or_create(&ActionLabel { action: action.verb() }).observe(after.as_secs_f64());
    }

    /// Counts a request to the API server that failed.
    pub fn api_failed(&self, request: ApiRequest) {
        self.api_failures.get_or_create(&RequestLabel { request }).inc();
    }

    /// What was told of a Deployment object.
    pub fn line(&self, object: Uid, told: Told) {
        self.objects.line(object, told);
    }

    /// What a walk over the list of lines of the Workspace `workspace` (`namespace/name`) has come to.
    pub fn walked(&self, workspace: &str, walked: Walked) {
        self.objects.walked(workspace, walked);
    }

    /// Forgets a Deployment object.
    pub fn forget_line(&self, object: Uid) {
        self.objects.forget_line(object);
    }

    /// What the Ready condition of the Workspace `workspace` (`namespace/name`) says, and how often its lines are looked at.
    pub fn workspace(&self, workspace: &str, ready: Truth, reason: Reason, sync_interval: Duration) {
        self.objects.workspace(workspace, ready, reason, sync_interval);
    }

    /// The budget that the Workspace `workspace` (`namespace/name`) calls within, which is read when Prometheus asks. `None`:
    /// it has no key to call with.
    pub fn budget(&self, workspace: &str, budget: Option<Meter>) {
        self.objects.budget(workspace, budget);
    }

    /// Forgets a Workspace.
    pub fn forget_workspace(&self, workspace: &str) {
        self.objects.forget_workspace(workspace);
    }

    /// All of them in the `OpenMetrics` text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

const fn route(call: Call) -> &'static str {
    match call {
        Call::Get => "get",
        Call::List => "list",
        Call::SetStatus => "status",
        Call::Update => "update",
    }
}

fn outcome(trouble: Option<Trouble>) -> String {
    trouble.map_or_else(|| "Ok".to_owned(), |trouble| format!("{trouble:?}"))
}
