//! The command line.

use std::process::ExitCode;

use clap::Parser;
use sarvam_operator::{
    api,
    config::{Cli, Command},
    operator, telemetry,
};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Crds => {
            print!("{}", api::crds_yaml());
            Ok(())
        }
        Command::Run(flags) => {
            telemetry::init(flags.log_format);
            // Both TLS clients of the process use it; a second installation would be refused, and there is none.
            let _ = rustls::crypto::ring::default_provider().install_default();
            match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
                Ok(runtime) => {
                    // As a task among the others: news that this thread took in would have to be handed to another.
                    let operator = runtime.spawn(operator::run(*flags));
                    runtime
                        .block_on(operator)
                        .unwrap_or_else(|error| Err(format!("A bug ended the operator: {error}.")))
                }
                Err(error) => Err(format!("No threads can be started: {error}.")),
            }
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("sarvam-operator: {sentence}");
            ExitCode::FAILURE
        }
    }
}
