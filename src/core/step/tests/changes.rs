//! Changes of the configuration: what is wanted of a line whose change went wrong, and which calls stand against what is asked.

use super::*;
use crate::{
    config::{Connections, Days, Field, Schedule, ShownConnections, TimeOfDay},
    rollout::OnFailure,
};

fn version(version: i64) -> Arc<Managed> {
    Arc::new(Managed { app_version: Some(version), ..Managed::default() })
}

/// A line that shall answer, with an object that manages this.
fn managing(config: Arc<Managed>) -> (Memory, Object) {
    let object = Line::listed(Mode::Correct, false).memory.object().unwrap().clone();
    let object = Object { paused: false, config, ..object };
    (Memory { object: Some(object.clone()), ..Memory::first() }, object)
}

#[test]
fn a_line_whose_change_failed_is_what_was_asked_for_that() {
    use OnFailure::{Resume, StayPaused};
    let (mut memory, object) = managing(version(2));
    for (failed, on_failure, state, action) in [
        (None, Resume, State::Paused, Action::Resume),
        (None, StayPaused, State::Paused, Action::Resume),
        (Some(Failure::Refused), Resume, State::Paused, Action::Resume),
        (Some(Failure::Refused), StayPaused, State::Paused, Action::Pause),
        (Some(Failure::Refused), StayPaused, State::Active, Action::Resume),
        // It is tried on.
        (Some(Failure::Overdue), StayPaused, State::Paused, Action::Resume),
        (Some(Failure::Overdue), Resume, State::Paused, Action::Resume),
        (Some(Failure::Incomplete), Resume, State::Active, Action::Pause),
    ] {
        memory.rollout.failed = failed;
        let rollout = Rollout { on_failure, ..Rollout::default() };
        let object = Object { rollout, ..object.clone() };
        assert_eq!(memory.target(&object, state), action, "{failed:?} {on_failure:?} {state:?}");
        let paused = Object { paused: true, ..object };
        assert_eq!(memory.target(&paused, state), Action::Pause, "{failed:?} {on_failure:?} {state:?}");
    }
}

#[test]
fn a_call_is_in_doubt_until_the_last_of_its_kind_is_not() {
    let mut doubts = Doubts::default();
    for (change, until) in [
        (Change::Status(Action::Pause), 10),
        (Change::Status(Action::Pause), 5),
        (Change::Status(Action::Resume), 7),
        (Change::Config(version(2)), 9),
        (Change::Config(version(2)), 3),
    ] {
        doubts.extend(&change, Time(until));
    }
    let patched = |patch: i64, until, patches| Doubts {
        pause: Time(10),
        resume: Time(7),
        patch: Some((version(patch), Time(until))),
        patches: Time(patches),
    };
    assert_eq!(doubts, patched(2, 9, 0));
    assert_eq!((doubts.of(Action::Pause), doubts.of(Action::Resume)), (Time(10), Time(7)));
    doubts.extend(&Change::Config(version(3)), Time(4));
    assert_eq!(doubts, patched(3, 4, 9), "what the one before it set is not remembered");
    assert_eq!(
        (doubts.against(&version(3)), doubts.against(&version(2)), doubts.any_patch()),
        (Time(9), Time(9), Time(9))
    );
    doubts.extend(&Change::Config(version(3)), Time(12));
    assert_eq!(
        (doubts.against(&version(3)), doubts.against(&version(2)), doubts.any_patch()),
        (Time(9), Time(12), Time(12))
    );
}

#[test]
fn a_patch_that_says_otherwise_is_waited_for() {
    for (asked, failed, until) in [
        (Arc::default(), None, Time(0)),
        (version(2), None, START),
        (version(3), None, CERTAIN),
        // Every one that was sent for a change that was given up says otherwise.
        (version(2), Some(Failure::Refused), CERTAIN),
    ] {
        let (mut memory, object) = managing(asked);
        memory.doubts = Doubts { patch: Some((version(2), CERTAIN)), patches: START, ..Doubts::default() };
        memory.rollout.failed = failed;
        assert_eq!(memory.contrary_patch(&object), until, "{:?} {failed:?}", object.config);
    }
}

#[test]
fn a_memory_tells_what_differs_and_since_when_the_line_is_down() {
    let (mut memory, _) = managing(version(2));
    assert_eq!(memory.differing(&SETTINGS).iter().count(), 0, "nothing was seen");
    memory.seen = Some(Seen { state: State::Paused, config: Arc::default(), began: START });
    assert_eq!(memory.differing(&SETTINGS).iter().collect::<Vec<_>>(), [Field::AppVersion]);
    assert_eq!(memory.down_since(), None);
    memory.rollout.down_since = Some(START);
    assert_eq!(memory.down_since(), Some(START));
}

/// Whether an edit is followed by a call although the last look shows what is asked, or something else is to be done first.
#[test]
fn what_may_have_landed_since_the_look_is_called_back() {
    use State::{Active, Paused};
    let patch = || Some(Change::Config(version(2)));
    // What was seen and is asked, until when the contrary call may land, the same of a PATCH, and what is to be done by that look.
    for (state, contrary, patched, next, expected) in [
        (Paused, CERTAIN, None, None, Some(Action::Pause)),
        (Paused, CERTAIN, Some(CERTAIN), None, Some(Action::Pause)),
        (Paused, START, None, None, None),
        (Paused, CERTAIN, None, patch(), Some(Action::Pause)),
        (Paused, CERTAIN, None, Some(Change::Status(Action::Pause)), None),
        (Active, CERTAIN, None, None, Some(Action::Resume)),
        // It could answer with another version.
        (Active, CERTAIN, Some(CERTAIN), None, None),
        (Active, CERTAIN, None, patch(), None),
        (Active, START, None, None, None),
    ] {
        let (mut memory, object) = managing(version(2));
        let object = Object { paused: state == Paused, ..object };
        let patch = patched.map(|until| (version(3), until));
        memory.doubts = Doubts { pause: contrary, resume: contrary, patch, ..Doubts::default() };
        memory.seen = Some(Seen { state, config: Arc::default(), began: START });
        let next = next.map(|change| rollout::Next { change, gate: Time(0), looks_first: true });
        let case = format!("{state:?} {contrary:?} {patched:?} {next:?}");
        assert_eq!(memory.unsure(CERTAIN, &object, next.as_ref()), expected, "{case}");
    }
}

#[test]
fn a_line_is_down_for_a_change_while_it_shall_answer_and_does_not() {
    use State::{Active, Paused, Unknown};
    let began = Time(START.0 - 1000);
    for (paused, state, differs, before, since) in [
        (false, Paused, true, None, Some(START)),
        (false, Unknown, true, None, Some(START)),
        (false, Active, true, None, None),
        (true, Paused, true, None, None),
        (false, Paused, false, None, None),
        (false, Paused, true, Some(began), Some(began)),
        // It is there, and the line is not resumed yet.
        (false, Paused, false, Some(began), Some(began)),
        (false, Active, false, Some(began), None),
    ] {
        let (mut memory, object) = managing(version(2));
        let object = Object { paused, ..object };
        memory.rollout.down_since = before;
        let app_version = Some(if differs { 1 } else { 2 });
        let config = Arc::new(Shown { app_version, ..Shown::default() });
        memory.follow_rollout(&SETTINGS, START, &object, &Seen { state, config, began: START });
        assert_eq!(memory.down_since(), since, "{paused} {state:?} {differs} {before:?}");
    }
}

#[test]
fn who_resumes_a_line_in_the_middle_of_a_change_undoes_it() {
    use State::{Active, Paused};
    // What the look before showed, until when a resume of ours may land, what shows now, and whether the line shall be paused.
    for (before, resume, now, paused, undone) in [
        (Some(Paused), Time(0), Active, false, true),
        (Some(Paused), START, Active, false, true),
        (Some(Paused), CERTAIN, Active, false, false),
        (Some(Active), Time(0), Active, false, false),
        (None, Time(0), Active, false, false),
        (Some(Paused), Time(0), Paused, false, false),
        (Some(Paused), Time(0), Active, true, false),
    ] {
        let (mut memory, object) = managing(version(2));
        memory.doubts.resume = resume;
        let seen = |state, began| Seen { state, config: Arc::default(), began };
        let before = before.map(|state| seen(state, START));
        let object = Object { paused, ..object };
        let found = memory.was_undone(&object, before.as_ref(), &seen(now, CERTAIN));
        assert_eq!(found, undone, "{before:?} {resume:?} {now:?} {paused}");
    }
}

/// What a row of the list shows of a line whose connections are managed, and whether that is enough or leads to a look.
#[test]
fn a_row_has_the_numbers_and_not_what_they_belong_to() {
    let full = |number: &str| Connections::from_iter([("c".to_owned(), [number.to_owned()])]);
    let row = |number: &str| ShownConnections::Numbers(vec![number.to_owned()]);
    for (mode, seen, state, connections, enough) in [
        (Mode::Correct, false, State::Paused, row("+1"), false),
        (Mode::Correct, true, State::Paused, row("+1"), true),
        (Mode::Correct, true, State::Paused, row("+2"), false),
        (Mode::Report, true, State::Paused, row("+1"), true),
        (Mode::Report, true, State::Active, row("+1"), false),
    ] {
        let mut line = Line::listed(mode, true);
        let shown = |connections| Shown { connections, ..Shown::default() };
        let asked = Managed { connections: Some(full("+1")), ..Managed::default() };
        line.memory.object.as_mut().unwrap().config = Arc::new(asked);
        let whole = Arc::new(shown(ShownConnections::Full(full("+1"))));
        if seen {
            let sight = Sight { state: State::Paused, config: Arc::clone(&whole), identity: Identity::default() };
            line.on(at(START, 1), Event::Looked { began: START, answer: Ok(sight) });
            line.tell(at(START, 1));
        }
        let case = format!("{mode:?} {seen} {state:?} {connections:?}");
        let sight = Sight { state, config: Arc::new(shown(connections)), identity: Identity::default() };
        line.on(at(START, 60), Event::Listed { began: at(START, 59), row: Some(sight) });
        assert_eq!(line.request != Request::Look, enough, "{case}: {:?}", line.request);
        if enough {
            let known = line.memory.seen.unwrap();
            assert_eq!((known.config, known.began), (whole, at(START, 59)), "{case}: the look's word stands");
        }
    }
}

#[test]
fn a_row_with_too_much_leads_to_a_look() {
    let days = |days: &[&'static str]| {
        let time = |text| TimeOfDay::parse(text).unwrap();
        let days = Days::parse(days.iter().copied()).unwrap();
        Some(Schedule { start: time("09:00"), end: time("21:00"), days, timezone: "UTC".to_owned() })
    };
    for (shown, enough) in [(days(&["Monday"]), true), (days(&["Monday", "Tuesday"]), false)] {
        let mut line = Line::listed(Mode::Correct, true);
        line.settings.lists = Lists::Merge;
        let asked = Managed { schedule: days(&["Monday"]), ..Managed::default() };
        line.memory.object.as_mut().unwrap().config = Arc::new(asked);
        let config = Arc::new(Shown { schedule: shown, ..Shown::default() });
        let row = Some(Sight { state: State::Paused, config, identity: Identity::default() });
        line.on(at(START, 2), Event::Listed { began: at(START, 1), row });
        assert_eq!(line.request != Request::Look, enough, "{:?}", line.request);
    }
}
