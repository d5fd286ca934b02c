//! The command line.

use std::{
    env,
    process::{self, ExitCode},
};

use clap::Parser;
use sarvam_operator::{
    api,
    config::{Cli, Command},
    import, operator,
    plan::{self, Outcome},
    telemetry,
};

// A cold start of ten thousand lines takes memory for a moment, in small pieces: glibc keeps what lies between them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Memory has the API key in it: no core file of this process, and no debugger but root's. Where the kernel refuses, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // Both TLS clients of the process use it; a second installation would be refused, and there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match parse().command {
        Command::Crds => {
            print!("{}", api::crds_yaml());
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(flags) => {
            telemetry::init(flags.log_format);
            execute(async { operator::run(*flags).await.map(|()| ExitCode::SUCCESS) })
        }
        Command::Plan(flags) => execute(async {
            plan::run(flags).await.map(|outcome| match outcome {
                Outcome::NothingToDo => ExitCode::SUCCESS,
                Outcome::Errors => ExitCode::FAILURE,
                Outcome::Changes => ExitCode::from(2),
            })
        }),
        Command::Import(flags) => execute(async {
            import::run(flags).await.map(|complete| if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }),
    };
    result.unwrap_or_else(|sentence| {
        eprintln!("sarvam-operator: {sentence}");
        ExitCode::FAILURE
    })
}

/// Reads the command line, or ends the process with what is wrong there.
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        // A plan's 2 says that lines would change, and nothing else.
        if error.use_stderr() && env::args().nth(1).is_some_and(|command| command == "plan") {
            let _ = error.print();
            process::exit(1);
        }
        error.exit()
    })
}

/// Runs a command to its end.
fn execute(command: impl Future<Output = Result<ExitCode, String>>) -> Result<ExitCode, String> {
    // One thread: an edit is handed from none to another, and nothing here computes for long.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("No event loop can be started: {error}."))?;
    runtime.block_on(command)
}
