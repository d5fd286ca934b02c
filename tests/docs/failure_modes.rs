//! docs/failure-modes.md: every failure mode by its number, and tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::{prose, read};

const FILE: &str = "docs/failure-modes.md";

/// A package of its own, in the folder of another.
const CORE: &str = "src/core";

/// How many there are of each kind; one has been put in between.
const KINDS: [(&str, u32); 6] = [("A1", 12), ("A2", 9), ("A3", 10), ("A4", 20), ("A5", 5), ("A6", 24)];
const IN_BETWEEN: &str = "A4.10b";

/// The rows: number and what shows it.
fn rows() -> Vec<(String, String)> {
    let row = |line: &str| {
        let [number, _, shown] = line.strip_prefix("| A")?.strip_suffix(" |")?.splitn(3, " | ").collect::<Vec<_>>()[..]
        else {
            panic!("{FILE}: not three columns: {line}");
        };
        Some((format!("A{number}"), shown.to_owned()))
    };
    prose(&read(FILE)).lines().filter_map(row).collect()
}

#[test]
fn every_failure_mode_has_one_row() {
    let numbered = KINDS.iter().flat_map(|(kind, last)| (1..=*last).map(move |number| format!("{kind}.{number}")));
    let expected: BTreeSet<String> = numbered.chain([IN_BETWEEN.to_owned()]).collect();
    let rows = rows();
    assert_eq!(rows.iter().map(|(number, _)| number.clone()).collect::<BTreeSet<_>>(), expected);
    assert_eq!(rows.len(), expected.len(), "a number has two rows");
}

#[test]
fn every_row_names_tests_that_exist_or_says_why_it_has_none() {
    let mut faults = vec![];
    for (number, shown) in rows() {
        let tests: Vec<_> = shown.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect();
        let reason = shown.strip_prefix("No test: ").is_some_and(|reason| reason.len() > 10);
        if tests.is_empty() != reason {
            faults.push(format!("{number} names a test, or says why there is none, not both: {shown}"));
        }
        for (binary, test) in tests.into_iter().filter(|(binary, test)| !is_a_test(binary, test)) {
            faults.push(format!("{number}: there is no test {binary}::{test}"));
        }
    }
    assert!(faults.is_empty(), "{FILE}:\n{}", faults.join("\n"));
}

#[test]
fn a_test_is_known_by_its_attribute() {
    assert!(is_a_test("docs", "a_test_is_known_by_its_attribute"));
    for no_test in ["is_a_test", "no_such_test"] {
        assert!(!is_a_test("docs", no_test), "{no_test}");
    }
    let of_core = "the_protocol_holds";
    assert!(is_a_test("core", of_core) && !is_a_test("lib", of_core));
}

/// Whether a test binary has a test of this name.
fn is_a_test(binary: &str, test: &str) -> bool {
    let place = match binary {
        "lib" => "src".to_owned(),
        "core" => CORE.to_owned(),
        other => format!("tests/{other}"),
    };
    let alone = PathBuf::from(format!("{place}.rs"));
    let sources = if alone.exists() { vec![alone] } else { sources(Path::new(&place)) };
    let of_another = |source: &Path| binary == "lib" && source.starts_with(CORE);
    let mut sources = sources.iter().filter(|source| !of_another(source));
    sources.any(|source| has_test(&fs::read_to_string(source).unwrap_or_default(), test))
}

/// Whether `#[test]`, or `#[tokio::test…]`, stands above the function, with nothing but attributes and comments in between.
fn has_test(source: &str, test: &str) -> bool {
    let rows: Vec<_> = source.lines().map(str::trim).collect();
    let begins = |line: &str| ["fn ", "async fn "].iter().any(|word| line.starts_with(&format!("{word}{test}(")));
    let above = rows.iter().position(|line| begins(line)).map(|at| &rows[..at]).unwrap_or_default();
    let above = above.iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("//"));
    above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let sources = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    sources.chain(folders.iter().flat_map(|folder| self::sources(folder))).collect()
}
