//! The lines at the simulated remote, the objects that ask for them, and the judge.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::kubectl::Kubectl;
use sarvam_testkit::lock;
use sarvam_testkit::objects::Objects;
use sarvam_testkit::oracle::judge;
use sarvam_testkit::simulator::{Config, Line, LineState, Route, Simulator, Tls};
use sarvam_testkit::watch::Watch;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::say;

pub const COUNT: usize = 5;
const ORG: &str = "org-1";
const WORKSPACE_ID: &str = "ws-1";
const KEY: &str = "a-key-of-the-simulator";
/// How fast lines are edited while something else goes on.
const PACE: Duration = Duration::from_millis(250);

/// The object of the remote workspace that the lines are in.
const WORKSPACE: &str = "
apiVersion: agents.sarvam.ai/v1alpha1
kind: Workspace
metadata: {name: production}
spec:
  orgID: org-1
  workspaceID: ws-1
  apiKeySecretRef: {name: sarvam, key: api-key}
  syncInterval: 10s
";

pub struct Lines {
    pub remote: Simulator,
    objects: Objects,
    kubectl: Kubectl,
    watch: Watch,
    /// Whether each line is to be paused, by its number.
    asked: Mutex<[bool; COUNT]>,
}

impl Lines {
    /// Lines that all answer calls, and no object yet.
    pub async fn new(cluster: &Cluster) -> Result<Self> {
        let listen = SocketAddr::from((cluster.address, 0));
        let config = Config { listen, tls: Some(Tls::Valid), ..Config::default() };
        let remote = Simulator::start(config).await.because("the simulator could not be started")?;
        remote.add_key(ORG, WORKSPACE_ID, "first", KEY);
        (0..COUNT).for_each(|n| remote.add_line(ORG, WORKSPACE_ID, Line::new(id(n))));

        let namespace = cluster.namespace("lines", "pod-security.kubernetes.io/enforce=restricted").await?;
        Ok(Self {
            remote,
            objects: Objects::new(cluster.plane.client(), &namespace, "production"),
            kubectl: cluster.plane.kubectl().in_namespace(&namespace),
            watch: Watch::start(cluster.plane.client(), &namespace),
            asked: Mutex::default(),
        })
    }

    /// Creates the Secret, the Workspace and an object for each line.
    pub async fn create(&self) -> Result<()> {
        let key = format!("--from-literal=api-key={KEY}");
        self.kubectl.run(&["create", "secret", "generic", "sarvam", &key]).await?.success()?;
        self.kubectl.run_with_input(&["apply", "-f", "-"], WORKSPACE).await?.success()?;
        for n in 0..COUNT {
            self.ask(n, n % 2 == 0).await?;
        }
        Ok(())
    }

    /// Creates or edits a line's object. Fails when it should be there and isn't.
    pub async fn ask(&self, n: usize, paused: bool) -> Result<()> {
        let name = name(n);
        let edit = self.objects.ask(&name, &id(n), paused, Instant::now()).await?;
        if self.objects.edits().iter().any(|earlier| earlier.line == edit.line && earlier.uid != edit.uid) {
            return Err(Error::new(format!("{name} was not kept: this edit made it anew")));
        }
        lock(&self.asked)[n] = paused;
        Ok(())
    }

    /// Asks for the opposite of what is asked now.
    pub async fn flip(&self, n: usize) -> Result<()> {
        let paused = lock(&self.asked)[n];
        self.ask(n, !paused).await
    }

    /// Edits one line after the other until `other` is done.
    pub async fn edited_while(&self, other: impl Future<Output = Result<()>>) -> Result<()> {
        let done = Cell::new(false);
        let other = async {
            let result = other.await;
            done.set(true);
            result
        };
        // Not stopped in the middle: an edit that was sent is one that the judge must know.
        let editing = async {
            let mut edits = 0;
            while !done.get() {
                self.flip(edits % COUNT).await?;
                edits += 1;
                sleep(PACE).await;
            }
            Ok(edits)
        };
        let (other, edits) = tokio::join!(other, editing);
        other?;
        say!("  done, with {} edits meanwhile", edits?);
        Ok(())
    }

    /// Waits until the first line is Ready.
    pub async fn first_ready(&self) -> Result<()> {
        self.wait(&format!("sdep/{}", name(0))).await
    }

    /// Waits until every object is Ready. Fails unless each line truly is as asked then and no status has ever lied.
    pub async fn are_right(&self) -> Result<()> {
        let began = Instant::now();
        self.wait("sdep,swks").await?;
        let waited = began.elapsed().as_secs_f64();
        for (n, paused) in lock(&self.asked).into_iter().enumerate() {
            let asked = LineState::of(paused);
            let state = self.remote.line(&id(n)).map(|line| line.status);
            if state != Some(asked) {
                return Err(Error::new(format!("{} is Ready, asks for {asked:?}, and its line is {state:?}", name(n))));
            }
        }
        let verdict = judge(&self.objects.edits(), &self.watch.claims(), &self.remote.history(), Instant::now());
        if !verdict.lie.0.is_empty() {
            return Err(Error::new(format!("a status claimed what was not so\n{verdict}")));
        }
        say!("  every object is right after {waited:.1} s");
        Ok(())
    }

    /// How many calls to pause or to resume a line have come.
    pub fn status_calls(&self) -> usize {
        self.remote.calls(Route::Status)
    }

    /// kubectl itself holds a condition against the object's generation.
    async fn wait(&self, what: &str) -> Result<()> {
        let all = if what.contains('/') { &[][..] } else { &["--all"] };
        let args = [&["wait", "--for=condition=Ready", what, "--timeout=180s"], all].concat();
        self.kubectl.run(&args).await?.success().map(|_| ())
    }
}

fn name(n: usize) -> String {
    format!("line-{n}")
}

fn id(n: usize) -> String {
    format!("dep-{n}")
}
