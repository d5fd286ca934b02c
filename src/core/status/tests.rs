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

#[test]
fn every_verdict_has_its_words_its_claim_and_its_state() {
    let failing = |stalled| Verdict::Failing { trouble: Trouble::Refused, stalled };
    let hindered = |stalled| Verdict::Hindered { obstacle: Obstacle::SecretNotFound, stalled };
    let barred = |stalled| Verdict::Barred { bar: Bar::NumberTaken, stalled };
    let failed = |failure, goes_on| Verdict::RolloutFailed { failure, goes_on };
    for (verdict, expected, claims, shows_state) in [
        (Verdict::Acting(Action::Pause), "Unknown Reconciling Progressing", false, false),
        (Verdict::Acting(Action::Resume), "Unknown Reconciling Progressing", false, false),
        (Verdict::Awaiting, "Unknown Reconciling AwaitingConfirmation", false, true),
        (Verdict::Synced, "True Done Synced", true, true),
        (Verdict::Suspended { differs: false }, "True Done Suspended", true, true),
        (Verdict::Suspended { differs: true }, "False Stalled Suspended", false, true),
        (Verdict::Reported, "False Stalled DriftReported", false, true),
        (Verdict::Drifted, "False Reconciling DriftDetected", false, true),
        (Verdict::Contended, "False Reconciling RemoteContended", false, true),
        (Verdict::StateUnknown, "Unknown Reconciling RemoteStateUnknown", false, true),
        (failing(false), "False Reconciling InvalidRequest", false, true),
        (failing(true), "False Stalled InvalidRequest", false, true),
        (Verdict::Stale(Trouble::Unavailable), "Unknown Reconciling ObservationStale", false, false),
        (hindered(false), "False Reconciling SecretNotFound", false, true),
        (hindered(true), "False Stalled SecretNotFound", false, true),
        (Verdict::RollingOut(Stage::Pausing), "Unknown Reconciling RollingOut", false, false),
        (Verdict::RollingOut(Stage::Changing), "Unknown Reconciling RollingOut", false, true),
        (Verdict::RollingOut(Stage::Resuming), "Unknown Reconciling RollingOut", false, false),
        (Verdict::RollingOut(Stage::Waiting), "Unknown Reconciling RollingOut", false, true),
        (failed(Failure::Refused, false), "False Stalled RolloutRefused", false, true),
        (failed(Failure::Overdue, false), "False Stalled RolloutOverdue", false, true),
        (failed(Failure::Overdue, true), "False Reconciling RolloutOverdue", false, true),
        (failed(Failure::NotApplied, false), "False Stalled RolloutNotApplied", false, true),
        (failed(Failure::Incomplete, false), "False Stalled RolloutIncomplete", false, true),
        (Verdict::Surplus, "False Stalled ListSurplus", false, true),
        (barred(false), "False Reconciling PhoneNumberConflict", false, true),
        (barred(true), "False Stalled PhoneNumberConflict", false, true),
        (Verdict::IdentityChanged, "False Stalled IdentityChanged", false, false),
        (Verdict::InternalError, "False Reconciling InternalError", false, true),
    ] {
        assert_eq!(words(verdict), expected, "{verdict:?}");
        assert_eq!((verdict.claims(), verdict.shows_state()), (claims, shows_state), "{verdict:?}");
        // Whatever claims that the line is as asked says Ready=True, and nothing else does.
        assert_eq!(claims, expected.starts_with("True"), "{verdict:?}");
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
