use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Because, Error, Result};

/// The path of a program that `tools/program` knows, such as `helm`. Built the first time; what the building says goes to the terminal.
///
/// Fails when it can't be had; the way out is on the terminal then.
pub async fn program(name: &str) -> Result<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/program");
    let mut command = Command::new(&tool);
    let output =
        command.arg(name).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.because(tool.display())?;
    if !output.status.success() {
        return Err(Error::new(format!("tools/program {name} ended with {}: it says why above", output.status)));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
