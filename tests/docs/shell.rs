//! The commands of the documents, run as a reader would: in order, on a cluster of their own.
//!
//! A block marked `sh` is run with `bash`, from the root of the repository, with kubectl, helm and sarvam-operator on the PATH. A block that can't
//! be run here says why in a comment above it, `<!-- not run: … -->`; these are counted. The cluster has no node, so the test does a node's part:
//! once the definitions are there, an operator runs, with a simulator as its remote.

use std::env;
use std::ffi::OsString;
use std::future::pending;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::process::Process;
use sarvam_testkit::program;
use sarvam_testkit::simulator::{Config, Line, Simulator};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::markdown::{Block, blocks, files, read};

/// How long one block may take on a crowded machine.
const LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(300);
/// What examples/ names: the remote workspace and a key that opens nothing but the simulator.
const ORG: &str = "org-1";
const WORKSPACE: &str = "ws-1";
const KEY: &str = "sarvam-demo-key";

#[tokio::test]
async fn every_shell_block_runs() {
    if env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        say("The documents' commands are not run with USE_EXISTING_CLUSTER=true: they install into fixed namespaces.");
        return;
    }
    let helm = program("helm").await.unwrap();
    let mut failures = vec![];
    for file in files() {
        let blocks: Vec<_> = blocks(&read(&file)).into_iter().filter(|block| block.language == "sh").collect();
        let (left_out, run): (Vec<_>, Vec<_>) = blocks.iter().partition(|block| block.not_run.is_some());
        if blocks.is_empty() {
            continue;
        }
        say(&format!("{file}: {} blocks run, {} not", run.len(), left_out.len()));
        for block in left_out {
            say(&format!("  line {} not run: {}", block.line, block.not_run.as_deref().unwrap_or_default()));
        }
        if !run.is_empty() {
            let reader = Reader::new(&helm).await;
            failures.extend(reader.follow(&run).await.err().map(|failure| format!("{file}:{failure}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn a_block_fails_with_any_of_its_commands() {
    let table =
        [("true\n", true), ("false\ntrue\n", false), ("false | cat\n", false), ("echo $NO_SUCH_VARIABLE\n", false)];
    for (code, good) in table {
        let block = Block { line: 7, language: "sh".to_owned(), not_run: None, code: code.to_owned() };
        let outcome = run(&block, &[]).await;
        assert_eq!(outcome.is_ok(), good, "{code:?}: {outcome:?}");
        assert!(outcome.err().is_none_or(|failure| failure.starts_with("7: ")), "{code:?}: the line is told");
    }
}

/// Somebody who follows one document, with a cluster of their own and an account at the remote.
struct Reader {
    plane: ControlPlane,
    remote: Simulator,
    environment: Vec<(&'static str, OsString)>,
    _home: TempDir,
}

impl Reader {
    async fn new(helm: &Path) -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let remote = Simulator::start(Config::default()).await.unwrap();
        remote.add_key(ORG, WORKSPACE, "first", KEY);
        (0..6).for_each(|n| remote.add_line(ORG, WORKSPACE, Line::example(n)));
        let home = tempfile::tempdir().unwrap();
        let operator = Path::new(env!("CARGO_BIN_EXE_sarvam-operator"));
        let kubectl = plane.kubectl();
        let folders = [kubectl.program(), helm, operator].map(|program| program.parent().unwrap().to_owned());
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(folders.into_iter().chain(env::split_paths(&path))).unwrap();
        let environment = vec![
            ("PATH", path),
            ("HOME", home.path().into()),
            ("KUBECONFIG", plane.kubeconfig().into()),
            ("KUBERC", "off".into()),
            ("SARVAM_API_KEY", KEY.into()),
            // For the commands of sarvam-operator that a reader runs.
            ("SARVAM_REMOTE_URL", remote.url().into()),
            ("SARVAM_ALLOW_HTTP_LOOPBACK", "true".into()),
        ];
        Self { plane, remote, environment, _home: home }
    }

    /// Runs the blocks in order, until one fails: its line, and what it wrote.
    async fn follow(&self, blocks: &[&Block]) -> Result<(), String> {
        let read = async {
            for block in blocks {
                run(block, &self.environment).await?;
            }
            Ok(())
        };
        let node = async {
            let _operator = self.operator().await;
            pending().await
        };
        tokio::select! {
            outcome = read => outcome,
            never = node => never,
        }
    }

    /// The cluster's operator, from when its definitions are served.
    async fn operator(&self) -> Process {
        while !self.plane.kubectl().run(&["get", "sdep,swks", "--all-namespaces"]).await.unwrap().status.success() {
            sleep(POLL).await;
        }
        let url = self.remote.url();
        let flags = [
            &["run", "--lease-namespace", "default", "--remote-url", &url, "--allow-http-loopback"][..],
            &["--doubt-window", "3s", "--settle-window", "500ms", "--http-address", "127.0.0.1:0"],
        ];
        let environment = [("KUBECONFIG", self.plane.kubeconfig())];
        Process::spawn(env!("CARGO_BIN_EXE_sarvam-operator"), flags.concat(), environment).unwrap()
    }
}

/// Runs a block to its end. Fails with its line, how it ended and what it wrote.
async fn run(block: &Block, environment: &[(&str, OsString)]) -> Result<(), String> {
    let strict = ["-euo", "pipefail", "-c", &block.code];
    let shell = Process::spawn("bash", strict, environment.iter().map(|(name, value)| (name, value))).unwrap();
    let told = |how: &str| format!("{}: the block {how}\n{}\n{}", block.line, block.code, shell.output());
    match shell.wait(LIMIT).await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(told(&format!("ended with {status}"))),
        Err(_) => Err(told(&format!("still runs after {LIMIT:?}"))),
    }
}

/// Tells the person who runs the tests, past the test harness that keeps what a good test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
