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
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder},
    metrics::MetricType,
    registry::Unit,
};

use crate::core::status::{Reason, Truth};

/// Every object of the term, by `namespace/name`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    lines: HashMap<String, Line>,
    workspaces: HashMap<String, Workspace>,
}

#[derive(Debug)]
struct Line {
    ready: Truth,
    reason: Reason,
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
}

impl Objects {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn line(&self, object: &str, ready: Truth, reason: Reason, since: Timestamp) {
        let mut known = self.known();
        // A condition's transition time moves between False and Unknown too; this one does not.
        let before = known.lines.get(object).and_then(|line| line.not_ready_since);
        let since = seconds(since);
        let not_ready_since = (ready != Truth::True).then(|| before.map_or(since, |before| before.min(since)));
        known.lines.insert(object.to_owned(), Line { ready, reason, not_ready_since });
    }

    pub fn forget_line(&self, object: &str) {
        self.known().lines.remove(object);
    }

    pub fn workspace(&self, workspace: &str, ready: Truth, reason: Reason, sync_interval: Duration) {
        let mut known = self.known();
        let looked = known.workspaces.get(workspace).and_then(|before| before.looked);
        known.workspaces.insert(workspace.to_owned(), Workspace { ready, reason, sync_interval, looked });
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
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = self.known();
        // There from the start, so that a sum over no lines is 0 and not nothing.
        let mut lines = HashMap::from([((Truth::True, Reason::Synced), 0i64)]);
        let mut oldest: HashMap<Reason, f64> = HashMap::new();
        for line in known.lines.values() {
            *lines.entry((line.ready, line.reason)).or_default() += 1;
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
        Ok(())
    }
}

fn series(gauge: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: &impl EncodeGaugeValue) -> fmt::Result {
    gauge.encode_family(labels)?.encode_gauge(value)
}
