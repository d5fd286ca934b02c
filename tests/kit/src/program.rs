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

async fn tool(name: &str, args: &[&str]) -> Result<PathBuf> {
    path_from(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(name), args).await
}

/// The path that a script prints. What else it says goes to the terminal.
///
/// Fails when the script does; it has said why on the terminal then.
pub async fn path_from(script: &Path, args: &[&str]) -> Result<PathBuf> {
    let mut command = Command::new(script);
    let output =
        command.args(args).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.because(script.display())?;
    if !output.status.success() {
        let (name, args) = (script.file_name().unwrap_or_default().display(), args.join(" "));
        return Err(Error::new(format!("{name} {args} ended with {}: it says why above", output.status)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
