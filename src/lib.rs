//! sarvam-operator: pauses and resumes phone lines as Kubernetes objects say. This is the map of the crate.
//!
//! - [`core`] decides, and does nothing else: the protocol, what answers mean, what statuses tell.
//! - [`api`] is what users write and read: the Kubernetes types and their rules.
//! - [`sarvam`] calls the remote, by [`http`], and knows nothing of Kubernetes.
//! - [`controller`] carries out what `core` decides, for one term as leader.
//! - [`leader`] says whether this process may act.
//! - [`operator`] is the process: from [`config`] to the end; [`server`], [`metrics`], [`traces`] and [`telemetry`] are its windows.
//! - [`plan`] and [`import`] are the commands that look and change nothing.

pub mod access;
pub mod api;
mod causes;
pub mod clock;
pub mod config;
pub mod controller;
pub mod http;
pub mod import;
pub mod leader;
mod merge_patch;
pub mod metrics;
pub mod operator;
pub mod output;
pub mod plan;
pub mod sarvam;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod traces;

pub use sarvam_core as core;
