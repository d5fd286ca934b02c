//! The story. Each step says what happens, shows it, and fails unless it is so.

use std::time::Instant;

use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::oracle::{Edit, judge};
use sarvam_testkit::simulator::{Entry, LineState, State, What};

use crate::remote::{changes, looks, told};
use crate::stage::{LIMIT, ORG, Stage, WORKSPACE};

const LINES: [&str; 5] = ["support-line", "sales-line", "billing-line", "booking-line", "delivery-line"];

/// Plays the story once.
pub async fn play(stage: &Stage) -> Result<()> {
    let mut story = Story { stage, title: "", edits: Vec::new() };
    let played = story.steps().await;
    played.because(format!("the step {:?}", story.title))
}

struct Story<'a> {
    stage: &'a Stage,
    title: &'static str,
    edits: Vec<Edit>,
}

impl Story<'_> {
    async fn steps(&mut self) -> Result<()> {
        self.lines_are_as_the_manifests_say().await?;
        self.an_edit_pauses_a_line().await?;
        self.another_edit_resumes_it().await?;
        self.a_change_at_the_dashboard_is_put_right().await?;
        self.another_is_only_reported().await?;
        self.the_key_is_rotated().await?;
        self.nothing_was_claimed_that_was_not_so()
    }

    async fn lines_are_as_the_manifests_say(&mut self) -> Result<()> {
        self.step(
            "1. Five lines, as the manifests say",
            "A Workspace names the remote workspace and the Secret with its key; a Deployment is one phone line. Four lines shall \
             answer and do. The fifth answers too, but its manifest says paused, so the operator pauses it. Every line is compared with \
             the remote once a minute; here every two seconds, so that nobody has to wait.",
        );
        let from = self.mark();
        self.kubectl(&["apply", "-f", "examples/workspace.yaml"]).await?;
        let often = r#"{"spec":{"syncInterval":"2s"}}"#;
        self.kubectl(&["patch", "swks", "production", "--type=merge", "-p", often]).await?;
        let at = Instant::now();
        self.kubectl(&["apply", "-f", "examples/lines.yaml"]).await?;
        for name in LINES {
            self.edits.push(self.stage.objects.get(name).await?.edit(at));
        }
        self.kubectl(&["wait", "--for=condition=Ready", "sdep", "--all", "--timeout=60s"]).await?;
        let five = "--for=jsonpath={.status.lines.asAsked}=5";
        self.kubectl(&["wait", five, "swks/production", "--timeout=60s"]).await?;
        self.kubectl(&["get", "sdep,swks"]).await?;
        self.show_remote(from, "dep-delivery-line");
        for name in LINES {
            self.is_as_asked(name).await?;
        }
        Ok(())
    }

    async fn an_edit_pauses_a_line(&mut self) -> Result<()> {
        self.step(
            "2. A line is paused by an edit",
            "The edit goes to the remote at once, as one call. A reply of 200 is no proof that the line is paused, so the operator \
             looks at it before it says Ready. A line that is paused as asked is Ready.",
        );
        self.set_paused("support-line", true).await
    }

    async fn another_edit_resumes_it(&mut self) -> Result<()> {
        self.step(
            "3. It is resumed by another edit",
            "The same way back. While the earlier call to pause could still take effect late, the status would say Unknown: Ready is \
             said only of a look that began after that time.",
        );
        self.set_paused("support-line", false).await
    }

    async fn a_change_at_the_dashboard_is_put_right(&mut self) -> Result<()> {
        self.step(
            "4. Somebody pauses it at the dashboard, and it is put right",
            "The operator looks at every line again and again, also when no manifest changes. What differs is put right and told as an \
             event, with who did it.",
        );
        let (line, from) = ("dep-support-line", self.mark());
        self.stage.remote.set_from_dashboard(line, LineState::Paused, "maya@example.com");
        let answers = |state: &State| state.line(line).is_some_and(|line| line.status == LineState::Active);
        self.until("Maya pauses the line at the dashboard. Waiting until it answers again", answers).await?;
        self.kubectl(&["wait", "--for=condition=Ready", "sdep/support-line", "--timeout=60s"]).await?;
        self.show_remote(from, line);
        self.stage.event("support-line", "DriftCorrected").await?;
        self.kubectl(&["events", "--for", "sdep/support-line"]).await?;
        self.is_as_asked("support-line").await
    }

    async fn another_is_only_reported(&mut self) -> Result<()> {
        self.step(
            "5. On another line it is only reported",
            "The manifest of billing-line has driftPolicy: Report, for a line that people switch by hand. The operator says what \
             differs and who did it, and leaves the line alone.",
        );
        let (line, from) = ("dep-billing-line", self.mark());
        self.stage.remote.set_from_dashboard(line, LineState::Paused, "ravi@example.com");
        self.kubectl(&["wait", "--for=condition=Ready=false", "sdep/billing-line", "--timeout=60s"]).await?;
        self.kubectl(&["get", "sdep", "billing-line"]).await?;
        let message = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\n"}"#;
        self.kubectl(&["get", "sdep", "billing-line", "-o", message]).await?;
        let since = self.mark();
        let looked_twice = move |state: &State| looks(&state.history()[since..], line).count() >= 2;
        self.until("Waiting for two more looks, to see that it is left alone", looked_twice).await?;
        let history = self.stage.remote.history();
        self.show_remote(from, line);
        if changes(&history[from..], line).count() > 0 {
            return Err(Error::new("billing-line was changed, though its driftPolicy is Report"));
        }
        let billing = self.stage.objects.get("billing-line").await?;
        billing.explains("DriftReported", "ravi@example.com")?;
        billing.says(LineState::Paused, &self.stage.remote)
    }

    async fn the_key_is_rotated(&mut self) -> Result<()> {
        self.step(
            "6. The key is rotated",
            "A second key is made at the remote, the Secret gets it, and the first is revoked once nothing uses it any more. The \
             operator takes the new key at once: no restart, and no call that is refused.",
        );
        let remote = &self.stage.remote;
        let from = self.mark();
        remote.add_key(ORG, WORKSPACE, "second", "sarvam-demo-key-2");
        let file = self.stage.folder().join("new-key");
        std::fs::write(&file, "sarvam-demo-key-2").because(file.display())?;
        let source = format!("--from-file=api-key={}", file.display());
        let create = ["create", "secret", "generic", "sarvam", &source, "--dry-run=client", "-o", "yaml"];
        self.stage.kubectl_piped(&create, &["apply", "-f", "-"]).await?;
        let with_second = |since: usize| {
            move |state: &State| {
                let news = &state.history()[since..];
                let looked =
                    |name: &&str| looks(news, &format!("dep-{name}")).any(|call| call.key.as_deref() == Some("second"));
                LINES.iter().all(looked)
            }
        };
        self.until("Waiting until every line was looked at with the second key", with_second(from)).await?;
        let revoked = self.mark();
        remote.revoke_key("first");
        self.stage.screen.gap();
        self.stage.screen.say("The first key is revoked. A line is paused with the second:");
        self.set_paused("sales-line", true).await?;
        self.until("Waiting until every line was looked at once more", with_second(revoked)).await?;
        self.kubectl(&["get", "sdep,swks"]).await?;
        let refused = |entry: &&Entry| matches!(entry.what, What::Replied { status: 400.., .. });
        if let Some(entry) = self.stage.remote.history()[from..].iter().find(refused) {
            return Err(Error::new(format!("a call was refused while the key was rotated: {:?}", entry.what)));
        }
        for name in LINES.into_iter().filter(|name| *name != "billing-line") {
            self.is_as_asked(name).await?;
        }
        Ok(())
    }

    /// The oracle looks at the whole story: every status that the API server ever had, beside what the remote truly was.
    fn nothing_was_claimed_that_was_not_so(&mut self) -> Result<()> {
        self.title = "7. No status was wrong in between";
        let verdict = judge(&self.edits, &self.stage.claims.claims(), &self.stage.remote.history(), Instant::now());
        if !verdict.lie.total().is_zero() {
            return Err(Error::new(format!("a status said Ready of a line that was otherwise\n{verdict}")));
        }
        self.step(
            self.title,
            &format!(
                "All the while every status was compared with what the remote truly was. None said Ready of a line that was otherwise; \
                 only what Maya and Ravi did at the dashboard went unseen, for {:.1} s together, until the operator looked.",
                verdict.unnoticed.total().as_secs_f64(),
            ),
        );
        Ok(())
    }

    fn step(&mut self, title: &'static str, text: &str) {
        self.title = title;
        self.stage.screen.title(title);
        self.stage.screen.say(text);
    }

    async fn kubectl(&self, args: &[&str]) -> Result<()> {
        self.stage.kubectl(args).await
    }

    /// Edits a line's `spec.paused`, waits, and shows what came of it.
    async fn set_paused(&mut self, name: &str, paused: bool) -> Result<()> {
        let from = self.mark();
        let at = Instant::now();
        let patch = format!(r#"{{"spec":{{"paused":{paused}}}}}"#);
        self.kubectl(&["patch", "sdep", name, "--type=merge", "-p", &patch]).await?;
        let object = self.stage.objects.get(name).await?;
        self.edits.push(object.edit(at));
        self.kubectl(&["wait", "--for=condition=Ready", &format!("sdep/{name}"), "--timeout=60s"]).await?;
        self.kubectl(&["get", "sdep", name]).await?;
        self.show_remote(from, object.line());
        self.is_as_asked(name).await
    }

    async fn is_as_asked(&self, name: &str) -> Result<()> {
        let object = self.stage.objects.get(name).await?;
        object.says(object.asked(), &self.stage.remote)
    }

    async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) -> Result<()> {
        self.stage.screen.gap();
        let reached = self.stage.screen.wait(what, self.stage.remote.wait_until(LIMIT, holds)).await;
        reached.because("it did not come")
    }

    /// Where the remote's history ends now.
    fn mark(&self) -> usize {
        self.stage.remote.read(|remote| remote.history().len())
    }

    fn show_remote(&self, from: usize, line: &str) {
        self.stage.screen.remote(&told(&self.stage.remote.history()[from..], line));
    }
}
