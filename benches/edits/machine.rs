//! Where and when it was measured.

use std::{env, fs, path::Path, process::Command, thread};

/// A sentence about the machine.
pub fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kib: Option<u64> =
        field("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse().ok());
    let memory = kib.map_or_else(|| "unknown memory".to_owned(), |kib| format!("{} GiB of memory", kib >> 20));
    format!("{cores} cores ({model}), {memory}")
}

/// The commit, and whether the work tree differs from it.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
    if is_clean { commit } else { format!("{commit}, with changes") }
}

/// The command that measures the same again.
pub fn command() -> String {
    let sizes = ["STARTS", "LINES", "KOPF_LINES", "EDITS", "IDLE_SECONDS"];
    let set = sizes.iter().filter_map(|name| Some(format!("{name}={} ", env::var(name).ok()?)));
    set.chain(["make bench".to_owned()]).collect()
}

/// The machine's load average over the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn field(path: impl AsRef<Path>, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
