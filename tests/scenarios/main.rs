//! What people live through with this operator, played on a real API server and real sockets.
//!
//! All scenarios share one control plane; each has a namespace, a simulated remote and operators of its own.

mod line;
mod remote_faults;
mod stage;
mod storms;
