//! The map of the crate.

pub mod core;
pub mod leader;
