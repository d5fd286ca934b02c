//! What a soak came to.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::Error;
use crate::oracle::{Asks, Span, Spans, Verdict};
use crate::simulator::{Entry, Route, What};

use super::Soak;
use super::lines::Lines;
use super::pace;
use super::spells::{OwnTimes, Spell};

/// How many stretches of each kind are told in full.
const TOLD: usize = 5;

/// What a soak came to. Its text is a table.
pub struct Report {
    seed: u64,
    length: Duration,
    lines: u16,
    date: Timestamp,
    began: Instant,
    edits: usize,
    spells: Vec<Spell>,
    happenings: BTreeMap<&'static str, usize>,
    calls: Calls,
    verdict: Verdict,
    own: OwnTimes,
    /// How much of all lines' time no fault is to blame for.
    judged: f64,
    /// Why the end was not as asked.
    end: Option<Error>,
    history: Vec<Entry>,
    outputs: [String; 2],
}

/// The calls that pause or resume.
#[derive(Default)]
struct Calls {
    all: usize,
    /// They changed a line.
    needed: usize,
    /// They were answered with an error, or not at all, and changed nothing.
    lost: usize,
}

impl Calls {
    fn of(history: &[Entry]) -> Self {
        let mut calls: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
        for entry in history {
            match &entry.what {
                What::Arrived(arrival) if arrival.route == Route::Status => {
                    calls.insert(arrival.call, (false, false));
                }
                What::Applied { call, from, to, .. } => {
                    if let Some(known) = calls.get_mut(call) {
                        *known = (true, known.1 || from != to);
                    }
                }
                _ => {}
            }
        }
        let count = |so: fn(&(bool, bool)) -> bool| calls.values().filter(|call| so(call)).count();
        Self { all: calls.len(), needed: count(|call| call.1), lost: count(|call| !call.0) }
    }
}

impl Report {
    pub(super) fn new(soak: &Soak, lines: &Lines, end: Option<Error>, outputs: [String; 2]) -> Self {
        let (spells, edits, verdict) = (lines.spells.all(), lines.edits(), lines.verdict());
        let history = lines.remote.history();
        let own = OwnTimes::new(&spells, &edits);
        let now = Instant::now();
        let whole = |number: u16| Span {
            line: format!("line-{number}"),
            from: lines.began,
            to: now,
            asked: None,
            remote: None,
        };
        let outside: Duration = (0..soak.lines).map(|number| own.outside(&whole(number))).sum();
        let all = now.duration_since(lines.began).as_secs_f64() * f64::from(soak.lines);
        Self {
            seed: soak.seed,
            length: soak.length,
            lines: soak.lines,
            date: Timestamp::now(),
            began: lines.began,
            edits: edits.iter().filter(|edit| edit.asks != Asks::Nothing).count(),
            happenings: lines.happenings(),
            calls: Calls::of(&history),
            judged: outside.as_secs_f64() / all,
            own,
            spells,
            verdict,
            end,
            history,
            outputs,
        }
    }

    /// What must not be: a lie, a panic, an end that is not as asked; and where times count, a line that was wrong for longer than two calls
    /// and a second outside of every fault's own time.
    #[must_use]
    pub fn failures(&self, times: bool) -> Vec<String> {
        let mut failures = Vec::new();
        if !self.verdict.lie.0.is_empty() {
            failures.push(format!("a status claimed what was not so:\n{}", self.told(&self.verdict.lie)));
        }
        if let Some(end) = &self.end {
            failures.push(end.to_string());
        }
        if self.outputs.iter().any(|output| output.contains("panicked")) {
            failures.push("an operator panicked".to_owned());
        }
        let limit = 2 * pace::CALL + Duration::from_secs(1);
        for (name, spans) in [("answered", &self.verdict.leak), ("were dead", &self.verdict.dead)] {
            let long: Vec<_> = spans.0.iter().filter(|span| self.own.outside(span) > limit).cloned().collect();
            if times && !long.is_empty() {
                failures.push(format!(
                    "lines {name} wrongly for longer than {limit:?} outside of every fault's own time:\n{}",
                    self.told(&Spans(long))
                ));
            }
        }
        failures
    }

    /// Writes what explains a failure: the table, the faults, the remote's history, what the operators wrote.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let since = |at: Instant| at.duration_since(self.began).as_secs_f64();
        let mut spells = String::new();
        for spell in &self.spells {
            let _ = writeln!(spells, "{}", spell.told(self.began));
        }
        let mut history = String::new();
        for entry in self.history.iter().filter(|entry| entry.at >= self.began) {
            let _ = writeln!(history, "{:.3} {:.3} {:?}", since(entry.at), entry.wall, entry.what);
        }
        std::fs::write(folder.join("report"), format!("{self}\n{}\n{}", self.failures(true).join("\n"), self.verdict))?;
        std::fs::write(folder.join("faults"), spells)?;
        std::fs::write(folder.join("remote"), history)?;
        for (number, output) in self.outputs.iter().enumerate() {
            std::fs::write(folder.join(format!("operator-{number}")), output)?;
        }
        Ok(())
    }

    /// The first stretches of these.
    fn told(&self, spans: &Spans) -> String {
        let mut text = String::new();
        for span in spans.0.iter().take(TOLD) {
            let since = |at: Instant| at.saturating_duration_since(self.began).as_secs_f64();
            let _ = writeln!(
                text,
                "  {} from {:.3} to {:.3} s, {:.3} s of it outside: asked {:?}, remote {:?}",
                span.line,
                since(span.from),
                since(span.to),
                self.own.outside(span).as_secs_f64(),
                span.asked,
                span.remote
            );
        }
        text
    }
}

/// The longest stretch, and the longest outside of every fault's own time.
fn longest(own: &OwnTimes, spans: &Spans) -> [Duration; 2] {
    let longest = |length: &dyn Fn(&Span) -> Duration| spans.0.iter().map(length).max().unwrap_or_default();
    [longest(&|span| span.to.duration_since(span.from)), longest(&|span| own.outside(span))]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, length) = (self.date.strftime("%Y-%m-%d"), self.length.as_secs());
        writeln!(f, "Soak of {length} s on {date}, seed {}: {} lines, two operators\n", self.seed, self.lines)?;
        writeln!(f, "{:<28}{:>8}", "edits", self.edits)?;
        for (kind, times) in &self.happenings {
            writeln!(f, "{kind:<28}{times:>8}")?;
        }
        let Calls { all, needed, lost } = self.calls;
        writeln!(f, "{:<28}{all:>8}   {needed} changed a line", "PUTs")?;
        let (beyond, repeated) = (all - needed, all - needed - lost);
        writeln!(f, "{:<28}{beyond:>8}   {lost} were refused or lost, {repeated} found it done", "  beyond need")?;
        let kinds = [
            ("leak", &self.verdict.leak),
            ("dead", &self.verdict.dead),
            ("lie", &self.verdict.lie),
            ("unnoticed", &self.verdict.unnoticed),
        ];
        writeln!(f)?;
        writeln!(f, "{:<28}{:>8}{:>10}{:>18}", "seconds", "all", "longest", "outside of faults")?;
        for (name, spans) in kinds {
            let [whole, outside] = longest(&self.own, spans).map(|longest| longest.as_secs_f64());
            writeln!(f, "{name:<28}{:>8.3}{whole:>10.3}{outside:>18.3}", spans.total().as_secs_f64())?;
        }
        let judged = self.judged * 100.0;
        write!(f, "\nNo fault is to blame for {judged:.0} % of the lines' time.")
    }
}
