//! A small shell waits at the other end of a pipe. The kernel closes the pipe when this process ends, however it ends;
//! then the shell kills the child processes that are left and removes the folders and the cgroups.
//!
//! `PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started the child ends, and a test's thread ends
//! long before its process. `Drop` would not do: nothing drops a static, nor what a killed process held.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use tempfile::TempDir;

use crate::error::{Because, Error, Result};
use crate::lock;

/// Takes process groups to kill and cgroups to remove in the end, one order a line; `$1` is the folder to remove.
const SCRIPT: &str = r#"
while read -r order group; do
  case $order in
    watch) groups="$groups $group" ;;
    cgroup) cgroups="$cgroups $group" ;;
    forget)
      kept=
      for other in $groups; do [ "$other" = "$group" ] || kept="$kept $other"; done
      groups=$kept ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
# A killed server may still be in its last write.
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
for cgroup in $cgroups; do
  for again in 1 2 3 4 5 6 7 8 9 10; do
    # One that still has a dying process in it stays.
    find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + && break
    sleep 1
  done
done
"#;

struct Reaper {
    orders: Mutex<ChildStdin>,
    folder: PathBuf,
    _shell: Child,
}

static REAPER: LazyLock<std::result::Result<Reaper, String>> =
    LazyLock::new(|| Reaper::start().map_err(|cause| cause.to_string()));

impl Reaper {
    fn start() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sarvam-testkit-").tempdir()?.keep();
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sarvam-testkit-reaper"])
            .arg(&folder)
            .current_dir("/")
            // Ctrl-C goes to the terminal's whole process group; the reaper must stay.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let orders = shell.stdin.take().expect("stdin was asked for as a pipe");
        Ok(Self { orders: Mutex::new(orders), folder, _shell: shell })
    }

    fn get() -> Result<&'static Self> {
        REAPER.as_ref().map_err(|cause| Error::new(format!("the reaper shell could not be started: {cause}")))
    }

    fn order(&self, order: &str, group: impl Display) -> std::io::Result<()> {
        let mut orders = lock(&self.orders);
        orders.write_all(format!("{order} {group}\n").as_bytes())
    }
}

/// Has the process group killed when this process ends.
pub fn watch(group: u32) -> Result<()> {
    Reaper::get()?.order("watch", group).because("the reaper shell is gone")
}

/// Has the cgroups of this name, which nobody else has, removed with all below them when this process ends.
pub fn cgroup(name: &str) -> Result<()> {
    Reaper::get()?.order("cgroup", name).because("the reaper shell is gone")
}

/// The process group's leader has been waited for: its number may soon be another's.
pub fn forget(group: u32) {
    // Without a reaper nothing was ever watched, and a reaper that is gone kills nobody.
    if let Ok(reaper) = Reaper::get() {
        let _ = reaper.order("forget", group);
    }
}

/// A new private folder, removed when it is dropped or when this process ends.
pub fn folder(prefix: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(&Reaper::get()?.folder)
        .because("a temporary folder could not be made")
}
