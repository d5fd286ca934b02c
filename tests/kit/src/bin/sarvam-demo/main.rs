//! The demo: what the operator does, shown on a real API server in two minutes.

mod check;
mod remote;
mod screen;
mod stage;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use sarvam_testkit::error::{Because, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use screen::Screen;
use stage::Stage;

/// Shows what sarvam-operator does, on a real etcd and kube-apiserver, with a simulated remote. On a terminal it stays up then, until
/// Ctrl-C.
#[derive(Parser)]
#[command(name = "sarvam-demo")]
struct Args {
    /// The operator's program.
    #[arg(long, value_name = "FILE")]
    operator: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    Box::pin(run(&args)).await.unwrap_or_else(|error| {
        eprintln!("\nsarvam-demo: {error}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<ExitCode> {
    let mut interruption = Interruption::listen()?;
    let operator = args.operator.canonicalize().because(format!("--operator {}", args.operator.display()))?;
    // The commands that are shown name files of the repository.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&root).because(root.display())?;

    let stage = tokio::select! {
        stage = Stage::set(Screen::new(), &operator) => stage?,
        code = interruption.comes() => return Ok(code),
    };
    let shown = tokio::select! {
        shown = show(&stage, &mut interruption) => shown,
        error = stage.operator_ended() => Err(error),
    };
    if shown.is_err() {
        eprintln!("\nThe operator's last lines:\n{}", stage.operator_log());
    }
    let ended = tokio::select! {
        ended = stage.end() => ended,
        code = interruption.comes() => return Ok(code),
    };
    shown.and_then(|code| ended.map(|()| code))
}

/// Plays the story; then, where a person sits there, leaves the stage to them until they have seen enough.
async fn show(stage: &Stage, interruption: &mut Interruption) -> Result<ExitCode> {
    tokio::select! {
        played = story::play(stage) => played?,
        code = interruption.comes() => return Ok(code),
    }
    if Screen::has_person() {
        stage.invite();
        interruption.comes().await;
        stage.screen.gap();
        stage.screen.say("Stopping everything.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C, or a polite request to end.
struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    /// From now on neither signal ends this process by itself.
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).because("signals can't be listened for");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one, and says how a program that it cut short ends.
    async fn comes(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}
