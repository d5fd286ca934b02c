//! What the operator decides, and nothing else: pure functions of values, without I/O, clock or randomness.
//!
//! The same functions run in production, in the model checker and under the fuzzer.

pub mod classify;
pub mod config;
pub mod id;
pub mod identity;
pub mod line;
pub mod owner;
pub mod rollout;
pub mod status;
pub mod step;
pub mod time;
pub mod walk;
