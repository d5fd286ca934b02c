//! Real parts for the tests and the demo.

/// What a command said.
mod answer;
/// An API server in this process.
pub mod api_server;
/// What Argo CD makes of the objects.
pub mod argo;
/// The clock of the runtime, in the terms of the standard library.
pub mod clock;
/// A real etcd and kube-apiserver.
pub mod control_plane;
/// A part of this machine that a test has to itself.
pub mod enclosure;
/// The one error of these parts: a text for a person.
pub mod error;
/// The real kustomize-controller of Flux.
pub mod flux;
/// A switch on the way to a server.
pub mod gate;
/// The real Helm.
pub mod helm;
/// The real kubectl.
pub mod kubectl;
/// A lock that a panic doesn't spoil.
mod lock;
/// A real kubelet, with all that runs pods.
pub mod node;
/// Deployment objects, and what was asked of them.
pub mod objects;
/// Leak-, dead- and lie-seconds of a run.
pub mod oracle;
/// A receiver of traces.
pub mod otlp;
/// Ports that stay ours.
mod port;
/// A program as a real child process.
pub mod process;
/// What is taken from Go modules.
mod program;
/// Chance that can be had again.
pub mod random;
/// What must not outlive this process.
mod reaper;
/// The remote, simulated.
pub mod simulator;
/// Minutes of edits and trouble of every kind.
pub mod soak;
/// What the statuses of a namespace claim, and when.
pub mod watch;

pub use lock::lock;
pub use program::{gitops_crds, path_from, program};
