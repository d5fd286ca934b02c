//! The simulator of the remote, to run on its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use sarvam_testkit::simulator::{Config, Line, Simulator, Tls};
use tokio::signal::unix::{SignalKind, signal};

/// Stands in for the remote API of Sarvam's phone lines, on this machine only, with a page to look at.
#[derive(Parser)]
#[command(name = "sarvam-simulator")]
struct Args {
    /// Loopback address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback)]
    listen: SocketAddr,
    /// Organisation that the lines belong to.
    #[arg(long, value_name = "ID", default_value = "org-1", value_parser = id)]
    org: String,
    /// Workspace that the lines belong to.
    #[arg(long, value_name = "ID", default_value = "ws-1", value_parser = id)]
    workspace: String,
    /// How many lines there are; all answer at first.
    #[arg(long, value_name = "N", default_value_t = 5)]
    lines: usize,
    /// The API key that calls must carry. The default opens nothing but this simulator.
    #[arg(long, env = "SARVAM_API_KEY", hide_env_values = true, value_name = "KEY", default_value = "sarvam-demo-key")]
    key: String,
    /// A file with the API key, in place of --key. A line end after the key is not part of it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Serves HTTPS, and writes the certificate of its authority to ca.pem in this folder.
    #[arg(long, value_name = "FOLDER")]
    tls_dir: Option<PathBuf>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "give an address and a port, as in 127.0.0.1:8080")?;
    let refused = "the simulator serves this machine only; use 127.0.0.1 or [::1]";
    address.ip().is_loopback().then_some(address).ok_or_else(|| refused.to_owned())
}

fn id(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let whole = !text.is_empty() && text.chars().all(fits);
    whole.then(|| text.to_owned()).ok_or_else(|| "use letters, digits, - and _ only, as in org-1".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("sarvam-simulator: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let key = match &args.key_file {
        None => args.key,
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("--key-file {}: {e}", file.display()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if key.is_empty() {
        return Err("the key is empty; give one with --key, --key-file or SARVAM_API_KEY".to_owned());
    }
    // Signals first: one that comes during the start must end the simulator too.
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate()].map(signal).into_iter();
    let (Some(Ok(mut interrupt)), Some(Ok(mut terminate))) = (ends.next(), ends.next()) else {
        return Err("can't listen for SIGINT and SIGTERM".to_owned());
    };
    let config = Config { listen: args.listen, tls: args.tls_dir.is_some().then_some(Tls::Valid), ..Config::default() };
    let remote = Simulator::start(config)
        .await
        .map_err(|e| format!("--listen {}: {e}; give a free port, or 0 for any", args.listen))?;
    if let (Some(folder), Some(ca)) = (&args.tls_dir, remote.ca_pem()) {
        write_ca(folder, ca).map_err(|e| format!("--tls-dir {}: {e}", folder.display()))?;
    }
    remote.add_key(&args.org, &args.workspace, "first", &key);
    for n in 0..args.lines {
        remote.add_line(&args.org, &args.workspace, Line::example(n));
    }
    println!("API {}  page {}", remote.url(), remote.page_url());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn write_ca(folder: &Path, ca: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("ca.pem"), ca)
}
