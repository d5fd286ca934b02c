//! A start with lines that were edited while the operator was down.

use std::time::{Duration, Instant};

use sarvam_testkit::{
    control_plane::ControlPlane,
    error::Result,
    process::Signal,
    simulator::{RateLimit, RetryAfter},
};

use crate::{
    contender::{Contender, START_LIMIT},
    lines::{Pace, UNLIMITED},
    peers::Peers,
};

/// How many lines were edited.
pub const EDITED: usize = 100;

/// How many calls a second the remote allows.
pub const PER_SECOND: i32 = 20;

/// The longest that it is waited for.
pub const LIMIT: Duration = Duration::from_mins(1);

/// How it went.
pub struct Restart {
    /// From the start of the process until all lines were right; `None`: not within [`LIMIT`].
    pub took: Option<Duration>,
    /// How many were wrong at the end.
    pub wrong: usize,
}

/// Stops the operator, edits lines, and starts it again.
pub async fn measure(plane: &ControlPlane, peers: &Peers, operator: Contender) -> Result<Restart> {
    operator.process.signal(Signal::SIGTERM)?;
    operator.process.wait(START_LIMIT).await?;
    let mut operator = operator;
    let count = operator.lines.count();
    let edited = EDITED.min(count);
    for nth in 0..edited {
        // From one end to the other.
        operator.lines.edit(nth * count / edited).await?;
    }
    let pace = Pace { requests_per_second: PER_SECOND, ..UNLIMITED };
    operator.lines.set_pace(pace).await?;
    let per_second = f64::from(PER_SECOND);
    let limit = RateLimit { per_second, burst: per_second, retry_after: RetryAfter::Seconds };
    operator.lines.remote().switch(|switches| switches.rate_limit = Some(limit));
    let started = Instant::now();
    let operator = operator.restart(plane, peers, pace).await?;
    let took = operator.lines.right(LIMIT).await.map(|at| at.duration_since(started));
    Ok(Restart { took, wrong: operator.lines.wrong() })
}
