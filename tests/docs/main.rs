//! The documentation is held to the program: its words, its links, its tables and its commands.

mod dependencies;
mod failure_modes;
mod links;
mod markdown;
mod names;
mod reference;
mod shell;
