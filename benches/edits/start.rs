//! How long a start takes: from the process to `/readyz` that says it leads, with an API server that answers.

use std::time::{Duration, Instant};

use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Error, Result},
};
use tokio::time::sleep;

use crate::{
    contender::{START_LIMIT, start_operator},
    lines::Lines,
    samples::Samples,
};

/// How many lines are listed at a start.
const LINES: usize = 5;

/// From one question at `/readyz` to the next.
const POLL: Duration = Duration::from_millis(1);

/// Starts the operator so many times, each time with a Lease that nobody held.
pub async fn measure(plane: &ControlPlane, starts: usize) -> Result<Vec<f64>> {
    let lines = Lines::create(plane, "start", LINES).await?;
    let http = reqwest::Client::builder().no_proxy().build().because("the HTTP client")?;
    let mut took = Vec::new();
    for start in 0..starts {
        let started = Instant::now();
        let operator = start_operator(plane, &lines, &format!("start-{start}"))?;
        let serving = operator.wait_for_line("address=", START_LIMIT).await?;
        let (_, address) = serving.split_once("address=").unwrap_or_default();
        let ready = format!("http://{}/readyz", address.trim());
        while http.get(&ready).send().await.because(&ready)?.text().await.because(&ready)? != "ready: leading\n" {
            if started.elapsed() > START_LIMIT {
                return Err(Error::new(format!("no leader after {START_LIMIT:?}:\n{}", operator.tail())));
            }
            sleep(POLL).await;
        }
        took.push(Samples::between(started, Instant::now()));
    }
    Ok(took)
}
