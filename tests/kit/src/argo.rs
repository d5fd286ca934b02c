use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::answer::Answer;
use crate::error::{Because, Result};
use crate::program;

/// What Argo CD makes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// Healthy, Suspended, Progressing or Degraded.
    pub status: String,
    /// For people.
    pub message: String,
}

/// The health of each of these objects, by the health checks of `examples/gitops/argo-cd` in Argo CD's own Lua engine.
///
/// Fails when a health check fails.
pub async fn health(objects: &[Value]) -> Result<Vec<Health>> {
    let objects: Vec<_> = objects.iter().map(Value::to_string).collect();
    let output = run("judge", &objects.join("\n")).await?;
    output.lines().map(|line| serde_json::from_str(line).because(line)).collect()
}

/// Runs every test case beside the health checks and the actions, and returns a line for each.
///
/// Fails when one fails; the error quotes the lines.
pub async fn test() -> Result<Vec<String>> {
    Ok(run("test", "").await?.lines().map(str::to_owned).collect())
}

/// Where the health checks and the actions are, laid out as in Argo CD's repository.
#[must_use]
pub fn customizations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/gitops/argo-cd/resource_customizations")
}

async fn run(command: &str, input: &str) -> Result<String> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let program = PROGRAM.get_or_try_init(|| program("argo-health")).await?;
    let mut judge = Command::new(program);
    judge.arg(command).arg(customizations());
    Answer::of(judge, input).await?.success()
}
