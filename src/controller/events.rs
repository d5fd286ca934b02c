//! Kubernetes Events: one for each transition that a person may want to know of.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::Semaphore;
use tracing::debug;

use super::in_time;
use crate::core::status::{Conditions, Progress, Reason, Truth};

/// The longest note that the API server takes, in bytes.
const NOTE_MAX: usize = 1024;

/// How many events are published at once.
const AT_ONCE: usize = 4;

/// How many events are remembered to count their repeats. A recorder keeps each whole for minutes and goes through all of them for the
/// next: after ten thousand lines' first it would be most of the memory, and most of an edit's work.
const REMEMBERED: usize = 100;

/// Publishes events in the background. One that can't be published is only logged: it must never hold up a line.
#[derive(Clone)]
pub struct Events {
    recorders: Arc<Recorders>,
    /// For those that are being published.
    places: Arc<Semaphore>,
}

/// A recorder, and another when it remembers enough.
struct Recorders {
    client: Client,
    reporter: Reporter,
    /// The one in use, and how often it has been used.
    current: Mutex<(Recorder, usize)>,
}

impl Recorders {
    fn next(&self) -> Recorder {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.1 == REMEMBERED {
            *current = (Recorder::new(self.client.clone(), self.reporter.clone()), 0);
        }
        current.1 += 1;
        current.0.clone()
    }
}

impl Events {
    /// Events of this process, named `instance`.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: "sarvam-operator".into(), instance: Some(instance) };
        let current = Mutex::new((Recorder::new(client.clone(), reporter.clone()), 0));
        let recorders = Arc::new(Recorders { client, reporter, current });
        Self { recorders, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Tells of `now`, where it is news after `before` (the reason that stood), or `named` says what was done to come there.
    pub fn transition(&self, mut object: ObjectReference, before: Option<&str>, now: &Conditions, named: Option<&str>) {
        let passing = matches!(now.reason, Reason::Pending | Reason::Progressing | Reason::AwaitingConfirmation);
        let reason = now.reason.to_string();
        if passing || (named.is_none() && before == Some(reason.as_str())) {
            return;
        }
        let reason = named.map_or(reason, ToOwned::to_owned);
        let good = now.reason == Reason::RollingOut || (now.ready == Truth::True && now.progress == Progress::Done);
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            action: reason.clone(),
            reason,
            note: Some(now.message[..now.message.floor_char_boundary(NOTE_MAX)].to_owned()),
            secondary: None,
        };
        // The recorder compares whole references: with this, a repeat would be no repeat, and each an Event of its own.
        object.resource_version = None;
        let (recorders, places) = (Arc::clone(&self.recorders), Arc::clone(&self.places));
        tokio::spawn(async move {
            let _place = places.acquire().await;
            // Boxed: many may wait for their turn.
            if let Err(error) = Box::pin(in_time(recorders.next().publish(&event, &object))).await {
                debug!(%error, reason = event.reason, "an Event could not be published");
            }
        });
    }
}
