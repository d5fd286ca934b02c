//! What rows of the list do, and what they never do.

use std::time::Duration;

use super::*;

pub(super) const SETTINGS: Settings = Settings {
    doubt: Duration::from_secs(30),
    settle: Duration::from_secs(5),
    takeover: Duration::from_secs(40),
    retry: Duration::from_secs(1),
    retry_cap: Duration::from_mins(5),
    sync: Duration::from_mins(1),
    horizon: Duration::from_mins(2),
    stale_after: 3,
    grace: Duration::from_mins(1),
    lists: Lists::Replace,
};

/// When a term begins, and when the take-over window is over.
pub(super) const START: Time = Time(100_000);
pub(super) const CERTAIN: Time = Time(140_000);

pub(super) const fn at(time: Time, seconds: u64) -> Time {
    Time(time.0 + 1000 * seconds)
}

fn sight(state: State) -> Sight {
    Sight { state, config: Arc::default(), identity: Identity::default() }
}

/// A line whose object asks for *paused*.
struct Line {
    memory: Memory,
    request: Request,
}

impl Line {
    /// A new leader has listed the object.
    fn listed(mode: Mode, claims: bool) -> Self {
        let object = Object {
            uid: Uid(1),
            version: Version(1),
            generation: 1,
            paused: true,
            mode,
            config: Arc::default(),
            rollout: Rollout::default(),
            claims,
            edited: false,
            failed: None,
            down_since: None,
            identity: Identity::default(),
            identity_changed: false,
        };
        let mut line = Self { memory: Memory::inherited(&SETTINGS, START), request: Request::Wait(Time::NEVER) };
        line.on(START, Event::Noticed(object, Source::List));
        assert_eq!(line.request, Request::Look);
        line
    }

    /// The same after a look that showed this, and after the status was written.
    fn seen(mode: Mode, state: State) -> Self {
        let mut line = Self::listed(mode, state == State::Paused);
        line.on(at(START, 1), Event::Looked { began: START, answer: Ok(sight(state)) });
        line.tell(at(START, 1));
        line
    }

    fn on(&mut self, now: Time, event: Event) {
        (self.memory, self.request) = step(self.memory.clone(), &SETTINGS, now, event);
    }

    fn row(&mut self, now: Time, began: Time, row: Option<State>) {
        self.on(now, Event::Listed { began, row: row.map(sight) });
    }

    /// Writes what is to be told, and returns it.
    fn tell(&mut self, now: Time) -> Option<Verdict> {
        let Request::Tell(verdict) = self.request else { return None };
        self.on(now, Event::Told(verdict, Told::Written(Version(2), Identity::default())));
        Some(verdict)
    }
}

#[test]
fn a_row_that_agrees_is_a_look() {
    let mut line = Line::listed(Mode::Correct, true);
    line.row(at(START, 3), at(START, 1), Some(State::Paused));
    assert_eq!(line.tell(at(START, 3)), Some(Verdict::Synced), "what was Ready stays so");
    assert_eq!(line.request, Request::Wait(at(START, 121)), "until the horizon, from when the page was asked for");
    assert!(line.memory.rests());

    let mut line = Line::listed(Mode::Correct, false);
    line.row(at(START, 1), START, Some(State::Paused));
    assert_eq!(line.tell(at(START, 1)), Some(Verdict::Awaiting), "the page was asked for in doubt");
    assert_eq!(line.request, Request::Wait(CERTAIN));
    line.row(at(CERTAIN, 1), Time(CERTAIN.0 - 1), Some(State::Paused));
    assert_eq!(line.tell(at(CERTAIN, 1)), None, "so was this one, though it came later");
    line.row(at(CERTAIN, 2), CERTAIN, Some(State::Paused));
    assert_eq!(line.tell(at(CERTAIN, 2)), Some(Verdict::Synced));
}

#[test]
fn a_row_that_differs_is_a_reason_for_a_look() {
    for row in [Some(State::Active), Some(State::Unknown), None] {
        let mut line = Line::seen(Mode::Correct, State::Paused);
        assert_eq!(line.request, Request::Wait(at(START, 121)));
        line.row(at(START, 60), at(START, 59), row);
        assert_eq!(line.request, Request::Look, "{row:?}");
        line.on(at(START, 61), Event::Looked { began: at(START, 60), answer: Ok(sight(State::Paused)) });
        assert_eq!(line.request, Request::Wait(at(START, 181)), "{row:?}: the list was wrong, and nobody is told");
    }
}

#[test]
fn a_row_that_is_older_than_the_last_look_is_nothing() {
    for row in [Some(State::Active), Some(State::Paused), None] {
        let mut line = Line::seen(Mode::Correct, State::Paused);
        let before = (line.memory.clone(), line.request.clone());
        line.row(at(START, 2), START, row);
        assert_eq!((line.memory, line.request), before, "{row:?}");
    }
}

#[test]
fn what_is_only_reported_is_at_rest_too() {
    for mode in [Mode::Report, Mode::Suspend] {
        let mut line = Line::seen(mode, State::Active);
        assert!(line.memory.rests());
        line.row(at(START, 60), at(START, 59), Some(State::Active));
        assert_eq!(line.request, Request::Wait(at(START, 179)), "it differs as before");
        line.row(at(START, 120), at(START, 119), Some(State::Paused));
        assert_eq!(
            line.tell(at(START, 120)),
            Some(if mode == Mode::Report { Verdict::Synced } else { Verdict::Suspended { differs: false } })
        );
    }
}

#[test]
fn a_call_is_confirmed_by_a_look_alone() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    let edited = Object {
        version: Version(3),
        generation: 2,
        paused: false,
        claims: false,
        edited: false,
        ..line.memory.object().unwrap().clone()
    };
    line.on(at(CERTAIN, 0), Event::Noticed(edited, Source::Watch));
    assert!(matches!(line.request, Request::Send { change: Change::Status(Action::Resume), why: Why::Edit, .. }));
    line.row(at(CERTAIN, 1), at(CERTAIN, 1), Some(State::Active));
    assert_eq!(line.request, Request::Wait(Time::NEVER), "it is under way");
    line.on(at(CERTAIN, 1), Event::Sent(Sent::Clean(Identity::default()), None));
    assert_eq!(line.request, Request::Look);
    line.row(at(CERTAIN, 2), at(CERTAIN, 2), Some(State::Active));
    assert_eq!(line.request, Request::Look, "a list may show it that did not see it");
}

#[test]
fn looks_that_fail_keep_their_pace() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    line.row(at(START, 60), at(START, 59), Some(State::Active));
    for second in [60, 60, 61, 63] {
        assert_eq!(line.request, Request::Look);
        let answer = Err((Trouble::Unavailable, None));
        line.on(at(START, second), Event::Looked { began: at(START, second), answer });
        line.tell(at(START, second));
        let waits = line.request.clone();
        line.row(at(START, second), at(START, second), Some(State::Active));
        assert_eq!(line.request, waits, "at {second}");
        let Request::Wait(until) = waits else { continue };
        line.on(until, Event::Woken);
    }
}

/// Whatever a list shows, in whatever order, no call comes of it.
#[test]
fn a_list_that_lies_changes_nothing() {
    let rows = [Some(State::Active), Some(State::Paused), Some(State::Unknown), None];
    for mode in [Mode::Correct, Mode::Report, Mode::Suspend] {
        for first in [None, Some(State::Active), Some(State::Paused), Some(State::Unknown)] {
            for sequence in 0..4usize.pow(5) {
                let mut line = match first {
                    None => Line::listed(mode, true),
                    // What a look has shown to differ is corrected for that.
                    Some(State::Active | State::Unknown) if mode == Mode::Correct => continue,
                    Some(state) => Line::seen(mode, state),
                };
                for turn in 0..5u32 {
                    let now = at(START, 10 + 30 * u64::from(turn));
                    let row = rows[sequence / 4usize.pow(turn) % 4];
                    line.row(now, now, row);
                    let acts = matches!(line.request, Request::Send { .. } | Request::Read);
                    assert!(!acts, "{mode:?}, seen as {first:?}: {row:?} led to {:?}", line.request);
                    line.tell(now);
                }
            }
        }
    }
}
