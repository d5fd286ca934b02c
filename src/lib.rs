//! The map of the crate.

pub mod api;
pub mod core;
pub mod leader;
pub mod sarvam;
