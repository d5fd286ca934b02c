use super::*;
use crate::config::Lists;

fn words(verdict: Verdict) -> String {
    let Conditions { ready, reason, progress, message } = verdict.conditions(&Details {
        fault: "the remote failed",
        obstacle: "there is no such Secret",
        ..Details::default()
    });
    assert!(!message.is_empty(), "{verdict:?} says nothing");
    format!("{} {progress:?} {reason}", ready.as_str())
}

/// What a verdict says of what the operator does about the line.
#[derive(Debug, PartialEq, Eq)]
enum Nature {
    /// Nothing more, until something changes.
    Rests,
    /// What there is to do, and nothing went wrong.
    GoesOn,
    Troubles,
}

#[test]
fn every_verdict_has_its_words_its_claim_and_its_state() {
    use Nature::{GoesOn, Rests, Troubles};
    let failing = |stalled| Verdict::Failing { trouble: Trouble::Refused, stalled };
    let hindered = |stalled| Verdict::Hindered { obstacle: Obstacle::SecretNotFound, stalled };
    let barred = |stalled| Verdict::Barred { bar: Bar::NumberTaken, stalled };
    let failed = |failure, goes_on| Verdict::RolloutFailed { failure, goes_on };
    for (verdict, expected, claims, shows_state, nature) in [
        (Verdict::Acting(Action::Pause), "Unknown Reconciling Progressing", false, false, GoesOn),
        (Verdict::Acting(Action::Resume), "Unknown Reconciling Progressing", false, false, GoesOn),
        (Verdict::Awaiting, "Unknown Reconciling AwaitingConfirmation", false, true, GoesOn),
        (Verdict::Synced, "True Done Synced", true, true, Rests),
        (Verdict::Suspended { differs: false }, "True Done Suspended", true, true, Rests),
        (Verdict::Suspended { differs: true }, "False Stalled Suspended", false, true, Rests),
        (Verdict::Reported, "False Stalled DriftReported", false, true, Rests),
        (Verdict::Drifted, "False Reconciling DriftDetected", false, true, Troubles),
        (Verdict::Contended, "False Reconciling RemoteContended", false, true, Troubles),
        (Verdict::StateUnknown, "Unknown Reconciling RemoteStateUnknown", false, true, Troubles),
        (failing(false), "False Reconciling InvalidRequest", false, true, Troubles),
        (failing(true), "False Stalled InvalidRequest", false, true, Troubles),
        (Verdict::Stale(Trouble::Unavailable), "Unknown Reconciling ObservationStale", false, false, Troubles),
        (hindered(false), "False Reconciling SecretNotFound", false, true, Troubles),
        (hindered(true), "False Stalled SecretNotFound", false, true, Troubles),
        (Verdict::RollingOut(Stage::Pausing), "Unknown Reconciling RollingOut", false, false, GoesOn),
        (Verdict::RollingOut(Stage::Changing), "Unknown Reconciling RollingOut", false, true, GoesOn),
        (Verdict::RollingOut(Stage::Resuming), "Unknown Reconciling RollingOut", false, false, GoesOn),
        (Verdict::RollingOut(Stage::Waiting), "Unknown Reconciling RollingOut", false, true, GoesOn),
        (failed(Failure::Refused, false), "False Stalled RolloutRefused", false, true, Rests),
        (failed(Failure::Overdue, false), "False Stalled RolloutOverdue", false, true, Rests),
        (failed(Failure::Overdue, true), "False Reconciling RolloutOverdue", false, true, Troubles),
        (failed(Failure::NotApplied, false), "False Stalled RolloutNotApplied", false, true, Rests),
        (failed(Failure::Incomplete, false), "False Stalled RolloutIncomplete", false, true, Rests),
        (Verdict::Surplus, "False Stalled ListSurplus", false, true, Rests),
        (barred(false), "False Reconciling PhoneNumberConflict", false, true, Troubles),
        (barred(true), "False Stalled PhoneNumberConflict", false, true, Rests),
        (Verdict::IdentityChanged, "False Stalled IdentityChanged", false, false, Rests),
        (Verdict::InternalError, "False Reconciling InternalError", false, true, Troubles),
    ] {
        assert_eq!(words(verdict), expected, "{verdict:?}");
        assert_eq!((verdict.claims(), verdict.shows_state()), (claims, shows_state), "{verdict:?}");
        assert_eq!((verdict.is_at_rest(), verdict.is_progress()), (nature == Rests, nature == GoesOn), "{verdict:?}");
        // Whatever claims that the line is as asked says Ready=True, and nothing else does.
        assert_eq!(claims, expected.starts_with("True"), "{verdict:?}");
    }
}

#[test]
fn a_change_that_was_given_up_says_how_the_line_is() {
    let answers = "The line answers with the configuration that it had; appVersion is 3.";
    let paused = "The line is paused; appVersion is 3.";
    let again = "Edit the spec to have it tried again.";
    for (failure, goes_on, asked, seen, why, line) in [
        (Failure::Refused, false, false, State::Active, "The change was refused. No such version.", answers),
        (Failure::Refused, false, false, State::Paused, "The change was refused. No such version.", paused),
        (
            Failure::Refused,
            false,
            true,
            State::Paused,
            "The change was refused. No such version.",
            "The line is paused, as spec.paused asks; appVersion is 3.",
        ),
        (
            Failure::Overdue,
            true,
            false,
            State::Paused,
            "The line was paused for the change for longer than spec.rollout.maxPauseSeconds.",
            "The line stays paused, as spec.rollout.onFailure asks, and the change is tried on; appVersion is 3.",
        ),
        (
            Failure::NotApplied,
            false,
            false,
            State::Paused,
            "The remote accepted the change several times and never showed it.",
            paused,
        ),
        (
            Failure::Incomplete,
            false,
            true,
            State::Paused,
            "The remote carried out a part of the change only.",
            "Nobody may reach a line that is half changed, so it stays paused; appVersion is 3.",
        ),
    ] {
        let verdict = Verdict::RolloutFailed { failure, goes_on };
        assert_eq!(verdict.failure(), Some(failure));
        let details = Details {
            paused: asked,
            seen: Some(seen),
            differences: "appVersion is 3",
            refusal: "No such version.",
            ..Details::default()
        };
        let told = if goes_on { format!("{why} {line}") } else { format!("{why} {line} {again}") };
        assert_eq!(verdict.conditions(&details).message, told);
    }
    assert_eq!(Verdict::Synced.failure(), None);
}

#[test]
fn what_is_not_as_asked_is_told() {
    for (paused, seen, differences, expected) in [
        (true, State::Active, "", "The line is answering (last changed by asha), but spec.paused is true."),
        (false, State::Paused, "", "The line is paused (last changed by asha), but spec.paused is false."),
        (
            true,
            State::Paused,
            "appVersion is 3",
            "The line is paused (last changed by asha), as spec.paused asks; appVersion is 3.",
        ),
    ] {
        let details = Details { paused, seen: Some(seen), updated_by: Some("asha"), differences, ..Details::default() };
        let told = Verdict::Drifted.conditions(&details).message;
        assert_eq!(told, format!("{expected} Putting it right."));
    }
}

#[test]
fn what_may_still_come_is_waited_for() {
    let seconds = Duration::from_secs;
    let settings = Settings {
        doubt: seconds(1),
        settle: seconds(2),
        takeover: seconds(3),
        retry: seconds(4),
        retry_cap: seconds(5),
        sync: seconds(6),
        horizon: seconds(6),
        stale_after: 7,
        grace: seconds(8),
        lists: Lists::Replace,
    };
    for (obstacle, grace) in [
        (Obstacle::NotOwner, None),
        (Obstacle::InvalidSpec, None),
        (Obstacle::WorkspaceNotFound, Some(seconds(8))),
        (Obstacle::SecretNotFound, Some(seconds(8))),
        (Obstacle::SecretInvalid, Some(seconds(8))),
        (Obstacle::CredentialsRejected, Some(CREDENTIALS_GRACE)),
        (Obstacle::Deleting, Some(Duration::MAX)),
    ] {
        assert_eq!(obstacle.grace(&settings), grace, "{obstacle:?}");
    }
    for (bar, grace) in [(Bar::NumberTaken, Some(seconds(8))), (Bar::InvalidConfig, None)] {
        assert_eq!(bar.grace(&settings), grace, "{bar:?}");
    }
}
