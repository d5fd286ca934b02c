//! The remote: how it is called, with which key, and how often. Knows nothing of Kubernetes.

pub mod budget;
pub mod client;
mod echo;
pub mod key;
mod patch;
pub mod reader;
pub mod settings;
pub mod transport;

pub use budget::{Budget, Budgets, Circuit, Held, Lane, Meter, Permit, Reading};
pub use client::Client;
pub use key::ApiKey;
pub use reader::Reader;
pub use settings::Settings;
