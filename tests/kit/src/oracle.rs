//! The judge of a run: for how long did the remote differ from what the user asked, and for how long did the
//! status say otherwise.
//!
//! It is a pure function of three lists: the [edits](Edit) that the test sent, the [claims](Claim) that a
//! [watch](crate::watch::Watch) of the objects saw, and the simulator's [history](Entry).

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::simulator::{Entry, LineState, What};

/// What the user asked of one object, written down by the test when it sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// When it was sent: not when the API server answered.
    pub at: Instant,
    /// The object.
    pub uid: String,
    /// The generation that the API server gave it. For a deletion: any.
    pub generation: i64,
    /// The deployment id in the object's spec.
    pub line: String,
    /// What it asks.
    pub asks: Asks,
}

impl Edit {
    /// What this object, as the API server has stored it, asks since `at`.
    ///
    /// # Panics
    /// It lacks what the API server gives every object, or its required `spec.deploymentID`.
    #[must_use]
    pub fn of(object: &Value, at: Instant) -> Self {
        let meta = &object["metadata"];
        Self {
            at,
            uid: meta["uid"].as_str().expect("the API server gives every object a uid").to_owned(),
            generation: meta["generation"].as_i64().expect("and a generation"),
            line: object["spec"]["deploymentID"].as_str().expect("a required field").to_owned(),
            asks: asked(object).into(),
        }
    }

    /// The object of this edit is deleted at `at`.
    #[must_use]
    pub fn gone(self, at: Instant) -> Self {
        Self { at, asks: Asks::Nothing, ..self }
    }
}

/// What an object's spec asks of its line.
#[must_use]
pub fn asked(object: &Value) -> LineState {
    LineState::of(object["spec"]["paused"] == true)
}

/// What an edit asks of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// `paused: true`.
    Paused,
    /// `paused: false`.
    Active,
    /// The object was deleted: from now on it asks nothing.
    Nothing,
}

impl From<LineState> for Asks {
    fn from(state: LineState) -> Self {
        match state {
            LineState::Paused => Self::Paused,
            LineState::Active => Self::Active,
        }
    }
}

impl Asks {
    fn state(self) -> Option<LineState> {
        match self {
            Self::Paused => Some(LineState::Paused),
            Self::Active => Some(LineState::Active),
            Self::Nothing => None,
        }
    }
}

/// What an object's status said from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// When it was seen, or [written](written_at).
    pub at: Instant,
    /// The object.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// The condition Ready.
    pub ready: Ready,
    /// `status.remote.state`.
    pub state: Option<String>,
}

impl Claim {
    /// What an object says that was seen at `at`.
    #[must_use]
    pub fn of(object: &Value, at: Instant) -> Self {
        let (meta, status) = (&object["metadata"], &object["status"]);
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        Self {
            at,
            uid: meta["uid"].as_str().unwrap_or_default().to_owned(),
            version: meta["resourceVersion"].as_str().unwrap_or_default().to_owned(),
            generation: meta["generation"].as_i64().unwrap_or_default(),
            observed_generation: status["observedGeneration"].as_i64(),
            ready: match ready.and_then(|condition| condition["status"].as_str()) {
                Some("True") => Ready::True,
                Some("False") => Ready::False,
                Some("Unknown") => Ready::Unknown,
                _ => Ready::Absent,
            },
            state: status["remote"]["state"].as_str().map(str::to_owned),
        }
    }

    /// The last of an object that is gone since `at`.
    #[must_use]
    pub fn gone(self, at: Instant) -> Self {
        Self { at, ready: Ready::Gone, ..self }
    }

    /// Whether it says what another says, whenever.
    #[must_use]
    pub fn says_what(&self, other: &Self) -> bool {
        *self == Self { at: self.at, version: self.version.clone(), ..other.clone() }
    }
}

/// The claims from when the API server was asked to write them, where that is known by their version, instead of from when they were
/// seen. A watch on a busy machine tells of a write later than its writer hears that it was done, and what the writer does then would
/// seem to come before. The claims of an object stay in their order. What is done between the asking and the answer passes for done after it:
/// that an operator waits for the answer, the simulation holds, whose times are exact.
#[must_use]
pub fn written_at(mut claims: Vec<Claim>, writes: &BTreeMap<String, Instant>) -> Vec<Claim> {
    let mut next: BTreeMap<String, Instant> = BTreeMap::new();
    for claim in claims.iter_mut().rev() {
        let known = [writes.get(&claim.version), next.get(&claim.uid)];
        claim.at = known.into_iter().flatten().fold(claim.at, |at, known| at.min(*known));
        next.insert(claim.uid.clone(), claim.at);
    }
    claims
}

/// The status of the condition Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
    /// There is no such condition.
    Absent,
    /// There is no such object any more.
    Gone,
}

/// A stretch of time in which something was wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The line.
    pub line: String,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// What the newest spec asked; `None` for a claim about a line that nothing else asks for.
    pub asked: Option<LineState>,
    /// What the remote was; `None` is a line that isn't there.
    pub remote: Option<LineState>,
}

/// Stretches of one kind, in order of their start within a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(pub Vec<Span>);

impl Spans {
    /// How long they are together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().map(|span| span.to.duration_since(span.from)).sum()
    }

    /// Adds a stretch; one that begins where the last one of the line ended, in the same way, goes on.
    fn add(&mut self, span: Span) {
        if let Some(last) = self.0.last_mut() {
            let goes_on = last.line == span.line && last.to == span.from;
            if goes_on && last.asked == span.asked && last.remote == span.remote {
                last.to = span.to;
                return;
            }
        }
        self.0.push(span);
    }
}

/// What was wrong in a run, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The remote answers calls while the newest spec says paused.
    pub leak: Spans,
    /// The remote answers no calls, or the line is gone, while the newest spec says active.
    pub dead: Spans,
    /// An object says Ready at its newest generation while the remote differs from its spec.
    pub lie: Spans,
    /// The same, but somebody at the dashboard made the difference and the operator hasn't said otherwise since:
    /// it can't have looked yet. A test gives this its own bound.
    pub unnoticed: Spans,
    start: Instant,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [("leak", &self.leak), ("dead", &self.dead), ("lie", &self.lie), ("unnoticed", &self.unnoticed)];
        for (name, spans) in kinds {
            writeln!(f, "{name}: {:.3} s", spans.total().as_secs_f64())?;
            for span in &spans.0 {
                let since = |at: Instant| at.duration_since(self.start).as_secs_f64();
                let (from, to) = (since(span.from), since(span.to));
                let word = |state: Option<LineState>| match state {
                    Some(LineState::Active) => "active",
                    Some(LineState::Paused) => "paused",
                    None => "nothing",
                };
                let (asked, remote) = (word(span.asked), word(span.remote));
                let line = &span.line;
                writeln!(f, "  {line} {from:.3} to {to:.3} s: asked {asked}, remote {remote}")?;
            }
        }
        Ok(())
    }
}

/// Judges a run that ended at `until`.
///
/// Where two objects name one line, the one whose first edit was sent first owns it, as in the operator: create them
/// more than a second apart, since Kubernetes keeps creation times in whole seconds. An object's claim is held
/// against the object's own spec. A claim stands from when it was seen until the object's next one, and no longer
/// than to the next edit of the object that was sent.
#[must_use]
pub fn judge(edits: &[Edit], claims: &[Claim], history: &[Entry], until: Instant) -> Verdict {
    let mut lines: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    let mut line_of: BTreeMap<&str, &str> = BTreeMap::new();
    for edit in edits {
        line_of.insert(&edit.uid, &edit.line);
        lines.entry(&edit.line).or_default().push(Event::Edit(edit));
    }
    for claim in claims {
        // A claim of an object that no edit knows says nothing about any line of this run.
        if let Some(line) = line_of.get(claim.uid.as_str()) {
            lines.entry(line).or_default().push(Event::Claim(claim));
        }
    }
    for entry in history {
        let (line, to, by_dashboard) = match &entry.what {
            What::Applied { line, to, .. } => (line, *to, false),
            What::Dashboard { line, to, .. } => (line, *to, true),
            _ => continue,
        };
        let at = entry.at;
        let change = Event::Change { at, to, by_dashboard };
        lines.entry(line).or_default().push(change);
    }
    let start = lines.values().flatten().map(Event::at).min().unwrap_or(until);
    let mut verdict = Verdict {
        leak: Spans::default(),
        dead: Spans::default(),
        lie: Spans::default(),
        unnoticed: Spans::default(),
        start,
    };
    for (line, mut events) in lines {
        events.sort_by_key(Event::at);
        let mut now = LineNow::default();
        let mut from = start;
        for event in events.iter().take_while(|event| event.at() < until) {
            now.add_to(&mut verdict, line, from, event.at());
            from = event.at();
            now.take(event);
        }
        now.add_to(&mut verdict, line, from, until);
    }
    verdict
}

/// Something that happened to a line.
enum Event<'a> {
    Edit(&'a Edit),
    Claim(&'a Claim),
    Change { at: Instant, to: Option<LineState>, by_dashboard: bool },
}

impl Event<'_> {
    fn at(&self) -> Instant {
        match self {
            Self::Edit(edit) => edit.at,
            Self::Claim(claim) => claim.at,
            Self::Change { at, .. } => *at,
        }
    }
}

/// A line between two events.
#[derive(Default)]
struct LineNow<'a> {
    remote: Option<LineState>,
    /// In the order of their first edit, so that the first that still asks for something is the owner.
    objects: Vec<Object<'a>>,
}

struct Object<'a> {
    uid: &'a str,
    newest: i64,
    asks: Asks,
    claim: Option<&'a Claim>,
    /// The dashboard made the remote differ from this object's spec, and its status hasn't moved from Ready since.
    unnoticed: bool,
}

impl Object<'_> {
    fn differs(&self, remote: Option<LineState>) -> bool {
        self.asks.state().is_some_and(|asked| remote != Some(asked))
    }

    fn says_ready(&self) -> bool {
        self.claim.is_some_and(|claim| {
            claim.ready == Ready::True
                && claim.generation == self.newest
                && claim.observed_generation == Some(self.newest)
        })
    }
}

impl<'a> LineNow<'a> {
    fn take(&mut self, event: &Event<'a>) {
        match event {
            Event::Edit(edit) => self.edit(edit),
            Event::Claim(claim) => {
                if let Some(object) = self.objects.iter_mut().find(|o| o.uid == claim.uid) {
                    object.claim = Some(claim);
                    object.unnoticed &= claim.ready == Ready::True;
                }
            }
            Event::Change { to, by_dashboard, .. } => {
                for object in &mut self.objects {
                    let (before, after) = (object.differs(self.remote), object.differs(*to));
                    // A difference that was there before the dashboard's change isn't the dashboard's.
                    object.unnoticed = after && (object.unnoticed || (*by_dashboard && !before));
                }
                self.remote = *to;
            }
        }
    }

    fn edit(&mut self, edit: &'a Edit) {
        let known = self.objects.iter().position(|object| object.uid == edit.uid);
        let place = known.unwrap_or_else(|| {
            self.objects.push(Object { uid: &edit.uid, newest: 0, asks: Asks::Nothing, claim: None, unnoticed: false });
            self.objects.len() - 1
        });
        let object = &mut self.objects[place];
        object.newest = edit.generation;
        object.asks = edit.asks;
        object.claim = None;
        // After an edit the operator has to look again, whoever made the difference.
        object.unnoticed = false;
    }

    /// Adds what is wrong between two events.
    fn add_to(&self, verdict: &mut Verdict, line: &str, from: Instant, to: Instant) {
        if from >= to {
            return;
        }
        let span = |asked: Option<LineState>| Span { line: line.to_owned(), from, to, asked, remote: self.remote };
        let owner = self.objects.iter().find(|object| object.asks != Asks::Nothing);
        match (owner.and_then(|object| object.asks.state()), self.remote) {
            (asked @ Some(LineState::Paused), Some(LineState::Active)) => {
                verdict.leak.add(span(asked));
            }
            (asked @ Some(LineState::Active), None | Some(LineState::Paused)) => {
                verdict.dead.add(span(asked));
            }
            _ => {}
        }
        let ready = || self.objects.iter().filter(|o| o.says_ready() && o.differs(self.remote));
        if let Some(object) = ready().find(|object| !object.unnoticed) {
            verdict.lie.add(span(object.asks.state()));
        } else if let Some(object) = ready().next() {
            verdict.unnoticed.add(span(object.asks.state()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LineState::{Active, Paused};
    use jiff::Timestamp;

    /// One thing in a run; times are in seconds from its start.
    enum Step {
        Edit(u64, &'static str, i64, Asks),
        Claim(u64, &'static str, i64, Option<i64>, Ready),
        /// The claim that was seen at the second of these moments was written at the first.
        Written(u64, u64),
        Call(u64, Option<LineState>),
        Dashboard(u64, Option<LineState>),
    }

    const fn edit(at: u64, generation: i64, asks: Asks) -> Step {
        Step::Edit(at, "a", generation, asks)
    }

    const fn claim(at: u64, generation: i64, ready: Ready) -> Step {
        Step::Claim(at, "a", generation, Some(generation), ready)
    }

    /// Leak, dead, lie and unnoticed seconds of a run of twenty.
    fn seconds(steps: &[Step]) -> [u64; 4] {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let (mut edits, mut claims, mut history) = (Vec::new(), Vec::new(), Vec::new());
        let mut writes = BTreeMap::new();
        let line = || "dep-1".to_owned();
        let mut remember = |seconds, what| {
            history.push(Entry { at: at(seconds), wall: Timestamp::UNIX_EPOCH, what });
        };
        for step in steps {
            match *step {
                Step::Edit(seconds, uid, generation, asks) => {
                    edits.push(Edit { at: at(seconds), uid: uid.to_owned(), generation, line: line(), asks });
                }
                Step::Claim(seconds, uid, generation, observed_generation, ready) => {
                    claims.push(Claim {
                        at: at(seconds),
                        uid: uid.to_owned(),
                        version: seconds.to_string(),
                        generation,
                        observed_generation,
                        ready,
                        state: None,
                    });
                }
                Step::Written(seconds, seen) => {
                    writes.insert(seen.to_string(), at(seconds));
                }
                Step::Call(seconds, to) => remember(seconds, What::Applied { call: 1, line: line(), from: None, to }),
                Step::Dashboard(seconds, to) => {
                    remember(seconds, What::Dashboard { line: line(), who: "somebody".to_owned(), from: None, to });
                }
            }
        }
        let verdict = judge(&edits, &written_at(claims, &writes), &history, at(20));
        [&verdict.leak, &verdict.dead, &verdict.lie, &verdict.unnoticed].map(|spans| spans.total().as_secs())
    }

    const SET_UP: Step = Step::Dashboard(0, Some(Active));

    /// Each case: what it shows, the run, and its leak, dead, lie and unnoticed seconds.
    const RUNS: &[(&str, &[Step], [u64; 4])] = &[
        ("nothing happened", &[], [0, 0, 0, 0]),
        ("a line that nobody asks for", &[SET_UP], [0, 0, 0, 0]),
        (
            "a clean pause leaks until the call lands",
            &[SET_UP, edit(1, 1, Asks::Paused), Step::Call(3, Some(Paused)), claim(4, 1, Ready::True)],
            [2, 0, 0, 0],
        ),
        (
            "the operator never acts and says so",
            &[SET_UP, edit(1, 1, Asks::Paused), claim(2, 1, Ready::False)],
            [19, 0, 0, 0],
        ),
        (
            "it never acts and claims success",
            &[SET_UP, edit(1, 1, Asks::Paused), claim(2, 1, Ready::True)],
            [19, 0, 18, 0],
        ),
        (
            "a late resume lands on a line that is said to be paused",
            &[
                Step::Dashboard(0, Some(Paused)),
                edit(1, 1, Asks::Active),
                edit(2, 2, Asks::Paused),
                claim(3, 2, Ready::True),
                Step::Call(5, Some(Active)),
                claim(9, 2, Ready::False),
                Step::Call(10, Some(Paused)),
            ],
            [5, 1, 4, 0],
        ),
        (
            "Ready of an older generation is no claim",
            &[SET_UP, edit(1, 2, Asks::Paused), claim(2, 1, Ready::True)],
            [19, 0, 0, 0],
        ),
        (
            "nor Ready with an older observedGeneration",
            &[SET_UP, edit(1, 2, Asks::Paused), Step::Claim(2, "a", 2, Some(1), Ready::True)],
            [19, 0, 0, 0],
        ),
        (
            "a claim ends when the next edit is sent",
            &[SET_UP, edit(1, 1, Asks::Active), claim(2, 1, Ready::True), edit(5, 2, Asks::Paused)],
            [15, 0, 0, 0],
        ),
        (
            "the dashboard's change is unnoticed until Ready moves",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Dashboard(5, Some(Paused)),
                claim(8, 1, Ready::False),
                Step::Call(9, Some(Active)),
                claim(10, 1, Ready::True),
            ],
            [0, 4, 0, 3],
        ),
        (
            "Ready again without having put it right is a lie",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Dashboard(5, Some(Paused)),
                claim(8, 1, Ready::Unknown),
                claim(10, 1, Ready::True),
            ],
            [0, 15, 10, 3],
        ),
        (
            "an edit after the dashboard's change takes the excuse away",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Dashboard(5, Some(Paused)),
                edit(6, 2, Asks::Active),
                claim(7, 2, Ready::True),
            ],
            [0, 15, 13, 1],
        ),
        (
            "a dashboard that makes the difference again after it was right",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Dashboard(5, Some(Paused)),
                Step::Dashboard(6, Some(Active)),
                Step::Dashboard(8, Some(Paused)),
                Step::Dashboard(10, Some(Active)),
            ],
            [0, 3, 0, 3],
        ),
        (
            "a call's difference stays a lie when the dashboard touches the line",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Call(5, Some(Paused)),
                Step::Dashboard(10, Some(Paused)),
            ],
            [0, 15, 15, 0],
        ),
        (
            "a removed line is dead, and unnoticed",
            &[SET_UP, edit(1, 1, Asks::Active), claim(2, 1, Ready::True), Step::Dashboard(15, None)],
            [0, 5, 0, 5],
        ),
        (
            "a removed line doesn't leak",
            &[
                Step::Dashboard(0, Some(Paused)),
                edit(1, 1, Asks::Paused),
                claim(2, 1, Ready::True),
                Step::Dashboard(15, None),
                claim(16, 1, Ready::False),
            ],
            [0, 0, 0, 1],
        ),
        (
            "a claim that is taken back before a call is no lie, however late that is seen",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Written(4, 6),
                Step::Call(5, Some(Paused)),
                claim(6, 1, Ready::False),
            ],
            [0, 15, 0, 0],
        ),
        (
            "one that is taken back after it is a lie until then",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                Step::Call(5, Some(Paused)),
                Step::Written(7, 9),
                claim(9, 1, Ready::False),
            ],
            [0, 15, 2, 0],
        ),
        (
            "a claim that is seen after the next was written was made before it",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(6, 1, Ready::True),
                Step::Written(4, 7),
                Step::Call(5, Some(Paused)),
                claim(7, 1, Ready::False),
            ],
            [0, 15, 0, 0],
        ),
        (
            "a deleted object asks and claims nothing",
            &[
                SET_UP,
                edit(1, 1, Asks::Active),
                claim(2, 1, Ready::True),
                edit(5, 1, Asks::Nothing),
                claim(6, 1, Ready::Gone),
                Step::Dashboard(7, Some(Paused)),
            ],
            [0, 0, 0, 0],
        ),
        (
            "the second object on a line asks once the first is deleted",
            &[
                SET_UP,
                Step::Edit(1, "a", 1, Asks::Active),
                Step::Edit(3, "b", 1, Asks::Paused),
                Step::Edit(10, "a", 1, Asks::Nothing),
                Step::Call(12, Some(Paused)),
            ],
            [2, 0, 0, 0],
        ),
        (
            "the second object lies when it says Ready before that",
            &[
                SET_UP,
                Step::Edit(1, "a", 1, Asks::Active),
                Step::Edit(3, "b", 1, Asks::Paused),
                Step::Claim(5, "b", 1, Some(1), Ready::True),
                Step::Claim(6, "b", 1, Some(1), Ready::False),
            ],
            [0, 0, 1, 0],
        ),
        (
            "an object made again starts at generation one",
            &[
                SET_UP,
                Step::Edit(1, "a", 1, Asks::Active),
                Step::Edit(3, "a", 1, Asks::Nothing),
                Step::Edit(4, "b", 1, Asks::Paused),
                Step::Claim(5, "a", 1, Some(1), Ready::True),
                Step::Claim(6, "b", 1, Some(1), Ready::Unknown),
                Step::Call(7, Some(Paused)),
            ],
            [3, 0, 0, 0],
        ),
    ];

    #[test]
    fn runs_are_judged() {
        for (name, steps, expected) in RUNS {
            assert_eq!(seconds(steps), *expected, "{name}");
        }
    }

    #[test]
    fn a_verdict_shows_its_spans() {
        let start = Instant::now();
        let span = Span {
            line: "dep-1".to_owned(),
            from: start + Duration::from_secs(1),
            to: start + Duration::from_millis(2500),
            asked: Some(Paused),
            remote: Some(Active),
        };
        let verdict = Verdict {
            leak: Spans(vec![span]),
            dead: Spans::default(),
            lie: Spans::default(),
            unnoticed: Spans::default(),
            start,
        };
        let text = verdict.to_string();
        assert!(
            text.starts_with("leak: 1.500 s\n  dep-1 1.000 to 2.500 s: asked paused, remote active\ndead: 0.000 s")
        );
    }
}
