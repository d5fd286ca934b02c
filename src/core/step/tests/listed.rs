//! What rows of the list do, and what they never do.

use super::*;

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
