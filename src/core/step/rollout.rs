//! Changes of a line's configuration: what is to be done next follows from what is asked and what was last seen.
//!
//! Differs in what needs a pause, and answers: pause. Paused, and differs: PATCH. Equal: what `spec.paused` says. So a
//! crash at any point leaves a line that the next look finishes.

use std::sync::Arc;

use super::{Memory, Mode, Object, Seen, Settings, wanted};
use crate::{
    config::{Difference, Fields, Shown},
    line::{Action, Change, State},
    rollout::{Failure, OnFailure, Stage, Strategy},
    status::Verdict,
    time::Time,
};

/// How often the remote may accept a change and not show it until that counts as failed.
const IGNORED_MAX: u8 = 3;

/// What is remembered of a change beside what is asked and seen: why it is not tried any more, and for how long the line
/// has been paused for it. Nothing of this says what to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    /// It was given up, until the next generation of the object.
    pub(super) failed: Option<Failure>,
    /// The remote refused it while the line answered, so the line is paused for it whatever the fields are.
    pub(super) refused_while_active: bool,
    /// Since when the line has been paused for it.
    pub(super) down_since: Option<Time>,
    /// From when on `maxPauseSeconds` counts: an edit gives the time anew.
    pub(super) counts_from: Option<Time>,
    /// What the remote showed before the first PATCH.
    pub(super) before: Option<Arc<Shown>>,
    /// How often in a row the remote accepted a PATCH and didn't show it.
    pub(super) ignored: u8,
}

impl Progress {
    /// A new generation of the object, or the first that is known in this term.
    pub(super) fn begin(&mut self, object: &Object, known_before: bool) {
        let down_since = self.down_since.or(object.down_since);
        let counts_from = down_since.filter(|_| !known_before);
        *self = Self { failed: object.failed, down_since, counts_from, ..Self::default() };
    }

    /// A call is about to be sent.
    pub(super) fn sends(&mut self, change: &Change, seen: Option<&Seen>) {
        if let (Change::Config(_), Some(seen)) = (change, seen) {
            self.before.get_or_insert_with(|| Arc::clone(&seen.config));
        }
    }

    /// The remote refused a PATCH for good: nothing of it is or will be there.
    pub(super) fn was_refused(&mut self, object: &Object, answers: bool) {
        if answers && object.rollout.strategy == Strategy::PauseFirst && !self.refused_while_active {
            self.refused_while_active = true;
        } else {
            self.failed = Some(Failure::Refused);
        }
    }

    /// The remote accepted a PATCH and doesn't show it. True where that was once too often.
    pub(super) fn was_ignored(&mut self, object: &Object, seen: &Seen) -> bool {
        self.ignored = self.ignored.saturating_add(1);
        if self.ignored >= IGNORED_MAX {
            self.failed = Some(self.failure(Failure::NotApplied, object, seen));
        }
        self.failed.is_some()
    }

    /// A change that went wrong is worse where a part of it is there.
    fn failure(&self, failure: Failure, object: &Object, seen: &Seen) -> Failure {
        let whole = self.before.as_ref().is_none_or(|before| object.config.sees_no_change(before, &seen.config));
        if whole { failure } else { Failure::Incomplete }
    }

    /// Whether the change is not tried any more. One that took too long goes on where the line stays paused anyway.
    fn gave_up(&self, object: &Object) -> bool {
        let goes_on = self.failed == Some(Failure::Overdue) && object.rollout.on_failure == OnFailure::StayPaused;
        self.failed.is_some() && !goes_on
    }
}

/// The next call for a line, and what must be so before it is sent.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) change: Change,
    /// The look that it rests on must have begun then or later.
    pub(super) gate: Time,
    /// It must rest on a look that is younger than the edit.
    pub(super) looks_first: bool,
}

impl Memory {
    /// Since when the line has been paused for a change of its configuration.
    #[must_use]
    pub const fn down_since(&self) -> Option<Time> {
        self.rollout.down_since
    }

    /// The fields that the last look showed otherwise than the object asks, whatever is done about that.
    #[must_use]
    pub fn differing(&self, settings: &Settings) -> Fields {
        let differing = self.object.as_ref().zip(self.seen.as_ref()).map(|(object, seen)| {
            let Difference { changes, surplus } = object.config.difference(&seen.config, settings.lists);
            changes.iter().chain(surplus.iter()).collect()
        });
        differing.unwrap_or_default()
    }

    /// What the configuration lacks, and is still tried to be brought about.
    fn difference(&self, settings: &Settings, object: &Object, shown: &Shown) -> Difference {
        if self.bar.is_some() || self.rollout.gave_up(object) {
            return Difference::default();
        }
        object.config.difference(shown, settings.lists)
    }

    /// The call that brings the line nearer to what is asked; `None`: nothing more can be done.
    pub(super) fn next(&self, settings: &Settings, object: &Object, seen: &Seen) -> Option<Next> {
        let at_once = |change| Next { change, gate: Time(0), looks_first: false };
        let changes = self.difference(settings, object, &seen.config).changes;
        if !changes.is_empty() {
            let pause_first = object.rollout.pauses_for(changes) || self.rollout.refused_while_active;
            if (pause_first || object.paused) && seen.state != State::Paused {
                return Some(at_once(Change::Status(Action::Pause)));
            }
            let change = Change::Config(Arc::new(object.config.only(changes)));
            let gate = if pause_first { self.doubts.resume } else { Time(0) };
            return Some(Next { change, gate, looks_first: pause_first });
        }
        let action = self.target(object, seen.state);
        let gate = if action == Action::Resume { self.contrary_patch(object) } else { Time(0) };
        (seen.state != action.state()).then(|| Next { gate, ..at_once(Change::Status(action)) })
    }

    /// Whether the line shall answer once its configuration is as asked, or was given up.
    pub(super) fn target(&self, object: &Object, state: State) -> Action {
        let stays_paused = object.rollout.on_failure == OnFailure::StayPaused && state == State::Paused;
        match self.rollout.failed {
            Some(Failure::Incomplete) => Action::Pause,
            Some(_) if self.rollout.gave_up(object) && stays_paused => Action::Pause,
            _ => wanted(object),
        }
    }

    /// When the last PATCH that says otherwise than the object can't land any more. Once a change is given up, that is
    /// every PATCH that was sent for it.
    pub(super) fn contrary_patch(&self, object: &Object) -> Time {
        match object.config.is_empty() {
            true => Time(0),
            false if self.rollout.gave_up(object) => self.doubts.any_patch(),
            false => self.doubts.against(&object.config),
        }
    }

    /// Takes in what a look says about a change under way.
    pub(super) fn follow_rollout(&mut self, settings: &Settings, now: Time, object: &Object, seen: &Seen) {
        let differs = !object.config.difference(&seen.config, settings.lists).changes.is_empty();
        let begins = (differs && object.mode == Mode::Correct).then_some(now);
        let Progress { down_since, counts_from, .. } = self.rollout;
        if !differs {
            self.rollout = Progress::default();
        }
        let down = !object.paused && seen.state != State::Active;
        self.rollout.down_since = down_since.or(begins).filter(|_| down);
        self.rollout.counts_from = counts_from.or(begins).filter(|_| down);
    }

    /// Gives a change up for which the line has been paused too long; else returns when that will be.
    pub(super) fn judge_overdue(&mut self, settings: &Settings, now: Time, object: &Object) -> Time {
        let Some((from, seen)) = self.rollout.counts_from.zip(self.seen.as_ref()) else { return Time::NEVER };
        let open = self.rollout.failed.is_none() && !self.difference(settings, object, &seen.config).changes.is_empty();
        if !open || !self.changes(object) {
            return Time::NEVER;
        }
        let overdue = from + object.rollout.max_pause;
        if overdue > now {
            return overdue;
        }
        self.rollout.failed = Some(self.rollout.failure(Failure::Overdue, object, seen));
        self.start_afresh(now);
        Time::NEVER
    }

    /// Whether somebody else resumed a line that was paused for a change.
    pub(super) fn was_undone(&self, object: &Object, before: Option<&Seen>, seen: &Seen) -> bool {
        !object.paused
            && seen.state == State::Active
            && before.is_some_and(|before| before.state == State::Paused && self.doubts.resume <= before.began)
    }

    /// Whether the call is a step of a change of the configuration.
    pub(super) fn rolls_out(&self, object: &Object, change: &Change) -> bool {
        match change {
            Change::Config(_) => true,
            Change::Status(Action::Pause) => !object.paused,
            Change::Status(Action::Resume) => self.rollout.down_since.is_some(),
        }
    }

    /// What to tell while `next` has yet to be done.
    pub(super) fn progress(&self, object: &Object, seen: &Seen, next: &Next) -> Verdict {
        match self.doing(object, &next.change) {
            Verdict::Acting(_) | Verdict::RollingOut(_) if next.gate > seen.began => {
                Verdict::RollingOut(Stage::Waiting)
            }
            verdict => verdict,
        }
    }

    /// What to tell of a call for the line while it is under way.
    pub(super) fn doing(&self, object: &Object, change: &Change) -> Verdict {
        match (change, self.given_up(object)) {
            (_, Some(failed)) => failed,
            (Change::Status(action), _) if !self.rolls_out(object, change) => Verdict::Acting(*action),
            (Change::Status(Action::Pause), _) => Verdict::RollingOut(Stage::Pausing),
            (Change::Status(Action::Resume), _) => Verdict::RollingOut(Stage::Resuming),
            (Change::Config(_), _) => Verdict::RollingOut(Stage::Changing),
        }
    }

    /// Why a line is not as asked although there is nothing more to do.
    pub(super) fn shortfall(&self, settings: &Settings, object: &Object, seen: &Seen) -> Option<Verdict> {
        let surplus = self.bar.is_none() && !self.difference(settings, object, &seen.config).surplus.is_empty();
        self.given_up(object).or_else(|| surplus.then_some(Verdict::Surplus))
    }

    /// What to tell of a change that was given up, or takes too long.
    pub(super) fn given_up(&self, object: &Object) -> Option<Verdict> {
        let goes_on = !self.rollout.gave_up(object);
        self.rollout.failed.map(|failure| Verdict::RolloutFailed { failure, goes_on })
    }
}
