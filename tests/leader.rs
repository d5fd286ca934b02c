//! The election on a real API server: what it does with compare-and-swap, deletion, validation and RBAC.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sarvam_operator::leader::{Election, Settings};
use sarvam_testkit::control_plane::ControlPlane;
use serde_json::{from_value, json};
use tokio::time::{Instant, sleep, timeout};

/// Short enough to wait for, long enough for a renewal on a busy machine.
const LEASE: Duration = Duration::from_secs(6);
/// No process waits that long for another that is gone.
const HOUR: Duration = Duration::from_hours(1);

const NAME: &str = "sarvam-operator";

fn election(client: Client, namespace: &str, lease_duration: Duration) -> Election {
    let settings = Settings { lease_duration, ..Settings::new(namespace, NAME) };
    Election::new(client, settings)
}

/// Waits for what must come, for as long as any machine may need.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = timeout(Duration::from_mins(1), future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn holder(client: Client, namespace: &str) -> Option<String> {
    let lease = Api::<Lease>::namespaced(client, namespace).get(NAME).await.expect("the Lease");
    lease.spec.and_then(|spec| spec.holder_identity)
}

#[tokio::test]
async fn a_standby_takes_over_from_a_leader_that_is_gone_but_not_before_its_lease_is_out() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("leader").await.expect("a namespace");
    let mut first = election(plane.client(), &namespace, LEASE);
    let mut second = election(plane.client(), &namespace, LEASE);

    let term = soon("the first leader", first.acquire()).await;
    assert!(term.first_ever());
    let leadership = term.leadership().clone();
    assert!(timeout(2 * LEASE, second.acquire()).await.is_err() || leadership.remaining().is_zero(), "two leaders");

    let (left, gone) = (leadership.remaining(), Instant::now());
    drop(term);
    let term = soon("the second leader", second.acquire()).await;
    assert!(gone.elapsed() >= left, "{left:?} were left, taken after {:?}", gone.elapsed());
    assert!(!term.first_ever());
}

#[tokio::test]
async fn a_lease_that_was_given_up_is_free_at_once() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("leader").await.expect("a namespace");
    let mut first = election(plane.client(), &namespace, HOUR);
    let mut second = election(plane.client(), &namespace, HOUR);

    let term = soon("the first leader", first.acquire()).await;
    let leadership = term.leadership().clone();
    soon("the release", term.release()).await;
    assert_eq!(leadership.remaining(), Duration::ZERO);
    assert_eq!(holder(plane.client(), &namespace).await.as_deref(), Some(""));
    let term = soon("the second leader", second.acquire()).await;
    assert!(!term.first_ever());
}

#[tokio::test]
async fn deleting_the_lease_ends_the_term_and_keeps_everyone_else_waiting() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("leader").await.expect("a namespace");
    let mut first = election(plane.client(), &namespace, LEASE);
    let mut second = election(plane.client(), &namespace, LEASE);

    let term = soon("the first leader", first.acquire()).await;
    let leadership = term.leadership().clone();
    assert!(timeout(LEASE / 2, second.acquire()).await.is_err() || leadership.remaining().is_zero(), "two leaders");

    let (left, deleted) = (leadership.remaining(), Instant::now());
    Api::<Lease>::namespaced(plane.client(), &namespace)
        .delete(NAME, &DeleteParams::default())
        .await
        .expect("the deletion");
    soon("the end of the term", leadership.ended()).await;
    let term = soon("the second leader", second.acquire()).await;
    assert!(deleted.elapsed() >= left, "{left:?} were left, taken after {:?}", deleted.elapsed());
    assert!(!term.first_ever());
}

/// These three verbs are all that an installation grants.
#[tokio::test]
async fn get_create_and_update_on_leases_are_enough() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("leader").await.expect("a namespace");
    let client = service_account(plane, &namespace, &["get", "create", "update"]).await;
    let mut election = election(client, &namespace, LEASE);

    let term = soon("the leader", election.acquire()).await;
    soon("a renewal", async {
        let mut before = Duration::MAX;
        while term.leadership().remaining() <= before {
            before = term.leadership().remaining();
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    term.release().await;
    assert_eq!(holder(plane.client(), &namespace).await.as_deref(), Some(""));
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_once_with_the_way_out() {
    let log = Log::of_this_process();
    let plane = ControlPlane::shared().await;
    let cases: [(&[&str], &str); 3] = [(&[], "get"), (&["get"], "create"), (&["get", "create"], "update")];
    for (granted, refused) in cases {
        let namespace = plane.namespace("leader").await.expect("a namespace");
        let client = service_account(plane, &namespace, granted).await;
        let told = told_of(log, client, &namespace).await;
        let [line] = &told[..] else { panic!("{granted:?}: {told:#?}") };
        assert!(line.contains(&format!("cannot {refused} Lease {namespace}/{NAME}")), "{line}");
        assert!(line.contains("Role that allows get, create and update on leases.coordination.k8s.io"), "{line}");
    }

    let told = told_of(log, plane.client(), "nowhere").await;
    let [line] = &told[..] else { panic!("{told:#?}") };
    assert!(line.contains("cannot create Lease nowhere/"), "{line}");
    assert!(line.contains("Create the namespace nowhere"), "{line}");
}

/// What the log says that needs a person, after many an attempt to lead.
async fn told_of(log: &Log, client: Client, namespace: &str) -> Vec<String> {
    let mut election = election(client, namespace, LEASE);
    let lease = format!("Lease {namespace}/{NAME}: ");
    let told = || log.lines().into_iter().filter(|line| line.contains(&lease)).collect::<Vec<_>>();
    let campaign = async {
        loop {
            election.acquire().await.leadership().ended().await;
        }
    };
    let more = async {
        soon("a word in the log", async {
            while told().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        sleep(LEASE / 2).await;
    };
    tokio::select! {
        () = campaign => {}
        () = more => {}
    }
    told()
}

/// A client for a new service account that may do this with Leases, and nothing else.
async fn service_account(plane: &ControlPlane, namespace: &str, verbs: &[&str]) -> Client {
    let token = plane.service_account(namespace, "operator").await.expect("a service account");
    if !verbs.is_empty() {
        let role: Role = from_value(json!({
            "metadata": {"name": "leader"},
            "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}],
        }))
        .expect("a Role");
        let binding: RoleBinding = from_value(json!({
            "metadata": {"name": "leader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leader"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
        }))
        .expect("a RoleBinding");
        let post = PostParams::default();
        Api::namespaced(plane.client(), namespace).create(&post, &role).await.expect("the Role");
        Api::namespaced(plane.client(), namespace).create(&post, &binding).await.expect("the RoleBinding");
    }
    let url = format!("https://{}", plane.api_server().expect("an address"));
    let path = plane.kubeconfig_at(&url, Some(&token)).expect("a kubeconfig");
    let access = Kubeconfig::read_from(path).expect("a kubeconfig");
    let mut config =
        Config::from_custom_kubeconfig(access, &KubeConfigOptions::default()).await.expect("a configuration");
    config.proxy_url = None;
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// The warnings of this process, kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn of_this_process() -> &'static Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::WARN)
                .with_writer(move || writer.clone())
                .init();
            log
        });
        &LOG
    }

    fn lines(&self) -> Vec<String> {
        let text = self.0.lock().expect("unpoisoned").clone();
        String::from_utf8(text).expect("UTF-8").lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
