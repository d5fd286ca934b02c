//! The map of the crate.

pub mod api;
pub mod core;
<<<<<<< HEAD
pub mod sarvam;
=======
pub mod leader;
>>>>>>> leader
