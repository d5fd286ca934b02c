//! What people live through with this operator, played on a real API server and real sockets.
//!
//! All scenarios share one control plane; each has a namespace, a simulated remote and operators of its own.

mod api_server;
mod command_line;
mod deletion;
mod drift;
mod keys;
mod line;
mod owners;
mod process;
mod replicas;
mod stage;
mod workspace;
