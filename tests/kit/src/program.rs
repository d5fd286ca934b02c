use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Because, Error, Result};

/// The path of a program that `tools/program` knows, such as `helm`. Built the first time; what the building says goes to the terminal.
///
/// Fails when it can't be had; the way out is on the terminal then.
pub async fn program(name: &str) -> Result<PathBuf> {
    tool("program", &[name]).await
}

/// A folder with the CRDs of Flux and Argo CD. Taken from their Go modules the first time; what that says goes to the terminal.
///
/// Fails when they can't be had; the way out is on the terminal then.
pub async fn gitops_crds() -> Result<PathBuf> {
    tool("gitops-crds", &[]).await
}

/// The path that a script of `tools/` prints.
async fn tool(name: &str, args: &[&str]) -> Result<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(name);
    let mut command = Command::new(&tool);
    let output =
        command.args(args).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.because(tool.display())?;
    if !output.status.success() {
        let args = args.join(" ");
        return Err(Error::new(format!("tools/{name} {args} ended with {}: it says why above", output.status)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
