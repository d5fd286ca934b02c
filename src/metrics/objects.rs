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

use crate::core::{
    line::State,
    status::{Reason, Truth},
};

/// Every object of the term, by `namespace/name`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    lines: HashMap<String, Line>,
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

#[derive(Debug)]
struct Line {
    told: Told,
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
}

impl Objects {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn line(&self, object: &str, told: Told) {
        let mut known = self.known();
        // A condition's transition time moves between False and Unknown too; this one does not.
        let before = known.lines.get(object).and_then(|line| line.not_ready_since);
        let since = seconds(told.since);
        let not_ready_since = (told.ready != Truth::True).then(|| before.map_or(since, |before| before.min(since)));
        known.lines.insert(object.to_owned(), Line { told, not_ready_since });
    }

    pub fn forget_line(&self, object: &str) {
        self.known().lines.remove(object);
    }

    pub fn workspace(&self, workspace: &str, ready: Truth, reason: Reason, sync_interval: Duration) {
        let mut known = self.known();
        if let Some(known) = known.workspaces.get_mut(workspace) {
            (known.ready, known.reason, known.sync_interval) = (ready, reason, sync_interval);
            return;
        }
        let (looked, walk, unmanaged, oldest_look) = (None, None, None, None);
        let new = Workspace { ready, reason, sync_interval, looked, walk, unmanaged, oldest_look };
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
    #[allow(clippy::too_many_lines, reason = "one series after the other")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = self.known();
        // There from the start, so that a sum over no lines is 0 and not nothing.
        let mut lines = HashMap::from([((Truth::True, Reason::Synced), 0i64)]);
        let mut oldest: HashMap<Reason, f64> = HashMap::new();
        let mut states: HashMap<(State, State), i64> = HashMap::new();
        let (now, mut in_doubt) = (Timestamp::now(), 0i64);
        for Line { told, not_ready_since } in known.lines.values() {
            *lines.entry((told.ready, told.reason)).or_default() += 1;
            *states.entry((told.wanted, told.state)).or_default() += 1;
            in_doubt += i64::from(told.doubt_until > now);
            if let Some(since) = *not_ready_since {
                oldest.entry(told.reason).and_modify(|known| *known = known.min(since)).or_insert(since);
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

        let workspaces = &known.workspaces;
        let mut gauge = encoder.encode_descriptor(
            "workspace_ready",
            "1 where the Workspace is Ready: the remote takes its key. Its label has the reason.",
            None,
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            let labels = [("workspace", name.as_str()), ("reason", &workspace.reason.to_string())];
            series(&mut gauge, &labels, &i64::from(workspace.ready == Truth::True))?;
        }
        let mut gauge = encoder.encode_descriptor(
            "workspace_last_look_timestamp",
            "When the remote last answered a look in the Workspace well.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            if let Some(looked) = workspace.looked {
                series(&mut gauge, &[("workspace", name.as_str())], &looked)?;
            }
        }
        let mut gauge = encoder.encode_descriptor(
            "workspace_sync_interval",
            "spec.syncInterval of the Workspace: how often each of its lines is looked at.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            series(&mut gauge, &[("workspace", name.as_str())], &workspace.sync_interval.as_secs_f64())?;
        }
        let mut gauge = encoder.encode_descriptor(
            "workspace_walk_duration",
            "How long the last walk over the list of the Workspace's lines took.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            if let Some(walk) = workspace.walk {
                series(&mut gauge, &[("workspace", name.as_str())], &walk.as_secs_f64())?;
            }
        }
        let mut gauge = encoder.encode_descriptor(
            "workspace_oldest_look_timestamp",
            "When the remote last showed the line of the Workspace that it has not shown for the longest.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            if let Some(oldest) = workspace.oldest_look {
                series(&mut gauge, &[("workspace", name.as_str())], &oldest)?;
            }
        }
        let mut gauge = encoder.encode_descriptor(
            "workspace_unmanaged_lines",
            "Lines of the workspace that no Deployment object names.",
            None,
            MetricType::Gauge,
        )?;
        for (name, workspace) in workspaces {
            if let Some(unmanaged) = workspace.unmanaged {
                series(&mut gauge, &[("workspace", name.as_str())], &i64::try_from(unmanaged).unwrap_or(i64::MAX))?;
            }
        }
        Ok(())
    }
}

fn series(gauge: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: &impl EncodeGaugeValue) -> fmt::Result {
    gauge.encode_family(labels)?.encode_gauge(value)
}
