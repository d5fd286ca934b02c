//! What the program says to who starts it.

use std::ffi::OsStr;

use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::process::Process;

use crate::stage::LIMIT;

/// Runs the program to its end: the exit code, and what it wrote.
async fn run(args: &[&str], env: &[(&str, &OsStr)]) -> (Option<i32>, String) {
    let program = Process::spawn(env!("CARGO_BIN_EXE_sarvam-operator"), args, env.iter().copied()).unwrap();
    let status = program.wait(LIMIT).await.unwrap();
    (status.code(), program.output())
}

/// The sentence that an operator which can't start ends with; nothing else but log lines is written.
fn last_sentence(output: &str) -> &str {
    let last = output.lines().last().unwrap_or_default();
    last.strip_prefix("sarvam-operator: ").unwrap_or_else(|| panic!("no sentence at the end of:\n{output}"))
}

#[tokio::test]
async fn help_names_every_flag_its_variable_and_the_exit_codes() {
    let (code, help) = run(&["run", "--help"], &[]).await;
    assert_eq!(code, Some(0), "{help}");
    let flags = [
        "remote-url",
        "allow-http-loopback",
        "remote-ca-file",
        "doubt-window",
        "settle-window",
        "freeze-window",
        "call-timeout",
        "missing-grace",
        "namespace",
        "lease-name",
        "lease-namespace",
        "lease-duration",
        "http-address",
        "log-format",
    ];
    for flag in flags {
        let variable = format!("SARVAM_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&format!("--{flag}")), "--{flag} is not in\n{help}");
        assert!(help.contains(&format!("[env: {variable}=")), "{variable} is not in\n{help}");
    }
    assert!(help.contains("Exit codes"), "{help}");
    let (code, help) = run(&["--help"], &[]).await;
    assert!(code == Some(0) && help.contains("run") && help.contains("crds"), "{help}");
}

#[tokio::test]
async fn a_wrong_value_is_named_with_an_example_of_a_right_one() {
    // Each case: the flag, its value, the exit code, and what the text has beside the flag's name.
    let cases: [(&str, &str, i32, &[&str]); 13] = [
        ("--doubt-window", "30", 2, &["'30'", "30s"]),
        ("--settle-window", "soon", 2, &["'soon'", "500ms"]),
        ("--call-timeout", "-1s", 2, &["-1s", "30s"]),
        ("--freeze-window", "100h", 2, &["'100h'", "24h"]),
        ("--call-timeout", "20s", 1, &["--lease-duration", "--call-timeout 8s"]),
        ("--settle-window", "1h", 1, &["--doubt-window", "--settle-window 5s"]),
        ("--log-format", "xml", 2, &["text", "json"]),
        ("--http-address", "8080", 2, &["8080", "127.0.0.1:8080"]),
        ("--remote-url", "http://apps.sarvam.ai/api", 1, &["https"]),
        ("--remote-url", "not a url", 1, &["https://"]),
        ("--otlp-endpoint", "otel-collector:4318", 1, &["http://", ":4318"]),
        ("--otlp-endpoint", "grpc://otel-collector:4317", 1, &["http://", ":4318"]),
        ("--remote-ca-file", "/no/such/file.pem", 1, &["/no/such/file.pem", "PEM"]),
    ];
    for (flag, value, expected, parts) in cases {
        let argument = format!("{flag}={value}");
        let (code, output) = run(&["run", &argument], &[]).await;
        assert_eq!(code, Some(expected), "{argument}: {output}");
        for part in [&[flag], parts].concat() {
            assert!(output.contains(part), "{argument}: {part:?} is not in {output:?}");
        }
        if expected == 1 {
            assert!(last_sentence(&output).ends_with('.'), "{argument}: no sentence: {output:?}");
        }
        assert!(!output.contains("panicked"), "{argument}: {output}");
    }
    // The same by way of the environment.
    let (code, output) = run(&["run"], &[("SARVAM_DOUBT_WINDOW", OsStr::new("30"))]).await;
    assert!(code == Some(2) && output.contains("--doubt-window") && output.contains("30s"), "{output}");
    let (code, output) = run(&["run"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", OsStr::new("otel-collector"))]).await;
    assert!(code == Some(1) && output.contains("--otlp-endpoint"), "{output}");
}

/// A simulator on loopback is called by plain HTTP only where that was asked for.
#[tokio::test]
async fn plain_http_is_refused_unless_it_is_allowed_to_loopback() {
    let (code, output) = run(&["run", "--remote-url=http://127.0.0.1:1"], &[]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(last_sentence(&output).contains("--allow-http-loopback"), "{output}");
    let (code, output) = run(&["run", "--remote-url=http://apps.sarvam.ai", "--allow-http-loopback"], &[]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(last_sentence(&output).contains("https"), "{output}");
}

#[tokio::test]
async fn a_control_plane_that_is_of_no_use_is_told_in_one_sentence() {
    let start = async |kubeconfig: &OsStr| {
        let (code, output) = run(&["run", "--http-address=127.0.0.1:0"], &[("KUBECONFIG", kubeconfig)]).await;
        assert_eq!(code, Some(1), "{output}");
        last_sentence(&output).to_owned()
    };
    let sentence = start(OsStr::new("/no/such/kubeconfig")).await;
    assert!(sentence.contains("KUBECONFIG"), "{sentence}");
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        return;
    }
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    // What is asked at the start, everybody may ask.
    let token = plane.service_account("default", "nobody").await.unwrap();
    let kubeconfig = plane.kubeconfig_at(&format!("https://{}", plane.api_server().unwrap()), Some(&token)).unwrap();
    let sentence = start(kubeconfig.as_os_str()).await;
    assert!(sentence.contains("CustomResourceDefinitions") && sentence.contains("kubectl apply"), "{sentence}");
    plane.stop_api_server().unwrap();
    let sentence = start(kubeconfig.as_os_str()).await;
    assert!(sentence.contains("KUBECONFIG") && sentence.contains("can't be asked"), "{sentence}");
}
