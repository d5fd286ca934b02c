//! Kubernetes Events: one for each transition that a person may want to know of.

mod recorder;

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::Semaphore;
use tracing::warn;

use self::recorder::{Event, Recorder};
use super::{in_time, reason_of};
use crate::core::status::{Conditions, Progress, Reason, Truth};

/// The longest note that the API server takes, in bytes.
const NOTE_MAX: usize = 1024;

/// How many events are published at once.
const AT_ONCE: usize = 4;

/// Publishes events in the background. One that can't be published is only logged: it must never hold up a line.
#[derive(Clone)]
pub struct Events {
    recorder: Arc<Recorder>,
    /// For those that are being published.
    places: Arc<Semaphore>,
}

impl Events {
    /// Events of this process, named `instance`.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self { recorder: Arc::new(Recorder::new(client, instance)), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Tells of `now`, where it is news after `before` (the reason that stood), or `named` says what was done to come there.
    pub fn transition(&self, regarding: ObjectReference, before: Option<&str>, now: &Conditions, named: Option<&str>) {
        let reason = now.reason.to_string();
        if is_passing(now.reason) || (named.is_none() && before == Some(reason.as_str())) {
            return;
        }
        let reason = named.map_or(reason, ToOwned::to_owned);
        let good = now.reason == Reason::RollingOut || (now.ready == Truth::True && now.progress == Progress::Done);
        let note = now.message[..now.message.floor_char_boundary(NOTE_MAX)].to_owned();
        let event = Event { regarding, reason, note, is_warning: !good };
        let (recorder, places) = (Arc::clone(&self.recorder), Arc::clone(&self.places));
        tokio::spawn(async move {
            let _place = places.acquire().await;
            // Boxed: many may wait for their turn.
            if let Err(error) = Box::pin(in_time(recorder.publish(&event))).await {
                warn!(error = reason_of(&error), reason = event.reason, "an Event could not be published");
            }
        });
    }
}

/// Whether no Event tells of it.
pub const fn is_passing(reason: Reason) -> bool {
    matches!(reason, Reason::Pending | Reason::Progressing | Reason::AwaitingConfirmation)
}
