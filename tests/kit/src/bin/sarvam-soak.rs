//! The soak as a program: see [`sarvam_testkit::soak`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use sarvam_testkit::error::{Because, Result};
use sarvam_testkit::soak::Soak;
use tokio::signal::unix::{SignalKind, signal};

/// Edits lines for minutes, on a real etcd and kube-apiserver, while the remote, two operators and the servers fail in every way; then
/// tells for how long lines and statuses were wrong.
///
/// Ends with 0 when no status lied, every line is as asked in the end, and none was wrong for longer than two calls and a second outside of
/// a fault's own time; else with 1, and writes what explains it to target/soak. The same seed gives the same edits and faults.
#[derive(Parser)]
#[command(name = "sarvam-soak")]
struct Args {
    /// The operator's program.
    #[arg(long, value_name = "FILE")]
    operator: PathBuf,
    /// How many minutes of trouble.
    #[arg(long, env = "MINUTES", default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// What chance begins with; the clock unless given.
    #[arg(long, env = "SEED", value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many lines.
    #[arg(long, env = "LINES", default_value_t = 40, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    lines: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    run(&Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("sarvam-soak: {error}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<ExitCode> {
    let listen = |kind| signal(kind).because("signals can't be listened for");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let clock = || u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_millis());
    let soak = Soak {
        operator: args.operator.canonicalize().because(format!("--operator {}", args.operator.display()))?,
        length: Duration::from_mins(args.minutes),
        seed: args.seed.unwrap_or_else(clock),
        lines: args.lines,
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/soak"),
    };
    // What is dropped is stopped.
    let report = tokio::select! {
        report = Box::pin(soak.run()) => report?,
        _ = interrupt.recv() => return Ok(ExitCode::from(130)),
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
    };
    println!("{report}");
    let failures = report.failures(true);
    for failure in &failures {
        println!("\n{failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
