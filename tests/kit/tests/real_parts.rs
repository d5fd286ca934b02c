//! The kit's own parts, tried: what the tests of the operator lean on.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sarvam_testkit::control_plane::audit::{Request, Resource};
use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::gate::Gate;
use sarvam_testkit::process::{Process, Signal};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Far more than anything here takes; a test that needs it all has failed.
const LIMIT: Duration = Duration::from_mins(1);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(200);
const NO_ENV: [(&str, &str); 0] = [];

fn shell(script: &str) -> Process {
    Process::spawn("/bin/sh", ["-c", script], NO_ENV).unwrap()
}

/// Asks again until it is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "not so after {LIMIT:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Then nothing may be started or killed, and tests of that have nothing to say.
fn on_existing_cluster() -> bool {
    std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true")
}

/// `State:` of `/proc/<pid>/status` by its letter; `T` is stopped.
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// The processes whose command line names this text.
fn processes_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn a_process_is_signalled_frozen_and_waited_for() {
    use std::os::unix::process::ExitStatusExt;
    let sleeper = Process::spawn("sleep", ["600"], NO_ENV).unwrap();
    assert!(sleeper.rss_kib().unwrap() > 0);

    sleeper.signal(Signal::SIGSTOP).unwrap();
    until("stopped", || state(sleeper.pid()) == 'T').await;
    sleeper.signal(Signal::SIGCONT).unwrap();
    until("goes on", || state(sleeper.pid()) != 'T').await;

    let early = sleeper.wait(SILENCE).await.unwrap_err();
    assert!(early.to_string().contains("sleep still runs"), "{early}");
    sleeper.signal(Signal::SIGTERM).unwrap();
    assert_eq!(sleeper.wait(LIMIT).await.unwrap().signal(), Some(Signal::SIGTERM as i32));
    let late = sleeper.signal(Signal::SIGTERM).unwrap_err();
    assert!(late.to_string().contains("has ended"), "{late}");
    sleeper.rss_kib().unwrap_err();
}

#[tokio::test]
async fn a_frozen_process_and_what_it_started_die_when_it_is_dropped() {
    let mark = format!("600.{}", std::process::id());
    let parent = shell(&format!("sleep {mark} & echo started; wait"));
    parent.wait_for_line("started", LIMIT).await.unwrap();
    until("the child runs", || processes_with(&mark).iter().any(|line| line.starts_with("sleep"))).await;
    parent.signal(Signal::SIGSTOP).unwrap();
    drop(parent);
    until("both are gone", || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_process_says_its_lines_in_order_and_sees_only_the_environment_it_was_given() {
    let program = Process::spawn(
        "/bin/sh",
        ["-c", "echo one; echo two >&2; echo three; echo \"[$GIVEN] [${CARGO_MANIFEST_DIR-unset}]\"; exit 7"],
        [("GIVEN", "this")],
    )
    .unwrap();
    assert_eq!(program.wait_for_line("[this]", LIMIT).await.unwrap(), "[this] [unset]");
    assert_eq!(program.wait(LIMIT).await.unwrap().code(), Some(7));
    assert_eq!(program.output(), "one\ntwo\nthree\n[this] [unset]");
    // An end of the output ends the wait, long before the limit.
    let error = program.wait_for_line("four", LIMIT * 60).await.unwrap_err().to_string();
    assert!(error.contains("its output ended") && error.contains("three"), "{error}");
    let error = shell("echo hello; sleep 600").wait_for_line("four", SILENCE).await.unwrap_err().to_string();
    assert!(error.contains("went by"), "{error}");
    let error = Process::spawn("/no/such/program", ["x"], NO_ENV).err().unwrap().to_string();
    assert!(error.contains("/no/such/program could not be started"), "{error}");
}

/// A server that says everything back.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    addr
}

async fn echoes(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.unwrap();
    hears(stream, word).await;
}

async fn hears(stream: &mut TcpStream, word: &[u8]) {
    let mut heard = vec![0; word.len()];
    timeout(LIMIT, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, word);
}

async fn is_silent(stream: &mut TcpStream) {
    let read = timeout(SILENCE, stream.read_u8()).await;
    assert!(read.is_err(), "a hanging gate carried {read:?}");
}

#[tokio::test]
async fn a_gate_cuts_hangs_and_restores() {
    let gate = Gate::open(echo_server().await).unwrap();
    let mut old = TcpStream::connect(gate.addr()).await.unwrap();
    echoes(&mut old, b"before").await;

    gate.hang().await;
    let mut new = TcpStream::connect(gate.addr()).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(b"held").await.unwrap();
        is_silent(stream).await;
    }
    gate.restore().await;
    for stream in [&mut old, &mut new] {
        hears(stream, b"held").await;
    }

    for _ in 0..3 {
        let mut open = TcpStream::connect(gate.addr()).await.unwrap();
        echoes(&mut open, b"open").await;
        gate.cut().await;
        let reset = timeout(LIMIT, open.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
        let refused = TcpStream::connect(gate.addr()).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        gate.restore().await;
    }

    // What has been forgotten is silent, also to TCP's own question whether somebody is there; what is new is not.
    let mut forgotten = TcpStream::connect(gate.addr()).await.unwrap();
    echoes(&mut forgotten, b"known").await;
    let second = Duration::from_secs(1);
    let asks = TcpKeepalive::new().with_time(second).with_interval(second).with_retries(1);
    SockRef::from(&forgotten).set_tcp_keepalive(&asks).unwrap();
    gate.forget().await;
    let mut new = TcpStream::connect(gate.addr()).await.unwrap();
    echoes(&mut new, b"new").await;
    let lost = timeout(LIMIT, forgotten.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), std::io::ErrorKind::TimedOut);

    // The end of one direction is passed on and leaves the other open.
    let mut half = TcpStream::connect(gate.addr()).await.unwrap();
    half.write_all(b"last words").await.unwrap();
    half.shutdown().await.unwrap();
    let mut heard = Vec::new();
    timeout(LIMIT, half.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, b"last words");
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

#[tokio::test]
async fn kubectl_works_in_a_namespace_of_its_own() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("kubectl").await.unwrap();
    assert_ne!(namespace, plane.namespace("kubectl").await.unwrap());
    let kubectl = plane.kubectl().in_namespace(&namespace);

    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {said: hello}}";
    let said = kubectl.run_with_input(&["apply", "-f", "-"], manifest).await.unwrap().success().unwrap();
    assert_eq!(said, "configmap/one created\n");
    let value = kubectl.run(&["get", "cm", "one", "-o", "jsonpath={.data.said}"]).await.unwrap();
    assert_eq!((value.stdout.as_str(), value.stderr.as_str()), ("hello", ""));
    let absent = kubectl.run(&["get", "cm", "two"]).await.unwrap();
    assert!(!absent.status.success() && absent.stderr.contains("NotFound"), "{absent:?}");
    absent.success().unwrap_err();
}

#[tokio::test]
async fn a_service_account_may_do_nothing_until_it_is_told() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("account").await.unwrap();
    let token = plane.service_account(&namespace, "operator").await.unwrap();
    let gate = Gate::open(plane.api_server().unwrap()).unwrap();
    let kubeconfig = plane.kubeconfig_at(&format!("https://{}", gate.addr()), Some(&token)).unwrap();
    let kubectl = plane.kubectl().in_namespace(&namespace).with_kubeconfig(kubeconfig);

    let user = kubectl
        .run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(user, format!("system:serviceaccount:{namespace}:operator"));
    let refused = kubectl.run(&["get", "secrets"]).await.unwrap();
    assert!(refused.stderr.contains("Forbidden"), "{refused:?}");

    // What it asked is in the audit log, and so is the answer.
    if !on_existing_cluster() {
        let listed = |request: &Request| {
            let secrets = Resource {
                group: String::new(),
                name: "secrets".to_owned(),
                namespace: namespace.clone(),
                object: String::new(),
            };
            request.verb == "list" && request.status == 403 && request.resource.as_ref() == Some(&secrets)
        };
        until("the refusal is in the log", || plane.requests(&namespace, "operator").unwrap().iter().any(listed)).await;
        assert_eq!(plane.requests(&namespace, "somebody-else").unwrap(), []);
    }

    // By the gate: the API server is gone for this client and nobody else.
    gate.cut().await;
    let gone = kubectl.run(&["get", "secrets"]).await.unwrap();
    assert!(gone.stderr.contains("refused"), "{gone:?}");
    plane.client().apiserver_version().await.unwrap();
    gate.restore().await;
    assert!(kubectl.run(&["get", "secrets"]).await.unwrap().stderr.contains("Forbidden"));
}

#[tokio::test]
async fn crds_are_served_and_discovered_when_they_are_applied() {
    let plane = ControlPlane::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let crd = |plural: &str, kind: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.testkit.sarvam.ai}}
spec:
  group: testkit.sarvam.ai
  scope: Namespaced
  names: {{plural: {plural}, singular: {singular}, kind: {kind}}}
  versions:
  - {{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}
",
            singular = kind.to_lowercase()
        )
    };
    let empty = plane.apply_crds(folder.path()).await.unwrap_err();
    assert!(empty.to_string().contains("no YAML file"), "{empty}");
    fs::write(folder.path().join("a.yaml"), crd("calls", "Call") + "---\n" + &crd("bells", "Bell")).unwrap();
    fs::write(folder.path().join("notes.txt"), "not YAML: [").unwrap();
    plane.apply_crds(folder.path()).await.unwrap();
    plane.apply_crds(folder.path()).await.unwrap();
    for plural in ["calls", "bells"] {
        plane.kubectl().run(&["get", plural]).await.unwrap().success().unwrap();
    }
    fs::write(folder.path().join("b.yaml"), crd("pipes", "Pipe").replace("scope:", "scoop:")).unwrap();
    let refused = plane.apply_crds(folder.path()).await.unwrap_err().to_string();
    assert!(refused.contains("pipes.testkit") && refused.contains("scoop"), "{refused}");
}

#[tokio::test]
async fn a_control_plane_keeps_its_data_while_its_servers_die() {
    if on_existing_cluster() {
        return;
    }
    let began = Instant::now();
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    println!("started in {:?}", began.elapsed());
    let namespace = plane.namespace("restart").await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client(), &namespace);
    maps.create(&PostParams::default(), &config_map("first")).await.unwrap();

    let began = Instant::now();
    plane.restart_etcd().await.unwrap();
    println!("etcd restarted in {:?}", began.elapsed());
    maps.get("first").await.unwrap();
    maps.create(&PostParams::default(), &config_map("second")).await.unwrap();

    let began = Instant::now();
    plane.stop_api_server().unwrap();
    let refused = TcpStream::connect(plane.api_server().unwrap()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    plane.start_api_server().await.unwrap();
    println!("API server restarted in {:?}", began.elapsed());
    maps.get("second").await.unwrap();

    let folder = plane.kubeconfig().parent().unwrap().to_owned();
    assert_eq!(processes_with(&folder.display().to_string()).len(), 2);
    drop(plane);
    assert_eq!(processes_with(&folder.display().to_string()), [""; 0]);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_server_that_refuses_its_flags_is_quoted() {
    if on_existing_cluster() {
        return;
    }
    let options = Options { api_server_args: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = ControlPlane::start(options).await.err().unwrap().to_string();
    assert!(error.contains("kube-apiserver ended with") && error.contains("unknown flag: --no-such-flag"), "{error}");
}

/// Not a test: the program that the next test kills.
#[tokio::test]
#[ignore = "waits to be killed"]
async fn holds_a_control_plane() {
    let plane = ControlPlane::shared().await;
    println!("holding {}", plane.kubeconfig().display());
    sleep(LIMIT).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_test_that_was_killed() {
    if on_existing_cluster() {
        return;
    }
    let cache =
        ["KUBEBUILDER_ASSETS", "XDG_CACHE_HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let test = Process::spawn(
        std::env::current_exe().unwrap(),
        ["--ignored", "--exact", "holds_a_control_plane", "--nocapture"],
        cache,
    )
    .unwrap();
    let line = test.wait_for_line("holding ", LIMIT * 2).await.unwrap();
    let folder = Path::new(line.split_once("holding ").unwrap().1).parent().unwrap();
    let root = folder.parent().unwrap();
    let name = root.display().to_string();
    // etcd, kube-apiserver and the shell that waits for the end.
    assert_eq!(processes_with(&name).len(), 3);

    test.signal(Signal::SIGKILL).unwrap();
    test.wait(LIMIT).await.unwrap();
    until("no process is left", || processes_with(&name).is_empty()).await;
    assert!(!root.exists());
}
