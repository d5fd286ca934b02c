//! What people live through with this operator, played on a real API server and real sockets.
//!
//! All scenarios share one control plane; each has a namespace, a simulated remote and operators of its own. These run under the
//! service account and the roles that the chart makes; a request that is refused fails the scenario.

mod api_server;
mod command_line;
mod commands;
mod deletion;
mod drift;
mod flux;
mod keys;
mod line;
mod looking;
mod metrics;
mod old_schema;
mod owners;
mod process;
mod remote_faults;
mod replicas;
mod rights;
mod rollout;
mod secrets;
mod stage;
mod statuses;
mod storms;
mod traces;
mod workspace;
