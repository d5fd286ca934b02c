use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::{Because, Error, Result};

/// What one run of a command said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote for the user.
    pub stdout: String,
    /// Its errors, and warnings.
    pub stderr: String,
    program: String,
}

impl Answer {
    /// Runs a command with this standard input to its end. It is killed when the future is dropped.
    ///
    /// Fails when it can't be run; how it ended is in the answer.
    pub(crate) async fn of(mut command: Command, input: &str) -> Result<Self> {
        let program = command.as_std().get_program().display().to_string();
        let args = command.as_std().get_args().map(|arg| arg.display().to_string()).collect::<Vec<_>>();
        let tried = format!("{program} {}", args.join(" "));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .because(&tried)?;
        let mut stdin = child.stdin.take().expect("stdin was asked for as a pipe");
        let feed = async {
            // A command that ends without reading it all says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.because(&tried)?;
        Ok(Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            program,
        })
    }

    /// The standard output of a command that succeeded. Else an error with what it wrote to standard error.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            Ok(self.stdout)
        } else {
            Err(Error::new(format!("{} ended with {}: {}{}", self.program, self.status, self.stderr, self.stdout)))
        }
    }
}
