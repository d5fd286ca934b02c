//! A short soak: minutes of it, with times, are `make soak`.

use std::path::Path;
use std::time::Duration;

use sarvam_testkit::soak::Soak;

/// No time is asserted that a busy machine breaks: only that no status lied, and that all is as asked in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_status_lies_while_everything_fails() {
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        // It kills servers.
        return;
    }
    let soak = Soak {
        operator: env!("CARGO_BIN_EXE_sarvam-operator").into(),
        length: Duration::from_mins(1),
        // Always the same, so that two runs differ by the machine alone.
        seed: 1,
        lines: 16,
        folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak"),
    };
    let report = Box::pin(soak.run()).await.unwrap();
    let failures = report.failures(false);
    assert!(failures.is_empty(), "see {}\n{report}\n{}", soak.folder.display(), failures.join("\n"));
}
