//! Edits at a remote that allows few calls, while many corrections wait.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sarvam_testkit::{
    control_plane::ControlPlane,
    error::Result,
    simulator::{RateLimit, RetryAfter},
};
use tokio::time::sleep;

use crate::{
    contender::{Contender, Program},
    events::Events,
    lines::{Lines, Pace, UNLIMITED},
    peers::Peers,
    samples::Samples,
    say,
};

/// How many calls a second the remote allows.
pub const PER_SECOND: i32 = 5;

/// How many corrections wait.
pub const CORRECTIONS: usize = 1000;

/// How many lines are edited, and the time from one edit to the next: each takes some calls of the limit.
pub const EDITS: usize = 20;
const PAUSE: Duration = Duration::from_secs(2);

/// The longest that an edit is waited for.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Time for a contender to find out what differs, as far as the limit lets it.
const DISTURBED: Duration = Duration::from_secs(15);

const PACE: Pace = Pace { sync_interval: "10s", requests_per_second: PER_SECOND };

/// From the edits' watch events to their PUTs, by contender.
pub async fn measure(plane: &ControlPlane, peers: &Peers, events: &Events) -> Result<Vec<(Program, Samples)>> {
    let programs: Vec<Program> = std::iter::once(Program::Operator).chain(peers.programs()).collect();
    let mut contenders = Vec::new();
    for program in programs {
        let lines =
            Lines::create(plane, &format!("limited-{}", program.name().replace(' ', "-")), CORRECTIONS + EDITS).await?;
        let contender = Contender::start(plane, peers, program, lines, UNLIMITED).await?;
        contender.lines.wait_until_ready().await?;
        contenders.push(contender);
    }
    say(&format!(
        "editing {EDITS} lines of each, while the remote allows {PER_SECOND} calls a second and {CORRECTIONS} corrections wait"
    ));
    // All at once: they wait most of the time.
    stream::iter(contenders)
        .map(|contender| edits(plane, peers, events, contender))
        .buffered(Program::COUNT)
        .try_collect()
        .await
}

async fn edits(
    plane: &ControlPlane,
    peers: &Peers,
    events: &Events,
    contender: Contender,
) -> Result<(Program, Samples)> {
    let per_second = f64::from(PER_SECOND);
    let limit = RateLimit { per_second, burst: per_second, retry_after: RetryAfter::Seconds };
    contender.lines.remote().switch(|switches| switches.rate_limit = Some(limit));
    contender.lines.set_pace(PACE).await?;
    contender.lines.disturb(0..CORRECTIONS);
    let mut contender = match contender.program {
        Program::Operator => contender,
        // It is told its pace at the start.
        _ => contender.restart(plane, peers, PACE).await?,
    };
    sleep(DISTURBED).await;
    let mut asked = Vec::new();
    for number in CORRECTIONS..CORRECTIONS + EDITS {
        asked.push(contender.lines.edit(number).await?);
        sleep(PAUSE).await;
    }
    let took = stream::iter(&asked).then(async |edit| {
        let event = events.of(&edit.id, edit.generation).await?;
        let arrived = contender.lines.arrival(edit, LIMIT.saturating_sub(event.elapsed())).await;
        Ok(arrived.map_or(f64::INFINITY, |arrived| Samples::between(event, arrived)))
    });
    let took = took.try_collect().await?;
    Ok((contender.program, Samples::new(took)))
}
