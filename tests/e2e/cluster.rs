//! Where it is played.
//!
//! On the cluster of `USE_EXISTING_CLUSTER=true`, with kind for example: `make image`, `kind load image-archive
//! target/image/sarvam-operator.tar`, and then the two variables below.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::enclosure;
use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::node::{self, Node};
use serde_json::{Value, json};

use crate::{chart, say};

/// The image by its name, where the cluster has it already; without it, the one that `tools/image` names.
const IMAGE: &str = "SARVAM_E2E_IMAGE";
/// The address of this machine at which pods of an existing cluster reach the simulator. With kind, its network's gateway:
/// `docker network inspect kind`.
const ADDRESS: &str = "SARVAM_E2E_ADDRESS";
/// A tar with the image for our own node, in place of the one that `tools/image` builds.
pub const TAR: &str = "SARVAM_E2E_TAR";

const USUAL_IMAGE: &str = concat!("ghcr.io/sarvam-operator/sarvam-operator:", env!("CARGO_PKG_VERSION"));

/// What there is to play on.
#[derive(Debug, PartialEq, Eq)]
pub enum Ground {
    /// A node of our own.
    Node,
    /// The cluster of the current kubeconfig, whose pods reach this machine here.
    Existing(Ipv4Addr),
    /// Nothing, for this reason.
    Nothing(String),
}

impl Ground {
    /// Looks what there is, and installs and builds what a node needs.
    pub fn find() -> Result<Self> {
        if std::env::var("USE_EXISTING_CLUSTER").as_deref() != Ok("true") {
            let here = enclosure::inside() || node::prepare()?;
            return Ok(if here {
                Self::Node
            } else {
                Self::Nothing("this machine can't be a node, see above".to_owned())
            });
        }
        match std::env::var(ADDRESS) {
            Ok(address) => {
                address.parse().map(Self::Existing).because(format!("{ADDRESS}={address} is no IPv4 address"))
            }
            Err(_) => Ok(Self::Nothing(format!(
                "with USE_EXISTING_CLUSTER=true it needs {ADDRESS}, the address of this machine that the cluster's pods reach"
            ))),
        }
    }
}

/// The tar with the image, built where it isn't given.
pub fn image() -> Result<PathBuf> {
    if let Some(tar) = std::env::var_os(TAR) {
        return Ok(tar.into());
    }
    say!("building the image: minutes the first time");
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image");
    let output = Command::new(&tool).stdin(Stdio::null()).stderr(Stdio::inherit()).output().because(tool.display())?;
    if !output.status.success() {
        return Err(Error::new(format!("tools/image ended with {}: it says why above", output.status)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}

/// A cluster that runs pods and has the image.
pub struct Cluster {
    // Before the control plane, which it would complain of once that has gone.
    node: Option<Node>,
    pub plane: ControlPlane,
    /// Where pods reach the simulator.
    pub address: Ipv4Addr,
}

impl Cluster {
    /// Starts a node and loads the image, or takes the cluster that there is.
    pub async fn up(ground: Ground) -> Result<Self> {
        if let Ground::Existing(address) = ground {
            let plane = ControlPlane::start(Options::default()).await?;
            return Ok(Self { node: None, plane, address });
        }
        say!("starting etcd, kube-apiserver, the controller manager, the scheduler, containerd and kubelet");
        let plane = ControlPlane::start(node::options()).await?;
        let node = Node::start(&plane).await?;
        say!("  the node is ready; loading the image");
        node.load(&image()?).await?;
        Ok(Self { node: Some(node), plane, address: enclosure::ADDRESS })
    }

    /// The values of the chart that depend on the cluster.
    pub fn values(&self) -> Result<Value> {
        let image = std::env::var(IMAGE).unwrap_or_else(|_| USUAL_IMAGE.to_owned());
        let (repository, tag) = image
            .rsplit_once(':')
            .ok_or_else(|| Error::new(format!("{IMAGE}={image} has no tag: give repository:tag")))?;
        let image = json!({"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"});
        let server = self.plane.api_server()?;
        // On our node, nothing carries what is sent to the address of the API server's Service.
        let environment = self.node.as_ref().map_or_else(Vec::new, |_| {
            vec![
                json!({"name": "KUBERNETES_SERVICE_HOST", "value": server.ip()}),
                json!({"name": "KUBERNETES_SERVICE_PORT", "value": server.port().to_string()}),
            ]
        });
        Ok(json!({"image": image, "extraEnv": environment}))
    }

    /// Kills a container as nobody can prevent; on a cluster that isn't ours, as far as the API lets us.
    pub async fn kill(&self, namespace: &str, pod: &str, container: &str) -> Result<()> {
        if let Some(node) = &self.node {
            return node.kill(container).await;
        }
        let kubectl = self.plane.kubectl().in_namespace(namespace);
        kubectl.run(&["delete", "pod", pod, "--grace-period=0", "--force"]).await?.success().map(|_| ())
    }

    /// Shows what may explain a failure, and removes from a cluster that isn't ours what was made in it.
    pub async fn leave(&self, failed: bool) {
        let kubectl = self.plane.kubectl();
        if failed {
            let operator = ["logs", "-A", "-l", "app.kubernetes.io/name=sarvam-operator", "--prefix", "--tail=60"];
            let told = [
                &["get", "pods,leases,sdep,swks", "-A", "-o", "wide"][..],
                &["get", "events", "-A", "--sort-by=.lastTimestamp"],
                &operator,
            ];
            for args in told {
                if let Ok(answer) = kubectl.run(args).await {
                    say!("kubectl {}\n{}{}", args.join(" "), answer.stdout, answer.stderr);
                }
            }
            if let Some(node) = &self.node {
                say!("{}", node.tails());
            }
        }
        if self.node.is_none() {
            match self.tidy().await {
                Ok(()) => {
                    say!("the definitions of both kinds stay in the cluster: kubectl delete -f crds/ removes them");
                }
                Err(error) => say!("not all could be removed from the cluster: {error}"),
            }
        }
    }

    /// Uninstalls every release of ours, which has roles outside its namespace, and deletes our namespaces.
    async fn tidy(&self) -> Result<()> {
        let kubectl = self.plane.kubectl();
        let helm = self.plane.helm().await?;
        let ours = kubectl.run(&["get", "namespaces", "-l", OURS, "-o", "jsonpath={.items[*].metadata.name}"]).await?;
        for namespace in ours.success()?.split_whitespace() {
            helm.run(&["uninstall", chart::NAME, "--namespace", namespace, "--ignore-not-found"]).await?.success()?;
            kubectl.run(&["delete", "namespace", namespace, "--wait=false"]).await?.success()?;
        }
        Ok(())
    }

    /// A new namespace with this label beside the mark of ours.
    pub async fn namespace(&self, prefix: &str, label: &str) -> Result<String> {
        let name = self.plane.namespace(prefix).await?;
        let label = ["label", "namespace", &name, OURS, label];
        self.plane.kubectl().run(&label).await?.success()?;
        Ok(name)
    }
}

/// The label of namespaces that are removed in the end.
const OURS: &str = "sarvam-e2e=true";
