//! The key is seen nowhere. Each scenario is judged by that at its end; here everything is tried that could show it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use sarvam_testkit::process::{Process, Signal};
use sarvam_testkit::simulator::{Effect, Fault, Refusal, Route};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stage::{LIMIT, Launch, ORG, WORKSPACE_ID, scenario};

/// With everything logged that any library has to say: a remote that repeats the key, keys that are none, none at all, and a refused one.
#[tokio::test]
async fn a_key_is_seen_nowhere_at_trace_level() {
    scenario("trace", async |stage| {
        stage.line("dep-1");
        let operator = stage.launch(Launch::default().log("trace"));
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        let key = stage.first_key();

        let told = json!({"error": {"message": format!("not with {key}"), "code": key}}).to_string();
        let detail = json!({"detail": [{"loc": [key], "msg": key}]}).to_string();
        let refusal = |body: String| Effect::Refuse(Refusal { status: 422, body, headers: vec![] });
        let effects =
            [Effect::EchoKey(200), Effect::EchoKey(400), Effect::EchoKey(500), refusal(told), refusal(detail)];
        for (edit, effect) in effects.into_iter().enumerate() {
            stage.remote.inject(Fault::on(Route::Status, effect).once());
            stage.edit("support-line", json!({"paused": edit % 2 == 1})).await;
            stage.looks(1).await;
        }
        stage.edit("support-line", json!({"paused": true})).await;
        stage.ready("support-line").await;

        let (head, tail) = key.split_at(key.len() / 2);
        stage.put_secret(format!("{head} {tail}").as_bytes()).await;
        stage.says("support-line", "SecretInvalid").await;
        stage.delete_secret().await;
        stage.says("support-line", "SecretNotFound").await;
        stage.put_secret(stage.new_key().as_bytes()).await;
        stage.says("support-line", "CredentialsRejected").await;
        let second = stage.new_key();
        stage.remote.add_key(ORG, WORKSPACE_ID, "second", &second);
        stage.put_secret(second.as_bytes()).await;
        stage.ready("support-line").await;
        // It is not for want of words that nothing is found.
        let output = operator.output();
        for words in ["TRACE", "http.method=PATCH", "idle connection"] {
            assert!(output.contains(words), "no {words} in the log");
        }
    })
    .await;
}

/// A core file has the key in it, so the kernel writes none, whatever the limits are.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_core_file() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // It takes connections and says nothing: an operator that has connected waits there.
    let api_server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "silent", "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
        "clusters": [{"name": "silent", "cluster": {"server": format!("http://{}", api_server.local_addr().unwrap())}}],
    });
    let file = folder.join("silent.kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    let script = "ulimit -c unlimited; cd \"$1\"; exec \"$0\" run --http-address 127.0.0.1:0";
    let args = ["-c".as_ref(), script.as_ref(), env!("CARGO_BIN_EXE_sarvam-operator").as_ref(), folder.as_os_str()];
    let operator = Process::spawn("sh", args, [("KUBECONFIG", &file)]).unwrap();
    let _connection = api_server.accept().await.unwrap();
    operator.signal(Signal::SIGABRT).unwrap();
    let status = operator.wait(LIMIT).await.unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SIGABRT as i32), false), "{status}");
}
