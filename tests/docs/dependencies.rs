//! docs/dependencies.md: what the crates are that the program is made of, and what they may do. No `unsafe` in our own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::markdown::read;

const FILE: &str = "docs/dependencies.md";

/// What is released runs there.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Words by which a source shows that it opens connections itself.
const SOCKETS: [&str; 5] = ["TcpStream", "TcpListener", "UdpSocket", "libc::socket", "libc::connect"];

const HEAD: &str = "<!-- Written by `make audit` from Cargo.lock and the crates' sources. -->

# Dependencies

Every crate of the released program on Linux, and what it may do. *Unsafe* counts the lines of its source with that word, whatever the platform
they are for: zero means that the compiler vouches for its memory safety. *Build script* is code that runs on the machine that builds. *Sockets* says whether its source
opens network connections itself. None of these is wrong by itself; they show where to look first.

Our own code has no `unsafe`: the workspace's lints forbid it, and a test sees to it that every package keeps them. [deny.toml](../deny.toml) says which licences and sources are
taken, and which crates are not; the test workflow also asks for known advisories.
";

/// With `WRITE_DEPENDENCIES=1`, as `make audit` runs it, it writes the file first. Elsewhere, other crates are needed to build.
#[cfg(target_os = "linux")]
#[test]
fn the_list_of_dependencies_is_fresh() {
    let shipped = tree("no-dev,no-build,no-proc-macro");
    let built: BTreeSet<_> = tree("no-dev").difference(&shipped).cloned().collect();
    let packages = packages();
    let text = format!(
        "{HEAD}\n## In the program\n\n{}\n## Only where it is built\n\nMacros, and what they and build scripts need. Nothing of them is in the program but what they write.\n\n{}",
        table(&shipped, &packages),
        table(&built, &packages),
    );
    if env::var_os("WRITE_DEPENDENCIES").is_some() {
        fs::write(FILE, &text).expect("docs/ can be written");
    }
    assert!(read(FILE) == text, "{FILE} is stale: run `make audit`, and look at what changed");
}

#[test]
fn no_package_of_ours_allows_unsafe() {
    let root = read("Cargo.toml");
    assert!(root.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"), "the workspace's lints forbid unsafe");
    for package in
        metadata()["packages"].as_array().expect("packages").iter().filter(|package| package["source"].is_null())
    {
        let manifest = read(text(package, "manifest_path"));
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "{} keeps the workspace's lints",
            text(package, "name")
        );
    }
}

#[test]
fn unsafe_is_found_where_it_is_and_nowhere_else() {
    for (line, found) in [
        ("    unsafe { f() }", true),
        ("unsafe impl Send for X {}", true),
        ("#![forbid(unsafe_code)]", false),
        ("let not_unsafe = 1;", false),
    ] {
        assert_eq!(is_unsafe(line), found, "{line}");
    }
}

fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The names and versions of what the operator needs by these edges, without our own packages.
fn tree(edges: &str) -> BTreeSet<(String, String)> {
    let tree = run(&[
        "tree",
        "--locked",
        "--package",
        "sarvam-operator",
        "--target",
        TARGET,
        "--edges",
        edges,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let package = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(package).filter(|(name, _)| !name.starts_with("sarvam-")).collect()
}

fn metadata() -> Value {
    serde_json::from_str(&run(&["metadata", "--locked", "--format-version", "1"])).expect("JSON")
}

fn packages() -> BTreeMap<(String, String), Value> {
    let packages = metadata()["packages"].as_array().cloned().unwrap_or_default();
    packages.into_iter().map(|it| ((text(&it, "name").to_owned(), text(&it, "version").to_owned()), it)).collect()
}

fn table(crates: &BTreeSet<(String, String)>, packages: &BTreeMap<(String, String), Value>) -> String {
    let mut table = "| Crate | Licence | Unsafe | Build script | Sockets |\n|---|---|---|---|---|\n".to_owned();
    for (name, version) in crates {
        let package = &packages[&(name.clone(), version.clone())];
        let has_script = package["targets"].to_string().contains("\"custom-build\"");
        let folder = Path::new(text(package, "manifest_path")).parent().expect("a file has a folder");
        let source = source(&folder.join("src"));
        let code = || source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let lines = code().filter(|line| is_unsafe(line)).count();
        let opens = code().any(|line| SOCKETS.iter().any(|word| line.contains(word)));
        let yes = |is| if is { "yes" } else { "" };
        let licence = text(package, "license").replace('/', " OR ");
        writeln!(table, "| {name} {version} | {licence} | {lines} | {} | {} |", yes(has_script), yes(opens))
            .expect("a string");
    }
    table
}

/// Whether a line has the keyword.
fn is_unsafe(line: &str) -> bool {
    line.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').any(|word| word == "unsafe")
}

/// All Rust below a folder.
fn source(folder: &Path) -> String {
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let text = paths.iter().map(|path| match path.extension() {
        _ if path.is_dir() => source(path),
        Some(end) if end == "rs" => fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    });
    text.collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
