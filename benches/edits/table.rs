//! What was measured, as a table.

use std::{fmt, thread, time::Duration};

use crate::idle::Idle;

/// Times of equal things, the shortest first.
pub struct Samples(Vec<Duration>);

impl Samples {
    /// At least one.
    pub fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// The shortest time that this many in a hundred did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.saturating_sub(1)]
    }
}

/// All figures of one run.
pub struct Report {
    /// From the start of the operator to its `/readyz` as the leader.
    pub starts: Samples,
    /// How many lines each side had.
    pub lines: usize,
    /// From an edit to its PUT, by the operator.
    pub operator: Samples,
    /// The same by the floor.
    pub floor: Samples,
    /// The machine's load average when the edits began and when they ended.
    pub load: [String; 2],
    /// The operator's resident memory after the edits.
    pub resident_kib: u64,
    /// The most that it ever was.
    pub peak_kib: u64,
    /// How long nothing was asked for.
    pub idle_for: Duration,
    /// What was written then.
    pub idle: Idle,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [began, ended] = &self.load;
        let cores = thread::available_parallelism().map_or(0, usize::from);
        let edits = self.operator.0.len();
        writeln!(f, "{} lines, {edits} edits; {cores} cores, load {began} to {ended} while editing\n", self.lines)?;
        let mut row = |what: &str, figure: String, bound: &str| writeln!(f, "{what:<52}{figure:>12}{bound:>12}");
        row("", "measured".to_owned(), "at most")?;
        row("start to ready, p50", millis(self.starts.percentile(50)), "150 ms")?;
        row("start to ready, the longest", millis(self.starts.percentile(100)), "")?;
        for (who, samples) in [("the operator", &self.operator), ("the floor", &self.floor)] {
            row(&format!("edit to PUT by {who}, p50"), millis(samples.percentile(50)), "")?;
            row(&format!("edit to PUT by {who}, p99"), millis(samples.percentile(99)), "")?;
        }
        let ratio = self.operator.percentile(50).div_duration_f64(self.floor.percentile(50));
        row("the operator's p50 over the floor's", format!("{ratio:.2}"), "1.20")?;
        row("resident memory of the operator after the edits", mebibytes(self.resident_kib), "32 MiB")?;
        row("resident memory of the operator at its peak", mebibytes(self.peak_kib), "")?;
        let idle = format!("idle for {} s: ", self.idle_for.as_secs());
        row(&format!("{idle}writes to Kubernetes but the Lease"), self.idle.kubernetes_writes.to_string(), "0")?;
        row(&format!("{idle}writes to the remote"), self.idle.remote_writes.to_string(), "0")?;
        row(&format!("{idle}looks at the remote"), self.idle.looks.to_string(), "")
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn mebibytes(kib: u64) -> String {
    let tenths = kib * 10 / 1024;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
