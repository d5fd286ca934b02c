//! What the documentation names is there, and what is there is named.

use std::collections::BTreeSet;

use clap::CommandFactory;
use sarvam_operator::{config::Cli, core::status::Reason};

use crate::markdown::{self, files, read};

const README: &str = "README.md";
const PROTOCOL: &str = "docs/protocol.md";
const STATUS: &str = "docs/status.md";

/// Documents that name much else: variants of the model check, values of fields, labels of metrics, what Argo CD says.
const OTHER_NAMES: [&str; 4] = [PROTOCOL, "docs/reference.md", "docs/metrics.md", "docs/gitops.md"];

/// Capitalised words in code that are no reasons.
const VOCABULARY: [&str; 13] = [
    "Ready",
    "Reconciling",
    "Stalled",
    "True",
    "False",
    "Unknown",
    "Active",
    "Paused",
    "Correct",
    "Resume",
    "StayPaused",
    "Deployment",
    "Workspace",
];

/// A document without its code blocks.
fn prose(file: &str) -> String {
    markdown::prose(&read(file))
}

/// The words that are set as code in running text and tables.
fn code(file: &str) -> Vec<String> {
    prose(file).split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of tables that begin with a word set as code: that word, and what its next column says.
fn rows(file: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let word = cells.next()?.strip_suffix('`')?;
        Some((word.to_owned(), cells.next()?.trim_matches('`').to_owned()))
    };
    prose(file).lines().filter_map(row).collect()
}

/// A capitalised word of letters only, as reasons are.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphabetic())
}

#[test]
fn every_reason_has_one_row() {
    let rows = rows(STATUS);
    for reason in Reason::ALL.map(|reason| reason.to_string()) {
        let found = rows.iter().filter(|(word, _)| *word == reason).count();
        assert_eq!(found, 1, "rows of {reason} in {STATUS}");
    }
}

#[test]
fn every_reason_that_is_named_exists() {
    let known: BTreeSet<String> =
        Reason::ALL.iter().map(ToString::to_string).chain(VOCABULARY.map(str::to_owned)).collect();
    for file in files().iter().filter(|file| !OTHER_NAMES.contains(&file.as_str())) {
        let unknown: Vec<_> = code(file).into_iter().filter(|word| is_name(word) && !known.contains(word)).collect();
        assert!(unknown.is_empty(), "{file} names what is no reason: {unknown:?}");
    }
}

#[test]
fn every_flag_has_a_row_with_its_default_and_every_row_a_flag() {
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is a command run");
    let flag = |arg: &clap::Arg| {
        let default = if arg.get_action().takes_values() { arg.get_default_values() } else { &[] };
        let default: String = default.iter().map(|value| value.to_string_lossy()).collect();
        (format!("--{}", arg.get_long().unwrap_or_default()), default)
    };
    let flags: BTreeSet<_> = run.get_arguments().map(flag).collect();
    let named: BTreeSet<_> =
        [README, PROTOCOL].into_iter().flat_map(rows).filter(|(word, _)| word.starts_with("--")).collect();
    assert_eq!(named, flags, "the tables of flags, and the flags");
}
