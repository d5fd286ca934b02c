use std::path::PathBuf;

use tokio::process::Command;

pub use crate::answer::Answer;
use crate::error::Result;

/// Helm, with all rights on a control plane and with folders of its own: nothing of the user's is read or changed.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Helm {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, home: PathBuf) -> Self {
        Self { program, kubeconfig, home }
    }

    /// Runs `helm <args>`. It is killed when the future is dropped.
    ///
    /// Fails when it can't be run; how it ended is in the answer.
    pub async fn run(&self, args: &[&str]) -> Result<Answer> {
        self.run_with_input(args, "").await
    }

    /// Runs `helm <args>` with this standard input, as for `--values -`.
    ///
    /// Fails when it can't be run; how it ended is in the answer.
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.join(folder));
        }
        // What the user's own shell says about a cluster or a way to render.
        for variable in ["HELM_NAMESPACE", "HELM_KUBECONTEXT", "HELM_KUBEAPISERVER", "HELM_KUBETOKEN", "HELM_DRIVER"] {
            command.env_remove(variable);
        }
        Answer::of(command, input).await
    }
}
