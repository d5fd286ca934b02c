//! The API key: late, wrong, unfit, rotated.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use sarvam_testkit::simulator::{Entry, LineState, Route, What};
use serde_json::{Value, json};

use crate::stage::{
    LIMIT, Launch, ORG, SECRET, SECRET_KEY, Setup, Stage, WORKSPACE_ID, ready_message, scenario, verdict,
};

/// Whether a problem was first worked on, and only then called one for a person.
fn patiently(said: &[String], reason: &str) -> bool {
    let both = ["Reconciling", "Stalled"].map(|progress| format!("False {progress} {reason}"));
    said.windows(2).any(|two| two == both)
}

/// Waits until a call is made with the key of this name.
async fn key_is_used(stage: &Stage, name: &str) {
    let with_it = |entry: &Entry| matches!(&entry.what, What::Arrived(call) if call.key.as_deref() == Some(name));
    stage.remote.wait_until(LIMIT, |remote| remote.history().iter().any(with_it)).await.unwrap();
}

/// The new key is there before the old one goes: nobody notices.
#[tokio::test]
async fn a_key_rotated_in_good_order_is_not_noticed() {
    scenario("rotated", async |stage| {
        stage.line("dep-1");
        // With everything logged that any library has to say.
        stage.launch(Launch::default().log("trace"));
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        let second = stage.new_key();
        stage.remote.add_key(ORG, WORKSPACE_ID, "second", &second);
        stage.put_secret(second.as_bytes()).await;
        key_is_used(stage, "second").await;
        stage.remote.revoke_key("first");
        stage.looks(2).await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.ready("support-line").await;
        let told = json!(stage.statuses("support-line")).to_string();
        assert!(!told.contains("CredentialsRejected"), "{told}");
    })
    .await;
}

/// The old key goes first: the first refusal makes the operator read the Secret, not a restart or a timer.
#[tokio::test]
async fn a_key_revoked_before_the_secret_changes_heals_with_the_secret() {
    scenario("revoked", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        stage.remote.revoke_key("first");
        stage.says("support-line", "CredentialsRejected").await;
        let workspace = stage.workspace_says("CredentialsRejected").await;
        let place = format!("Secret {}/{SECRET}, key {SECRET_KEY:?}", stage.namespace);
        assert!(ready_message(&workspace).contains(&place), "{workspace:#}");
        // Asked for while no call can be made; done when one can.
        stage.edit("support-line", json!({"paused": false})).await;
        stage.says("support-line", "CredentialsRejected").await;

        let second = stage.new_key();
        stage.remote.add_key(ORG, WORKSPACE_ID, "second", &second);
        stage.put_secret(second.as_bytes()).await;
        stage.ready("support-line").await;
        stage.workspace_says("True - KeyAccepted").await;
        stage.line_is("dep-1", LineState::Active).await;
    })
    .await;
}

/// Both refusals that the remote may use, side by side: this takes the minute that a refused key is given.
#[tokio::test]
async fn a_wrong_key_stops_the_calls_and_then_counts_as_stalled() {
    let refused_with = async |status: u16| {
        Setup::new(&format!("wrong-{status}"))
            .without_secret()
            .play(async |stage| {
                stage.remote.switch(|switches| switches.bad_key = status);
                stage.line("dep-1");
                stage.apply("support-line", "dep-1", true).await;
                stage.put_secret(stage.new_key().as_bytes()).await;
                stage.operator();
                stage.says("support-line", "CredentialsRejected").await;
                stage.workspace_says("CredentialsRejected").await;
                let calls = stage.remote.calls(Route::Any);
                let workspace = stage.workspace_says("False Stalled CredentialsRejected").await;
                stage.says("support-line", "False Stalled CredentialsRejected").await;
                for said in [stage.said("support-line"), stage.workspace_said()] {
                    assert!(patiently(&said, "CredentialsRejected"), "{said:?}");
                }
                // A minute at a look a second is sixty calls; a slow probe is three.
                let probes = stage.remote.calls(Route::Any) - calls;
                assert!(probes <= 5, "{probes} calls with a key that was refused");
                assert!(ready_message(&workspace).contains(SECRET_KEY), "{workspace:#}");
                assert_eq!(stage.puts("dep-1"), []);

                stage.put_secret(stage.first_key().as_bytes()).await;
                stage.ready("support-line").await;
                stage.workspace_says("True - KeyAccepted").await;
            })
            .await;
    };
    tokio::join!(refused_with(401), refused_with(403));
}

#[tokio::test]
async fn a_late_secret_is_waited_for_and_then_called_missing() {
    Setup::new("late-secret")
        .without_secret()
        .play(async |stage| {
            stage.line("dep-1");
            stage.operator();
            stage.apply("support-line", "dep-1", true).await;
            stage.says("support-line", "False Stalled SecretNotFound").await;
            let workspace = stage.workspace_says("False Stalled SecretNotFound").await;
            for said in [stage.said("support-line"), stage.workspace_said()] {
                assert!(patiently(&said, "SecretNotFound"), "{said:?}");
            }
            let place = format!("Secret {}/{SECRET}, key {SECRET_KEY:?}", stage.namespace);
            assert!(ready_message(&workspace).contains(&place), "{workspace:#}");
            assert_eq!(stage.remote.calls(Route::Any), 0);

            stage.put_secret(stage.first_key().as_bytes()).await;
            stage.ready("support-line").await;
            stage.workspace_says("True - KeyAccepted").await;

            // Gone again while the line is Ready: the line stays as it is.
            stage.delete_secret().await;
            stage.says("support-line", "False Stalled SecretNotFound").await;
            stage.line_is("dep-1", LineState::Paused).await;
            stage.put_secret(stage.first_key().as_bytes()).await;
            stage.ready("support-line").await;
        })
        .await;
}

/// What can't be a key is named by its place and the rule that it breaks, on the Workspace and on its lines.
#[tokio::test]
async fn what_cannot_be_a_key_is_named_by_its_place() {
    scenario("unfit", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        let key = stage.new_key();
        let (head, tail) = key.split_at(key.len() / 2);
        let entry = |bytes: &[u8]| BTreeMap::from([(SECRET_KEY.to_owned(), ByteString(bytes.to_vec()))]);
        let with = |between: &[u8]| entry(&[head.as_bytes(), between, tail.as_bytes()].concat());
        let before = |mark: &[u8]| entry(&[mark, key.as_bytes()].concat());
        let cases = [
            ("a space inside", with(b" "), "SecretInvalid", "space"),
            ("a mark of UTF-8 before it", before(b"\xef\xbb\xbf"), "SecretInvalid", "byte order mark"),
            ("a control character inside", with(b"\x07"), "SecretInvalid", "control character"),
            ("a mark of UTF-16 before it", before(b"\xff\xfe"), "SecretInvalid", "byte order mark"),
            ("two lines", with(b"\n"), "SecretInvalid", "line break"),
            ("a letter beyond ASCII", with("ü".as_bytes()), "SecretInvalid", "ASCII"),
            ("far too long", entry(key.repeat(20).as_bytes()), "SecretInvalid", "longer than"),
            ("nothing", entry(b""), "SecretInvalid", "empty"),
            ("nothing but a line break", entry(b"\n"), "SecretInvalid", "empty"),
            (
                "no such entry",
                BTreeMap::from([("other".to_owned(), ByteString(key.clone().into_bytes()))]),
                "SecretNotFound",
                "no such key",
            ),
        ];
        let place = format!("Secret {}/{SECRET}, key {SECRET_KEY:?}", stage.namespace);
        for (case, data, reason, rule) in cases {
            stage.put_secret_data(data).await;
            let so = |object: &Value| {
                let (words, message) = (verdict(object), ready_message(object));
                words.starts_with("False ")
                    && words.ends_with(reason)
                    && message.contains(rule)
                    && message.contains(&place)
            };
            stage.until_workspace(case, so).await;
            stage.until("support-line", case, so).await;
        }
        stage.line_is("dep-1", LineState::Paused).await;
        // The line break of an editor is no part of a key.
        stage.put_secret(format!("{}\n", stage.first_key()).as_bytes()).await;
        stage.ready("support-line").await;
    })
    .await;
}
