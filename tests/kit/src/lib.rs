//! Real parts for the tests and the demo.

pub mod oracle;
pub mod simulator;
pub mod watch;
