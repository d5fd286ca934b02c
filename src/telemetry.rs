//! Log lines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Logs to stderr from now on, as `RUST_LOG` says, else at level info.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_writer(stderr).with_target(false).with_ansi(colours)).init();
        }
        LogFormat::Json => registry.with(fmt::layer().with_writer(stderr).json()).init(),
    }
}
