//! Two objects that name one line.

use sarvam_testkit::simulator::LineState;

use crate::stage::{ready_message, scenario};

/// The older object decides; when it goes the younger takes over, whether it asks for the same or the contrary.
#[tokio::test]
async fn the_older_of_two_objects_decides_until_it_goes() {
    // Each case: what the older and what the younger ask for.
    const CASES: [(&str, bool, bool); 3] = [("same", true, true), ("pause", false, true), ("resume", true, false)];
    scenario("owners", async |stage| {
        stage.operator();
        for (case, older, _) in CASES {
            stage.line(&format!("dep-{case}"));
            stage.apply(&format!("{case}-older"), &format!("dep-{case}"), older).await;
        }
        for (case, ..) in CASES {
            stage.ready(&format!("{case}-older")).await;
        }
        stage.another_second().await;
        for (case, _, younger) in CASES {
            stage.apply(&format!("{case}-younger"), &format!("dep-{case}"), younger).await;
        }
        for (case, ..) in CASES {
            let object = stage.says(&format!("{case}-younger"), "False Stalled RemoteIdConflict").await;
            let message = ready_message(&object);
            assert!(message.contains(&format!("{case}-older")), "the owner is not named: {message}");
        }
        let calls: Vec<_> = CASES.map(|(case, ..)| stage.puts(&format!("dep-{case}"))).into();
        stage.looks(2).await;
        for ((case, older, _), calls) in CASES.into_iter().zip(calls) {
            assert_eq!(stage.puts(&format!("dep-{case}")), calls, "{case}: the younger one had its line written to");
            stage.line_is(&format!("dep-{case}"), LineState::of(older)).await;
        }

        for (case, ..) in CASES {
            stage.delete(&format!("{case}-older")).await;
        }
        for (case, _, younger) in CASES {
            stage.ready(&format!("{case}-younger")).await;
            stage.line_is(&format!("dep-{case}"), LineState::of(younger)).await;
        }
    })
    .await;
}
