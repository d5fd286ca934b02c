//! What `sarvam-operator run` can be told: flags, each of which is an environment variable too.

#![allow(clippy::doc_markdown, reason = "these comments are the text of --help, where backticks would show")]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    core::{
        config::{self, Field, Fields},
        step,
    },
    sarvam,
};

/// Pauses, resumes and configures the phone lines of Sarvam voice agents, as Kubernetes objects say.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 it ended as told (SIGTERM or SIGINT), 1 it could not start or go on, 2 a flag is wrong.";

const PLAN_EXIT_CODES: &str =
    "Exit codes: 0 every line is as the manifests ask, 1 an error (a wrong flag too), 2 lines would change.";

const IMPORT_EXIT_CODES: &str = "Exit codes: 0 every line was printed, 1 not every one could be, 2 a flag is wrong.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until SIGTERM or SIGINT.
    #[command(after_help = EXIT_CODES)]
    Run(Box<Run>),
    /// Print which lines manifests would change, against the real remote, and change nothing.
    #[command(after_help = PLAN_EXIT_CODES)]
    Plan(Plan),
    /// Print manifests of the lines that a workspace has, ready for Git, and change nothing.
    #[command(after_help = IMPORT_EXIT_CODES)]
    Import(Import),
    /// Print the custom resource definitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the remote does with a list in a PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lists {
    /// The new list takes the old one's place.
    Replace,
    /// What is new is added, and no call takes anything away.
    Merge,
}

impl From<Lists> for config::Lists {
    fn from(lists: Lists) -> Self {
        match lists {
            Lists::Replace => Self::Replace,
            Lists::Merge => Self::Merge,
        }
    }
}

/// How the remote is reached.
#[derive(Args, Clone, Debug)]
pub struct Remote {
    /// Base URL of the remote API; https, or http to loopback with --allow-http-loopback.
    #[arg(long, env = "SARVAM_REMOTE_URL", default_value = sarvam::settings::DEFAULT_URL, value_name = "URL")]
    pub remote_url: String,

    /// Allow plain http where --remote-url names this very machine, for a simulator.
    #[arg(long, env = "SARVAM_ALLOW_HTTP_LOOPBACK")]
    pub allow_http_loopback: bool,

    /// PEM file with certificates to trust for the remote, beside those of the system.
    #[arg(long, env = "SARVAM_REMOTE_CA_FILE", value_name = "FILE")]
    pub remote_ca_file: Option<PathBuf>,

    /// Call the remote through the proxy that HTTPS_PROXY names; without this, proxy variables are ignored.
    #[arg(long, env = "SARVAM_USE_PROXY")]
    pub use_proxy: bool,

    /// How long one call to the remote may take in all.
    #[arg(long, env = "SARVAM_CALL_TIMEOUT", default_value = "8s", value_parser = duration, value_name = "DURATION")]
    pub call_timeout: Duration,
}

/// Settings of `sarvam-operator plan`.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// A file with manifests, a folder of them (its subfolders too), or - for standard input; may be given more than once.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub filenames: Vec<PathBuf>,

    /// Namespace of manifests that name none; without it, the kubeconfig's.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// How the plan is printed.
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: Format,

    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields are documented")]
    pub remote: Remote,
}

/// Settings of `sarvam-operator import`.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// The Workspace object whose lines are printed.
    #[arg(short, long, value_name = "NAME")]
    pub workspace: String,

    /// Its namespace; without it, the kubeconfig's.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Have the manifests manage these fields of the configuration too, as the remote has them now: appVersion, displayName,
    /// description, connections and schedule, with commas between them, or all.
    #[arg(long, value_delimiter = ',', value_parser = fields, value_name = "FIELDS")]
    pub manage: Vec<Fields>,

    /// Print lines too that a Deployment object in the cluster names already.
    #[arg(long)]
    pub all: bool,

    /// How the lines are printed.
    #[arg(short, long, default_value = "yaml", value_name = "FORMAT")]
    pub output: Format,

    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields are documented")]
    pub remote: Remote,
}

impl Import {
    /// The fields that the manifests shall manage.
    #[must_use]
    pub fn managed(&self) -> Fields {
        self.manage.iter().flat_map(|fields| fields.iter()).collect()
    }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Settings of `sarvam-operator run`. Durations are a number and a unit: 500ms, 30s, 2m.
#[derive(Args, Clone, Debug)]
pub struct Run {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields are documented")]
    pub remote: Remote,

    /// The longest that a call without a clear answer is assumed to take to land, from the end of the call.
    #[arg(long, env = "SARVAM_DOUBT_WINDOW", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub doubt_window: Duration,

    /// The longest that the remote is assumed to take to apply a call after it answered.
    #[arg(long, env = "SARVAM_SETTLE_WINDOW", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub settle_window: Duration,

    /// The longest that this process is assumed to stand still between a look at the lease and the write to the socket.
    #[arg(long, env = "SARVAM_FREEZE_WINDOW", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub freeze_window: Duration,

    /// How far reads of the remote may lag behind its writes; lengthens the other three windows.
    #[arg(long, env = "SARVAM_READ_LAG", default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub read_lag: Duration,

    /// How long a Workspace or Secret may be missing before its lines count as stalled.
    #[arg(long, env = "SARVAM_MISSING_GRACE", default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub missing_grace: Duration,

    /// What the remote does with a list in a PATCH: replace it, or add what is new to it.
    #[arg(long, env = "SARVAM_LISTS", default_value = "replace", value_name = "HOW")]
    pub lists: Lists,

    /// Watch this namespace only; without it, all.
    #[arg(long, env = "SARVAM_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of the Lease that decides which replica acts.
    #[arg(long, env = "SARVAM_LEASE_NAME", default_value = "sarvam-operator", value_name = "NAME")]
    pub lease_name: String,

    /// Namespace of the Lease; without it, the pod's own, or the kubeconfig's.
    #[arg(long, env = "SARVAM_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// How long a leader that fell silent keeps the others waiting.
    #[arg(long, env = "SARVAM_LEASE_DURATION", default_value = "15s", value_parser = duration, value_name = "DURATION")]
    pub lease_duration: Duration,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "SARVAM_HTTP_ADDRESS", default_value = "0.0.0.0:8080", value_parser = address, value_name = "ADDRESS")]
    pub http_address: SocketAddr,

    /// Send a trace of each edit to this receiver of OTLP over HTTP, below whose URL /v1/traces is; without it, there are none.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// How log lines look. What is logged is set by RUST_LOG, sarvam_operator=debug for example.
    #[arg(long, env = "SARVAM_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl Run {
    /// Checks what flags say about each other.
    ///
    /// # Errors
    /// A sentence that names the flags, the rule and the way out.
    pub fn check(&self) -> Result<(), String> {
        let lease = self.lease_duration * 19 / 20;
        if self.remote.call_timeout >= lease {
            return Err(format!(
                "--call-timeout ({:?}) must be shorter than --lease-duration ({:?}), less a twentieth: a call is sent only while the lease outlives it. Give --call-timeout 8s and --lease-duration 15s, for example.",
                self.remote.call_timeout, self.lease_duration
            ));
        }
        if self.settle_window > self.doubt_window {
            return Err(format!(
                "--settle-window ({:?}) must not be longer than --doubt-window ({:?}): an answered call can't be less certain than one without an answer. Give --settle-window 5s and --doubt-window 30s, for example.",
                self.settle_window, self.doubt_window
            ));
        }
        Ok(())
    }

    /// The windows and paces of the protocol.
    #[must_use]
    pub fn protocol(&self) -> step::Settings {
        // The core counts whole milliseconds: one more makes up for what is cut off.
        let more = self.read_lag + Duration::from_millis(1);
        step::Settings {
            doubt: self.doubt_window + more,
            settle: self.settle_window + more,
            takeover: self.doubt_window + self.freeze_window + more,
            retry: Duration::from_secs(1),
            retry_cap: Duration::from_mins(5),
            sync: Duration::from_mins(1),
            horizon: Duration::from_mins(2),
            stale_after: 3,
            grace: self.missing_grace,
            lists: self.lists.into(),
        }
    }
}

/// Reads the name of a field that can be managed, or `all`.
fn fields(text: &str) -> Result<Fields, String> {
    let chosen: Fields = Field::ALL.into_iter().filter(|field| [field.name(), "all"].contains(&text)).collect();
    if chosen.is_empty() {
        let names = Field::ALL.map(Field::name).join(", ");
        return Err(format!("'{text}' is no field that can be managed: give some of {names}, or all"));
    }
    Ok(chosen)
}

/// Reads a number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: give a whole number and a unit, 500ms, 30s or 2m for example");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let longest = 24 * 3_600_000;
    match number.checked_mul(millis) {
        Some(total) if total <= longest => Ok(Duration::from_millis(total)),
        _ => Err(format!("'{text}' is too long: 24h at most")),
    }
}

/// Reads an IP address and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an IP address and a port, 127.0.0.1:8080 or [::1]:8080 for example".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let table: [(&str, Option<u64>); 12] = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("2m", Some(120_000)),
            ("24h", Some(86_400_000)),
            ("0s", Some(0)),
            ("25h", None),
            ("30", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("", None),
            ("99999999999999999999s", None),
        ];
        for (text, millis) in table {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
