//! What the operator tells Prometheus. Labels are bounded: never one series a line.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::core::{
    classify::Fault,
    status::{Details, Verdict},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    route: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

/// The process's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls: Family<CallLabels, Counter>,
    lines: Family<ReasonLabel, Gauge>,
    reasons: Arc<Mutex<HashMap<String, String>>>,
    /// `sarvam_reconcile_panics_total`: pieces of work that panicked and were caught.
    pub panics: Counter,
    /// `sarvam_leader`: 1 while this process leads.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sarvam");
        let (calls, lines) = (Family::default(), Family::default());
        let (panics, leader) = (Counter::default(), Gauge::default());
        registry.register(
            "operator_build",
            "The operator's version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("remote_calls", "Calls to the remote, by route and outcome", calls.clone());
        registry.register("lines", "Deployment objects, by the reason of their Ready condition", lines.clone());
        registry.register("reconcile_panics", "Pieces of work that panicked and were caught: bugs", panics.clone());
        registry.register("leader", "1 while this process holds the Lease", leader.clone());
        Self { registry: Arc::new(registry), calls, lines, reasons: Arc::default(), panics, leader }
    }
}

impl Metrics {
    /// Counts a call to the remote.
    pub fn call(&self, route: &'static str, fault: Option<&Fault>) {
        let outcome = fault.map_or_else(|| "Ok".to_owned(), |fault| format!("{:?}", fault.trouble));
        self.calls.get_or_create(&CallLabels { route, outcome }).inc();
    }

    /// Counts an object under what was told of it.
    pub fn told(&self, object: &str, verdict: Verdict) {
        let reason = verdict.conditions(&Details::default()).reason.to_string();
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reasons.insert(object.to_owned(), reason.clone());
        drop(reasons);
        if before.as_ref() != Some(&reason) {
            self.lines.get_or_create(&ReasonLabel { reason }).inc();
            self.leave(before);
        }
    }

    /// Forgets an object.
    pub fn forget(&self, object: &str) {
        let before = self.reasons.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
        self.leave(before);
    }

    fn leave(&self, reason: Option<String>) {
        if let Some(reason) = reason {
            self.lines.get_or_create(&ReasonLabel { reason }).dec();
        }
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
