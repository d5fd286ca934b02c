//! Flux: the real kustomize-controller, behind a source-controller that the test plays itself. A `GitRepository` gets its artifact from the
//! test, as a tar on a loopback port.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::control_plane::ControlPlane;
use crate::error::{Because, Result};
use crate::lock;
use crate::process::Process;
use crate::reaper;
use crate::{gitops_crds, program};

/// Flux's Kustomizations, as the API server serves them.
#[must_use]
pub fn kustomizations(client: Client, namespace: &str) -> Api<DynamicObject> {
    api(client, namespace, ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"))
}

fn api(client: Client, namespace: &str, (group, kind, plural): (&str, &str, &str)) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
    Api::namespaced_with(client, namespace, &resource)
}

/// Archives by their paths.
type Archives = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Flux for one namespace, until it is dropped.
pub struct Flux {
    controller: Process,
    repositories: Api<DynamicObject>,
    archives: Archives,
    address: SocketAddr,
    serving: JoinHandle<()>,
    folder: TempDir,
}

impl Flux {
    /// Brings the CRDs of Flux to the control plane and starts kustomize-controller.
    ///
    /// Fails when one of them can't be had.
    pub async fn start(plane: &ControlPlane, namespace: &str) -> Result<Self> {
        plane.apply_crds(&gitops_crds().await?).await?;
        let program = program("kustomize-controller").await?;
        let folder = reaper::folder("flux-")?;
        let archives = Archives::default();
        let tried = "a port for Flux's archives could not be had";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.because(tried)?;
        let address = listener.local_addr().because(tried)?;
        let served = Arc::clone(&archives);
        let archive = async move |path: Uri| {
            let archives = lock(&served);
            archives.get(path.path()).cloned().ok_or(StatusCode::NOT_FOUND)
        };
        let serving = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, Router::new().fallback(archive)).await;
        });
        let args = [
            "--watch-all-namespaces=false",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            "--requeue-dependency=1s",
        ];
        let env = [
            ("KUBECONFIG", plane.kubeconfig().as_os_str()),
            ("RUNTIME_NAMESPACE", namespace.as_ref()),
            ("TMPDIR", folder.path().as_os_str()),
        ];
        let controller = Process::spawn(program, args, env)?;
        let source = ("source.toolkit.fluxcd.io", "GitRepository", "gitrepositories");
        let repositories = api(plane.client(), namespace, source);
        Ok(Self { controller, repositories, archives, address, serving, folder })
    }

    /// Everything that kustomize-controller has written.
    #[must_use]
    pub fn output(&self) -> String {
        self.controller.output()
    }

    /// Has a `GitRepository` hold these files, by their paths, at this revision.
    ///
    /// Fails when there is no such `GitRepository`, or when the machine has no `tar` or no `sha256sum`.
    pub async fn commit(&self, repository: &str, revision: &str, files: &BTreeMap<String, String>) -> Result<()> {
        let tree = self.folder.path().join(revision);
        for (path, text) in files {
            let path = tree.join(path);
            let parent = path.parent().unwrap_or(&tree);
            std::fs::create_dir_all(parent).because(parent.display())?;
            std::fs::write(&path, text).because(path.display())?;
        }
        let file = self.folder.path().join(format!("{revision}.tar.gz"));
        output("tar", &["-czf".as_ref(), &file, "-C".as_ref(), &tree, ".".as_ref()]).await?;
        let sum = output("sha256sum", &[&file]).await?;
        let digest = sum.split(' ').next().unwrap_or_default();

        let path = format!("/{revision}.tar.gz");
        let archive = std::fs::read(&file).because(file.display())?;
        lock(&self.archives).insert(path.clone(), archive);
        let now = jiff::Timestamp::now();
        let status = json!({"status": {
            "artifact": {
                "url": format!("http://{}{path}", self.address),
                "path": path.trim_start_matches('/'),
                "revision": revision,
                "digest": format!("sha256:{digest}"),
                "lastUpdateTime": now,
            },
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Succeeded",
                "message": "stored artifact",
                "lastTransitionTime": now,
            }],
        }});
        let params = PatchParams::default();
        self.repositories.patch_status(repository, &params, &Patch::Merge(&status)).await.because(repository)?;
        Ok(())
    }
}

impl Drop for Flux {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a program of the machine prints.
async fn output(program: &str, args: &[&Path]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args);
    Answer::of(command, "").await?.success()
}
