//! Real parts for the tests and the demo.

pub mod simulator;
