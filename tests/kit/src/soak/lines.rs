//! The lines, what is asked of them, and everything that is written down about them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::control_plane::{ControlPlane, Options};
use crate::error::{Because, Error, Result};
use crate::lock;
use crate::objects::Objects;
use crate::oracle::{Claim, Edit, Ready, Verdict, judge};
use crate::random::Random;
use crate::simulator::{Config, Line, LineState, Simulator};
use crate::watch::Watch;

use super::pace;
use super::spells::{Nature, Spells};

const ORG: &str = "org-1";
const WORKSPACE_ID: &str = "ws-1";
const WORKSPACE: &str = "main";
const SECRET: &str = "sarvam";
/// How long after a new key the old one must stay good: docs/operations.md says ten seconds.
pub const KEYS: Duration = Duration::from_secs(10);
/// How long a request to an API server that is away waits until it is sent again.
const AGAIN: Duration = Duration::from_millis(100);

/// Everything but the operators.
pub struct Lines {
    /// The remote.
    pub remote: Simulator,
    /// The control plane.
    pub plane: ControlPlane,
    /// What is to blame, and when.
    pub spells: Spells,
    /// Where the objects are, and the Lease.
    pub namespace: String,
    secrets: Api<Secret>,
    objects: Objects,
    watch: Watch,
    happened: Mutex<BTreeMap<&'static str, usize>>,
    /// The number of the newest key.
    keys: AtomicU64,
    /// When everything was ready for the first edit.
    pub began: Instant,
}

/// One line in the hands of who edits it.
pub struct Hand {
    /// The name of its object, and its id at the remote.
    pub name: String,
    paused: bool,
    edit: Edit,
    /// Nobody has used the dashboard since its last edit: somebody who does so twice is taken for a rival, and waited for.
    untouched: bool,
}

impl Lines {
    /// A control plane and a remote of their own, without any line.
    pub async fn new() -> Result<Self> {
        let plane = ControlPlane::start(Options::default()).await?;
        plane.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")).await?;
        let remote = Simulator::start(Config::default()).await.because("the simulator could not be started")?;
        let namespace = plane.namespace("soak").await?;
        let lines = Self {
            secrets: Api::namespaced(plane.client(), &namespace),
            objects: Objects::new(plane.client(), &namespace, WORKSPACE),
            watch: Watch::start(plane.client(), &namespace),
            spells: Spells::default(),
            happened: Mutex::default(),
            keys: AtomicU64::new(0),
            began: Instant::now(),
            remote,
            plane,
            namespace,
        };
        lines.next_key().await?;
        let workspace = json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": WORKSPACE},
            "spec": {
                "orgID": ORG,
                "workspaceID": WORKSPACE_ID,
                "apiKeySecretRef": {"name": SECRET, "key": "api-key"},
                "syncInterval": format!("{}s", pace::SYNC.as_secs()),
                "requestsPerSecond": 200,
            },
        });
        let kubectl = lines.plane.kubectl().in_namespace(&lines.namespace);
        kubectl.run_with_input(&["apply", "-f", "-"], &workspace.to_string()).await?.success()?;
        Ok(lines)
    }

    /// Makes a line that answers, and an object that asks for just that.
    pub async fn line(&self, number: u16) -> Hand {
        let name = format!("line-{number}");
        self.remote.add_line(ORG, WORKSPACE_ID, Line::new(&name));
        let edit = self.ask(&name, false).await;
        Hand { name, paused: false, edit, untouched: true }
    }

    /// Asks for the opposite of what was asked last.
    pub async fn flip(&self, hand: &mut Hand) {
        hand.paused = !hand.paused;
        hand.edit = self.ask(&hand.name, hand.paused).await;
        hand.untouched = true;
    }

    /// Deletes the object, and makes one again that asks for either.
    pub async fn make_again(&self, hand: &mut Hand, random: &mut Random) {
        let since = Instant::now();
        while self.objects.delete(&hand.name, &hand.edit, since).await.is_err() {
            sleep(AGAIN).await;
        }
        sleep(random.millis(1000)).await;
        hand.paused = random.once_in(2);
        hand.edit = self.ask(&hand.name, hand.paused).await;
        hand.untouched = true;
        self.happened("object made again");
    }

    /// Until the API server has taken it, as a user does.
    async fn ask(&self, name: &str, paused: bool) -> Edit {
        let since = Instant::now();
        loop {
            match self.objects.ask(name, name, paused, since).await {
                Ok(edit) => return edit,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// Switches a line at the dashboard, unless its status is in motion, a fault is at work, or somebody has done so since its last edit.
    pub fn use_dashboard(&self, hand: &mut Hand) {
        let settled =
            self.watch.claims().iter().rfind(|claim| claim.uid == hand.edit.uid).is_some_and(|claim| {
                claim.ready == Ready::True && claim.observed_generation == Some(hand.edit.generation)
            });
        if settled && hand.untouched && self.spells.are_over_for(&hand.name) {
            let state = LineState::of(!hand.paused);
            let spell = self.spells.begin("dashboard", Nature::Dashboard, Some(&hand.name));
            self.remote.set_from_dashboard(&hand.name, state, "asha@example.org");
            self.spells.end(spell);
            self.happened("dashboard");
            hand.untouched = false;
        }
    }

    /// Makes another key valid and puts it into the Secret. Returns the name of the one before.
    pub async fn next_key(&self) -> Result<String> {
        let number = self.keys.fetch_add(1, Ordering::Relaxed) + 1;
        let key = format!("soak-key-{number}");
        self.remote.add_key(ORG, WORKSPACE_ID, &key, &key);
        let data = BTreeMap::from([("api-key".to_owned(), ByteString(key.into_bytes()))]);
        let metadata = ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() };
        let secret = Secret { metadata, data: Some(data), ..Secret::default() };
        let params = PatchParams::apply("testkit").force();
        self.secrets.patch(SECRET, &params, &Patch::Apply(&secret)).await.because("the Secret")?;
        Ok(format!("soak-key-{}", number - 1))
    }

    /// Makes the newest key invalid.
    pub fn revoke_key(&self) {
        self.remote.revoke_key(&format!("soak-key-{}", self.keys.load(Ordering::Relaxed)));
    }

    /// Counts something.
    pub fn happened(&self, kind: &'static str) {
        *lock(&self.happened).entry(kind).or_default() += 1;
    }

    /// How often each thing has happened.
    pub fn happenings(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.happened).clone()
    }

    /// Waits until every object says Ready of its last edit. Fails when one doesn't, or when its line is not so.
    pub async fn are_as_asked(&self, hands: &[Hand]) -> Result<()> {
        let deadline = Instant::now() + pace::SETTLED;
        let is_ready = |hand: &&Hand, claims: &[Claim]| {
            claims.iter().rfind(|claim| claim.uid == hand.edit.uid).is_some_and(|claim| {
                claim.ready == Ready::True
                    && claim.generation == hand.edit.generation
                    && claim.observed_generation == Some(hand.edit.generation)
            })
        };
        loop {
            let claims = self.watch.claims();
            let Some(waiting) = hands.iter().find(|hand| !is_ready(hand, &claims)) else { break };
            if Instant::now() > deadline {
                let kubectl = self.plane.kubectl().in_namespace(&self.namespace);
                let object = kubectl.run(&["get", "sdep", &waiting.name, "-o", "yaml"]).await?;
                let (limit, name) = (pace::SETTLED, &waiting.name);
                return Err(Error::new(format!(
                    "{name} is not Ready {limit:?} after its last edit:\n{}",
                    object.stdout
                )));
            }
            sleep(AGAIN).await;
        }
        for hand in hands {
            let asked = LineState::of(hand.paused);
            let state = self.remote.line(&hand.name).map(|line| line.status);
            if state != Some(asked) {
                return Err(Error::new(format!(
                    "{} is Ready, asks for {asked:?}, and its line is {state:?}",
                    hand.name
                )));
            }
        }
        Ok(())
    }

    /// The edits so far.
    pub fn edits(&self) -> Vec<Edit> {
        self.objects.edits()
    }

    /// What the oracle says until now.
    pub fn verdict(&self) -> Verdict {
        judge(&self.objects.edits(), &self.watch.claims(), &self.remote.history(), Instant::now())
    }
}
