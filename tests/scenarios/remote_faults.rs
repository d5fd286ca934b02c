//! Everything that can go wrong between the operator and the remote.
//!
//! In each: no status lies, the line ends as asked once the fault is over, and nothing shows the key.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sarvam_testkit::simulator::{
    Action, Answer, CallId, Config, Corruption, Effect, Entry, Fault, Line, LineState, Refusal, Route, Switches, Then,
    Tls, UpdatedAt, What,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stage::{LIMIT, Launch, ORG, Setup, Stage, ready_message, scenario};

/// What goes wrong with calls for a line.
struct Trouble {
    name: String,
    effect: Effect,
    /// Whether a status call takes effect nevertheless.
    done: bool,
    /// What the line's conditions say when looks meet it, and status calls too where these take no effect.
    says: &'static str,
}

const UNAVAILABLE: &str = "False Reconciling RemoteUnavailable";
const UNEXPECTED: &str = "False Reconciling UnexpectedResponse";
const UNTOLD: &str = "Unknown Reconciling RemoteStateUnknown";
const LIMITED: &str = "False Reconciling RateLimited";
const MISSING: &str = "False Reconciling RemoteNotFound";
const CLASHES: &str = "False Reconciling RemoteConflict";
const REFUSED: &str = "False Stalled InvalidRequest";
const NO_CREDITS: &str = "False Stalled QuotaExhausted";
const NO_ACCESS: &str = "False Reconciling CredentialsRejected";
const SYNCED: &str = "True - Synced";

/// Longer than the operators here wait for an answer.
const SECOND: Duration = Duration::from_secs(1);

/// Everything that can happen to one call. `elsewhere` is where redirects point.
fn troubles(elsewhere: &str, key: &str) -> Vec<Trouble> {
    let mut all = vec![];
    let mut add = |name: &str, effect, done, says| all.push(Trouble { name: name.to_owned(), effect, done, says });

    let coded = [
        ("400", 400, "invalid_request_error", REFUSED),
        ("404", 404, "not_found_error", MISSING),
        ("408", 408, "request_timeout", UNAVAILABLE),
        ("409", 409, "conflict", CLASHES),
        ("410", 410, "gone", MISSING),
        ("413", 413, "invalid_request_error", REFUSED),
        ("418", 418, "teapot", REFUSED),
        ("422", 422, "unprocessable_entity_error", REFUSED),
        ("429", 429, "rate_limit_exceeded_error", LIMITED),
        ("429-quota", 429, "insufficient_quota_error", NO_CREDITS),
        ("500", 500, "internal_server_error", UNAVAILABLE),
        ("502", 502, "bad_gateway", UNAVAILABLE),
        ("503", 503, "unavailable", UNAVAILABLE),
        ("503-rate", 503, "rate_limit_exceeded_error", LIMITED),
        ("504", 504, "gateway_timeout", UNAVAILABLE),
        ("599", 599, "", UNAVAILABLE),
        ("299", 299, "", UNEXPECTED),
        ("799", 799, "", UNEXPECTED),
    ];
    for (name, status, code, says) in coded {
        add(name, Effect::Refuse(Refusal::new(status, code)), false, says);
    }
    for status in [204, 206, 304] {
        let empty = Refusal { status, ..Refusal::default() };
        add(&status.to_string(), Effect::Refuse(empty), false, UNEXPECTED);
    }
    // An explanation that would write lines of its own into a log, colour a terminal and show the key.
    let hostile = format!("\u{1b}[31mno\u{7}\r\n2026-11-23 ERROR forged \u{202e}{key}\0");
    for (name, body) in [
        ("hostile", json!({"error": {"message": hostile, "code": hostile}})),
        ("hostile-detail", json!({"detail": [{"loc": ["body", hostile], "msg": hostile}]})),
        ("endless", json!({"error": {"message": "no ".repeat(10_000)}})),
    ] {
        let refusal = Refusal { status: 422, body: body.to_string(), headers: vec![] };
        add(name, Effect::Refuse(refusal), false, REFUSED);
    }
    for (status, says) in [(200, UNEXPECTED), (400, REFUSED), (403, NO_ACCESS), (500, UNAVAILABLE)] {
        add(&format!("echo-{status}"), Effect::EchoKey(status), false, says);
    }
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.to_owned();
        add(&format!("redirect-{status}"), Effect::Redirect { status, location }, false, UNEXPECTED);
    }

    add("no-answer", Effect::Hang, false, UNAVAILABLE);
    add("cut-before", Effect::Drop, false, UNAVAILABLE);
    let after = Duration::ZERO;
    add("cut-after", Effect::Apply { after, then: Then::Drop }, true, UNAVAILABLE);
    add("done-unanswered", Effect::Apply { after, then: Then::Hang }, true, UNAVAILABLE);

    for (name, corruption, says) in [
        ("empty", Corruption::Empty, UNEXPECTED),
        ("truncated", Corruption::Truncated, UNAVAILABLE),
        ("html", Corruption::Html, UNEXPECTED),
        ("wrong-id", Corruption::WrongId, UNEXPECTED),
        ("wrong-type", Corruption::WrongType, UNTOLD),
        ("unknown-status", Corruption::UnknownStatus, UNTOLD),
        ("null-status", Corruption::NullStatus, UNTOLD),
        ("100-mb", Corruption::Huge(100_000_000), UNEXPECTED),
        ("slow-body", Corruption::SlowBody(SECOND), UNAVAILABLE),
        ("slow-headers", Corruption::SlowHeaders(SECOND), UNAVAILABLE),
        ("garbage", Corruption::Garbage, UNEXPECTED),
        ("deep", Corruption::DeepJson, UNEXPECTED),
    ] {
        add(name, Effect::Corrupt(corruption), true, says);
    }
    all
}

/// How a line comes to be as asked when its fault is over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heals {
    Alone,
    /// Only slow tries go on: people edit the object.
    ByAnEdit,
    /// Not while a test can wait.
    Late,
}

/// A trouble that stays with the calls of one kind for one line, until it is taken away.
struct Lasting {
    /// Of the line, its object and its workspace.
    name: String,
    key: String,
    route: Route,
    trouble: Trouble,
}

impl Lasting {
    /// What the conditions say while it lasts.
    fn says(&self) -> &'static str {
        // A look shows that the call took effect, whatever its answer was.
        if self.route == Route::Status && self.trouble.done { SYNCED } else { self.trouble.says }
    }

    fn heals(&self) -> Heals {
        match (self.says(), self.route) {
            (NO_CREDITS, _) => Heals::Late,
            (REFUSED, Route::Status) | (MISSING, Route::Get) => Heals::ByAnEdit,
            _ => Heals::Alone,
        }
    }

    /// Whether the first status call does what is asked, and a look can tell.
    fn took_effect(&self) -> bool {
        let seen = self.says() != UNTOLD && self.heals() != Heals::ByAnEdit;
        seen && (self.route == Route::Get || self.trouble.done)
    }

    /// The calls that it makes the operator repeat.
    fn repeats(&self) -> Route {
        if self.says() == UNTOLD { Route::Status } else { self.route }
    }

    async fn begin(&self, stage: &Stage) {
        stage.remote.inject(Fault::on(self.route, self.trouble.effect.clone()).line(&self.name));
        stage.edit(&self.name, json!({"paused": true})).await;
        stage.has_said(&self.name, self.says()).await;
    }

    async fn end(&self, stage: &Stage) {
        match self.heals() {
            Heals::Late => return,
            Heals::Alone => {}
            Heals::ByAnEdit => {
                stage.edit(&self.name, json!({"paused": false})).await;
                stage.ready(&self.name).await;
                stage.edit(&self.name, json!({"paused": true})).await;
            }
        }
        stage.ready(&self.name).await;
    }
}

/// Creates a workspace with one active line, all of this name, and waits until the line's object is Ready.
///
/// The key is good there alone: workspaces that share one would share its budget too.
async fn line_of_its_own(stage: &Stage, name: &str, key: &str) {
    stage.another_workspace(name, key).await;
    stage.remote.add_line(ORG, name, Line::new(name));
    stage.create_in(name, name, name, json!({"paused": false})).await;
    stage.ready(name).await;
}

/// When the calls on a route for a line came, from the first status call for it on, in seconds since the first.
fn seconds_of(stage: &Stage, route: Route, line: &str) -> Vec<f64> {
    let history = stage.remote.history();
    let calls = history.iter().filter_map(|entry| match &entry.what {
        What::Arrived(call) if call.line.as_deref() == Some(line) => Some((entry.at, call.route)),
        _ => None,
    });
    let mine = calls.skip_while(|(_, on)| *on != Route::Status).filter(|(_, on)| *on == route);
    let times: Vec<_> = mine.map(|(at, _)| at).collect();
    times.iter().map(|at| at.duration_since(times[0]).as_secs_f64()).collect()
}

/// Fails when tries come faster than one at once, and then after 1, 2, 4, ... seconds, less the quarter that differs from
/// object to object.
fn assert_pauses_double(seconds: &[f64], what: &str) {
    let mut earliest = 0.0;
    for (n, at) in seconds.iter().enumerate().skip(2) {
        earliest += 0.75 * 2_f64.powi(i32::try_from(n).unwrap() - 2);
        assert!(at + 0.05 >= earliest, "{what}: try {n} comes too soon: {seconds:.3?}");
    }
}

/// Each trouble, once with every status call for a line and once with every look at one; all at once, a line each.
#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_is_told_and_healed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", elsewhere.local_addr().unwrap());
    Setup::new("troubles")
        .sync_interval("5s")
        .play(async |stage| {
            let of = |route, verb, n| {
                let key = stage.new_key();
                let trouble: Trouble = troubles(&url, &key).swap_remove(n);
                Lasting { name: format!("{verb}-{}", trouble.name), key, route, trouble }
            };
            let each = || 0..troubles("", "").len();
            let cases: Vec<Lasting> =
                each().map(|n| of(Route::Status, "put", n)).chain(each().map(|n| of(Route::Get, "get", n))).collect();
            // A term that a busy machine cuts short would try everything anew.
            let operator = stage.launch(Launch::default().flag("--lease-duration", "1m"));
            join_all(cases.iter().map(|case| line_of_its_own(stage, &case.name, &case.key))).await;

            join_all(cases.iter().map(|case| case.begin(stage))).await;
            for case in &cases {
                let tries = seconds_of(stage, case.repeats(), &case.name);
                assert_pauses_double(&tries, &case.name);
                let hopeless = matches!(case.says(), SYNCED | NO_CREDITS);
                // None where a routine look met the fault before the edit did.
                assert!(!hopeless || tries.len() <= 1, "{} was tried again: {tries:.3?}", case.name);
            }
            stage.remote.clear_faults();
            join_all(cases.iter().map(|case| case.end(stage))).await;
            for case in cases.iter().filter(|case| case.took_effect()) {
                assert_eq!(stage.puts(&case.name), [Some(Action::Pause)], "{}: one call was enough", case.name);
            }

            assert!(elsewhere.accept().now_or_never().is_none(), "a redirect was followed");
            let memory = operator.process().rss_kib().unwrap();
            assert!(memory < 96 * 1024, "an answer of 100 MB is not for keeping: {memory} KiB are resident");
        })
        .await;
}

/// A call that is lost, or lands late, and nothing after it.
#[tokio::test]
async fn a_lost_or_late_call_is_made_good() {
    let apply = |millis, then| Effect::Apply { after: Duration::from_millis(millis), then };
    let delay = |millis| Effect::Delay(Duration::from_millis(millis));
    // Each: what becomes of the first call, and how many it takes in all.
    let cases = [
        ("lost-before", Effect::Drop, 2),
        ("lost-after", apply(0, Then::Drop), 1),
        ("unanswered-before", Effect::Hang, 2),
        ("unanswered-after", apply(0, Then::Hang), 1),
        ("answered-late", delay(500), 1),
        ("landed-after-its-answer", apply(500, Then::Reply), 1),
        ("landed-after-the-cut", apply(1500, Then::Drop), 2),
        ("landed-after-the-timeout", delay(1500), 2),
    ];
    scenario("late", async |stage| {
        stage.launch(Launch::default().flag("--settle-window", "3s"));
        join_all(cases.iter().map(async |(name, effect, calls)| {
            stage.line(name);
            stage.apply(name, name, false).await;
            stage.ready(name).await;
            stage.remote.inject(Fault::on(Route::Status, effect.clone()).line(*name).once());
            stage.edit(name, json!({"paused": true})).await;
            stage.ready(name).await;
            assert_eq!(stage.puts(name).len(), *calls, "{name}");
        }))
        .await;
        // What was on its way has landed by now or does so meanwhile, and changes nothing.
        stage.looks(2).await;
        join_all(cases.iter().map(|(name, ..)| stage.ready(name))).await;
    })
    .await;
}

/// The run that makes an operator lie which trusts an answer, or the last look. The line is paused. An edit resumes it,
/// and that call's reply is lost; a second edit pauses it again, the line still is paused, and all looks well. Then the
/// first call lands, and the line answers while everybody was told that it doesn't.
#[tokio::test]
async fn an_old_resume_that_lands_after_a_new_pause_makes_no_lie() {
    scenario("old-resume", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        // Without an answer for a second, and then on its way for another: well within the doubt window of three.
        let late = Effect::Apply { after: 2 * SECOND, then: Then::Hang };
        stage.remote.inject(Fault::on(Route::Status, late).once());
        stage.edit("support-line", json!({"paused": false})).await;
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) == 1).await.unwrap();
        stage.edit("support-line", json!({"paused": true})).await;
        stage.has_said("support-line", "Unknown Reconciling AwaitingConfirmation").await;
        stage.ready("support-line").await;

        let landed: Vec<_> = stage
            .remote
            .history()
            .into_iter()
            .filter_map(|entry| match entry.what {
                What::Applied { to, .. } => to,
                _ => None,
            })
            .collect();
        assert_eq!(landed, [LineState::Paused, LineState::Active, LineState::Paused], "the old call lands in between");
        let verdict = stage.verdict();
        assert!(verdict.leak.total() > Duration::ZERO, "the line did answer for a moment\n{verdict}");
    })
    .await;
}

/// Status calls work and looks don't: each edit is carried out nevertheless, though the last look that succeeded showed
/// what the second asks.
#[tokio::test]
async fn edits_go_out_while_no_look_succeeds() {
    scenario("blind", async |stage| {
        stage.operator();
        stage.line("dep-1");
        stage.apply("support-line", "dep-1", false).await;
        stage.ready("support-line").await;
        stage.remote.inject(Fault::on(Route::Get, Effect::Drop));
        for (paused, state) in [(true, LineState::Paused), (false, LineState::Active)] {
            stage.edit("support-line", json!({"paused": paused})).await;
            stage.line_is("dep-1", state).await;
            stage.has_said("support-line", UNAVAILABLE).await;
            // Until the settle window of the call is over.
            tokio::time::sleep(SECOND).await;
        }
        stage.remote.clear_faults();
        stage.ready("support-line").await;
        assert_eq!(stage.puts("dep-1"), [Some(Action::Pause), Some(Action::Resume)]);
    })
    .await;
}

/// A line that the remote doesn't know may be about to be made, so it takes a while until a person is called.
#[tokio::test]
async fn a_line_that_is_not_there_is_waited_for() {
    scenario("not-found", async |stage| {
        stage.operator();
        for name in ["soon", "much-later"] {
            stage.apply(name, name, true).await;
        }
        join_all(["soon", "much-later"].map(|name| stage.says(name, MISSING))).await;
        stage.line("soon");
        stage.ready("soon").await;
        let said = stage.said("soon");
        assert!(!said.iter().any(|said| said.contains("Stalled")), "it came in time: {said:?}");

        stage.says("much-later", "False Stalled RemoteNotFound").await;
        stage.line("much-later");
        stage.ready("much-later").await;
    })
    .await;
}

/// A remote that is away altogether: an edit says so at once, and a line that was fine is no longer vouched for.
#[tokio::test]
async fn a_remote_that_is_away_comes_back() {
    scenario("away", async |stage| {
        stage.operator();
        for name in ["edited", "left-alone"] {
            stage.line(name);
            stage.apply(name, name, false).await;
            stage.ready(name).await;
        }
        stage.remote.set_listening(false).await.unwrap();
        stage.edit("edited", json!({"paused": true})).await;
        stage.has_said("edited", UNAVAILABLE).await;
        stage.has_said("left-alone", "Unknown Reconciling ObservationStale").await;
        stage.remote.set_listening(true).await.unwrap();
        stage.ready("edited").await;
        stage.ready("left-alone").await;
        assert_eq!(stage.puts("edited"), [Some(Action::Pause)], "a refused connection carries no call");
        assert!(stage.puts("left-alone").is_empty());
    })
    .await;
}

/// What `Retry-After` asks, no call of the workspace breaks, and other workspaces don't care.
#[tokio::test]
async fn a_rate_limit_holds_its_workspace_alone_for_as_long_as_it_asks() {
    scenario("rate-limit", async |stage| {
        stage.operator();
        let names = ["in-seconds", "by-date", "unsaid", "neighbour"];
        join_all(names.map(async |name| {
            line_of_its_own(stage, name, &stage.new_key()).await;
            let sibling = format!("{name}-sibling");
            stage.remote.add_line(ORG, name, Line::new(&sibling));
            stage.create_in(name, &sibling, &sibling, json!({"paused": false})).await;
            stage.ready(&sibling).await;
        }))
        .await;

        let too_many = || Refusal::new(429, "rate_limit_exceeded_error");
        let date = Timestamp::now() + 6 * SECOND;
        let http_date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
        let limits = [
            ("in-seconds", too_many().header("Retry-After", "5")),
            ("by-date", too_many().header("Retry-After", http_date)),
            ("unsaid", too_many()),
        ];
        for (name, refusal) in limits {
            stage.remote.inject(Fault::on(Route::Status, Effect::Refuse(refusal)).line(name).once());
            stage.edit(name, json!({"paused": true})).await;
        }
        join_all(["in-seconds", "by-date", "unsaid"].map(async |name| {
            stage.has_said(name, LIMITED).await;
            stage.edit(&format!("{name}-sibling"), json!({"paused": true})).await;
        }))
        .await;
        stage.edit("neighbour", json!({"paused": true})).await;
        stage.ready("neighbour").await;
        let neighbour = Timestamp::now();
        join_all(["in-seconds", "by-date", "unsaid"].map(async |name| {
            stage.ready(name).await;
            stage.ready(&format!("{name}-sibling")).await;
        }))
        .await;

        let second = |n| jiff::SignedDuration::from_secs(n);
        for (name, held) in [("in-seconds", Ok(second(5))), ("by-date", Err(date)), ("unsaid", Ok(second(1)))] {
            let history = stage.remote.history();
            let limited = history.iter().position(
                |entry| matches!(entry.what, What::Replied { call, status: 429 } if of(&history, call) == name),
            );
            let limited = limited.expect("the 429 was scripted");
            let next = history[limited..]
                .iter()
                .find(|entry| matches!(&entry.what, What::Arrived(call) if call.workspace == name));
            let next = next.expect("it was made good").wall;
            let free = match held {
                Ok(pause) => history[limited].wall + pause,
                // A header's date has whole seconds.
                Err(date) => Timestamp::from_second(date.as_second()).unwrap(),
            };
            assert!(next >= free, "{name}: a call came at {next}, before {free}");
            assert!(name == "unsaid" || neighbour < free, "the neighbour was held up until {neighbour}");
        }
    })
    .await;
}

/// The workspace that a call is for.
fn of(history: &[Entry], call: CallId) -> &str {
    let arrival = history.iter().find_map(|entry| match &entry.what {
        What::Arrived(arrival) if arrival.call == call => Some(arrival.workspace.as_str()),
        _ => None,
    });
    arrival.unwrap_or_default()
}

/// Where the remote's documentation is silent, the operator is right whatever is the case.
/// A resume overtakes the pause before it, and is refused as needless. Then the pause lands.
#[tokio::test]
async fn a_call_that_was_refused_too_soon_is_sent_again() {
    let switches = Switches { same_state: Answer::Refused, apply_after: SECOND, ..Switches::default() };
    Setup::new("too-soon")
        .remote(Config { switches, ..Config::default() })
        .play(async |stage| {
            stage.launch(Launch::default().flag("--settle-window", "2s"));
            stage.line("dep-1");
            stage.apply("support-line", "dep-1", false).await;
            stage.ready("support-line").await;
            stage.edit("support-line", json!({"paused": true})).await;
            stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) == 1).await.unwrap();
            stage.edit("support-line", json!({"paused": false})).await;
            stage.ready("support-line").await;
            assert_eq!(stage.puts("dep-1"), [Action::Pause, Action::Resume, Action::Resume].map(Some));
        })
        .await;
}

#[tokio::test]
async fn every_open_point_is_survived() {
    let lag = Duration::from_millis(700);
    let plain = Switches::default;
    let picky = || Switches { same_state: Answer::Refused, ..plain() };
    let cases = [
        ("picky", picky()),
        ("old-answers", Switches { reply_shows_old_state: true, ..plain() }),
        ("late-effect", Switches { apply_after: lag, ..plain() }),
        ("lagging-reads", Switches { read_lag: lag, ..plain() }),
        ("picky-and-lagging", Switches { read_lag: lag, ..picky() }),
        ("late-and-lagging", Switches { read_lag: lag, apply_after: lag, reply_shows_old_state: true, ..plain() }),
        ("silent-about-changes", Switches { updated_at: UpdatedAt::Stays, unknown_fields: true, ..plain() }),
    ];
    join_all(cases.map(async |(name, switches)| {
        let remote = Config { switches, ..Config::default() };
        Setup::new(name)
            .remote(remote)
            .play(async |stage| {
                stage.launch(Launch::default().flag("--settle-window", "2s").flag("--read-lag", "1s"));
                let lost = |after| Effect::Apply { after, then: Then::Drop };
                let lines = [
                    ("clean", None),
                    ("lost-before", Some(Effect::Drop)),
                    ("lost-after", Some(lost(Duration::ZERO))),
                    ("lost-and-late", Some(lost(SECOND))),
                ];
                join_all(lines.map(async |(line, fault)| {
                    stage.line(line);
                    stage.apply(line, line, false).await;
                    stage.ready(line).await;
                    for paused in [true, false] {
                        let fault = fault.clone().map(|effect| Fault::on(Route::Status, effect).line(line).once());
                        if let Some(fault) = fault {
                            stage.remote.inject(fault);
                        }
                        stage.edit(line, json!({"paused": paused})).await;
                        stage.ready(line).await;
                    }
                }))
                .await;
                assert_eq!(stage.puts("clean"), [Some(Action::Pause), Some(Action::Resume)], "{name}");
            })
            .await;
    }))
    .await;
}

/// Over TLS, the key goes to nobody whose certificate isn't good.
#[tokio::test]
async fn the_key_goes_to_the_holder_of_a_good_certificate_only() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    join_all([("valid", Tls::Valid), ("expired", Tls::Expired), ("other-host", Tls::OtherHost)].map(
        async |(name, tls)| {
            let remote = Config { tls: Some(tls), ..Config::default() };
            Setup::new(name)
                .remote(remote)
                .play(async |stage| {
                    let file = folder.join(format!("{name}-authority.pem"));
                    std::fs::write(&file, stage.remote.ca_pem().expect("it speaks TLS")).unwrap();
                    let file = file.to_str().expect("a path made of text");
                    stage.launch(Launch::default().flag("--remote-ca-file", file));
                    stage.line("dep-1");
                    stage.apply("support-line", "dep-1", true).await;
                    if tls == Tls::Valid {
                        stage.ready("support-line").await;
                    } else {
                        let object = stage.says("support-line", UNAVAILABLE).await;
                        let message = ready_message(&object);
                        assert!(message.contains("certificate"), "{message}");
                        assert!(stage.arrivals(Route::Any).is_empty(), "a call went out");
                    }
                })
                .await;
        },
    ))
    .await;
}
