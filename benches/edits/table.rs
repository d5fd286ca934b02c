//! What was measured, as a table.

use std::{fmt::Write, time::Duration};

/// A table of figures and their bounds. It passes no verdict: a busy machine is no fault of the operator.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    /// Adds a figure without a bound.
    pub fn row(&mut self, what: &str, measured: impl Into<String>) {
        self.bounded(what, measured, "");
    }

    /// Adds a figure and what it may be at most.
    pub fn bounded(&mut self, what: &str, measured: impl Into<String>, at_most: &str) {
        self.0.push([what.to_owned(), measured.into(), at_most.to_owned()]);
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let width = self.0.iter().map(|[what, ..]| what.len()).max().unwrap_or_default() + 2;
        let mut text = format!("{:<width$}{:>20}{:>22}\n", "", "measured", "at most");
        for [what, measured, at_most] in &self.0 {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{what:<width$}{measured:>20}{at_most:>22}");
        }
        text
    }

    /// For a page.
    pub fn markdown(&self) -> String {
        let rows = self.0.iter().map(|row| format!("| {} |\n", row.join(" | ")));
        std::iter::once("| What | Measured | At most |\n|---|--:|--:|\n".to_owned()).chain(rows).collect()
    }
}

/// Milliseconds as a text.
pub fn millis(millis: f64) -> String {
    format!("{millis:.2} ms")
}

/// A long time; infinite is one that had not ended at the limit.
pub fn seconds(millis: f64, limit: Duration) -> String {
    if millis.is_finite() { format!("{:.1} s", millis / 1000.0) } else { format!(">= {} s", limit.as_secs()) }
}

/// How many times as much, with two decimals.
pub fn ratio(one: f64, other: f64) -> String {
    format!("{:.2}", one / other)
}

/// Processor time as a text.
pub fn cpu(time: Duration) -> String {
    millis(time.as_secs_f64() * 1000.0)
}

/// Memory as a text.
pub fn mebibytes(kib: u64) -> String {
    let tenths = kib * 10 / 1024;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
