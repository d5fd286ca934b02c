//! The parts that play: a control plane, the simulated remote, the operator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::kubectl::{Answer, Kubectl};
use sarvam_testkit::process::{Process, Signal};
use sarvam_testkit::simulator::{Config, Line, Simulator};
use sarvam_testkit::watch::Watch;
use tokio::time::{sleep, timeout};

use crate::check::Objects;
use crate::screen::Screen;

/// A namespace of the demo's own, so that in a cluster of the user's it meets nothing else.
pub const NAMESPACE: &str = "sarvam-demo";
/// Organisation and workspace as in `examples/workspace.yaml`.
pub const ORG: &str = "org-1";
pub const WORKSPACE: &str = "ws-1";
/// The key in `examples/workspace.yaml`.
const KEY: &str = "sarvam-demo-key";
const LINES: usize = 5;
/// How long what should come at once may take on a crowded machine.
pub const LIMIT: Duration = Duration::from_mins(1);
/// How long the operator may take to end: it promises ten seconds.
const END_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

/// Everything that runs. What is dropped is stopped, and its files are removed.
pub struct Stage {
    pub screen: Screen,
    pub remote: Simulator,
    pub objects: Objects,
    pub claims: Watch,
    operator: Process,
    // After the operator, which would complain of an API server that has gone.
    plane: ControlPlane,
}

impl Stage {
    /// Starts everything, with the definitions applied and nothing else in the cluster.
    pub async fn set(screen: Screen, operator: &Path) -> Result<Self> {
        screen.title("The parts");
        screen.say(
            "A real API server, with the operator's two kinds; a simulated remote with five phone lines; the operator between them. \
             No call goes to Sarvam.",
        );
        screen.gap();
        let start = ControlPlane::start(Options::default());
        let started = if on_users_cluster() { "Reaching the cluster" } else { "Starting etcd and kube-apiserver" };
        let plane = screen.wait(started, start).await?;
        let remote = Simulator::start(Config::default()).await.because("the simulator could not be started")?;
        remote.add_key(ORG, WORKSPACE, "first", KEY);
        (0..LINES).for_each(|n| remote.add_line(ORG, WORKSPACE, Line::example(n)));
        screen.say(&format!(
            "The simulated remote has five lines, all answering; look at it here: {}",
            remote.page_url()
        ));

        let kubectl = plane.kubectl();
        run(&screen, &kubectl, &["create", "namespace", NAMESPACE]).await.because(format!(
            "the demo needs a namespace {NAMESPACE} of its own (an earlier demo's is removed with kubectl delete namespace {NAMESPACE})"
        ))?;
        let context = format!("--namespace={NAMESPACE}");
        run(&screen, &kubectl, &["config", "set-context", "--current", &context]).await?;
        run(&screen, &kubectl, &["apply", "--server-side", "-f", "crds/"]).await?;
        run(&screen, &kubectl, &["wait", "--for=condition=Established", "-f", "crds/"]).await?;
        discovered(&kubectl).await?;

        let objects = Objects::new(plane.client(), NAMESPACE);
        let claims = Watch::start(plane.client(), NAMESPACE);
        let url = remote.url();
        let flags = [
            &["run", "--namespace", NAMESPACE, "--lease-namespace", NAMESPACE][..],
            &["--remote-url", &url, "--allow-http-loopback"],
            &["--doubt-window", "5s", "--settle-window", "1s", "--http-address", "127.0.0.1:0"],
        ];
        screen.command(&format!("sarvam-operator {} &", flags.map(quoted).join(" \\\n    ")));
        let environment = [("KUBECONFIG", plane.kubeconfig())];
        let operator = Process::spawn(operator, flags.concat(), environment)?;
        Ok(Self { screen, remote, objects, claims, operator, plane })
    }

    /// Shows a kubectl command, runs it and shows what it wrote. Fails when it fails.
    pub async fn kubectl(&self, args: &[&str]) -> Result<()> {
        run(&self.screen, &self.plane.kubectl(), args).await
    }

    /// The same for two of them, the second fed with what the first writes.
    pub async fn kubectl_piped(&self, from: &[&str], to: &[&str]) -> Result<()> {
        self.screen.command(&format!("kubectl {} |\n    kubectl {}", quoted(from), quoted(to)));
        let kubectl = self.plane.kubectl();
        let between = kubectl.run(from).await?.success()?;
        let answer = kubectl.run_with_input(to, &between).await?;
        show(&self.screen, answer)
    }

    /// Waits until the object has an event with this reason: they are written a little after the status.
    pub async fn event(&self, name: &str, reason: &str) -> Result<()> {
        let kubectl = self.plane.kubectl();
        let selector = format!("--field-selector=involvedObject.name={name},reason={reason}");
        let written = async {
            while kubectl.run(&["get", "events", &selector, "-o", "name"]).await?.success()?.is_empty() {
                sleep(POLL).await;
            }
            Ok(())
        };
        let late = || Error::new(format!("{name} has no event {reason} after {LIMIT:?}"));
        timeout(LIMIT, written).await.unwrap_or_else(|_| Err(late()))
    }

    /// A folder that goes with the control plane.
    pub fn folder(&self) -> &Path {
        self.plane.kubeconfig().parent().unwrap_or(Path::new("."))
    }

    /// Says what a person can do now, in another terminal and in a browser.
    pub fn invite(&self) {
        self.screen.title("It stays up until you press Ctrl-C. In another terminal:");
        let mut commands = vec![format!("export KUBECONFIG={}", self.plane.kubeconfig().display())];
        let kubectl = self.plane.kubectl();
        let has_kubectl = |folder: PathBuf| folder.join("kubectl").is_file();
        let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(has_kubectl));
        if let (false, Some(folder)) = (found, kubectl.program().parent()) {
            commands.push(format!("export PATH={}:$PATH", folder.display()));
        }
        let tries = [
            "kubectl get sdep --watch",
            r#"kubectl patch sdep sales-line --type=merge -p '{"spec":{"paused":false}}'"#,
            r#"kubectl patch sdep billing-line --type=merge -p '{"spec":{"driftPolicy":"Correct"}}'"#,
        ];
        commands.extend(tries.map(str::to_owned));
        self.screen.output(&commands.join("\n"));
        self.screen.gap();
        self.screen.say(&format!("Or press the buttons of the remote's page: {}", self.remote.page_url()));
    }

    /// The operator's last log lines.
    pub fn operator_log(&self) -> String {
        self.operator.tail()
    }

    /// Comes back only when the operator has ended, which it must not.
    pub async fn operator_ended(&self) -> Error {
        loop {
            match self.operator.try_wait() {
                Ok(None) => sleep(POLL).await,
                Ok(Some(status)) => return Error::new(format!("the operator has ended by itself with {status}")),
                Err(error) => return error,
            }
        }
    }

    /// Stops everything. Fails when the operator doesn't end as it promises.
    pub async fn end(self) -> Result<()> {
        let ended = match self.operator.try_wait()? {
            Some(_) => Ok(()),
            None => self.end_operator().await,
        };
        if on_users_cluster() {
            self.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).await?;
            self.screen.say(
                "The two kinds stay in the cluster; kubectl delete -f crds/ removes them with every object of theirs.",
            );
        }
        ended
    }

    async fn end_operator(&self) -> Result<()> {
        self.operator.signal(Signal::SIGTERM)?;
        let status = self.operator.wait(END_LIMIT).await?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::new(format!("after SIGTERM the operator ended with {status}; it should end with 0")))
        }
    }
}

fn on_users_cluster() -> bool {
    std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true")
}

async fn run(screen: &Screen, kubectl: &Kubectl, args: &[&str]) -> Result<()> {
    screen.command(&format!("kubectl {}", quoted(args)));
    let answer = kubectl.run(args).await?;
    show(screen, answer)
}

/// What it wrote, warnings first. Fails when it failed.
fn show(screen: &Screen, answer: Answer) -> Result<()> {
    if answer.status.success() {
        screen.output(&answer.stderr);
    }
    answer.success().map(|output| screen.output(&output))
}

/// The arguments as a shell takes them.
fn quoted(args: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@".contains(c);
    let quote = |arg: &&str| if arg.chars().all(plain) { (*arg).to_owned() } else { format!("'{arg}'") };
    args.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Waits until kubectl finds the new kinds by their names, a little after they are established.
async fn discovered(kubectl: &Kubectl) -> Result<()> {
    let found = async {
        while !kubectl.run(&["get", "sdep,swks"]).await?.status.success() {
            sleep(POLL).await;
        }
        Ok(())
    };
    let late = || Error::new(format!("the API server does not tell of the new kinds after {LIMIT:?}"));
    timeout(LIMIT, found).await.unwrap_or_else(|_| Err(late()))
}
