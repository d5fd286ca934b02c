use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::{Because, Error, Result};

/// The control plane's kubectl, with a kubeconfig and a discovery cache of its own: nothing of the user's is read or changed.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
}

/// What one kubectl said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote for the user.
    pub stdout: String,
    /// Its errors and the API server's warnings.
    pub stderr: String,
}

impl Answer {
    /// The standard output of a kubectl that succeeded. Else an error with what it wrote to standard error.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            Ok(self.stdout)
        } else {
            Err(Error::new(format!("kubectl ended with {}: {}{}", self.status, self.stderr, self.stdout)))
        }
    }
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { program, kubeconfig, cache, namespace: None }
    }

    /// The same, working in this namespace unless the arguments say otherwise.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The same with another kubeconfig: another user, or another way to the API server.
    #[must_use]
    pub fn with_kubeconfig(mut self, kubeconfig: impl AsRef<Path>) -> Self {
        kubeconfig.as_ref().clone_into(&mut self.kubeconfig);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `kubectl <args>`. It is killed when the future is dropped.
    ///
    /// Fails when it can't be run; how it ended is in the answer.
    pub async fn run(&self, args: &[&str]) -> Result<Answer> {
        self.run_with_input(args, "").await
    }

    /// Runs `kubectl <args>` with this standard input, as for `apply -f -`.
    ///
    /// Fails when it can't be run; how it ended is in the answer.
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<Answer> {
        let tried = format!("{} {}", self.program.display(), args.join(" "));
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        let mut child = command
            .args(args)
            // The user's own preferences may change what it prints.
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .because(&tried)?;
        let mut stdin = child.stdin.take().expect("stdin was asked for as a pipe");
        let feed = async {
            // A kubectl that ends without reading it all says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.because(&tried)?;
        Ok(Answer {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
