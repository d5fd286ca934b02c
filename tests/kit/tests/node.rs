//! A node, tried: a pod runs on it, and the machine is as before when its test was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sarvam_testkit::control_plane::ControlPlane;
use sarvam_testkit::enclosure;
use sarvam_testkit::node::{self, Node};
use sarvam_testkit::process::{Process, Signal};
use tokio::time::sleep;

/// Far more than anything here takes; a test that needs it all has failed.
const LIMIT: Duration = Duration::from_mins(5);

const NO_ENV: [(&str, &str); 0] = [];

/// A pod that the restricted profile lets in.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: pause}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: pause
    image: localhost/pause:test
    imagePullPolicy: Never
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
";

/// Not a test: the program that the next test kills.
#[test]
#[ignore = "waits to be killed"]
fn holds_a_pod() {
    if !enclosure::inside() {
        enclosure::run("holds_a_pod", NO_ENV).unwrap();
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let plane = ControlPlane::start(node::options()).await.unwrap();
        let began = Instant::now();
        let node = Node::start(&plane).await.unwrap();
        println!("the node was ready after {:?}", began.elapsed());
        let namespace = plane.namespace("pods").await.unwrap();
        let kubectl = plane.kubectl().in_namespace(&namespace);
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        let account = ["wait", "--for=create", "serviceaccount/default", "--timeout=60s"];
        for args in [&["label", "namespace", &namespace, restricted][..], &account] {
            kubectl.run(args).await.unwrap().success().unwrap();
        }
        kubectl.run_with_input(&["apply", "-f", "-"], POD).await.unwrap().success().unwrap();
        let ready = kubectl.run(&["wait", "--for=condition=Ready", "pod/pause", "--timeout=120s"]).await.unwrap();
        ready.success().unwrap_or_else(|error| panic!("{error}\n{}", node.tails()));
        println!("holding {}", std::env::temp_dir().display());
        sleep(LIMIT).await;
    });
}

/// The processes whose command line names this text.
fn processes_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text)).collect()
}

/// The cgroups of this name, in every hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    hierarchies.map(|hierarchy| hierarchy.path().join(name)).filter(|path| path.exists()).collect()
}

#[tokio::test]
async fn a_pod_runs_and_nothing_is_left_of_it_when_its_test_is_killed() {
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") || !node::prepare().unwrap() {
        return;
    }
    let kernel_settings = || {
        ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"]
            .map(|name| fs::read(Path::new("/proc/sys").join(name)).unwrap())
    };
    let before = kernel_settings();
    let cache =
        ["KUBEBUILDER_ASSETS", "XDG_CACHE_HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let args = ["--ignored", "--exact", "holds_a_pod", "--nocapture"];
    let test = Process::spawn(std::env::current_exe().unwrap(), args, cache).unwrap();
    let line = test.wait_for_line("holding ", LIMIT).await.unwrap();
    println!("{}", test.output());
    let folder = Path::new(line.split_once("holding ").unwrap().1);
    let name = folder.file_name().unwrap().to_str().unwrap();
    // What runs in a pod has no such argument: it is found by its cgroup.
    let inside = |cgroup: PathBuf| !fs::read_to_string(cgroup.join("cgroup.procs")).unwrap().is_empty();
    assert!(!processes_with(name).is_empty());
    assert!(cgroups(name).into_iter().all(inside) && !cgroups(name).is_empty());
    assert_eq!(before, kernel_settings());

    test.signal(Signal::SIGKILL).unwrap();
    test.wait(LIMIT).await.unwrap();
    let end = Instant::now() + LIMIT;
    let left = || (processes_with(name), cgroups(name));
    while left() != (vec![], vec![]) {
        assert!(Instant::now() < end, "after {LIMIT:?} there are {:?}", left());
        sleep(Duration::from_millis(50)).await;
    }
    while folder.parent().unwrap().exists() {
        assert!(Instant::now() < end, "after {LIMIT:?} there is {}", folder.display());
        sleep(Duration::from_millis(50)).await;
    }
}
