//! The settings of containerd, of the pods' network and of the kubelet.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::SOCKET;
use crate::enclosure::{ADDRESS, BRIDGE, SUBNET};
use crate::error::{Because, Result};

/// Copies files: an overlay can't lie on every file system.
pub const SNAPSHOTTER: &str = "native";
/// What `tools/node` makes.
const PAUSE_IMAGE: &str = "localhost/pause:test";

/// Where the settings were written.
pub struct Files {
    pub containerd: PathBuf,
    pub kubelet: PathBuf,
}

pub fn write(folder: &Path) -> Result<Files> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).because(path.display()).map(|()| path)
    };
    let cni = folder.join("cni");
    std::fs::create_dir(&cni).because(cni.display())?;
    write("cni/pods.conflist", network(&folder.join("addresses")).to_string())?;
    // The machine's may name servers that the enclosure can't reach.
    let resolv_conf = write("resolv.conf", String::new())?;
    Ok(Files {
        containerd: write("containerd.toml", containerd(&folder.join("containerd"), &cni))?,
        kubelet: write("kubelet.json", kubelet(&resolv_conf).to_string())?,
    })
}

fn containerd(root: &Path, cni: &Path) -> String {
    let (root, cni) = (root.display(), cni.display());
    format!(
        r#"version = 2
root = "{root}"
# It would make a folder in /opt.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  # In a container, even root may not lower a score.
  restrict_oom_score_adj = true
  disable_apparmor = true
  sandbox_image = "{PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{SNAPSHOTTER}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"#
    )
}

fn network(addresses: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isDefaultGateway": true,
            "ipam": {"type": "host-local", "dataDir": addresses, "ranges": [[{"subnet": SUBNET, "gateway": ADDRESS}]]},
        }],
    })
}

fn kubelet(resolv_conf: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // For the API server, which fetches logs from it. Nobody else is in the enclosure.
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "readOnlyPort": 0,
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "resolvConf": resolv_conf,
        // Nobody answers there: pods get addresses, not names. Without one, each pod gets a warning.
        "clusterDNS": [ADDRESS],
        "failSwapOn": false,
        // What a machine of this kind lacks or refuses.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        // A full disk is not what a test of pods is about.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%", "memory.available": "0%"},
        "imageGCHighThresholdPercent": 100,
    })
}
