//! Whether what the operator says is so. A demo that believed the status would show a lie and end well.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::oracle::{self, Edit};
use sarvam_testkit::simulator::{LineState, Simulator};
use serde_json::{Value, json};
use std::time::Instant;

/// The Deployment objects of the demo.
pub struct Objects(Api<DynamicObject>);

/// One object as the API server has it.
pub struct Object(Value);

impl Objects {
    pub fn new(client: Client, namespace: &str) -> Self {
        let kind = GroupVersionKind::gvk("agents.sarvam.ai", "v1alpha1", "Deployment");
        let resource = ApiResource::from_gvk_with_plural(&kind, "deployments");
        Self(Api::namespaced_with(client, namespace, &resource))
    }

    pub async fn get(&self, name: &str) -> Result<Object> {
        let object = self.0.get(name).await.because(format!("the object of {name} can't be read"))?;
        Ok(Object(json!(object)))
    }
}

impl Object {
    /// What the last edit of it asked, for the oracle.
    pub fn edit(&self, at: Instant) -> Edit {
        Edit::of(&self.0, at)
    }

    /// Fails unless its status says, of its newest generation, this state and whether that is as asked, and unless that is so.
    pub fn says(&self, state: LineState, remote: &Simulator) -> Result<()> {
        let ready = self.ready();
        let said = (
            self.0["status"]["observedGeneration"].as_i64(),
            self.0["status"]["remote"]["state"].as_str(),
            ready["status"].as_str(),
        );
        let state_word = match state {
            LineState::Active => "Active",
            LineState::Paused => "Paused",
        };
        let as_asked = if self.asked() == state { "True" } else { "False" };
        let expected = (self.0["metadata"]["generation"].as_i64(), Some(state_word), Some(as_asked));
        if said != expected {
            return Err(Error::new(format!(
                "the status of {} should say observedGeneration, remote.state and Ready {expected:?}, and says {said:?}: {}",
                self.name(),
                self.message()
            )));
        }
        let truth = remote.line(self.line()).map(|line| line.status);
        if truth != Some(state) {
            return Err(Error::new(format!(
                "the status of {} says {state_word}, but at the remote the line is {truth:?}",
                self.name()
            )));
        }
        Ok(())
    }

    /// Fails unless its Ready condition gives this reason, and this word in its message.
    pub fn explains(&self, reason: &str, word: &str) -> Result<()> {
        let given = self.ready()["reason"].as_str().unwrap_or_default();
        if given == reason && self.message().contains(word) {
            return Ok(());
        }
        let name = self.name();
        let message = self.message();
        Err(Error::new(format!("{name} should be {reason} with {word:?} in its message, and is {given}: {message}")))
    }

    fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The line's id at the remote.
    pub fn line(&self) -> &str {
        self.0["spec"]["deploymentID"].as_str().unwrap_or_default()
    }

    /// What its spec asks for.
    pub fn asked(&self) -> LineState {
        oracle::asked(&self.0)
    }

    fn ready(&self) -> &Value {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready").unwrap_or(&Value::Null)
    }

    fn message(&self) -> &str {
        self.ready()["message"].as_str().unwrap_or("no message")
    }
}
