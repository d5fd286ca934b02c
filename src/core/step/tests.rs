//! The step function on one line at a time, with the windows as they are by default.

use super::*;

mod changes;
mod facts;
mod listed;
mod replaced;
mod stories;

const SETTINGS: Settings = Settings {
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
const START: Time = Time(100_000);
const CERTAIN: Time = Time(140_000);

const fn at(time: Time, seconds: u64) -> Time {
    Time(time.0 + 1000 * seconds)
}

fn sight(state: State) -> Sight {
    Sight { state, config: Arc::default(), identity: Identity::default() }
}

/// An object that somebody has just made, and that asks for *paused*.
fn object() -> Object {
    Object {
        uid: Uid(1),
        version: Version(1),
        generation: 1,
        paused: true,
        mode: Mode::Correct,
        config: Arc::default(),
        rollout: Rollout::default(),
        claims: false,
        edited: false,
        failed: None,
        down_since: None,
        identity: Identity::default(),
        identity_changed: false,
    }
}

/// A line whose object asks for *paused*.
struct Line {
    settings: Settings,
    memory: Memory,
    request: Request,
}

impl Line {
    /// What a new leader knows, and nobody has told it of the object.
    fn new(memory: Memory) -> Self {
        Self { settings: SETTINGS, memory, request: Request::Wait(Time::NEVER) }
    }

    /// A new leader has listed the object.
    fn listed(mode: Mode, claims: bool) -> Self {
        let object = Object { mode, claims, ..object() };
        let mut line = Self::new(Memory::inherited(&SETTINGS, START));
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
        (self.memory, self.request) = step(self.memory.clone(), &self.settings, now, event);
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
