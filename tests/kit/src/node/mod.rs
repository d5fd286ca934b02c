//! A node on this machine: kubelet, scheduler, controller manager, and Debian's containerd, inside an [enclosure].
//!
//! There is no kube-proxy: nothing answers at the address of a Service, so pods are told the API server's own, [`ControlPlane::api_server`].

mod settings;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use kube::Api;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::control_plane::{ControlPlane, Options};
use crate::enclosure;
use crate::error::{Because, Error, Result};
use crate::process::Process;
use crate::reaper;

/// The node's name in the cluster.
pub const NAME: &str = "node";
/// 5 s on an idle machine.
const READY_LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);
/// How `tools/node` ends where a machine can't be a node.
const NOT_HERE: i32 = 77;
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The namespace of containerd that a kubelet's pods are in.
const PODS: &str = "k8s.io";

/// Installs and builds what a node is made of. The answer is `false` where this machine can't be one; why is on the terminal then.
///
/// Call it outside the [enclosure], which has no network. Fails when something can't be built.
pub fn prepare() -> Result<bool> {
    let tool = tool();
    let status = std::process::Command::new(&tool).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status.because(tool.display())? {
        status if status.success() => Ok(true),
        status if status.code() == Some(NOT_HERE) => Ok(false),
        status => Err(Error::new(format!("tools/node ended with {status}: it says why above"))),
    }
}

/// What a control plane needs that has a node.
#[must_use]
pub fn options() -> Options {
    Options { address: enclosure::ADDRESS, controllers: true, ..Options::default() }
}

/// A running node. All of it ends when this is dropped, but for the pods: they end with the enclosure.
pub struct Node {
    // In this order: what is dropped first doesn't complain of another that has gone.
    parts: Vec<Process>,
    folder: TempDir,
}

impl Node {
    /// Starts a node of this control plane, which was started with [`options`], and waits until it takes pods.
    ///
    /// Fails outside an [enclosure], or when it isn't ready in three minutes; the error quotes the parts' last lines.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let [kubelet, controllers, scheduler, pause] = programs().await?;
        let folder = reaper::folder("node-")?;
        let certificates = plane.certificates()?;
        let files = settings::write(folder.path())?;
        let kubeconfig = format!("--kubeconfig={}", plane.kubeconfig().display());

        let mut node = Self { parts: Vec::new(), folder };
        node.part("/usr/bin/containerd", [format!("--config={}", files.containerd.display())])?;
        node.parts[0].wait_for_line("containerd successfully booted", READY_LIMIT).await?;
        node.load(&pause).await?;
        // One user with all rights, as nothing here is about what a kubelet may do.
        node.part(
            &controllers,
            [
                kubeconfig.clone(),
                "--bind-address=127.0.0.1".to_owned(),
                "--leader-elect=false".to_owned(),
                format!("--root-ca-file={}", certificates.ca.display()),
                format!("--service-account-private-key-file={}", certificates.service_account_key.display()),
            ],
        )?;
        node.part(
            &scheduler,
            [kubeconfig.clone(), "--bind-address=127.0.0.1".to_owned(), "--leader-elect=false".to_owned()],
        )?;
        node.part(
            &kubelet,
            [
                kubeconfig,
                format!("--config={}", files.kubelet.display()),
                format!("--hostname-override={NAME}"),
                format!("--node-ip={}", enclosure::ADDRESS),
            ],
        )?;
        node.ready(plane).await?;
        Ok(node)
    }

    /// Makes the images of a tar, as `docker save` writes one, known to the node.
    pub async fn load(&self, tar: &Path) -> Result<()> {
        let tar = tar.display().to_string();
        ctr(&["images", "import", "--snapshotter", settings::SNAPSHOTTER, &tar]).await
    }

    /// Kills a container with `SIGKILL`. Its id is what the pod's status gives, without `containerd://`.
    pub async fn kill(&self, container: &str) -> Result<()> {
        ctr(&["tasks", "kill", "--signal", "SIGKILL", container]).await
    }

    /// The last lines of every part's log.
    #[must_use]
    pub fn tails(&self) -> String {
        let tails = self.parts.iter().map(|part| format!("last lines of {}:\n{}", part.name(), part.tail()));
        tails.collect::<Vec<_>>().join("\n")
    }

    fn part(&mut self, program: impl AsRef<Path>, args: impl IntoIterator<Item = String>) -> Result<()> {
        self.parts.push(Process::spawn(program, args, [("TMPDIR", self.folder.path())])?);
        Ok(())
    }

    /// Waits until the node takes pods and the first service account is there, which every pod has.
    async fn ready(&self, plane: &ControlPlane) -> Result<()> {
        let nodes = Api::<NodeObject>::all(plane.client());
        let accounts = Api::<ServiceAccount>::namespaced(plane.client(), "default");
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let node = nodes.get_opt(NAME).await.because("the node can't be read")?;
            let account = accounts.get_opt("default").await.because("the service account can't be read")?;
            if node.as_ref().is_some_and(takes_pods) && account.is_some() {
                return Ok(());
            }
            for part in &self.parts {
                if let Some(status) = part.try_wait()? {
                    let (name, tail) = (part.name(), part.tail());
                    return Err(Error::new(format!("{name} ended with {status}; last lines:\n{tail}")));
                }
            }
            if Instant::now() >= deadline {
                return Err(Error::new(format!("the node was not ready in {READY_LIMIT:?}\n{}", self.tails())));
            }
            sleep(POLL).await;
        }
    }
}

/// Ready, and without the taint that it has until the controller manager has seen that.
fn takes_pods(node: &NodeObject) -> bool {
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.is_empty() && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/node")
}

/// What `tools/node` prints.
async fn programs() -> Result<[PathBuf; 4]> {
    let tool = tool();
    let output =
        Command::new(&tool).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.because(tool.display())?;
    let paths: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
    paths.try_into().map_err(|_| Error::new(format!("tools/node ended with {}: it says why above", output.status)))
}

async fn ctr(args: &[&str]) -> Result<()> {
    let mut command = Command::new("ctr");
    command.args(["--address", SOCKET, "--namespace", PODS]).args(args);
    Answer::of(command, "").await?.success().map(|_| ())
}
