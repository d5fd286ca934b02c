//! What the operator does about one line, request by request, where its remote does what it is told or doesn't.

use super::*;
use crate::{
    config::{Connections, ShownConnections},
    rollout::{OnFailure, Strategy},
};

/// What the remote does with calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// What it is told.
    All,
    /// Nothing, and it says why.
    Refuses(Trouble),
    /// The same with each PATCH alone.
    RefusesPatches(Trouble),
    /// It says yes to a PATCH, and does nothing.
    NoPatch,
    /// It says yes to a PATCH, and changes the name alone.
    HalfAPatch,
    /// It does what a PATCH says, and its answer is lost.
    Mute,
    /// A PATCH gets no answer and does nothing.
    Loses,
    /// Looks fail like that, and calls get no answer.
    FailsLooks(Trouble),
    /// Nothing is sent: the budget is spent for a while.
    IsSpared(Option<Trouble>),
}

/// Whoever asks for more is at it for good.
const MOST_REQUESTS: usize = 500;

/// A line, its object and its remote, in which nothing takes time but what is waited for.
struct Story {
    line: Line,
    object: Object,
    now: Time,
    state: State,
    config: Shown,
    does: Does,
    log: Vec<String>,
}

fn config(version: i64, name: &str) -> Managed {
    Managed { app_version: Some(version), name: Some(name.to_owned()), ..Managed::default() }
}

impl Story {
    /// A line that answers as version 1 with the name "a", its first leader ever, and an object that has just been made.
    fn new(object: impl FnOnce(&mut Object)) -> Self {
        Self::led(Memory::first(), object)
    }

    /// The same with a leader that knows this.
    fn led(memory: Memory, object: impl FnOnce(&mut Object)) -> Self {
        let mut first = Object { paused: false, ..super::object() };
        object(&mut first);
        let line = Line::new(memory);
        let config = Shown { app_version: Some(1), name: Some("a".to_owned()), ..Shown::default() };
        let mut story =
            Self { line, object: first, now: START, state: State::Active, config, does: Does::All, log: vec![] };
        story.on(Event::Noticed(story.object.clone(), Source::List));
        story
    }

    /// The same, once it is as asked.
    fn settled(object: impl FnOnce(&mut Object)) -> Self {
        let mut story = Self::new(object);
        story.run(0);
        assert!(story.object.claims, "{:?}", story.log);
        story.log.clear();
        story
    }

    fn on(&mut self, event: Event) {
        self.line.on(self.now, event);
    }

    /// People edit the object.
    fn edit(&mut self, edit: impl FnOnce(&mut Object)) {
        edit(&mut self.object);
        self.object.version.0 += 1;
        self.object.generation += 1;
        self.object.edited |= self.object.claims;
        self.object.claims = false;
        self.object.failed = None;
        self.on(Event::Noticed(self.object.clone(), Source::Watch));
    }

    /// Somebody at the dashboard pauses or resumes the line, and a row of the list shows it.
    fn flip(&mut self, state: State) {
        self.state = state;
        let row = Some(self.sight());
        self.on(Event::Listed { began: self.now, row });
    }

    fn sight(&self) -> Sight {
        Sight { state: self.state, config: Arc::new(self.config.clone()), identity: Identity::default() }
    }

    /// Carries requests out until it waits for longer than until that second.
    fn run(&mut self, second: u64) {
        let until = at(START, second);
        for _ in 0..MOST_REQUESTS {
            match self.line.request.clone() {
                Request::Wait(next) if next > until => {
                    self.now = until;
                    return;
                }
                Request::Wait(next) => {
                    self.now = next;
                    self.on(Event::Woken);
                }
                Request::Read => {
                    self.note("read");
                    self.on(Event::Read(self.object.clone()));
                }
                Request::Look => {
                    self.note("look");
                    let answer = match self.does {
                        Does::FailsLooks(trouble) => Err((trouble, None)),
                        _ => Ok(self.sight()),
                    };
                    self.on(Event::Looked { began: self.now, answer });
                }
                Request::Tell(verdict) => {
                    self.note(&format!("{verdict:?}"));
                    self.tell(verdict);
                }
                Request::Send { change, why, beside } => {
                    self.note(&format!("{change} as {why:?}"));
                    if let Some(verdict) = beside {
                        self.note(&format!("{verdict:?} beside it"));
                        self.tell(verdict);
                    }
                    let sent = self.take(&change);
                    self.on(Event::Sent(sent, None));
                }
            }
        }
        panic!("it does not come to rest: {:#?}", self.log);
    }

    fn tell(&mut self, verdict: Verdict) {
        self.object.version.0 += 1;
        self.object.claims = verdict.claims();
        self.object.edited = false;
        self.object.failed = verdict.failure();
        self.on(Event::Told(verdict, Told::Written(self.object.version, Identity::default())));
    }

    /// The remote gets a call.
    fn take(&mut self, change: &Change) -> Sent {
        let is_patch = matches!(change, Change::Config(_));
        let lost = Sent::Unclear(Trouble::Unavailable);
        match self.does {
            Does::IsSpared(trouble) => return Sent::Withheld(trouble),
            Does::FailsLooks(_) => return lost,
            Does::Refuses(trouble) => return Sent::Refused(trouble),
            Does::RefusesPatches(trouble) if is_patch => return Sent::Refused(trouble),
            Does::Loses if is_patch => return lost,
            Does::NoPatch if is_patch => return Sent::Clean(Identity::default()),
            _ => {}
        }
        match change {
            Change::Status(action) => self.state = action.state(),
            Change::Config(fields) => {
                if self.does != Does::HalfAPatch {
                    self.config.app_version = fields.app_version.or(self.config.app_version);
                }
                self.config.name = fields.name.clone().or(self.config.name.take());
            }
        }
        if is_patch && self.does == Does::Mute { lost } else { Sent::Clean(Identity::default()) }
    }

    /// Adds to the log, which has a line for each moment, or more where it would be long.
    fn note(&mut self, what: &str) {
        let moment = format!("{:.3} s: ", self.now.from_now(START).as_secs_f64());
        let fits = |line: &&mut String| line.starts_with(&moment) && line.len() + what.len() < 100;
        match self.log.last_mut().filter(fits) {
            Some(line) => line.extend([", ", what]),
            None => self.log.push(moment + what),
        }
    }

    fn assert_log(&self, expected: &[&str]) {
        assert!(self.log == expected, "the log was:\n{:#?}", self.log);
    }
}

fn manages(managed: Managed) -> impl FnOnce(&mut Object) {
    move |object| object.config = Arc::new(managed)
}

#[test]
fn an_edit_goes_out_at_once() {
    let mut story = Story::settled(|_| {});
    story.edit(|object| object.paused = true);
    story.run(130);
    story.assert_log(&["0.000 s: pause as Edit, Acting(Pause) beside it, look, Synced", "120.000 s: look"]);
}

#[test]
fn a_change_pauses_the_line_and_resumes_it() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.edit(manages(config(2, "b")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read",
        "0.000 s: change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look, read",
        "0.000 s: resume as Rollout, RollingOut(Resuming) beside it, look, Awaiting",
        "5.000 s: look, Synced",
    ]);
}

#[test]
fn what_nobody_notices_is_changed_in_place() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.edit(manages(config(1, "b")));
    story.run(60);
    story.assert_log(&["0.000 s: change displayName as Rollout, RollingOut(Changing) beside it, look, Synced"]);
}

#[test]
fn with_in_place_no_change_pauses_a_line() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.edit(|object| {
        object.config = Arc::new(config(2, "b"));
        object.rollout.strategy = Strategy::InPlace;
    });
    story.run(60);
    story.assert_log(&[
        "0.000 s: change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look, Synced",
    ]);
}

#[test]
fn a_line_that_shall_be_paused_is_changed_and_stays_so() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.edit(|object| {
        object.config = Arc::new(config(2, "a"));
        object.paused = true;
    });
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Edit, Acting(Pause) beside it, look, read, change appVersion as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, Synced",
    ]);
}

#[test]
fn a_refused_change_is_given_up() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::RefusesPatches(Trouble::Refused);
    story.edit(manages(config(2, "a")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read, change appVersion as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, read, resume as Rollout",
        "0.000 s: RolloutFailed { failure: Refused, goes_on: false } beside it, look",
        "5.000 s: look",
    ]);
}

#[test]
fn a_refused_change_leaves_the_line_paused_where_that_is_asked() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::RefusesPatches(Trouble::Refused);
    story.edit(|object| {
        object.config = Arc::new(config(2, "a"));
        object.rollout.on_failure = OnFailure::StayPaused;
    });
    story.run(150);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read, change appVersion as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, RolloutFailed { failure: Refused, goes_on: false }",
        "120.000 s: look",
    ]);
}

#[test]
fn what_is_refused_while_it_answers_is_tried_while_it_is_paused() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::RefusesPatches(Trouble::Refused);
    story.edit(manages(config(1, "b")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: change displayName as Rollout, RollingOut(Changing) beside it, look, read, pause as Rollout",
        "0.000 s: RollingOut(Pausing) beside it, look, read, change displayName as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, read, resume as Rollout",
        "0.000 s: RolloutFailed { failure: Refused, goes_on: false } beside it, look",
        "5.000 s: look",
    ]);
}

#[test]
fn what_is_refused_in_place_is_given_up_at_once() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::RefusesPatches(Trouble::Refused);
    story.edit(|object| {
        object.config = Arc::new(config(1, "b"));
        object.rollout.strategy = Strategy::InPlace;
    });
    story.run(60);
    story.assert_log(&[
        "0.000 s: change displayName as Rollout, RollingOut(Changing) beside it, look",
        "0.000 s: RolloutFailed { failure: Refused, goes_on: false }",
    ]);
}

#[test]
fn a_key_that_is_refused_refuses_no_change() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::RefusesPatches(Trouble::CredentialsRejected);
    story.edit(manages(config(2, "a")));
    story.run(10);
    story.does = Does::All;
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read, change appVersion as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, read, change appVersion as Rollout, look",
        "0.000 s: Failing { trouble: CredentialsRejected, stalled: false }",
        "0.810 s: look, read, change appVersion as Rollout, look",
        "0.810 s: Failing { trouble: CredentialsRejected, stalled: false }",
        "2.740 s: look, read, change appVersion as Rollout, look",
        "2.740 s: Failing { trouble: CredentialsRejected, stalled: false }",
        "6.221 s: look, read, change appVersion as Rollout, look",
        "6.221 s: Failing { trouble: CredentialsRejected, stalled: false }",
        "12.425 s: look, read, change appVersion as Rollout, look, read, resume as Rollout",
        "12.425 s: RollingOut(Resuming) beside it, look, Synced",
    ]);
}

#[test]
fn a_change_that_never_shows_is_given_up() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::NoPatch;
    story.edit(manages(config(2, "b")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read",
        "0.000 s: change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look",
        "0.156 s: look",
        "0.312 s: look",
        "0.624 s: look",
        "1.248 s: look",
        "2.496 s: look",
        "4.992 s: look",
        "5.000 s: look, read, change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look",
        "5.156 s: look",
        "5.312 s: look",
        "5.624 s: look",
        "6.248 s: look",
        "7.496 s: look",
        "9.992 s: look",
        "10.000 s: look",
        "10.810 s: look, read, change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look",
        "10.966 s: look",
        "11.122 s: look",
        "11.434 s: look",
        "12.058 s: look",
        "13.306 s: look",
        "15.802 s: look",
        "15.810 s: look, look, read, resume as Rollout",
        "15.810 s: RolloutFailed { failure: NotApplied, goes_on: false } beside it, look",
    ]);
}

#[test]
fn a_line_that_is_half_changed_stays_paused() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::HalfAPatch;
    story.edit(manages(config(2, "b")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read",
        "0.000 s: change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look",
        "0.156 s: look",
        "0.312 s: look",
        "0.624 s: look",
        "1.248 s: look",
        "2.496 s: look",
        "4.992 s: look",
        "5.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look",
        "5.156 s: look",
        "5.312 s: look",
        "5.624 s: look",
        "6.248 s: look",
        "7.496 s: look",
        "9.992 s: look",
        "10.000 s: look",
        "10.810 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look",
        "10.966 s: look",
        "11.122 s: look",
        "11.434 s: look",
        "12.058 s: look",
        "13.306 s: look",
        "15.802 s: look",
        "15.810 s: look, look, RolloutFailed { failure: Incomplete, goes_on: false }",
    ]);
}

#[test]
fn a_lost_answer_is_made_good_by_a_look() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Mute;
    story.edit(manages(config(2, "b")));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read",
        "0.000 s: change appVersion, displayName as Rollout, RollingOut(Changing) beside it, look, read",
        "0.000 s: resume as Rollout, look, Awaiting",
        "5.000 s: look, Synced",
    ]);
}

#[test]
fn a_line_is_not_paused_for_longer_than_it_may() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(100);
    story.log.clear();
    story.run(200);
    story.assert_log(&[
        "114.066 s: look",
        "117.504 s: look, read, change appVersion as Rollout, look",
        "117.504 s: Failing { trouble: Unavailable, stalled: false }",
        "120.000 s: look, RolloutFailed { failure: Overdue, goes_on: false }",
        "147.504 s: look, read, resume as Rollout",
        "147.504 s: RolloutFailed { failure: Overdue, goes_on: false } beside it, look",
    ]);
}

#[test]
fn a_change_that_takes_too_long_goes_on_where_the_line_stays_paused() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(|object| {
        object.config = Arc::new(config(2, "a"));
        object.rollout.on_failure = OnFailure::StayPaused;
    });
    story.run(115);
    story.log.clear();
    story.run(125);
    story.does = Does::All;
    story.run(200);
    story.assert_log(&[
        "117.504 s: look, read, change appVersion as Rollout, look",
        "117.504 s: Failing { trouble: Unavailable, stalled: false }",
        "120.000 s: look, read, change appVersion as Rollout",
        "120.000 s: RolloutFailed { failure: Overdue, goes_on: true } beside it, look, read",
        "120.000 s: change appVersion as Rollout, look, RolloutFailed { failure: Overdue, goes_on: true }",
        "120.810 s: look, read, change appVersion as Rollout, look",
        "120.810 s: RolloutFailed { failure: Overdue, goes_on: true }",
        "122.740 s: look, read, change appVersion as Rollout, look",
        "122.740 s: RolloutFailed { failure: Overdue, goes_on: true }",
        "126.221 s: look, read, change appVersion as Rollout, look, read, resume as Rollout",
        "126.221 s: RollingOut(Resuming) beside it, look, Synced",
    ]);
}

#[test]
fn an_edit_gives_a_change_its_time_anew() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(100);
    story.edit(manages(config(2, "b")));
    story.run(218);
    story.log.clear();
    story.run(224);
    story.assert_log(&["220.000 s: look, RolloutFailed { failure: Overdue, goes_on: false }"]);
}

#[test]
fn a_new_leader_knows_since_when_a_line_has_been_paused() {
    let mut story = Story::new(|object| {
        object.config = Arc::new(config(2, "a"));
        object.down_since = Some(Time(START.0 - 100_000));
    });
    assert_eq!(story.line.memory.down_since(), story.object.down_since);
    story.state = State::Paused;
    story.does = Does::Loses;
    story.run(19);
    story.log.clear();
    story.run(60);
    story.assert_log(&[
        "20.000 s: look, RolloutFailed { failure: Overdue, goes_on: false }",
        "42.425 s: look, read, resume as Rollout, RolloutFailed { failure: Overdue, goes_on: false } beside it",
        "42.425 s: look",
    ]);
}

#[test]
fn a_new_leader_tries_no_change_that_was_given_up() {
    let mut story = Story::new(|object| {
        object.config = Arc::new(config(2, "a"));
        object.failed = Some(Failure::NotApplied);
    });
    story.run(60);
    story.assert_log(&["0.000 s: look, RolloutFailed { failure: NotApplied, goes_on: false }"]);
}

#[test]
fn two_who_insist_slow_down() {
    let mut story = Story::settled(|_| {});
    for second in [10, 20, 30, 40, 50] {
        story.run(second);
        story.flip(State::Paused);
    }
    // It is known, and looked at when the next correction is due.
    story.run(52);
    story.flip(State::Paused);
    story.run(60);
    story.assert_log(&[
        "10.000 s: look, read, Drifted, resume as Correction, look, Synced",
        "20.000 s: look, read, Drifted, resume as Correction, look, Synced",
        "30.000 s: look, Contended",
        "30.810 s: look, read, resume as Correction, Acting(Resume) beside it, look, Synced",
        "40.000 s: look, Contended",
        "41.930 s: look, read, resume as Correction, Acting(Resume) beside it, look, Synced",
        "50.000 s: look, Contended",
        "53.481 s: look, read, resume as Correction, Acting(Resume) beside it, look, Synced",
    ]);
}

#[test]
fn after_a_quarter_of_an_hour_a_change_is_the_first() {
    let mut story = Story::settled(|_| {});
    let quarter = 15 * 60;
    for (second, waits) in [(10, false), (20, false), (30, true), (30 + quarter, false), (60 + quarter, false)] {
        story.run(second);
        story.flip(State::Paused);
        story.log.clear();
        story.run(second);
        assert_eq!(story.log.concat().contains("resume"), !waits, "at {second}: {:?}", story.log);
    }
}

#[test]
fn a_claim_holds_while_the_last_good_look_is_young() {
    let mut story = Story::settled(|_| {});
    story.does = Does::FailsLooks(Trouble::Unavailable);
    story.run(200);
    story.does = Does::All;
    story.run(400);
    story.assert_log(&[
        "120.000 s: look, look",
        "120.810 s: look",
        "122.740 s: look",
        "126.221 s: look",
        "132.425 s: look",
        "147.316 s: look",
        "174.066 s: look",
        "180.000 s: Stale(Unavailable)",
        "237.504 s: look, Synced",
        "357.504 s: look",
    ]);
}

#[test]
fn a_call_without_an_answer_is_followed_by_looks_and_tried_again() {
    let mut story = Story::settled(|_| {});
    story.does = Does::FailsLooks(Trouble::Unavailable);
    story.edit(|object| object.paused = true);
    story.run(10);
    story.does = Does::All;
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Edit, Acting(Pause) beside it, look",
        "0.000 s: Failing { trouble: Unavailable, stalled: false }",
        "0.810 s: look",
        "2.740 s: look",
        "6.221 s: look",
        "12.425 s: look, read, pause as Retry, look, Synced",
    ]);
}

#[test]
fn a_call_that_is_refused_for_good_waits_for_people() {
    let mut story = Story::settled(|_| {});
    story.does = Does::Refuses(Trouble::Refused);
    story.edit(|object| object.paused = true);
    story.run(320);
    story.edit(|object| object.paused = false);
    story.run(330);
    story.assert_log(&[
        "0.000 s: pause as Edit, Acting(Pause) beside it, look, Failing { trouble: Refused, stalled: true }",
        "60.000 s: look",
        "120.000 s: look",
        "180.000 s: look",
        "240.000 s: look",
        "300.000 s: look, read, pause as Retry, look, Failing { trouble: Refused, stalled: true }",
        "320.000 s: look, Synced",
    ]);
}

#[test]
fn a_key_that_is_refused_for_a_minute_needs_people() {
    let mut story = Story::settled(|_| {});
    story.does = Does::Refuses(Trouble::CredentialsRejected);
    story.edit(|object| object.paused = true);
    story.run(50);
    story.log.clear();
    story.run(200);
    story.assert_log(&[
        "54.066 s: look, read, pause as Retry, look, Failing { trouble: CredentialsRejected, stalled: false }",
        "114.066 s: look",
        "117.504 s: look, read, pause as Retry, look, Failing { trouble: CredentialsRejected, stalled: true }",
        "177.504 s: look",
    ]);
}

/// Too many calls is nothing about this one, whoever says so.
#[test]
fn a_call_that_was_one_too_many_has_its_turn_later() {
    for too_many in [Does::IsSpared(Some(Trouble::RateLimited)), Does::Refuses(Trouble::RateLimited)] {
        let mut story = Story::settled(|_| {});
        story.does = Does::IsSpared(None);
        story.edit(|object| object.paused = true);
        story.run(2);
        story.does = too_many;
        story.run(4);
        story.does = Does::IsSpared(Some(Trouble::QuotaExhausted));
        story.run(6);
        story.does = Does::All;
        story.run(60);
        story.assert_log(&[
            "0.000 s: pause as Edit, Acting(Pause) beside it",
            "1.000 s: look, read, pause as Edit, Acting(Pause) beside it",
            "2.000 s: look, read, pause as Edit, Acting(Pause) beside it",
            "3.000 s: look, read, pause as Edit, Acting(Pause) beside it",
            "3.000 s: Failing { trouble: RateLimited, stalled: false }",
            "4.000 s: pause as Edit",
            "5.000 s: pause as Edit, Failing { trouble: QuotaExhausted, stalled: true }",
            "6.000 s: pause as Edit",
            "7.000 s: pause as Edit, look, Synced",
        ]);
    }
}

#[test]
fn what_is_in_the_way_needs_people_once_it_has_had_its_time() {
    let mut story = Story::settled(|_| {});
    story.on(Event::Hindered(Some(Obstacle::SecretNotFound)));
    story.run(10);
    story.edit(|object| object.paused = true);
    story.run(90);
    story.on(Event::Hindered(None));
    story.run(100);
    story.assert_log(&[
        "0.000 s: Hindered { obstacle: SecretNotFound, stalled: false }",
        "10.000 s: Hindered { obstacle: SecretNotFound, stalled: false }",
        "60.000 s: Hindered { obstacle: SecretNotFound, stalled: true }",
        "90.000 s: look, read, pause as Edit, Acting(Pause) beside it, look, Synced",
    ]);
}

#[test]
fn what_is_in_the_way_of_a_configuration_leaves_the_rest_alone() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.on(Event::Barred(Some(Bar::NumberTaken)));
    story.edit(|object| {
        object.config = Arc::new(config(2, "a"));
        object.paused = true;
    });
    story.run(90);
    story.on(Event::Barred(None));
    story.run(100);
    story.assert_log(&[
        "0.000 s: pause as Edit, Acting(Pause) beside it, look, Barred { bar: NumberTaken, stalled: false }",
        "60.000 s: Barred { bar: NumberTaken, stalled: true }",
        "90.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look, Synced",
    ]);
}

#[test]
fn what_is_suspended_is_looked_at_and_told() {
    let mut story = Story::settled(|object| object.mode = Mode::Suspend);
    story.edit(|object| object.paused = true);
    story.run(10);
    story.flip(State::Paused);
    story.run(20);
    story.assert_log(&["0.000 s: look, Suspended { differs: true }", "10.000 s: Suspended { differs: false }"]);
}

#[test]
fn what_is_reported_is_looked_at_and_told() {
    let mut story = Story::settled(|object| object.mode = Mode::Report);
    story.edit(|object| object.paused = true);
    story.run(10);
    story.flip(State::Paused);
    story.run(20);
    story.assert_log(&["0.000 s: look, Reported", "10.000 s: Synced"]);
}

#[test]
fn a_state_that_is_not_told_is_looked_at_again() {
    let mut story = Story::settled(|_| {});
    story.state = State::Unknown;
    story.does = Does::IsSpared(None);
    story.run(122);
    story.assert_log(&[
        "120.000 s: look, read, Drifted, resume as Correction, StateUnknown",
        "121.000 s: look, read, resume as Correction, Acting(Resume) beside it, StateUnknown",
        "122.000 s: look, read, resume as Correction, Acting(Resume) beside it, StateUnknown",
    ]);
}

#[test]
fn a_key_that_is_missing_when_the_line_is_paused_for_a_change_is_waited_for() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(1);
    story.on(Event::Hindered(Some(Obstacle::CredentialsRejected)));
    story.run(10);
    story.does = Does::All;
    story.on(Event::Hindered(None));
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Rollout, RollingOut(Pausing) beside it, look, read, change appVersion as Rollout",
        "0.000 s: RollingOut(Changing) beside it, look, read, change appVersion as Rollout, look",
        "0.000 s: Failing { trouble: Unavailable, stalled: false }",
        "0.810 s: look, read, change appVersion as Rollout, look",
        "0.810 s: Failing { trouble: Unavailable, stalled: false }",
        "1.000 s: Hindered { obstacle: CredentialsRejected, stalled: false }",
        "10.000 s: look, read, change appVersion as Rollout, look, read, resume as Rollout",
        "10.000 s: RollingOut(Resuming) beside it, look, Synced",
    ]);
}

#[test]
fn an_edit_that_asks_for_nothing_else_looks_first() {
    let mut story = Story::settled(|_| {});
    story.edit(|_| {});
    story.run(60);
    story.assert_log(&["0.000 s: look, Synced"]);
}

#[test]
fn an_edit_that_is_taken_back_waits_for_the_call_before_it() {
    let mut story = Story::settled(|_| {});
    story.edit(|object| object.paused = true);
    story.run(1);
    story.edit(|object| object.paused = false);
    story.run(60);
    story.assert_log(&[
        "0.000 s: pause as Edit, Acting(Pause) beside it, look, Synced",
        "1.000 s: resume as Edit, Acting(Resume) beside it, look, Awaiting",
        "5.000 s: look, Synced",
    ]);
}

#[test]
fn what_the_dashboard_changed_in_a_change_is_paused_again() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(1);
    for second in [40, 50, 60] {
        story.run(second);
        story.flip(State::Active);
    }
    story.log.clear();
    story.run(70);
    story.does = Does::All;
    story.run(100);
    story.assert_log(&[
        "60.287 s: look, read, pause as Rollout, look, read, change appVersion as Rollout",
        "60.287 s: RollingOut(Changing) beside it, look, read, change appVersion as Rollout, look",
        "60.287 s: Failing { trouble: Unavailable, stalled: false }",
        "61.097 s: look, read, change appVersion as Rollout, look",
        "61.097 s: Failing { trouble: Unavailable, stalled: false }",
        "63.027 s: look, read, change appVersion as Rollout, look",
        "63.027 s: Failing { trouble: Unavailable, stalled: false }",
        "66.508 s: look, read, change appVersion as Rollout, look",
        "66.508 s: Failing { trouble: Unavailable, stalled: false }",
        "72.712 s: look, read, change appVersion as Rollout, look, read, resume as Rollout",
        "72.712 s: RollingOut(Resuming) beside it, look, Synced",
    ]);
}

#[test]
fn a_line_that_is_not_found_twice_is_not_there() {
    let mut story = Story::settled(|_| {});
    story.does = Does::FailsLooks(Trouble::NotFound);
    story.run(200);
    story.does = Does::All;
    story.run(260);
    story.assert_log(&[
        "120.000 s: look, Failing { trouble: NotFound, stalled: false }",
        "150.000 s: look, Failing { trouble: NotFound, stalled: true }",
        "150.810 s: look",
        "152.740 s: look",
        "156.221 s: look",
        "162.425 s: look",
        "177.316 s: look",
        "204.066 s: look, Synced",
    ]);
}

#[test]
fn a_key_that_is_refused_for_looks_takes_the_claim_back() {
    let mut story = Story::settled(|_| {});
    story.does = Does::FailsLooks(Trouble::CredentialsRejected);
    story.run(240);
    story.assert_log(&[
        "120.000 s: look, look, Failing { trouble: CredentialsRejected, stalled: false }",
        "120.810 s: look",
        "122.740 s: look",
        "126.221 s: look",
        "132.425 s: look",
        "147.316 s: look",
        "174.066 s: look",
        "237.504 s: look, Failing { trouble: CredentialsRejected, stalled: true }",
    ]);
}

#[test]
fn a_paused_line_is_looked_at_before_it_is_changed() {
    let mut story = Story::new(|object| {
        object.config = Arc::new(config(1, "a"));
        object.paused = true;
    });
    story.run(10);
    story.log.clear();
    story.edit(manages(config(2, "a")));
    story.run(20);
    story.assert_log(&[
        "10.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look, Synced",
    ]);
}

#[test]
fn a_new_leader_waits_before_it_changes_a_line() {
    let mut story = Story::led(Memory::inherited(&SETTINGS, START), manages(config(2, "a")));
    story.run(10);
    story.does = Does::IsSpared(None);
    story.run(40);
    story.does = Does::All;
    story.run(100);
    story.assert_log(&[
        "0.000 s: look, read, pause as Rollout, RollingOut(Pausing) beside it, look, RollingOut(Waiting)",
        "40.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it",
        "41.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look, read",
        "41.000 s: resume as Rollout, RollingOut(Resuming) beside it, look, Synced",
    ]);
}

#[test]
fn a_new_leader_waits_before_it_resumes_a_line() {
    let mut story = Story::led(Memory::inherited(&SETTINGS, START), manages(config(1, "a")));
    story.state = State::Paused;
    story.run(100);
    story.assert_log(&[
        "0.000 s: look, RollingOut(Waiting)",
        "40.000 s: look, read, resume as Edit, Acting(Resume) beside it, look, Synced",
    ]);
}

#[test]
fn a_drift_that_can_not_be_corrected_yet_stays_told() {
    let mut story = Story::settled(|_| {});
    story.does = Does::IsSpared(None);
    story.run(5);
    story.flip(State::Paused);
    story.run(5);
    story.assert_log(&["5.000 s: look, read, Drifted, resume as Correction"]);
}

#[test]
fn a_suspended_line_is_not_paused_for_too_long() {
    let mut story = Story::new(|object| {
        object.config = Arc::new(config(2, "a"));
        object.mode = Mode::Suspend;
        object.down_since = Some(Time(START.0 - 100_000));
    });
    story.state = State::Paused;
    story.run(100);
    story.assert_log(&["0.000 s: look, Suspended { differs: true }"]);
}

#[test]
fn a_change_that_is_not_tried_takes_no_time() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(10);
    story.on(Event::Barred(Some(Bar::InvalidConfig)));
    story.log.clear();
    story.run(150);
    story.assert_log(&[
        "10.000 s: look",
        "12.425 s: look, read, resume as Rollout, look, Barred { bar: InvalidConfig, stalled: true }",
        "132.425 s: look",
    ]);
}

#[test]
fn what_the_remote_has_too_much_is_told() {
    let two = |one: &[&str]| Connections::from_iter([("c".to_owned(), one.iter().map(|it| (*it).to_owned()))]);
    let asked = Managed { connections: Some(two(&["+1"])), ..Managed::default() };
    let mut story = Story::new(manages(asked));
    story.line.settings.lists = Lists::Merge;
    story.config.connections = ShownConnections::Full(two(&["+1", "+2"]));
    story.run(1);
    story.on(Event::Barred(Some(Bar::NumberTaken)));
    story.run(10);
    story.assert_log(&["0.000 s: look, Surplus", "1.000 s: look, Barred { bar: NumberTaken, stalled: false }"]);
}

#[test]
fn an_edit_in_the_middle_of_a_change_resumes_nothing() {
    let mut story = Story::settled(manages(config(1, "a")));
    story.does = Does::Loses;
    story.edit(manages(config(2, "a")));
    story.run(1);
    story.log.clear();
    story.edit(manages(config(3, "a")));
    story.run(2);
    story.assert_log(&[
        "1.000 s: look, read, change appVersion as Rollout, RollingOut(Changing) beside it, look, read",
        "1.000 s: change appVersion as Rollout, look, Failing { trouble: Unavailable, stalled: false }",
        "1.810 s: look, read, change appVersion as Rollout, look",
        "1.810 s: Failing { trouble: Unavailable, stalled: false }",
    ]);
}
