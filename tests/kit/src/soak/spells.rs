//! When a fault is to blame.
//!
//! A fault's own time runs from its start to its end, and on for as long as the protocol says that its effects may last. What is wrong
//! with a line at any other time is the operator's own doing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock;
use crate::oracle::{Edit, Span};

use super::pace;

/// What kind of effects a fault has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Calls failed, or had no clear answer. The next try comes after a pause that has doubled for as long as it lasted; a call may land
    /// within the doubt window; the next regular look sees that.
    Calls,
    /// Calls were refused for good. The next try comes after five minutes, or with the next edit of the line.
    Refusals,
    /// Somebody used the dashboard. The next regular look sees it.
    Dashboard,
    /// A process or a server was away. Connections are tried again after a pause that has doubled meanwhile; a standby waits the lease out.
    Absence,
}

impl Nature {
    /// For how long after its end a fault that lasted so long has effects.
    fn afterwards(self, lasted: Duration) -> Duration {
        let look = pace::SYNC * 11 / 10;
        match self {
            Self::Calls => lasted + pace::RETRY + pace::CALL + pace::DOUBT + pace::LAG + look,
            Self::Refusals => pace::RETRY_CAP,
            Self::Dashboard => look,
            Self::Absence => lasted + pace::RETRY + 2 * pace::LEASE + 2 * pace::CALL,
        }
    }
}

/// A fault that happened.
#[derive(Clone, Debug)]
pub struct Spell {
    kind: &'static str,
    /// The line that it is about; `None`: all of them.
    line: Option<String>,
    nature: Nature,
    from: Instant,
    end: Option<Instant>,
}

impl Spell {
    /// Its kind, its line and its seconds from the start of the run.
    pub fn told(&self, start: Instant) -> String {
        let since = |at: Instant| at.saturating_duration_since(start).as_secs_f64();
        let end = self.end.map_or("-".to_owned(), |end| format!("{:.3}", since(end)));
        format!("{:.3} to {end} {} {}", since(self.from), self.line.as_deref().unwrap_or("all"), self.kind)
    }

    /// Its own time: since when, and until when.
    fn own_time(&self, edits: &[Edit]) -> (Instant, Option<Instant>) {
        let until = self.end.map(|end| {
            let until = end + self.nature.afterwards(end.duration_since(self.from));
            let edited = |edit: &&Edit| edit.at > end && Some(&edit.line) == self.line.as_ref();
            match edits.iter().filter(edited).map(|edit| edit.at).min() {
                Some(edit) if self.nature == Nature::Refusals => until.min(edit),
                _ => until,
            }
        });
        (self.from, until)
    }
}

/// Every fault of a run.
#[derive(Default)]
pub struct Spells(Mutex<Vec<Spell>>);

impl Spells {
    /// A fault begins. Returns its number, to end it by.
    pub fn begin(&self, kind: &'static str, nature: Nature, line: Option<&str>) -> usize {
        let mut spells = lock(&self.0);
        spells.push(Spell { kind, line: line.map(str::to_owned), nature, from: Instant::now(), end: None });
        spells.len() - 1
    }

    /// It ends.
    pub fn end(&self, number: usize) {
        lock(&self.0)[number].end = Some(Instant::now());
    }

    /// Whether no fault is to blame now for what is wrong with a line.
    pub fn are_over_for(&self, line: &str) -> bool {
        let now = Instant::now();
        let over = |spell: &Spell| spell.own_time(&[]).1.is_some_and(|until| until < now);
        lock(&self.0).iter().filter(|spell| spell.line.as_deref().is_none_or(|of| of == line)).all(over)
    }

    /// All of them, in the order in which they began.
    pub fn all(&self) -> Vec<Spell> {
        lock(&self.0).clone()
    }
}

/// The own times of a run's faults, to hold stretches of trouble against.
pub struct OwnTimes(Vec<(Option<String>, Instant, Option<Instant>)>);

impl OwnTimes {
    /// An edit of a line ends what a refusal has left behind.
    pub fn new(spells: &[Spell], edits: &[Edit]) -> Self {
        let own = |spell: &Spell| {
            let (from, until) = spell.own_time(edits);
            (spell.line.clone(), from, until)
        };
        Self(spells.iter().map(own).collect())
    }

    /// How much of a stretch lies outside of every fault's own time.
    pub fn outside(&self, span: &Span) -> Duration {
        let of_line = self.0.iter().filter(|(line, ..)| line.as_ref().is_none_or(|line| *line == span.line));
        let mut own: Vec<_> = of_line.map(|(_, from, until)| (*from, until.unwrap_or(span.to))).collect();
        own.sort_unstable();
        let (mut left, mut at) = (Duration::ZERO, span.from);
        for (from, until) in own {
            left += from.min(span.to).saturating_duration_since(at);
            at = at.max(until);
        }
        left + span.to.saturating_duration_since(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Asks;

    #[test]
    fn only_what_no_fault_explains_is_outside() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let span = |from, to| Span { line: "a".to_owned(), from: at(from), to: at(to), asked: None, remote: None };
        let spell = |line: Option<&str>, nature, from, end: Option<u64>| Spell {
            kind: "",
            line: line.map(str::to_owned),
            nature,
            from: at(from),
            end: end.map(at),
        };
        let edit = |seconds, line: &str| Edit {
            at: at(seconds),
            uid: String::new(),
            generation: 1,
            line: line.to_owned(),
            asks: Asks::Paused,
        };
        let look = (pace::SYNC * 11 / 10).as_millis();
        let (calls, absence) = (Nature::Calls, Nature::Absence);
        // Each case: the faults, the edits, the stretch, and how many milliseconds of it nothing explains.
        let cases = [
            ("no fault", vec![], vec![], span(0, 10), 10_000),
            ("it goes on", vec![spell(None, calls, 2, None)], vec![], span(0, 10), 2000),
            ("another line's", vec![spell(Some("b"), calls, 0, None)], vec![], span(0, 10), 10_000),
            ("long over", vec![spell(None, calls, 0, Some(1))], vec![], span(90, 95), 5000),
            ("as long again as it lasted", vec![spell(None, absence, 0, Some(30))], vec![], span(40, 100), 31_000),
            ("two at once", vec![spell(None, calls, 1, None), spell(None, calls, 3, None)], vec![], span(0, 10), 1000),
            ("the dashboard", vec![spell(None, Nature::Dashboard, 0, Some(0))], vec![], span(0, 10), 10_000 - look),
            ("refused for good", vec![spell(Some("a"), Nature::Refusals, 0, Some(1))], vec![], span(0, 250), 0),
            (
                "an edit after it",
                vec![spell(Some("a"), Nature::Refusals, 0, Some(1))],
                vec![edit(1, "a"), edit(5, "b"), edit(20, "a")],
                span(0, 30),
                10_000,
            ),
        ];
        for (name, spells, edits, span, expected) in cases {
            assert_eq!(OwnTimes::new(&spells, &edits).outside(&span).as_millis(), expected, "{name}");
        }
    }
}
