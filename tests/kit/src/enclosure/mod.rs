//! A part of this machine that a test has to itself: its own processes, mounts, network and cgroups.
//!
//! A node makes bridges, mounts and daemons that outlive their parents. Here the kernel takes them all away at once when the
//! enclosure's first process dies, and nothing in it reaches a network but its own.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Because, Error, Result};
use crate::reaper;

/// Set inside.
const MARK: &str = "SARVAM_TESTKIT_ENCLOSURE";

/// The bridge on which pods are.
pub(crate) const BRIDGE: &str = "pods";
/// The network of the bridge, the enclosure's only one beside loopback.
pub(crate) const SUBNET: &str = "10.244.0.0/24";
/// This side's address on the bridge: what listens here is reached from pods, and from nowhere else.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// Whether this process is in one.
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this program's test of this name again inside a new enclosure, with more in its environment, and returns how that went.
///
/// Needs root. What runs inside ends when its test ends, or this process, in whatever way.
pub fn run(test: &str, env: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Result<ExitStatus> {
    let tried = "the enclosure could not be made";
    let folder = reaper::folder("enclosure-")?;
    let name = folder.path().file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::new("the enclosure's folder has no name"))?;
    reaper::cgroup(name)?;
    let mut enclosed = Command::new("/bin/sh")
        .args(["-c", include_str!("outside.sh"), "enclosure", name, include_str!("inside.sh")])
        .args([BRIDGE, &format!("{ADDRESS}/24")])
        .arg(std::env::current_exe().because(tried)?)
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .envs(env)
        .env("TMPDIR", folder.path())
        .env(MARK, name)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .because(tried)?;
    reaper::watch(enclosed.id())?;
    let status = enclosed.wait().because(tried)?;
    reaper::forget(enclosed.id());
    Ok(status)
}
