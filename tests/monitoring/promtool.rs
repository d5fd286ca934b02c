//! The real promtool.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// The path of a program of `tools/program`, built the first time.
pub fn program(name: &str) -> PathBuf {
    let output = Command::new("tools/program").arg(name).stderr(Stdio::inherit()).output().expect("tools/program runs");
    assert!(output.status.success(), "tools/program {name} ended with {}: it says why above", output.status);
    String::from_utf8(output.stdout).expect("a path in UTF-8").trim_end().into()
}

/// Runs promtool, and fails with what it said where it does not succeed.
pub fn promtool(args: &[&str]) {
    let output = Command::new(program("promtool")).args(args).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", args.join(" "));
}
