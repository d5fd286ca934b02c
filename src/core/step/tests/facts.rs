//! What the controller asks of a memory, and what the API server tells it.

use super::*;

#[test]
fn a_uid_is_its_hexadecimal_digits() {
    for (text, uid) in [
        ("", 0),
        ("1f", 0x1f),
        ("0000000a-00b0-0c00-d000-00000000000e", 0x0000_000a_00b0_0c00_d000_0000_0000_000e),
        ("F-x", 0xf),
    ] {
        assert_eq!(Uid::of(text), Uid(uid), "{text}");
    }
}

#[test]
fn a_line_is_quiet_while_nothing_is_the_matter() {
    type Matter = fn(&mut Memory);
    let line = Line::seen(Mode::Correct, State::Paused);
    let failing = Failing { trouble: Trouble::Unavailable, since: START, stalled: false };
    let table: [(&str, Matter, bool, bool); 11] = [
        ("nothing", |_| {}, true, true),
        ("a call is under way", |it| it.in_flight = Some(Change::Status(Action::Pause)), false, false),
        ("a call has not shown yet", |it| it.settling = Some((Aim::Config, CERTAIN)), false, false),
        ("a call is due", |it| it.due = Due::Correction, false, false),
        ("the object is to be read", |it| it.reread = true, false, false),
        ("the work panicked", |it| it.panicked = true, false, false),
        ("a call failed", |it| it.failures = 1, false, false),
        ("the key is missing", |it| it.obstacle = Some((Obstacle::SecretNotFound, START)), true, false),
        ("nothing was told", |it| it.told = None, true, false),
        ("it goes on", |it| it.told = Some(Verdict::Awaiting), true, false),
        ("it was given up", |it| it.told = Some(Verdict::Surplus), true, true),
    ];
    for (what, change, quiet, rests) in table {
        let mut memory = line.memory.clone();
        change(&mut memory);
        assert_eq!((memory.is_quiet(), memory.rests()), (quiet, rests), "{what}");
    }
    let fails = Memory { failing: Some(failing), ..line.memory };
    assert_eq!((fails.is_quiet(), fails.rests()), (false, false), "it fails");
}

#[test]
fn what_the_last_look_showed_is_known() {
    assert_eq!(Line::listed(Mode::Correct, false).memory.sight(), None);
    assert_eq!(Line::seen(Mode::Correct, State::Active).memory.sight(), Some(sight(State::Active)));
}

#[test]
fn a_look_is_for_an_edit_or_its_retry() {
    let (edit, retry) = (Some(Why::Edit), Some(Why::Retry));
    for (pending, failures, expected) in [(true, 0, edit), (true, 1, retry), (false, 0, None), (false, 1, None)] {
        let memory = Memory { pending, failures, ..Memory::first() };
        assert_eq!(memory.for_edit(), expected, "{pending} {failures}");
    }
}

#[test]
fn a_doubt_is_about_what_the_object_asks() {
    assert_eq!(Memory::inherited(&SETTINGS, START).doubt_until(), Time(0), "there is no object");
    assert_eq!(Line::listed(Mode::Correct, false).memory.doubt_until(), CERTAIN);
}

/// The pauses between tries, for objects whose uids differ in either half.
#[test]
fn pauses_double_up_to_the_longest_and_differ_from_object_to_object() {
    let of = |uid: u128, failures| {
        let mut line = Line::listed(Mode::Correct, false);
        line.memory.object.as_mut().unwrap().uid = Uid(uid);
        u64::try_from(line.memory.backoff(&SETTINGS, failures).as_millis()).unwrap()
    };
    for (uid, pauses) in [
        (1, [0, 0, 810, 1930, 3481, 6204, 14891, 26750, 63438, 114_750, 205_250, 287_110]),
        (0x5 << 64 | 1, [0, 0, 807, 1924, 3469, 6180, 14844, 26657, 63250, 114_375, 204_500, 286_231]),
        (0x5 << 64 | 3, [0, 0, 805, 1920, 3461, 6165, 14813, 26594, 63125, 114_125, 204_000, 285_645]),
    ] {
        assert_eq!((0..12).map(|failures| of(uid, failures)).collect::<Vec<_>>(), pauses, "{uid:x}");
    }
    assert!(of(1, u8::MAX) > 225_000, "the longest, less a quarter at most");
}

#[test]
fn patience_ends_when_its_time_is_over() {
    let grace = Some(Duration::from_mins(1));
    for (grace, now, expected) in [
        (None, START, (true, Time::NEVER)),
        (grace, START, (false, at(START, 60))),
        (grace, Time(START.0 + 59_999), (false, at(START, 60))),
        (grace, at(START, 60), (true, Time::NEVER)),
    ] {
        assert_eq!(patience(grace, START, now), expected, "{grace:?} {now:?}");
    }
}

/// What it is told while it follows version 5 of the object 1: whether it reads the object, and which it follows then.
#[test]
fn only_what_is_newer_is_taken_for_news() {
    for (uid, version, source, reads, follows) in [
        (1, 6, Source::Watch, false, (1, 6)),
        (1, 5, Source::Watch, false, (1, 5)),
        (1, 4, Source::Watch, false, (1, 5)),
        (1, 5, Source::List, false, (1, 5)),
        // A restored backup.
        (1, 4, Source::List, true, (1, 5)),
        (2, 6, Source::Watch, false, (2, 6)),
        // It has the line next, and was written before.
        (2, 4, Source::Watch, true, (1, 5)),
        (2, 5, Source::List, true, (1, 5)),
    ] {
        let mut line = Line::seen(Mode::Correct, State::Paused);
        let known = Object { version: Version(5), ..line.memory.object().unwrap().clone() };
        line.on(CERTAIN, Event::Noticed(known.clone(), Source::Watch));
        let news = Object { uid: Uid(uid), version: Version(version), ..known };
        line.on(CERTAIN, Event::Noticed(news, source));
        let case = format!("{uid} {version} {source:?}");
        assert_eq!(line.request == Request::Read, reads, "{case}");
        let object = line.memory.object().unwrap();
        assert_eq!((object.uid, object.version), (Uid(follows.0), Version(follows.1)), "{case}");
    }
}

#[test]
fn what_is_gone_is_no_news_and_its_heir_is_read() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    let known = line.memory.object().unwrap().clone();
    line.on(CERTAIN, Event::Deleted(Uid(2)));
    assert!(line.memory.object().is_some(), "another was deleted");
    line.on(CERTAIN, Event::Deleted(Uid(1)));
    line.on(CERTAIN, Event::Noticed(Object { version: Version(9), ..known.clone() }, Source::Watch));
    assert_eq!((line.memory.object(), &line.request), (None, &Request::Wait(Time::NEVER)));
    let heir = Object { uid: Uid(2), version: Version(1), ..known };
    line.on(CERTAIN, Event::Noticed(heir.clone(), Source::Watch));
    assert_eq!((line.memory.object(), &line.request), (Some(&heir), &Request::Read));
}

#[test]
fn nothing_is_done_before_the_object_was_read_with_quorum() {
    let object = Line::listed(Mode::Correct, false).memory.object().unwrap().clone();
    for (source, request) in [(Source::Watch, Request::Read), (Source::List, Request::Look)] {
        let mut line = Line::new(Memory::first());
        line.on(START, Event::Noticed(object.clone(), source));
        assert_eq!(line.request, request, "{source:?}");
    }
}

#[test]
fn a_status_that_was_not_written_is_written_after_a_read() {
    let mut line = Line::listed(Mode::Correct, false);
    line.on(START, Event::Looked { began: START, answer: Ok(sight(State::Paused)) });
    let object = line.memory.object().unwrap().clone();
    for (second, told, pause) in [
        (1, Told::Failed, 810),
        (5, Told::Failed, 1930),
        (10, Told::Outdated, 0),
        (15, Told::Written(Version(2), Identity::default()), 0),
    ] {
        assert_eq!(line.request, Request::Tell(Verdict::Awaiting), "at {second}");
        line.on(at(START, second), Event::Told(Verdict::Awaiting, told));
        let again = Time(at(START, second).0 + pause);
        if pause > 0 {
            assert_eq!(line.request, Request::Wait(again), "{told:?}");
            line.on(again, Event::Woken);
        }
        if told != Told::Written(Version(2), Identity::default()) {
            assert_eq!(line.request, Request::Read, "{told:?}");
            line.on(again, Event::Read(object.clone()));
        }
    }
    assert_eq!(line.request, Request::Wait(CERTAIN));
    line.on(at(START, 20), Event::Reworded);
    line.on(at(START, 20), Event::Told(Verdict::Awaiting, Told::Failed));
    assert_eq!(line.request, Request::Wait(Time(at(START, 20).0 + 810)), "the first after one that stands");
}

#[test]
fn a_read_that_failed_is_tried_again() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    line.on(CERTAIN, Event::ReadFailed);
    assert_eq!(line.request, Request::Wait(at(CERTAIN, 1)));
    line.on(at(CERTAIN, 1), Event::Woken);
    assert_eq!(line.request, Request::Read);
}

#[test]
fn a_panic_leaves_its_call_in_doubt() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    let asks = Object { version: Version(3), generation: 2, paused: false, ..line.memory.object().unwrap().clone() };
    line.on(CERTAIN, Event::Noticed(asks.clone(), Source::Watch));
    assert!(matches!(line.request, Request::Send { .. }));
    line.on(CERTAIN, Event::Interrupted);
    assert_eq!((line.memory.doubts.resume, &line.request), (at(CERTAIN, 30), &Request::Read));
    line.on(CERTAIN, Event::Read(asks));
    assert_eq!(line.tell(CERTAIN), Some(Verdict::InternalError));
    assert_eq!(line.request, Request::Wait(Time(CERTAIN.0 + 810)));
    line.on(Time(CERTAIN.0 + 810), Event::Woken);
    assert_eq!(line.request, Request::Look);
}

#[test]
fn what_a_read_brought_is_the_newest_also_where_versions_went_back() {
    let mut line = Line::seen(Mode::Report, State::Paused);
    let known = line.memory.object().unwrap().clone();
    let of = |version, generation| Object { version: Version(version), generation, ..known.clone() };
    line.on(CERTAIN, Event::Noticed(of(9, 2), Source::Watch));
    line.on(CERTAIN, Event::Noticed(of(4, 1), Source::List));
    assert_eq!(line.request, Request::Read);
    line.on(CERTAIN, Event::Read(of(4, 1)));
    line.on(CERTAIN, Event::Noticed(of(5, 3), Source::Watch));
    assert_eq!(line.memory.object().unwrap().generation, 3);
}

#[test]
fn what_the_first_read_brings_is_no_edit() {
    let known = Line::listed(Mode::Correct, false).memory.object().unwrap().clone();
    let mut line = Line::new(Memory::inherited(&SETTINGS, START));
    line.on(START, Event::Noticed(known.clone(), Source::Watch));
    line.on(START, Event::Read(Object { version: Version(2), generation: 2, ..known }));
    assert_eq!(line.request, Request::Look, "a call may be on its way, and yet none goes out");
}

/// When a look began, and whether an edit that asks for the same again goes out without another.
#[test]
fn a_call_that_can_not_land_any_more_is_no_reason_for_another() {
    for (began, goes_out) in [(Time(CERTAIN.0 - 1), true), (CERTAIN, false), (Time(CERTAIN.0 + 1), false)] {
        let mut line = Line::listed(Mode::Correct, false);
        line.on(at(CERTAIN, 1), Event::Looked { began, answer: Ok(sight(State::Paused)) });
        let touched = Object { version: Version(3), generation: 2, ..line.memory.object().unwrap().clone() };
        line.on(at(CERTAIN, 1), Event::Noticed(touched, Source::Watch));
        assert_eq!(matches!(line.request, Request::Send { .. }), goes_out, "{began:?}: {:?}", line.request);
    }
}

#[test]
fn a_shorter_interval_counts_at_once() {
    let mut line = Line::seen(Mode::Correct, State::Paused);
    assert_eq!(line.request, Request::Wait(at(START, 121)));
    line.settings.horizon = Duration::from_secs(10);
    line.on(at(START, 5), Event::Woken);
    assert_eq!(line.request, Request::Wait(at(START, 15)));
    line.memory.failures = 12;
    line.on(at(START, 15), Event::Looked { began: at(START, 15), answer: Err((Trouble::Unavailable, None)) });
    assert!(line.memory.look_at > at(START, 200), "what fails has a pace of its own");
}

/// The times between looks, and for how long the last good one counts.
#[test]
fn a_look_is_good_for_some_intervals_and_for_one_that_was_missed() {
    for (sync, horizon, stale_after, expires) in [(60, 120, 3, 180), (60, 400, 3, 460), (60, 120, 10, 600)] {
        let mut line = Line::seen(Mode::Correct, State::Paused);
        let (sync, horizon) = (Duration::from_secs(sync), Duration::from_secs(horizon));
        line.settings = Settings { sync, horizon, stale_after, ..SETTINGS };
        line.memory.failures = 12;
        line.on(at(START, 1), Event::Looked { began: at(START, 1), answer: Err((Trouble::Unavailable, None)) });
        let object = line.memory.object().unwrap().clone();
        let verdict = |now| line.memory.verdict(&line.settings, now, &object);
        let (last, over) = (Time(at(START, expires).0 - 1), at(START, expires));
        assert_eq!(verdict(last), (Verdict::Synced, over));
        assert_eq!(verdict(over), (Verdict::Stale(Trouble::Unavailable), Time::NEVER));
    }
}

#[test]
fn a_failure_is_told_where_nothing_is_claimed() {
    let mut line = Line::listed(Mode::Correct, false);
    line.on(START, Event::Looked { began: START, answer: Ok(sight(State::Paused)) });
    assert_eq!(line.tell(START), Some(Verdict::Awaiting));
    line.memory.failures = 5;
    line.on(CERTAIN, Event::Looked { began: CERTAIN, answer: Err((Trouble::Unavailable, None)) });
    assert_eq!(line.tell(CERTAIN), Some(Verdict::Failing { trouble: Trouble::Unavailable, stalled: false }));
}

/// An edit comes during a call, and then the word that the status beside it stands.
#[test]
fn what_stands_already_is_not_told_again_beside_the_next_call() {
    let acting = Verdict::Acting;
    for (paused, expected) in [(true, Some(acting(Action::Pause))), (false, None)] {
        let mut line = Line::seen(Mode::Correct, State::Paused);
        let known = line.memory.object().unwrap().clone();
        let asks = |version, paused| {
            let (version, generation) = (Version(version), i64::try_from(version).unwrap());
            Object { version, generation, paused, claims: false, ..known.clone() }
        };
        line.on(CERTAIN, Event::Noticed(asks(3, false), Source::Watch));
        assert!(
            matches!(line.request, Request::Send { beside: Some(verdict), .. } if verdict == acting(Action::Resume))
        );
        line.on(CERTAIN, Event::Noticed(asks(5, paused), Source::Watch));
        line.on(CERTAIN, Event::Told(acting(Action::Resume), Told::Written(Version(4), Identity::default())));
        line.on(at(CERTAIN, 1), Event::Sent(Sent::Clean(Identity::default()), None));
        let Request::Send { beside, .. } = line.request else { panic!("{paused}: {:?}", line.request) };
        assert_eq!(beside, expected, "{paused}");
    }
}

#[test]
fn two_looks_half_a_minute_apart_must_find_nothing() {
    let mut line = Line::listed(Mode::Correct, false);
    for (millis, stalled) in [(0, false), (10_000, false), (29_999, false), (30_000, true)] {
        let now = Time(START.0 + millis);
        line.on(now, Event::Looked { began: now, answer: Err((Trouble::NotFound, None)) });
        let expected = Some(Failing { trouble: Trouble::NotFound, since: START, stalled });
        assert_eq!(line.memory.failing, expected, "{millis}");
    }
}
