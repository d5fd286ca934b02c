//! What a term has told of its objects, counted when Prometheus asks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};

use crate::{
    core::{
        line::State,
        status::{Reason, Truth},
        step::Uid,
    },
    sarvam::{Circuit, Lane, Meter, Reading},
};

/// Every object of the term. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    lines: HashMap<Uid, Line>,
    /// By `namespace/name`.
    workspaces: HashMap<String, Workspace>,
}

/// What was last told of a Deployment object.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Its Ready condition.
    pub ready: Truth,
    /// The same.
    pub reason: Reason,
    /// The condition's transition time.
    pub since: Timestamp,
    /// What is asked.
    pub wanted: State,
    /// What the last look showed.
    pub state: State,
    /// Until when a call that contradicts what is asked may still land.
    pub doubt_until: Timestamp,
}

/// What a walk over the list of a Workspace's lines has come to.
#[derive(Clone, Copy, Debug)]
pub struct Walked {
    /// How long it took; `None`: it came to no end.
    pub took: Option<Duration>,
    /// How many lines it showed that no object names; `None`: as before.
    pub unmanaged: Option<usize>,
    /// When the line was seen that has not been seen for the longest; `None`: there is no line.
    pub oldest_look: Option<Timestamp>,
}

/// What is counted of what was told: there are very many.
#[derive(Debug)]
struct Line {
    ready: Truth,
    reason: Reason,
    wanted: State,
    state: State,
    /// Unix milliseconds.
    doubt_until: i64,
    /// Unix seconds; `None`: it is Ready.
    not_ready_since: Option<f64>,
}

#[derive(Debug)]
struct Workspace {
    ready: Truth,
    reason: Reason,
    sync_interval: Duration,
    /// Unix seconds of the last look that the remote answered well.
    looked: Option<f64>,
    walk: Option<Duration>,
    unmanaged: Option<usize>,
    /// Unix seconds.
    oldest_look: Option<f64>,
    budget: Option<Meter>,
}

impl Workspace {
    fn reading(&self) -> Option<Reading> {
        self.budget.as_ref()?.reading()
    }
}

impl Objects {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn line(&self, object: Uid, told: Told) {
        let mut known = self.known();
        // A condition's transition time moves between False and Unknown too; this one does not.
        let before = known.lines.get(&object).and_then(|line| line.not_ready_since);
        let Told { ready, reason, since, wanted, state, doubt_until } = told;
        let since = seconds(since);
        let not_ready_since = (ready != Truth::True).then(|| before.map_or(since, |before| before.min(since)));
        let doubt_until = doubt_until.as_millisecond();
        known.lines.insert(object, Line { ready, reason, wanted, state, doubt_until, not_ready_since });
    }

    pub fn forget_line(&self, object: Uid) {
        self.known().lines.remove(&object);
    }

    pub fn workspace(&self, workspace: &str, ready: Truth, reason: Reason, sync_interval: Duration) {
        let mut known = self.known();
        if let Some(known) = known.workspaces.get_mut(workspace) {
            (known.ready, known.reason, known.sync_interval) = (ready, reason, sync_interval);
            return;
        }
        let (looked, walk, unmanaged, oldest_look, budget) = (None, None, None, None, None);
        let new = Workspace { ready, reason, sync_interval, looked, walk, unmanaged, oldest_look, budget };
        known.workspaces.insert(workspace.to_owned(), new);
    }

    pub fn walked(&self, workspace: &str, walked: Walked) {
        if let Some(workspace) = self.known().workspaces.get_mut(workspace) {
            workspace.walk = walked.took.or(workspace.walk);
            workspace.unmanaged = walked.unmanaged.or(workspace.unmanaged);
            workspace.oldest_look = walked.oldest_look.map(seconds);
        }
    }

    pub fn looked(&self, workspace: &str, at: Timestamp) {
        // A late answer does not bring back a Workspace that is gone.
        if let Some(workspace) = self.known().workspaces.get_mut(workspace) {
            workspace.looked = Some(seconds(at));
        }
    }

    pub fn budget(&self, workspace: &str, budget: Option<Meter>) {
        if let Some(workspace) = self.known().workspaces.get_mut(workspace) {
            workspace.budget = budget;
        }
    }

    pub fn forget_workspace(&self, workspace: &str) {
        self.known().workspaces.remove(workspace);
    }

    pub fn clear(&self) {
        *self.known() = Known::default();
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64
}

impl Collector for Objects {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = self.known();
        // There from the start, so that a sum over no lines is 0 and not nothing.
        let mut lines = HashMap::from([((Truth::True, Reason::Synced), 0i64)]);
        let mut oldest: HashMap<Reason, f64> = HashMap::new();
        let mut states: HashMap<(State, State), i64> = HashMap::new();
        let (now, mut in_doubt) = (Timestamp::now().as_millisecond(), 0i64);
        for line in known.lines.values() {
            *lines.entry((line.ready, line.reason)).or_default() += 1;
            *states.entry((line.wanted, line.state)).or_default() += 1;
            in_doubt += i64::from(line.doubt_until > now);
            if let Some(since) = line.not_ready_since {
                oldest.entry(line.reason).and_modify(|known| *known = known.min(since)).or_insert(since);
            }
        }

        let mut gauge = encoder.encode_descriptor(
            "lines",
            "Deployment objects, by their Ready condition.",
            None,
            MetricType::Gauge,
        )?;
        for ((ready, reason), count) in lines {
            series(&mut gauge, &[("ready", ready.as_str()), ("reason", &reason.to_string())], &count)?;
        }
        let mut gauge = encoder.encode_descriptor(
            "lines_by_state",
            "Deployment objects, by what is asked of the line and what the last look showed.",
            None,
            MetricType::Gauge,
        )?;
        for ((wanted, state), count) in states {
            series(&mut gauge, &[("wanted", wanted.to_string()), ("state", state.to_string())], &count)?;
        }
        let gauge = encoder.encode_descriptor(
            "lines_in_doubt",
            "Deployment objects of whose line an earlier call may still make another than is asked.",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(in_doubt).encode(gauge)?;
        let mut gauge = encoder.encode_descriptor(
            "lines_not_ready_since_timestamp",
            "Since when the Deployment object that has not been Ready for the longest has not been, by its reason now.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (reason, since) in oldest {
            series(&mut gauge, &[("reason", reason.to_string())], &since)?;
        }

        let workspaces: Vec<_> = known.workspaces.iter().map(|(name, it)| (name, it, it.reading())).collect();
        for PerWorkspace { name, help, unit, values } in &PER_WORKSPACE {
            let mut gauge = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for (workspace, it, reading) in &workspaces {
                for (more, value) in values(it, reading.as_ref()) {
                    let labels = [("workspace", (*workspace).clone())].into_iter().chain(more);
                    series(&mut gauge, &labels.collect::<Vec<_>>(), &value)?;
                }
            }
        }
        Ok(())
    }
}

/// A gauge of each Workspace.
struct PerWorkspace {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    /// Its values, each with the label that it has beside the Workspace's name.
    values: fn(&Workspace, Option<&Reading>) -> Values,
}

type Values = Vec<(Option<(&'static str, String)>, f64)>;

/// The value of a gauge that has one, or none yet.
fn one(value: Option<f64>) -> Values {
    value.map(|value| (None, value)).into_iter().collect()
}

#[allow(clippy::cast_precision_loss, reason = "nobody has so many of anything here")]
const fn count(number: usize) -> f64 {
    number as f64
}

const PER_WORKSPACE: [PerWorkspace; 12] = [
    PerWorkspace {
        name: "workspace_ready",
        help: "1 where the Workspace is Ready: the remote takes its key. Its label has the reason.",
        unit: None,
        values: |it, _| vec![(Some(("reason", it.reason.to_string())), f64::from(it.ready == Truth::True))],
    },
    PerWorkspace {
        name: "workspace_last_look_timestamp",
        help: "When the remote last answered a look in the Workspace well.",
        unit: Some(Unit::Seconds),
        values: |it, _| one(it.looked),
    },
    PerWorkspace {
        name: "workspace_sync_interval",
        help: "spec.syncInterval of the Workspace: how often each of its lines is looked at.",
        unit: Some(Unit::Seconds),
        values: |it, _| one(Some(it.sync_interval.as_secs_f64())),
    },
    PerWorkspace {
        name: "workspace_walk_duration",
        help: "How long the last walk over the list of the Workspace's lines took.",
        unit: Some(Unit::Seconds),
        values: |it, _| one(it.walk.map(|walk| walk.as_secs_f64())),
    },
    PerWorkspace {
        name: "workspace_oldest_look_timestamp",
        help: "When the remote last showed the line of the Workspace that it has not shown for the longest.",
        unit: Some(Unit::Seconds),
        values: |it, _| one(it.oldest_look),
    },
    PerWorkspace {
        name: "workspace_unmanaged_lines",
        help: "Lines of the workspace that no Deployment object names.",
        unit: None,
        values: |it, _| one(it.unmanaged.map(count)),
    },
    PerWorkspace {
        name: "workspace_budget_tokens",
        help: "Calls that may be made at once with the Workspace's key; below 0 what edits have overdrawn.",
        unit: None,
        values: |_, budget| one(budget.map(|budget| budget.tokens)),
    },
    PerWorkspace {
        name: "workspace_budget_rate",
        help: "Calls a second that are kept to with the Workspace's key; fewer than asked for after the remote said too many.",
        unit: None,
        values: |_, budget| one(budget.map(|budget| budget.rate)),
    },
    PerWorkspace {
        name: "workspace_budget_asked_rate",
        help: "Calls a second that are asked for: the least spec.requestsPerSecond of the Workspaces with this key.",
        unit: None,
        values: |_, budget| one(budget.map(|budget| budget.asked_rate)),
    },
    PerWorkspace {
        name: "workspace_calls_in_flight",
        help: "Calls with the Workspace's key that are in flight.",
        unit: None,
        values: |_, budget| one(budget.map(|budget| count(budget.in_flight))),
    },
    PerWorkspace {
        name: "workspace_calls_waiting",
        help: "Calls with the Workspace's key that wait for their turn, by lane.",
        unit: None,
        values: |_, budget| {
            let waiting = budget.map(|budget| Lane::ALL.into_iter().zip(budget.waiting));
            waiting
                .into_iter()
                .flatten()
                .map(|(lane, waits)| (Some(("lane", lane.name().to_owned())), count(waits)))
                .collect()
        },
    },
    PerWorkspace {
        name: "workspace_circuit_open",
        help: "1 while no call is made with the Workspace's key but to find out whether the remote is back.",
        unit: None,
        values: |_, budget| one(budget.map(|budget| f64::from(budget.circuit != Circuit::Closed))),
    },
];

fn series(gauge: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: &impl EncodeGaugeValue) -> fmt::Result {
    gauge.encode_family(labels)?.encode_gauge(value)
}
