//! Edits, one at a time, of each contender in turn: a machine that slows down or gets busy slows all of them.

use std::time::{Duration, Instant};

use sarvam_testkit::error::{Error, Result};
use tokio::time::sleep;

use crate::{contender::Contender, events::Events, samples::Samples, say};

/// The first edits of each open connections and fill caches. They are not counted.
const WARM_UP: usize = 10;

/// How long an edit may take to reach the remote. Who needs it all is broken.
const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);

/// From the arrival of one PUT to the next edit: time for the status writes and looks that follow it.
const PAUSE: Duration = Duration::from_millis(50);

/// What the edits of one contender cost.
pub struct Edited {
    /// From the edit's watch event, as a watch of our own saw it, to its PUT.
    pub from_event: Samples,
    /// From just before the edit was sent to the API server.
    pub from_sent: Samples,
    /// Processor time an edit, without what it uses in the same time while others are edited: looks, the lease.
    pub cpu: Duration,
}

/// Edits so many lines of each.
pub async fn measure(contenders: &mut [Contender], events: &Events, edits: usize) -> Result<Vec<Edited>> {
    let mut tallies: Vec<Tally> = contenders.iter().map(|_| Tally::default()).collect();
    for edit in 0..WARM_UP + edits {
        for turn in 0..contenders.len() {
            let before = readings(contenders)?;
            let began = Instant::now();
            let lines = &mut contenders[turn].lines;
            let asked = lines.edit(edit % lines.count()).await?;
            let arrived = lines.arrival(&asked, ARRIVAL_LIMIT).await;
            let arrived = arrived.ok_or_else(|| Error::new(format!("no PUT for {}", asked.id)))?;
            let event = events.of(&asked.id, asked.generation).await?;
            sleep(PAUSE).await;
            if edit < WARM_UP {
                continue;
            }
            tallies[turn].from_event.push(Samples::between(event, arrived));
            tallies[turn].from_sent.push(Samples::between(asked.sent, arrived));
            let span = began.elapsed();
            for (other, (after, before)) in readings(contenders)?.into_iter().zip(before).enumerate() {
                let usage = if other == turn { &mut tallies[other].own } else { &mut tallies[other].others };
                usage.cpu += after.saturating_sub(before);
                usage.span += span;
            }
        }
        if edit > 0 && edit % 100 == 0 {
            say(&format!("  {edit}"));
        }
    }
    Ok(tallies.into_iter().map(|tally| tally.finish(edits)).collect())
}

fn readings(contenders: &[Contender]) -> Result<Vec<Duration>> {
    contenders.iter().map(|contender| contender.process.cpu_time()).collect()
}

#[derive(Default)]
struct Tally {
    from_event: Vec<f64>,
    from_sent: Vec<f64>,
    /// While its own lines were edited, and while those of others were.
    own: Usage,
    others: Usage,
}

#[derive(Default)]
struct Usage {
    cpu: Duration,
    span: Duration,
}

impl Tally {
    fn finish(self, edits: usize) -> Edited {
        let share = if self.others.span.is_zero() { 0.0 } else { self.own.span.div_duration_f64(self.others.span) };
        let cpu = self.own.cpu.saturating_sub(self.others.cpu.mul_f64(share));
        Edited {
            from_event: Samples::new(self.from_event),
            from_sent: Samples::new(self.from_sent),
            cpu: cpu / u32::try_from(edits).unwrap_or(u32::MAX),
        }
    }
}
