//! Reads of one workspace for somebody who waits for the result: a passing failure is tried again.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{ApiKey, Budget, Client, Lane};
use crate::core::{
    classify::{Fault, Landed, Remote},
    id::{Id, LineId},
    line::Trouble,
    walk::Walk,
};

/// How often one read is tried in all.
const TRIES: u32 = 4;

/// The pause before the second try; the later ones are that much longer each.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the list is walked in all, until it has as many lines as the remote says there are.
const WALKS: u32 = 3;

/// Reads the lines of one workspace with one key, within a rate.
pub struct Reader {
    client: Client,
    key: ApiKey,
    org: Id,
    workspace: Id,
    budget: Budget,
    /// In microseconds; 0 before the first answer.
    round_trip: AtomicU64,
}

impl Reader {
    /// Makes at most this many calls a second.
    #[must_use]
    pub fn new(client: Client, key: ApiKey, org: Id, workspace: Id, calls_per_second: u32) -> Self {
        Self { client, key, org, workspace, budget: Budget::new(calls_per_second), round_trip: AtomicU64::new(0) }
    }

    /// How long the last call that succeeded took, once sent.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        let micros = self.round_trip.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Looks at one line.
    ///
    /// # Errors
    /// The last try's fault.
    pub async fn get(&self, deployment: &Id) -> Result<Remote, Fault> {
        let line = LineId { org: self.org.clone(), workspace: self.workspace.clone(), deployment: deployment.clone() };
        self.patiently(Some(&line), || self.client.get(&self.key, &line)).await
    }

    /// Walks the list and returns every line that it shows. `progress` is told how many lines are known so far, and of
    /// how many where the remote says so.
    ///
    /// Lines that come and go meanwhile shift the pages, so one may be missed: that a line isn't here is no proof that
    /// it isn't there.
    ///
    /// # Errors
    /// The last try's fault.
    pub async fn walk(&self, progress: impl Fn(usize, Option<u64>)) -> Result<BTreeMap<Id, Remote>, Fault> {
        let mut lines = BTreeMap::new();
        for _ in 0..WALKS {
            let mut walk = Walk::default();
            while let Some(offset) = walk.next() {
                let list = || self.client.list(&self.key, &self.org, &self.workspace, offset);
                let page = self.patiently(None, list).await?;
                walk.take(page.rows, page.lines.len(), page.total);
                lines.extend(page.lines.into_iter().map(|line| (line.deployment.clone(), line)));
                progress(lines.len(), walk.total());
            }
            if walk.total().is_none_or(|total| lines.len() as u64 >= total) {
                break;
            }
        }
        Ok(lines)
    }

    async fn patiently<T, F>(&self, line: Option<&LineId>, call: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut tries = 1;
        loop {
            let fault = match self.budget.enter(Lane::Import).await {
                Ok(permit) => {
                    let sent = Instant::now();
                    let answer = call().await;
                    permit.finish(line, &answer);
                    match answer {
                        Ok(answer) => {
                            let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                            self.round_trip.store(micros.max(1), Ordering::Relaxed);
                            return Ok(answer);
                        }
                        Err(fault) => fault,
                    }
                }
                Err(held) if held.trouble == Trouble::RateLimited => {
                    sleep_until(held.until).await;
                    continue;
                }
                Err(held) if held.trouble == Trouble::Unavailable => {
                    sleep_until(held.until).await;
                    Fault::new(held.trouble, Landed::No, "the remote failed one call after the other")
                }
                Err(held) => return Err(Fault::new(held.trouble, Landed::No, "an earlier call was refused for good")),
            };
            if tries == TRIES || !matches!(fault.trouble, Trouble::Unavailable | Trouble::RateLimited) {
                return Err(fault);
            }
            sleep(PAUSE * tries).await;
            tries += 1;
        }
    }
}
