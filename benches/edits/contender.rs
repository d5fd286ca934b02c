//! Who is measured: an operator as a process, with lines of its own.

use std::{env, path::Path, time::Duration};

use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Result},
    process::Process,
};

use crate::{
    floor,
    lines::{API_KEY, Lines, Pace},
    peers::Peers,
};

/// How long a process may take until it says that it is up.
pub const START_LIMIT: Duration = Duration::from_mins(1);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Operator,
    Floor,
    ControllerRuntime,
    Kopf,
}

impl Program {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "the operator",
            Self::Floor => "the floor",
            Self::ControllerRuntime => "controller-runtime",
            Self::Kopf => "kopf",
        }
    }
}

/// An operator and its lines.
pub struct Contender {
    pub program: Program,
    pub lines: Lines,
    pub process: Process,
}

impl Contender {
    /// Starts a program for these lines. A peer is given its pace at the start and keeps it; the operator reads it from the Workspace, and
    /// the floor has none.
    pub async fn start(
        plane: &ControlPlane,
        peers: &Peers,
        program: Program,
        lines: Lines,
        pace: Pace,
    ) -> Result<Self> {
        let process = match program {
            Program::Operator => start_operator(plane, &lines, "sarvam-operator")?,
            Program::Floor => start_floor(plane, &lines).await?,
            Program::ControllerRuntime => start_controller_runtime(plane, &lines, peers.path(program)?, pace)?,
            Program::Kopf => start_kopf(plane, &lines, peers.path(program)?, pace)?,
        };
        Ok(Self { program, lines, process })
    }

    /// Ends the process and starts another for the same lines.
    pub async fn restart(self, plane: &ControlPlane, peers: &Peers, pace: Pace) -> Result<Self> {
        let Self { program, lines, process } = self;
        drop(process);
        Self::start(plane, peers, program, lines, pace).await
    }
}

/// The operator as it is built for the benchmark, which is as it is released.
pub fn start_operator(plane: &ControlPlane, lines: &Lines, lease: &str) -> Result<Process> {
    let (namespace, remote) = (lines.namespace(), lines.remote().url());
    Process::spawn(
        env!("CARGO_BIN_EXE_sarvam-operator"),
        ["run", "--allow-http-loopback", "--remote-url", &remote, "--http-address", "127.0.0.1:0"].into_iter().chain([
            "--namespace",
            namespace,
            "--lease-namespace",
            namespace,
            "--lease-name",
            lease,
        ]),
        [("KUBECONFIG", plane.kubeconfig())],
    )
}

/// This very program, as another process.
async fn start_floor(plane: &ControlPlane, lines: &Lines) -> Result<Process> {
    let program = env::current_exe().because("this program's own path")?;
    let workspace = lines.workspace_url();
    let floor =
        Process::spawn(program, [floor::FLAG, lines.namespace(), &workspace], [("KUBECONFIG", plane.kubeconfig())])?;
    floor.wait_for_line(floor::WATCHING, START_LIMIT).await?;
    Ok(floor)
}

fn start_controller_runtime(plane: &ControlPlane, lines: &Lines, program: &Path, pace: Pace) -> Result<Process> {
    let rate = pace.requests_per_second.to_string();
    let kubeconfig = plane.kubeconfig().to_string_lossy().into_owned();
    Process::spawn(
        program,
        ["--namespace", lines.namespace(), "--workspace-url", &lines.workspace_url()].into_iter().chain([
            "--requests-per-second",
            &rate,
            "--sync-interval",
            pace.sync_interval,
        ]),
        [("KUBECONFIG", kubeconfig.as_str()), ("API_KEY", API_KEY)],
    )
}

fn start_kopf(plane: &ControlPlane, lines: &Lines, program: &Path, pace: Pace) -> Result<Process> {
    let rate = pace.requests_per_second.to_string();
    let kubeconfig = plane.kubeconfig().to_string_lossy().into_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/kopf/lines.py");
    Process::spawn(
        program,
        ["run", "--standalone", "--log-format=json", "--namespace", lines.namespace(), script],
        [
            ("KUBECONFIG", kubeconfig.as_str()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("WORKSPACE_URL", &lines.workspace_url()),
            ("API_KEY", API_KEY),
            ("REQUESTS_PER_SECOND", &rate),
            ("SYNC_SECONDS", pace.sync_interval.trim_end_matches('s')),
        ],
    )
}
