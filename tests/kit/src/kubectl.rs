use std::path::{Path, PathBuf};

use tokio::process::Command;

pub use crate::answer::Answer;
use crate::error::Result;

/// The control plane's kubectl, with a kubeconfig and a discovery cache of its own: nothing of the user's is read or changed.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
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
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        // The user's own preferences may change what it prints.
        command.args(args).env("KUBERC", "off");
        Answer::of(command, input).await
    }
}
