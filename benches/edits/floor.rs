//! The floor: a bare watch that sends one PUT when an edit arrives, then one guarded status write.
//!
//! It takes every edit at its word and knows no doubt, no lease, no budget and no answer but "done", and it is written as one would at
//! first: kube watches and writes, reqwest calls. What an operator takes longer is the price of its care, less what it calls more simply.

use std::{collections::HashMap, pin::pin};

use futures::TryStreamExt;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams},
    runtime::watcher::{self, watcher},
};
use sarvam_operator::api::Deployment;
use sarvam_testkit::error::{Because, Result};
use serde_json::json;

use crate::lines::API_KEY;

/// The argument that makes this program the floor.
pub const FLAG: &str = "--floor";

/// The line that it prints once it waits for edits.
pub const WATCHING: &str = "watching";

/// Serves the lines of a namespace until it is killed. `workspace` is their workspace's URL at the remote.
pub async fn run(namespace: &str, workspace: &str) -> Result<()> {
    let mut config = Config::infer().await.because("the kubeconfig")?;
    config.proxy_url = None;
    let api: Api<Deployment> = Api::namespaced(Client::try_from(config).because("the Kubernetes client")?, namespace);
    let remote = Remote {
        http: reqwest::Client::builder().http1_only().no_proxy().build().because("the HTTP client")?,
        deployments: format!("{workspace}/deployments"),
    };
    let mut generations = HashMap::new();
    let mut events = pin!(watcher(api.clone(), watcher::Config::default()));
    while let Some(event) = events.try_next().await.because("the watch")? {
        match event {
            watcher::Event::Init | watcher::Event::Delete(_) => {}
            watcher::Event::InitApply(line) => {
                generations.insert(line.name_any(), line.metadata.generation);
            }
            watcher::Event::InitDone => {
                remote.connect().await?;
                println!("{WATCHING}");
            }
            watcher::Event::Apply(line) => {
                let generation = line.metadata.generation;
                if generations.insert(line.name_any(), generation) != Some(generation) {
                    remote.put(&line).await?;
                    tell(&api, &line).await?;
                }
            }
        }
    }
    Ok(())
}

struct Remote {
    http: reqwest::Client,
    deployments: String,
}

impl Remote {
    /// Opens the connection that all later calls use.
    async fn connect(&self) -> Result<()> {
        let first = self.http.get(&self.deployments).header("x-api-key", API_KEY);
        finish(first).await
    }

    async fn put(&self, line: &Deployment) -> Result<()> {
        let action = if line.spec.paused { "pause" } else { "resume" };
        let url = format!("{}/{}/status", self.deployments, line.spec.deployment_id);
        let put = self.http.put(url).header("x-api-key", API_KEY).json(&json!({"action": action}));
        finish(put).await
    }
}

/// Sends it and reads the answer to its end, so that the connection is free for the next.
async fn finish(request: reqwest::RequestBuilder) -> Result<()> {
    let answer = request.send().await.and_then(reqwest::Response::error_for_status).because("the remote")?;
    answer.bytes().await.because("the remote's answer")?;
    Ok(())
}

async fn tell(api: &Api<Deployment>, line: &Deployment) -> Result<()> {
    let state = if line.spec.paused { "Paused" } else { "Active" };
    let patch = json!({
        "metadata": {"uid": line.metadata.uid, "resourceVersion": line.metadata.resource_version},
        "status": {"observedGeneration": line.metadata.generation, "remote": {"state": state}},
    });
    api.patch_status(&line.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.because("the status")?;
    Ok(())
}
