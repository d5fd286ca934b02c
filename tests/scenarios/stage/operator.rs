//! The operator as a real process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarvam_testkit::process::{Process, Signal};

use super::{LIMIT, RELEASE};

/// The longest wait for an answer on the operator's own port.
const HTTP_LIMIT: Duration = Duration::from_secs(10);

/// How an operator is started: short windows, everything logged.
#[derive(Clone)]
pub struct Launch {
    flags: BTreeMap<String, Option<String>>,
    kubeconfig: Option<PathBuf>,
    log: String,
}

impl Default for Launch {
    fn default() -> Self {
        let flags = [
            ("--lease-name", RELEASE),
            ("--lease-duration", "3s"),
            ("--call-timeout", "1s"),
            ("--doubt-window", "3s"),
            ("--settle-window", "500ms"),
            ("--freeze-window", "1s"),
            ("--missing-grace", "5s"),
            ("--http-address", "127.0.0.1:0"),
            ("--log-format", "text"),
        ];
        let mut flags: BTreeMap<_, _> =
            flags.into_iter().map(|(flag, value)| (flag.to_owned(), Some(value.to_owned()))).collect();
        flags.insert("--allow-http-loopback".to_owned(), None);
        Self { flags, kubeconfig: None, log: "sarvam_operator=trace,info".to_owned() }
    }
}

impl Launch {
    /// With another value of a flag.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.insert(flag.to_owned(), Some(value.to_owned()));
        self
    }

    /// With another way to the API server.
    pub fn kubeconfig(mut self, path: PathBuf) -> Self {
        self.kubeconfig = Some(path);
        self
    }

    /// With another `RUST_LOG`.
    pub fn log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log);
        self
    }

    /// With this kubeconfig and these flags, where it has none of its own.
    pub(super) fn start(mut self, kubeconfig: &Path, flags: &[(&str, &str)]) -> Operator {
        for (flag, value) in flags {
            self.flags.entry((*flag).to_owned()).or_insert_with(|| Some((*value).to_owned()));
        }
        let mut args = vec!["run".to_owned()];
        for (flag, value) in self.flags {
            args.push(flag);
            args.extend(value);
        }
        let kubeconfig = self.kubeconfig.as_deref().unwrap_or(kubeconfig);
        let env = [("KUBECONFIG", kubeconfig.as_os_str()), ("RUST_LOG", self.log.as_ref())];
        Operator { process: Process::spawn(env!("CARGO_BIN_EXE_sarvam-operator"), args, env).unwrap() }
    }
}

/// A running operator, or one that has ended.
pub struct Operator {
    process: Process,
}

impl Operator {
    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Everything it has written.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// What the process list of its machine shows of it: its arguments and its environment. Empty where it has ended, and where that isn't shown.
    pub(super) fn in_process_list(&self) -> String {
        let read = |file: &str| std::fs::read(format!("/proc/{}/{file}", self.process.pid())).unwrap_or_default();
        ["cmdline", "environ", "comm"].map(|file| String::from_utf8_lossy(&read(file)).into_owned()).concat()
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Kills it, as the kernel does when memory is short.
    pub async fn kill(&self) {
        self.process.signal(Signal::SIGKILL).unwrap();
        self.process.wait(LIMIT).await.unwrap();
    }

    /// Freezes it, as a paused virtual machine.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP).unwrap();
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT).unwrap();
    }

    /// Asks it to end and waits until it has ended well.
    pub async fn stop(&self) {
        self.process.signal(Signal::SIGTERM).unwrap();
        let status = self.process.wait(LIMIT).await.unwrap();
        assert!(status.success(), "ended with {status} after SIGTERM; last lines:\n{}", self.process.tail());
    }

    /// What it answers to a GET on its own port: the HTTP status and the body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let line = self.process.wait_for_line("127.0.0.1:", LIMIT).await.unwrap();
        let (_, port) = line.split_once("127.0.0.1:").expect("the line was asked for by this");
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let client = reqwest::Client::builder().no_proxy().timeout(HTTP_LIMIT).build().unwrap();
        let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The metric's value: the sum over its labels, or nothing when it isn't there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await;
        sum(&text, name)
    }

    /// In the end: looks at its metrics, asks it to end, and returns the metrics' text. Nothing to do for one that has ended.
    pub(super) async fn leave(&self) -> String {
        if !self.runs() {
            return String::new();
        }
        let (status, metrics) = self.get("/metrics").await;
        assert_eq!(status, 200, "/metrics: {metrics}");
        let panics = sum(&metrics, "sarvam_reconcile_panics_total").unwrap_or_default();
        assert!(panics == 0.0, "a reconcile panicked:\n{}", self.process.tail());
        self.stop().await;
        metrics
    }
}

fn sum(metrics: &str, name: &str) -> Option<f64> {
    let of_this = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    metrics.lines().filter(of_this).filter_map(value).reduce(|all, value| all + value)
}
