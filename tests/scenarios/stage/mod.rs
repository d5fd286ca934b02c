//! Where a scenario is played: a namespace, a remote, operators, and judges who watch all of it.

mod leaks;
mod operator;
mod readers;
mod recorder;
pub mod rights;
mod rollouts;
mod rules;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::kubectl::Kubectl;
use sarvam_testkit::lock;
use sarvam_testkit::oracle::{Claim, Edit, Verdict, asked, judge, written_at};
use sarvam_testkit::simulator::{Action, Arrival, Config, Entry, Line, LineState, Route, Simulator, What};
use sarvam_testkit::watch::Watch;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

pub use operator::{Launch, Operator};
pub use recorder::{Kind, occurrences, ready_message, verdict};
use recorder::{Recorder, resource};
use rights::{Install, RELEASE, Right};

/// How long anything may take on a crowded machine. A scenario that needs it all has failed.
pub const LIMIT: Duration = Duration::from_mins(3);

/// How the API server begins to say, to a user, what that user may not do.
const REFUSED: &str = "forbidden: User ";

/// The remote workspace of every scenario.
pub const ORG: &str = "org-1";
/// The same.
pub const WORKSPACE_ID: &str = "ws-1";
/// The Workspace object of every scenario.
pub const WORKSPACE: &str = "main";
/// Its Secret, and the key in the Secret's data.
pub const SECRET: &str = "sarvam";
/// The same.
pub const SECRET_KEY: &str = "api-key";

/// Asks what is amiss until nothing is. What still is at the end of the [`LIMIT`] fails the scenario.
pub async fn until_nothing(is_amiss: impl AsyncFn() -> Option<String>) {
    let mut last = String::new();
    let all_well = timeout(LIMIT, async {
        while let Some(amiss) = is_amiss().await {
            last = amiss;
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(all_well.await.is_ok(), "after {LIMIT:?}: {last}");
}

/// Plays a scenario on the usual stage and judges it.
pub async fn scenario(name: &str, play: impl AsyncFnOnce(&Stage)) {
    Setup::new(name).play(play).await;
}

/// How a stage is set before the play begins.
pub struct Setup {
    name: String,
    sync_interval: String,
    with_secret: bool,
    with_workspace: bool,
    install: Install,
    on_existing_cluster: bool,
    remote: Config,
}

impl Setup {
    /// The usual stage: a Workspace that looks every second, with a good key in its Secret.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sync_interval: "1s".to_owned(),
            with_secret: true,
            with_workspace: true,
            install: Install::default(),
            on_existing_cluster: true,
            remote: Config::default(),
        }
    }

    /// Another `spec.syncInterval`.
    pub fn sync_interval(mut self, interval: &str) -> Self {
        interval.clone_into(&mut self.sync_interval);
        self
    }

    /// Without the Secret.
    pub fn without_secret(mut self) -> Self {
        self.with_secret = false;
        self
    }

    /// Without the Workspace object.
    pub fn without_workspace(mut self) -> Self {
        self.with_workspace = false;
        self
    }

    /// On a control plane whose servers may be killed. As nobody else has objects there, its operators watch all namespaces.
    /// Not played with `USE_EXISTING_CLUSTER=true`.
    pub fn own_control_plane(mut self) -> Self {
        self.install.all_namespaces = true;
        self.not_on_an_existing_cluster()
    }

    /// Not played with `USE_EXISTING_CLUSTER=true`: it would change more there than a namespace of its own.
    pub fn not_on_an_existing_cluster(mut self) -> Self {
        self.on_existing_cluster = false;
        self
    }

    /// With operators that may read any Secret where they watch, not only the one of the stage by its name.
    pub fn any_secret(mut self) -> Self {
        self.install.any_secret = true;
        self
    }

    /// With a remote that starts otherwise.
    pub fn remote(mut self, remote: Config) -> Self {
        self.remote = remote;
        self
    }

    /// Plays a scenario and judges it. When it fails, what its operators wrote is kept in a file.
    pub async fn play(self, play: impl AsyncFnOnce(&Stage)) {
        if !self.on_existing_cluster && std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
            return;
        }
        let stage = Stage::set(self).await;
        let played = AssertUnwindSafe(async {
            play(&stage).await;
            stage.judge().await;
        });
        if let Err(panic) = played.catch_unwind().await {
            stage.keep_for_the_inquest();
            resume_unwind(panic);
        }
    }
}

/// What a scenario is played on.
pub struct Stage {
    name: String,
    sync_interval: String,
    /// The remote.
    pub remote: Simulator,
    /// Where its objects are.
    pub namespace: String,
    /// Where its operators live: their service account and their Lease.
    home: String,
    /// What the chart grants that service account, and its token.
    rights: Vec<Right>,
    token: String,
    plane: Plane,
    client: Client,
    watch: Watch,
    recorder: Recorder,
    edits: Mutex<Vec<Edit>>,
    /// The spec of each edit, in the same order.
    specs: Mutex<Vec<Value>>,
    /// The last edit of each object that is there, by its name.
    objects: Mutex<BTreeMap<String, Edit>>,
    operators: Mutex<Vec<Arc<Operator>>>,
    /// Everything that must never be seen again, the first key first.
    secrets: Mutex<Vec<Vec<u8>>>,
}

enum Plane {
    Shared(&'static ControlPlane),
    Own(Box<ControlPlane>),
}

async fn with_crds(plane: &ControlPlane) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    plane.apply_crds(&folder).await.unwrap();
}

impl Plane {
    async fn start(own: bool) -> Self {
        static CRDS: OnceCell<()> = OnceCell::const_new();
        if own {
            let plane = ControlPlane::start(Options::default()).await.unwrap();
            with_crds(&plane).await;
            return Self::Own(Box::new(plane));
        }
        let plane = ControlPlane::shared().await;
        CRDS.get_or_init(async || with_crds(plane).await).await;
        Self::Shared(plane)
    }
}

impl Stage {
    async fn set(setup: Setup) -> Self {
        let plane = Plane::start(setup.install.all_namespaces).await;
        let client = plane.get().client();
        let namespace = plane.get().namespace(&setup.name).await.unwrap();
        let home = plane.get().namespace(&format!("{}-home", setup.name)).await.unwrap();
        let token = plane.get().service_account(&home, RELEASE).await.unwrap();
        let stage = Self {
            rights: rights::grant(plane.get(), setup.install, &home, &namespace).await,
            remote: Simulator::start(setup.remote).await.unwrap(),
            watch: Watch::start(client.clone(), &namespace),
            recorder: Recorder::start(&client, &namespace),
            name: setup.name,
            sync_interval: setup.sync_interval,
            namespace,
            home,
            token,
            plane,
            client,
            edits: Mutex::default(),
            specs: Mutex::default(),
            objects: Mutex::default(),
            operators: Mutex::default(),
            secrets: Mutex::default(),
        };
        let key = stage.new_key();
        stage.remote.add_key(ORG, WORKSPACE_ID, "first", &key);
        if setup.with_secret {
            stage.put_secret(key.as_bytes()).await;
        }
        if setup.with_workspace {
            stage.create_workspace().await;
        }
        stage
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        self.plane.get()
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// kubectl in the scenario's namespace.
    pub fn kubectl(&self) -> Kubectl {
        self.plane().kubectl().in_namespace(&self.namespace)
    }

    // Operators.

    /// Starts an operator.
    pub fn operator(&self) -> Arc<Operator> {
        self.launch(Launch::default())
    }

    /// Starts an operator in another way.
    pub fn launch(&self, launch: Launch) -> Arc<Operator> {
        let url = self.remote.url();
        let mut flags = vec![("--remote-url", url.as_str()), ("--lease-namespace", &self.home)];
        if matches!(self.plane, Plane::Shared(_)) {
            flags.push(("--namespace", &self.namespace));
        }
        let address = self.plane().api_server().unwrap();
        let operator = Arc::new(launch.start(&self.kubeconfig_at(address), &flags));
        lock(&self.operators).push(Arc::clone(&operator));
        operator
    }

    /// A kubeconfig of the operators' service account, by way of this address.
    pub fn kubeconfig_at(&self, address: SocketAddr) -> PathBuf {
        self.plane().kubeconfig_at(&format!("https://{address}"), Some(&self.token)).unwrap()
    }

    /// The Lease, where there is one.
    pub async fn lease(&self) -> Option<Lease> {
        Api::<Lease>::namespaced(self.client(), &self.home).get_opt(RELEASE).await.unwrap()
    }

    /// Waits until the operators have used everything that the chart grants them. Nothing is known of that with
    /// `USE_EXISTING_CLUSTER=true`.
    pub async fn every_right_is_used(&self) {
        until_nothing(async || {
            let requests = self.plane().requests(&self.home, RELEASE).unwrap();
            let unused = rights::unused(&self.rights, &requests);
            (!unused.is_empty()).then(|| format!("the chart grants what nobody has used: {unused:#?}"))
        })
        .await;
    }

    /// Waits until what is created now is younger than all that there is. Kubernetes keeps creation times in whole seconds, by the API
    /// server's clock.
    pub async fn another_second(&self) {
        let api: Api<ConfigMap> = Api::namespaced(self.client(), &self.namespace);
        let metadata = ObjectMeta { generate_name: Some("now-".to_owned()), ..ObjectMeta::default() };
        let (probe, dry_run) =
            (ConfigMap { metadata, ..ConfigMap::default() }, PostParams { dry_run: true, ..PostParams::default() });
        let now = async || api.create(&dry_run, &probe).await.unwrap().metadata.creation_timestamp.unwrap();
        let first = now().await;
        while now().await <= first {
            sleep(Duration::from_millis(50)).await;
        }
    }

    // Keys.

    /// A key that nobody has had before; it must not be seen anywhere.
    pub fn new_key(&self) -> String {
        let key = leaks::random_key();
        lock(&self.secrets).push(key.clone().into_bytes());
        key
    }

    /// The key that the remote has taken from the start.
    pub fn first_key(&self) -> String {
        String::from_utf8(lock(&self.secrets)[0].clone()).expect("keys are text")
    }

    /// Makes the Secret, or changes it, to hold these bytes, which must not be seen anywhere.
    pub async fn put_secret(&self, bytes: &[u8]) {
        self.put_secret_data([(SECRET_KEY.to_owned(), ByteString(bytes.to_vec()))].into()).await;
    }

    /// Makes the Secret, or changes it, to hold these entries and no others.
    pub async fn put_secret_data(&self, data: BTreeMap<String, ByteString>) {
        self.apply_secret("scenario", data).await;
    }

    /// What other managers put into the Secret stays there.
    async fn apply_secret(&self, manager: &str, data: BTreeMap<String, ByteString>) {
        lock(&self.secrets).extend(data.values().map(|bytes| bytes.0.clone()));
        let metadata = ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() };
        let secret = Secret { metadata, data: Some(data), ..Secret::default() };
        let params = PatchParams::apply(manager).force();
        self.secret_api().patch(SECRET, &params, &Patch::Apply(&secret)).await.unwrap();
    }

    /// Deletes the Secret.
    pub async fn delete_secret(&self) {
        self.secret_api().delete(SECRET, &DeleteParams::default()).await.unwrap();
    }

    fn secret_api(&self) -> Api<Secret> {
        Api::namespaced(self.client(), &self.namespace)
    }

    // Objects.

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), &self.namespace, &resource(kind))
    }

    /// Creates the Workspace object.
    pub async fn create_workspace(&self) {
        self.create_workspace_of(WORKSPACE, WORKSPACE_ID, SECRET_KEY).await;
    }

    /// Creates a Workspace object for another remote workspace of the same id, and puts a good key to it into the Secret, under
    /// that name too.
    pub async fn another_workspace(&self, name: &str, key: &str) {
        self.remote.add_key(ORG, name, name, key);
        self.apply_secret(name, [(name.to_owned(), ByteString(key.as_bytes().to_vec()))].into()).await;
        self.create_workspace_of(name, name, name).await;
    }

    async fn create_workspace_of(&self, name: &str, id: &str, secret_key: &str) {
        let workspace = json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": name},
            "spec": {
                "orgID": ORG,
                "workspaceID": id,
                "apiKeySecretRef": {"name": SECRET, "key": secret_key},
                "syncInterval": self.sync_interval,
                "requestsPerSecond": 200,
            },
        });
        let workspace = serde_json::from_value(workspace).unwrap();
        self.api(Kind::Workspace).create(&PostParams::default(), &workspace).await.unwrap();
    }

    /// Deletes the Workspace object.
    pub async fn delete_workspace(&self) {
        self.api(Kind::Workspace).delete(WORKSPACE, &DeleteParams::default()).await.unwrap();
    }

    /// Adds an active line to the remote.
    pub fn line(&self, id: &str) {
        self.remote.add_line(ORG, WORKSPACE_ID, Line::new(id));
    }

    /// Adds a paused line to the remote.
    pub fn paused_line(&self, id: &str) {
        self.remote.add_line(ORG, WORKSPACE_ID, Line::new(id).paused());
    }

    /// Creates a Deployment object for a line.
    pub async fn apply(&self, name: &str, line: &str, paused: bool) {
        self.create(name, line, json!({"paused": paused})).await;
    }

    /// Creates a Deployment object with these fields in its spec beside the references.
    pub async fn create(&self, name: &str, line: &str, fields: Value) {
        self.create_in(WORKSPACE, name, line, fields).await;
    }

    /// The same in another workspace.
    pub async fn create_in(&self, workspace: &str, name: &str, line: &str, fields: Value) {
        let mut spec = fields;
        spec["workspaceRef"] = json!({"name": workspace});
        spec["deploymentID"] = json!(line);
        let object = json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let sent = Instant::now();
        let created = self.api(Kind::Deployment).create(&PostParams::default(), &object).await.unwrap();
        self.remember(name, sent, &created);
    }

    /// Merges these fields into the spec of a Deployment object.
    pub async fn edit(&self, name: &str, fields: Value) {
        let patch = json!({"spec": fields});
        let sent = Instant::now();
        let edited = self.api(Kind::Deployment).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        self.remember(name, sent, &edited.unwrap());
    }

    /// Deletes a Deployment object. The API server takes it away at once: nobody sets a finalizer.
    pub async fn delete(&self, name: &str) {
        let last = self.known(name);
        let at = Instant::now();
        self.api(Kind::Deployment).delete(name, &DeleteParams::default()).await.unwrap();
        lock(&self.edits).push(last.gone(at));
        lock(&self.specs).push(Value::Null);
        lock(&self.objects).remove(name);
        let left = self.api(Kind::Deployment).get_opt(name).await.unwrap();
        assert!(left.is_none(), "{name} is still there after its deletion: {left:?}");
    }

    /// Takes note of the next edit of a Deployment object, which somebody else has made since `sent`.
    pub async fn edited_by_others(&self, name: &str, sent: Instant) {
        let known = lock(&self.objects).get(name).map(|known| known.generation);
        let edited = |object: &Value| object["metadata"]["generation"].as_i64() > known;
        let object = self.recorder.wait(Kind::Deployment, name, "edited by others", edited).await;
        self.remember(name, sent, &serde_json::from_value(object).expect("it came as JSON"));
    }

    fn remember(&self, name: &str, at: Instant, object: &DynamicObject) {
        let edit = Edit::of(&json!(object), at);
        lock(&self.edits).push(edit.clone());
        lock(&self.specs).push(object.data["spec"].clone());
        lock(&self.objects).insert(name.to_owned(), edit);
    }

    fn known(&self, name: &str) -> Edit {
        lock(&self.objects).get(name).cloned().unwrap_or_else(|| panic!("this scenario has no object {name} now"))
    }

    /// A Deployment object as it is now at the API server.
    pub async fn object(&self, name: &str) -> Value {
        serde_json::to_value(self.api(Kind::Deployment).get(name).await.unwrap()).unwrap()
    }

    /// The Workspace object as it is now at the API server.
    pub async fn workspace(&self) -> Value {
        serde_json::to_value(self.api(Kind::Workspace).get(WORKSPACE).await.unwrap()).unwrap()
    }

    /// The `resourceVersion` of every object of both kinds: it changes with each write.
    pub async fn versions(&self) -> Vec<Option<String>> {
        let mut versions = vec![];
        for kind in [Kind::Workspace, Kind::Deployment] {
            let objects = self.api(kind).list(&ListParams::default()).await.unwrap();
            versions.extend(objects.into_iter().map(|object| object.metadata.resource_version));
        }
        versions
    }

    /// Every event of the namespace, as JSON.
    pub async fn events(&self) -> Vec<Value> {
        let api = Api::<Event>::namespaced(self.client(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap();
        events.items.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    /// Every status that a Deployment object has had, oldest first.
    pub fn statuses(&self, name: &str) -> Vec<Value> {
        self.recorder.of(Kind::Deployment, name).iter().map(|object| object["status"].clone()).collect()
    }

    // Waiting.

    /// Waits until Events tell this of an object, so many times: they are published beside the work, and a repeat counts up the first.
    pub async fn published(&self, name: &str, reason: &str, times: i64) {
        until_nothing(async || {
            let events = self.events().await;
            let told = events.iter().filter(|event| event["regarding"]["name"] == name && event["reason"] == reason);
            let told = told.map(occurrences).sum::<i64>();
            (told != times).then(|| format!("not {times} Events {reason} of {name}: {events:#?}"))
        })
        .await;
    }

    /// Waits until a Deployment object, at its newest edit, is so, and returns it.
    pub async fn until(&self, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let Edit { uid, generation, .. } = self.known(name);
        let newest = |object: &Value| {
            object["metadata"]["uid"] == json!(uid)
                && object["metadata"]["generation"].as_i64() >= Some(generation)
                && so(object)
        };
        self.recorder.wait(Kind::Deployment, name, what, newest).await
    }

    /// Waits until the conditions of a Deployment object say this of its newest edit, in the last words of [`verdict`]:
    /// `True - Synced`, `False Stalled SecretNotFound`, or only `SecretNotFound`.
    pub async fn says(&self, name: &str, words: &str) -> Value {
        self.until(name, words, |object| verdict(object).ends_with(words)).await
    }

    /// Everything that the conditions of a Deployment object have said of its newest edit, in the words of [`verdict`].
    pub fn said(&self, name: &str) -> Vec<String> {
        let newest = self.known(name).generation;
        let versions = self.recorder.of(Kind::Deployment, name).into_iter();
        let of_newest = versions.filter(|object| object["metadata"]["generation"].as_i64() == Some(newest));
        of_newest.map(|object| verdict(&object)).collect()
    }

    /// Waits until the conditions of a Deployment object have said this of its newest edit, now or before, in the last words.
    pub async fn has_said(&self, name: &str, words: &str) {
        self.until(name, words, |_| self.said(name).iter().any(|said| said.ends_with(words))).await;
    }

    /// Everything that the conditions of the Workspace object have said.
    pub fn workspace_said(&self) -> Vec<String> {
        self.recorder.of(Kind::Workspace, WORKSPACE).iter().map(verdict).collect()
    }

    /// Waits until a Deployment object is Ready at its newest edit, and returns it. Its line is as asked then, and configured so.
    pub async fn ready(&self, name: &str) -> Value {
        let object = self.until(name, "Ready", |object| verdict(object).starts_with("True ")).await;
        let asked = asked(&object);
        let line = self.known(name).line;
        let state = self.remote.line(&line).map(|line| line.status);
        assert_eq!(state, Some(asked), "{name} is Ready, and its line {line} is not as asked");
        let differs = self.remote.line(&line).map(|line| rollouts::differs(&object["spec"], &line));
        assert_eq!(differs, Some(vec![]), "{name} is Ready, and its line {line} is not configured as asked");
        object
    }

    /// Waits until the conditions of the Workspace object say this, in the last words of [`verdict`].
    pub async fn workspace_says(&self, words: &str) -> Value {
        self.until_workspace(words, |object| verdict(object).ends_with(words)).await
    }

    /// Waits until the Workspace object is so, and returns it.
    pub async fn until_workspace(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        self.recorder.wait(Kind::Workspace, WORKSPACE, what, so).await
    }

    /// Waits until a line truly is so at the remote.
    pub async fn line_is(&self, id: &str, state: LineState) {
        let so = |line: &Line| line.status == state;
        self.remote.wait_until(LIMIT, |remote| remote.line(id).is_some_and(so)).await.unwrap();
    }

    /// Waits until this many pages of the usual workspace's list have been asked for since, and the one after them. A page
    /// shows up to a hundred lines, which are all that most scenarios have: so every line has been looked at so often.
    pub async fn looks(&self, pages: usize) {
        let is_page = |call: &Arrival| call.route == Route::List && call.workspace == WORKSPACE_ID;
        let asked = |history: &[Entry]| {
            history.iter().filter(|entry| matches!(&entry.what, What::Arrived(call) if is_page(call))).count()
        };
        let enough = asked(&self.remote.history()) + pages + 1;
        self.remote.wait_until(LIMIT, |remote| asked(remote.history()) >= enough).await.unwrap();
    }

    /// Every status call for a line, in the order in which they came.
    pub fn puts(&self, line: &str) -> Vec<Option<Action>> {
        let calls = self.arrivals(Route::Status).into_iter();
        calls.filter(|call| call.line.as_deref() == Some(line)).map(|call| call.action).collect()
    }

    /// The body of every PATCH of a line, in the order in which they came.
    pub fn patches(&self, line: &str) -> Vec<Value> {
        let calls = self.arrivals(Route::Update).into_iter().filter(|call| call.line.as_deref() == Some(line));
        calls.map(|call| serde_json::from_str(&call.body).unwrap()).collect()
    }

    /// Every call on a route, in the order in which they came.
    pub fn arrivals(&self, on: Route) -> Vec<Arrival> {
        let calls = self.remote.history().into_iter().filter_map(|entry| match entry.what {
            What::Arrived(arrival) if on == Route::Any || arrival.route == on => Some(arrival),
            _ => None,
        });
        calls.collect()
    }

    // Judging.

    /// What the oracle says of the play until now.
    pub fn verdict(&self) -> Verdict {
        self.verdict_on(&self.claims())
    }

    fn verdict_on(&self, claims: &[Claim]) -> Verdict {
        judge(&lock(&self.edits), claims, &self.remote.history(), Instant::now())
    }

    fn claims(&self) -> Vec<Claim> {
        written_at(self.watch.claims(), &self.status_writes())
    }

    /// When an operator asked for each status that it wrote, by the object's `metadata.resourceVersion`. Nothing is known of that with
    /// `USE_EXISTING_CLUSTER=true`.
    pub fn status_writes(&self) -> BTreeMap<String, Instant> {
        self.plane().status_writes(&self.home, RELEASE).unwrap()
    }

    /// What must hold of every play, whatever it was about.
    async fn judge(&self) {
        let claims = self.claims();
        let verdict = self.verdict_on(&claims);
        assert!(verdict.lie.0.is_empty(), "a status claimed what was not so\n{verdict}");
        rollouts::check(&lock(&self.edits), &lock(&self.specs), &claims, &self.remote.history());

        let operators = lock(&self.operators).clone();
        let mut told = vec![];
        for (number, operator) in operators.iter().enumerate() {
            told.push((format!("the process list's entry of operator {number}"), operator.in_process_list()));
            let metrics = operator.leave().await;
            assert!(!operator.output().contains("panicked"), "operator {number} panicked:\n{}", operator.output());
            told.push((format!("the output of operator {number}"), operator.output()));
            told.push((format!("the metrics of operator {number}"), metrics));
        }
        self.judge_rights(&operators);
        let objects = self.recorder.all();
        for object in &objects {
            rules::check(object);
            told.push(("an object".to_owned(), object.to_string()));
        }
        readers::check(&objects).await;
        if !self.recorder.has_gaps() {
            rules::check_transitions(&objects);
        }
        for event in self.events().await {
            told.push(("an event".to_owned(), event.to_string()));
        }
        told.push(("the Lease".to_owned(), serde_json::to_string(&self.lease().await).unwrap()));
        let secrets = lock(&self.secrets).clone();
        for (place, text) in told {
            leaks::check(&secrets, &place, &text);
        }
    }

    /// The operators asked for nothing that the chart does not grant, and were refused nothing.
    fn judge_rights(&self, operators: &[Arc<Operator>]) {
        let requests = self.plane().requests(&self.home, RELEASE).unwrap();
        let beyond = rights::beyond(&self.rights, &requests);
        assert!(beyond.is_empty(), "the operators asked for what the chart does not grant: {beyond:#?}");
        // An API server that has just started refuses everybody until it knows the roles.
        if self.recorder.has_gaps() {
            return;
        }
        let refused = rights::refused(&requests);
        assert!(refused.is_empty(), "the operators were refused: {refused:#?}");
        for (number, operator) in operators.iter().enumerate() {
            let output = operator.output();
            let refused = output.lines().find(|line| line.contains(REFUSED));
            assert_eq!(refused, None, "operator {number} was refused");
        }
    }

    fn keep_for_the_inquest(&self) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        for (number, operator) in lock(&self.operators).iter().enumerate() {
            let file = folder.join(format!("{}-{number}.log", self.name));
            match std::fs::write(&file, operator.output()) {
                Ok(()) => eprintln!("operator {number} wrote {}", file.display()),
                Err(cause) => eprintln!("{}: {cause}", file.display()),
            }
        }
        let file = folder.join(format!("{}-remote.log", self.name));
        let history = self.remote.history();
        let lines = history.iter().map(|entry| format!("{:.3} {:?}\n", entry.wall, entry.what));
        let _ = std::fs::write(&file, lines.collect::<String>());
        let file = folder.join(format!("{}-objects.log", self.name));
        let lines = self.recorder.all().into_iter().map(|object| format!("{object}\n"));
        let _ = std::fs::write(&file, lines.collect::<String>());
        eprintln!("{}", self.verdict());
    }
}

impl Plane {
    fn get(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}
