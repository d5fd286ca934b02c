//! The simulator over real sockets: its calls, every switch, every fault, its history, its page, its binary.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use sarvam_testkit::simulator::{
    Answer, ClosedBy, Config, ConnectionConfig, Corruption, Effect, ErrorForm, Fault, InboundConfig, Line, LineState,
    Lists, NotFoundBody, PageUri, RateLimit, Refusal, RetryAfter, Route, ShownStatus, Simulator, State, Switches, Then,
    Tls, UpdatedAt, What,
};
use serde_json::{Value, json};

/// No body.
const NONE: Value = Value::Null;
const KEY: &str = "a-key-of-the-test";
const LIMIT: Duration = Duration::from_secs(30);
/// So far off that a test never sees it.
const NEVER: Duration = Duration::from_hours(1);

/// A simulator with the active line `dep-a` and the paused line `dep-p`, and a client of it.
struct Remote {
    simulator: Simulator,
    client: Client,
}

impl Remote {
    async fn start() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let simulator = Simulator::start(config).await.unwrap();
        simulator.add_key("org-1", "ws-1", "first", KEY);
        simulator.add_key("org-1", "ws-2", "other", "a-key-of-another-workspace");
        for (id, number, state) in [("dep-a", "+1", LineState::Active), ("dep-p", "+2", LineState::Paused)] {
            let line = Line {
                status: state,
                connection_configs: vec![connection("conn-1", &[number])],
                inbound_config: Some(InboundConfig {
                    start_time: "09:00".to_owned(),
                    end_time: "18:00".to_owned(),
                    allowed_days: vec!["Monday".to_owned()],
                    timezone: "Asia/Kolkata".to_owned(),
                }),
                ..Line::new(id)
            };
            simulator.add_line("org-1", "ws-1", line);
        }
        Self { simulator, client: client(None) }
    }

    /// Sends a call to a path below `…/deployments` of the lines' workspace; a null body is none.
    async fn try_send(&self, method: &str, path: &str, body: &Value) -> reqwest::Result<Response> {
        let url = format!("{}/v1/orgs/org-1/workspaces/ws-1/deployments{path}", self.simulator.url());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url).header("X-API-Key", KEY);
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let response = self.try_send(method, path, body).await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn pause(&self, id: &str) -> reqwest::Result<Response> {
        let path = format!("/{id}/status");
        self.try_send("PUT", &path, &pause()).await
    }

    async fn wait_until(&self, holds: impl FnMut(&State) -> bool) {
        self.simulator.wait_until(LIMIT, holds).await.unwrap_or_else(|e| panic!("{e}"));
    }
}

fn client(ca: Option<&str>) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authorities = ca.map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only(authorities)
        .no_proxy()
        .build()
        .unwrap()
}

fn connection(id: &str, numbers: &[&str]) -> ConnectionConfig {
    ConnectionConfig {
        connection_id: id.to_owned(),
        phone_numbers: numbers.iter().map(|&number| number.to_owned()).collect(),
    }
}

fn status_of(remote: &Remote, id: &str) -> Option<LineState> {
    remote.simulator.line(id).map(|line| line.status)
}

fn pause() -> Value {
    json!({"action": "pause"})
}

fn new_line(name: &str, number: &str) -> Value {
    let connections = json!([{"connection_id": "conn-1", "phone_numbers": [number]}]);
    json!({"name": name, "app_id": "app", "app_version": 2, "connection_configs": connections})
}

fn numbers(numbers: &[&str]) -> Value {
    json!({"connection_configs": [{"connection_id": "conn-1", "phone_numbers": numbers}]})
}

fn hours(start: &str, days: &[&str]) -> Value {
    json!({"inbound_config":
        {"start_time": start, "end_time": "18:00", "allowed_days": days, "timezone": "Asia/Kolkata"}})
}

/// One call, and what its answer shows.
struct Case {
    name: &'static str,
    switch: fn(&mut Switches),
    call: (&'static str, &'static str, Value),
    status: u16,
    /// A JSON pointer into the body, and what stands there; `absent` where nothing does.
    shows: (&'static str, Value),
}

fn case(
    name: &'static str,
    switch: fn(&mut Switches),
    call: (&'static str, &'static str, Value),
    status: u16,
    shows: (&'static str, Value),
) -> Case {
    Case { name, switch, call, status, shows }
}

async fn check(cases: Vec<Case>) {
    for case in cases {
        let remote = Remote::start().await;
        remote.simulator.switch(case.switch);
        let (method, path, body) = &case.call;
        let (status, answer) = remote.send(method, path, body).await;
        assert_eq!(status, case.status, "{}: {answer}", case.name);
        let (pointer, expected) = &case.shows;
        let absent = json!("absent");
        let shown = answer.pointer(pointer).unwrap_or(&absent);
        assert_eq!(shown, expected, "{}: {pointer} of {answer}", case.name);
    }
}

#[rustfmt::skip] // One case a line.
fn calls() -> Vec<Case> {
    let plain: fn(&mut Switches) = |_| {};
    let resume = || json!({"action": "resume"});
    let code = "/error/code";
    vec![
        case("pause", plain, ("PUT", "/dep-a/status", pause()), 200, ("/status", json!("paused"))),
        case("resume", plain, ("PUT", "/dep-p/status", resume()), 200, ("/status", json!("active"))),
        case("get", plain, ("GET", "/dep-p", NONE), 200, ("/connection_configs/0/phone_numbers/0", json!("+2"))),
        case("list", plain, ("GET", "", NONE), 200, ("/items/1/phone_numbers/0", json!("+2"))),
        case("summary", plain, ("GET", "", NONE), 200, ("/items/0/connection_configs", json!("absent"))),
        case("search", plain, ("GET", "?search=DEP-P", NONE), 200, ("/total", json!(1))),
        case("sort", plain, ("GET", "?sort_by=name&sort_order=desc", NONE), 200, ("/items/0/name", json!("dep-p"))),
        case("create", plain, ("POST", "", new_line("n", "+3")), 200, ("/status", json!("active"))),
        case("update", plain, ("PATCH", "/dep-a", json!({"app_version": 5})), 200, ("/app_version", json!(5))),
        case("null", plain, ("PATCH", "/dep-a", json!({"name": null})), 200, ("/name", json!("dep-a"))),
        case("delete", plain, ("DELETE", "/dep-a", NONE), 200, ("/deployment_id", json!("absent"))),
        case("no line", plain, ("GET", "/dep-x", NONE), 404, (code, json!("not_found_error"))),
        case("adjective", plain, ("PUT", "/dep-a/status", json!({"action": "paused"})), 422, (code, json!("invalid_request_error"))),
        case("no body", plain, ("PUT", "/dep-a/status", NONE), 422, (code, json!("invalid_request_error"))),
        case("other app", plain, ("PATCH", "/dep-a", json!({"app_id": "b"})), 422, (code, json!("unprocessable_entity_error"))),
        case("too many", plain, ("GET", "?limit=101", NONE), 422, ("/error/message", json!("query.limit: must be a whole number from 1 to 100"))),
        case("wrong method", plain, ("POST", "/dep-a", NONE), 405, ("/detail", json!("Method Not Allowed"))),
        case("escaped", plain, ("PUT", "/../status", pause()), 404, ("/detail", json!("Not Found"))),
    ]
}

#[tokio::test]
async fn every_call_answers() {
    check(calls()).await;
}

#[rustfmt::skip] // One case a line.
fn switches() -> Vec<Case> {
    let code = "/error/code";
    let refused = json!("unprocessable_entity_error");
    let get = || ("GET", "/dep-a", NONE);
    vec![
        case("pause when paused", |_| {}, ("PUT", "/dep-p/status", pause()), 200, ("/status", json!("paused"))),
        case("refused", |s| s.same_state = Answer::Refused, ("PUT", "/dep-p/status", pause()), 422, (code, refused.clone())),
        case("update while active", |s| s.update_while_active = Answer::Refused, ("PATCH", "/dep-a", numbers(&["+9"])), 422, (code, refused.clone())),
        case("update while paused", |s| s.update_while_active = Answer::Refused, ("PATCH", "/dep-p", numbers(&["+9"])), 200, ("/connection_configs/0/phone_numbers", json!(["+9"]))),
        case("delete while active", |s| s.delete_while_active = Answer::Refused, ("DELETE", "/dep-a", NONE), 422, (code, refused)),
        case("201", |s| s.created = 201, ("POST", "", new_line("n", "+3")), 201, ("/name", json!("n"))),
        case("name clash", |s| s.name_clash = Answer::Refused, ("POST", "", new_line("dep-a", "+3")), 409, (code, json!("conflict_error"))),
        case("same name", |_| {}, ("POST", "", new_line("dep-a", "+3")), 200, ("/name", json!("dep-a"))),
        case("number clash", |_| {}, ("PATCH", "/dep-a", numbers(&["+2"])), 409, (code, json!("conflict_error"))),
        case("own number", |_| {}, ("PATCH", "/dep-a", numbers(&["+1"])), 200, ("/name", json!("dep-a"))),
        case("same number", |s| s.number_clash = Answer::Accepted, ("PATCH", "/dep-a", numbers(&["+2"])), 200, ("/name", json!("dep-a"))),
        case("404 as detail", |s| s.error_form = ErrorForm::FastApi, ("GET", "/dep-x", NONE), 404, ("/detail", json!("Deployment dep-x not found"))),
        case("422 as detail", |s| s.error_form = ErrorForm::FastApi, ("GET", "?limit=0", NONE), 422, ("/detail/0/loc", json!(["query", "limit"]))),
        case("404 empty", |s| s.not_found = NotFoundBody::Empty, ("GET", "/dep-x", NONE), 404, ("", json!(""))),
        case("404 HTML", |s| s.not_found = NotFoundBody::Html, ("GET", "/dep-x", NONE), 404, ("/error", json!("absent"))),
        case("replaced", |_| {}, ("PATCH", "/dep-a", numbers(&["+8"])), 200, ("/connection_configs/0/phone_numbers", json!(["+8"]))),
        case("merged", |s| s.lists = Lists::Merge, ("PATCH", "/dep-a", numbers(&["+8", "+1"])), 200, ("/connection_configs/0/phone_numbers", json!(["+1", "+8"]))),
        case("merged days", |s| s.lists = Lists::Merge, ("PATCH", "/dep-a", hours("09:00", &["Friday"])), 200, ("/inbound_config/allowed_days", json!(["Monday", "Friday"]))),
        case("as written", |_| {}, ("PATCH", "/dep-a", hours("9:00", &["Sunday", "Monday"])), 200, ("/inbound_config/start_time", json!("9:00"))),
        case("normal time", |s| s.normalise = true, ("PATCH", "/dep-a", hours("9:00", &["Sunday"])), 200, ("/inbound_config/start_time", json!("09:00"))),
        case("normal days", |s| s.normalise = true, ("PATCH", "/dep-a", hours("9:00", &["Sunday", "Monday"])), 200, ("/inbound_config/allowed_days", json!(["Monday", "Sunday"]))),
        case("old state", |s| s.reply_shows_old_state = true, ("PUT", "/dep-a/status", pause()), 200, ("/status", json!("active"))),
        case("by whom", |_| {}, ("PUT", "/dep-a/status", pause()), 200, ("/updated_by", json!("api-key:first"))),
        case("by nobody", |s| s.updated_at = UpdatedAt::Stays, ("PUT", "/dep-a/status", pause()), 200, ("/updated_by", json!(null))),
        case("null status", |s| s.shown_status = ShownStatus::Null, get(), 200, ("/status", json!(null))),
        case("no status", |s| s.shown_status = ShownStatus::Absent, get(), 200, ("/status", json!("absent"))),
        case("other status", |s| s.shown_status = ShownStatus::Unknown("archived".to_owned()), ("GET", "", NONE), 200, ("/items/0/status", json!("archived"))),
        case("unknown fields", |s| s.unknown_fields = true, get(), 200, ("/status_v2/state", json!("active"))),
        case("higher version", |s| s.highest_app_version = 4, ("PATCH", "/dep-a", json!({"app_version": 5})), 422, (code, json!("invalid_request_error"))),
        case("page link", |_| {}, ("GET", "?limit=1", NONE), 200, ("/next_page_uri", json!("/api/app-authoring/v1/orgs/org-1/workspaces/ws-1/deployments?offset=1&limit=1"))),
    ]
}

#[tokio::test]
async fn every_switch_has_its_effect() {
    check(switches()).await;
}

#[tokio::test]
async fn a_second_delete_is_a_switch() {
    for (switch, expected) in [(Answer::Refused, 404), (Answer::Accepted, 200)] {
        let remote = Remote::start().await;
        remote.simulator.switch(|s| s.second_delete = switch);
        assert_eq!(remote.send("DELETE", "/dep-a", &NONE).await.0, 200);
        assert_eq!(remote.send("DELETE", "/dep-a", &NONE).await.0, expected);
        assert_eq!(remote.send("DELETE", "/dep-never", &NONE).await.0, 404);
        assert_eq!(status_of(&remote, "dep-a"), None);
    }
}

#[tokio::test]
async fn a_status_change_can_take_effect_after_its_clean_reply() {
    let remote = Remote::start().await;
    remote.simulator.switch(|s| s.apply_after = NEVER);
    let (status, answer) = remote.send("PUT", "/dep-a/status", &pause()).await;
    assert_eq!((status, &answer["status"]), (200, &json!("paused")));
    assert_eq!(status_of(&remote, "dep-a"), Some(LineState::Active));

    let late = Duration::from_millis(50);
    remote.simulator.switch(|s| s.apply_after = late);
    remote.pause("dep-a").await.unwrap();
    remote.wait_until(|state| state.line("dep-a").is_some_and(|line| line.status == LineState::Paused)).await;
    let history = remote.simulator.history();
    let arrived = history.iter().rfind(|e| matches!(e.what, What::Arrived(_))).unwrap();
    let applied = history.iter().rfind(|e| matches!(e.what, What::Applied { .. })).unwrap();
    assert!(applied.at.duration_since(arrived.at) >= late);
}

#[tokio::test]
async fn reads_can_lag() {
    let remote = Remote::start().await;
    remote.simulator.switch(|s| s.read_lag = Duration::from_mins(1));
    remote.pause("dep-a").await.unwrap();
    let created = remote.send("POST", "", &new_line("n", "+3")).await.1;
    let id = format!("/{}", created["deployment_id"].as_str().unwrap());
    // Each look: path, what it shows with the lag, and without it.
    let looks = [
        ("/dep-a", "/status", json!("active"), json!("paused")),
        ("?sort_by=name", "/items/0/status", json!("active"), json!("paused")),
        ("", "/total", json!(2), json!(3)),
        (&id, "/name", json!(null), json!("n")),
    ];
    for (path, pointer, old, _) in &looks {
        let shown = remote.send("GET", path, &NONE).await.1;
        assert_eq!(shown.pointer(pointer).unwrap_or(&Value::Null), old, "{path} lags");
    }
    remote.simulator.switch(|s| s.read_lag = Duration::ZERO);
    for (path, pointer, _, new) in &looks {
        let shown = remote.send("GET", path, &NONE).await.1;
        assert_eq!(shown.pointer(pointer), Some(new), "{path} doesn't");
    }
}

#[tokio::test]
async fn the_rate_limit_says_when_to_come_back() {
    let seconds: fn(&str) -> bool = |value| value.parse::<u64>().is_ok_and(|n| (1..=1000).contains(&n));
    let date: fn(&str) -> bool = |value| {
        let at = jiff::fmt::rfc2822::parse(value).map(|at| at.timestamp());
        at.is_ok_and(|at| at > jiff::Timestamp::now())
    };
    let cases = [(RetryAfter::Absent, None), (RetryAfter::Seconds, Some(seconds)), (RetryAfter::Date, Some(date))];
    for (retry_after, fits) in cases {
        let remote = Remote::start().await;
        remote.simulator.switch(|s| {
            s.rate_limit = Some(RateLimit { per_second: 0.001, burst: 1.0, retry_after });
        });
        assert_eq!(remote.send("GET", "/dep-a", &NONE).await.0, 200);
        let refused = remote.pause("dep-a").await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let header = refused.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(header.is_some(), fits.is_some(), "{retry_after:?}");
        assert!(header.zip(fits).is_none_or(|(value, fits)| fits(value)), "{retry_after:?}: {header:?}");
        assert_eq!(status_of(&remote, "dep-a"), Some(LineState::Active));
    }
}

#[tokio::test]
async fn pages_follow_each_other() {
    let remote = Remote::start().await;
    for n in 0..23 {
        remote.simulator.add_line("org-1", "ws-1", Line::new(format!("dep-{n:02}")));
    }
    remote.simulator.switch(|s| s.page_uri = PageUri::Absolute);
    let mut next = Some(format!("{}/v1/orgs/org-1/workspaces/ws-1/deployments", remote.simulator.url()));
    let (mut ids, mut previous) = (Vec::new(), Vec::new());
    while let Some(url) = next {
        let response = remote.client.get(url).header("x-api-key", KEY).send().await.unwrap();
        let page: Value = response.json().await.unwrap();
        assert_eq!(page["total"], 25);
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["deployment_id"].to_string()));
        previous.push(page["prev_page_uri"].is_null());
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    assert_eq!(previous, [true, false, false]);
    assert_eq!(ids.len(), 25);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 25);
}

#[tokio::test]
async fn keys_are_checked_for_their_workspace() {
    let remote = Remote::start().await;
    let url = format!("{}/v1/orgs/org-1/workspaces/ws-1/deployments/dep-a", remote.simulator.url());
    let get = async |key: Option<&str>| {
        let mut request = remote.client.get(&url);
        if let Some(key) = key {
            request = request.header("X-API-Key", key);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let cases = [
        (Some(KEY), 200, Some("first")),
        (None, 403, None),
        (Some("wrong"), 403, None),
        (Some("a-key-of-another-workspace"), 403, Some("other")),
    ];
    for (key, expected, name) in cases {
        assert_eq!(get(key).await, expected, "{key:?}");
        let history = remote.simulator.history();
        let arrival = history.iter().rev().find_map(|entry| match &entry.what {
            What::Arrived(arrival) => Some(arrival.clone()),
            _ => None,
        });
        assert_eq!(arrival.unwrap().key.as_deref(), name);
    }
    remote.simulator.add_key("org-1", "ws-1", "second", "new");
    remote.simulator.revoke_key("first");
    remote.simulator.switch(|s| s.bad_key = 401);
    assert_eq!((get(Some(KEY)).await, get(Some("new")).await), (401, 200));
    assert!(!format!("{:?}", remote.simulator.history()).contains(KEY));
}

/// What a client sees of a pause of the active line `dep-a`.
enum Sees {
    /// A reply with this status, and a body that fits.
    Reply(u16, fn(&str) -> bool),
    /// A reply whose body breaks off.
    BrokenBody,
    /// A connection that closes without a byte.
    Closed,
    /// Nothing: it has to give up.
    Nothing,
}

/// Each case: the fault, what the client sees, and whether the line is paused in the end.
#[rustfmt::skip] // One case a line.
fn faults() -> Vec<(Effect, Sees, bool)> {
    let apply = |after, then| Effect::Apply { after, then };
    let soon = Duration::from_millis(50);
    let redirect = |status| Effect::Redirect {
        status,
        location: "http://127.0.0.1:9/elsewhere".to_owned(),
    };
    let corrupt = Effect::Corrupt;
    let no_json: fn(&str) -> bool = |body| serde_json::from_str::<Value>(body).is_err();
    let any: fn(&str) -> bool = |_| true;
    let paused: fn(&str) -> bool = |body| body.contains("\"status\":\"paused\"");
    vec![
        (Effect::Refuse(Refusal::new(503, "rate_limit_exceeded_error")), Sees::Reply(503, |b| b.contains("rate_limit")), false),
        (Effect::Refuse(Refusal { status: 418, ..Refusal::default() }), Sees::Reply(418, str::is_empty), false),
        (Effect::Delay(soon), Sees::Reply(200, paused), true),
        (Effect::Delay(NEVER), Sees::Nothing, false),
        (Effect::Hang, Sees::Nothing, false),
        (Effect::Drop, Sees::Closed, false),
        (apply(Duration::ZERO, Then::Drop), Sees::Closed, true),
        (apply(Duration::ZERO, Then::Hang), Sees::Nothing, true),
        (apply(soon, Then::Drop), Sees::Closed, true),
        (apply(soon, Then::Hang), Sees::Nothing, true),
        (apply(soon, Then::Reply), Sees::Reply(200, paused), true),
        (apply(NEVER, Then::Reply), Sees::Reply(200, paused), false),
        (redirect(301), Sees::Reply(301, any), false),
        (redirect(307), Sees::Reply(307, any), false),
        (Effect::EchoKey(401), Sees::Reply(401, |b| b.contains(KEY)), false),
        (corrupt(Corruption::Empty), Sees::Reply(200, str::is_empty), true),
        (corrupt(Corruption::Truncated), Sees::BrokenBody, true),
        (corrupt(Corruption::Html), Sees::Reply(200, |b| b.starts_with("<!doctype html>")), true),
        (corrupt(Corruption::WrongId), Sees::Reply(200, |b| { b.contains("\"deployment_id\":\"dep-of-somebody-else\"") }), true),
        (corrupt(Corruption::WrongType), Sees::Reply(200, |b| b.contains("\"status\":{")), true),
        (corrupt(Corruption::UnknownStatus), Sees::Reply(200, |b| b.contains("\"status\":\"archived\"")), true),
        (corrupt(Corruption::NullStatus), Sees::Reply(200, |b| b.contains("\"status\":null")), true),
        (corrupt(Corruption::Huge(3_000_000)), Sees::Reply(200, |b| b.len() > 3_000_000), true),
        (corrupt(Corruption::SlowBody(Duration::from_millis(1))), Sees::Reply(200, paused), true),
        (corrupt(Corruption::SlowBody(NEVER)), Sees::Nothing, true),
        (corrupt(Corruption::SlowHeaders(Duration::from_millis(1))), Sees::Reply(200, paused), true),
        (corrupt(Corruption::SlowHeaders(NEVER)), Sees::Nothing, true),
        (corrupt(Corruption::Garbage), Sees::Reply(200, no_json), true),
        (corrupt(Corruption::DeepJson), Sees::Reply(200, no_json), true),
    ]
}

#[tokio::test]
async fn every_fault_shows_and_does_what_it_says() {
    for (effect, sees, lands) in faults() {
        let remote = Remote::start().await;
        let name = format!("{effect:?}");
        remote.simulator.inject(Fault::on(Route::Status, effect).once());
        let call = async {
            let response = remote.pause("dep-a").await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await))
        };
        match sees {
            Sees::Nothing => {
                let given_up = tokio::time::timeout(Duration::from_millis(200), call).await;
                assert!(given_up.is_err(), "{name}");
            }
            Sees::Closed => assert!(call.await.unwrap_err().is_request(), "{name}"),
            Sees::BrokenBody => assert!(call.await.unwrap().1.is_err(), "{name}"),
            Sees::Reply(expected, fits) => {
                let (status, body) = call.await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
                let body = body.unwrap_or_else(|e| panic!("{name}: {e:?}"));
                let start: String = body.chars().take(300).collect();
                assert_eq!(status, expected, "{name}: {start}");
                assert!(fits(&body), "{name}: {start}");
            }
        }
        if lands {
            let paused = |line: &Line| line.status == LineState::Paused;
            remote.wait_until(|state| state.line("dep-a").is_some_and(paused)).await;
        }
        // The next call meets no fault. For an effect that must not come this is also when to look.
        assert_eq!(remote.send("GET", "/dep-a", &NONE).await.0, 200, "{name}");
        let expected = if lands { LineState::Paused } else { LineState::Active };
        assert_eq!(status_of(&remote, "dep-a"), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_dropped_connection_gets_not_one_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let remote = Remote::start().await;
    remote.simulator.inject(Fault::on(Route::Any, Effect::Drop));
    let page = remote.simulator.page_url();
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let path = "/api/app-authoring/v1/orgs/org-1/workspaces/ws-1/deployments";
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end may be a plain one or a reset; either way nothing came before it.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    let dropped = |entry: &What| matches!(entry, What::NoReply { closed_by: ClosedBy::Simulator, .. });
    remote.wait_until(|state| state.history().iter().any(|entry| dropped(&entry.what))).await;
}

#[tokio::test]
async fn the_history_tells_the_story_in_order() {
    let remote = Remote::start().await;
    let before = remote.simulator.history().len();
    remote.pause("dep-a").await.unwrap();
    remote.simulator.set_from_dashboard("dep-a", LineState::Active, "meera");
    remote.simulator.inject(Fault::on(Route::Get, Effect::Hang).line("dep-a").once());
    let hanging = tokio::time::timeout(Duration::from_millis(200), remote.send("GET", "/dep-a", &NONE)).await;
    assert!(hanging.is_err());
    let left = |what: &What| matches!(what, What::NoReply { closed_by: ClosedBy::Client, .. });
    remote.wait_until(|state| state.history().iter().any(|entry| left(&entry.what))).await;
    remote.simulator.remove_line("dep-a", "meera");
    remote.send("GET", "/../status", &NONE).await;

    let history = remote.simulator.history();
    let told: Vec<String> = history[before..]
        .iter()
        .map(|entry| match &entry.what {
            What::Arrived(a) => {
                let (line, key) = (a.line.as_deref().unwrap_or("-"), a.key.as_deref().unwrap_or("-"));
                format!("{:?} {line} {:?} by {key}", a.route, a.action)
            }
            What::Applied { line, from, to, .. } => format!("{line} {from:?} to {to:?}"),
            What::Replied { status, .. } => format!("replied {status}"),
            What::NoReply { closed_by, .. } => format!("closed by {closed_by:?}"),
            What::Configured { line, changed, .. } => format!("{line} has another {}", changed.join(", ")),
            What::Dashboard { line, who, to, .. } => format!("{who} set {line} to {to:?}"),
            What::Key { name, .. } => format!("key {name}"),
            What::Stray { method, path } => format!("stray {method} {path}"),
        })
        .collect();
    let expected = [
        "Status dep-a Some(Pause) by first",
        "dep-a Some(Active) to Some(Paused)",
        "replied 200",
        "meera set dep-a to Some(Active)",
        "Get dep-a None by first",
        "closed by Client",
        "meera set dep-a to None",
        "stray GET /api/app-authoring/v1/orgs/org-1/workspaces/ws-1/status",
    ];
    assert_eq!(told, expected);
    assert!(history.is_sorted_by_key(|entry| entry.at));
    assert_eq!((remote.simulator.calls(Route::Get), remote.simulator.calls(Route::Any)), (1, 2));
}

#[tokio::test]
async fn what_does_not_come_in_time_is_told() {
    let remote = Remote::start().await;
    let missed = remote.simulator.wait_until(Duration::from_millis(10), |_| false).await.unwrap_err();
    let text = missed.to_string();
    assert!(text.starts_with("not within 10ms") && text.contains("dep-p"), "{text}");
}

#[tokio::test]
async fn the_port_can_close_and_open_again() {
    let remote = Remote::start().await;
    remote
        .simulator
        .inject(Fault::on(Route::Status, Effect::Apply { after: Duration::from_millis(100), then: Then::Drop }));
    remote.pause("dep-a").await.unwrap_err();
    remote.simulator.set_listening(false).await.unwrap();
    assert!(remote.pause("dep-p").await.unwrap_err().is_connect());
    // What was on its way lands all the same.
    remote.wait_until(|state| state.line("dep-a").is_some_and(|line| line.status == LineState::Paused)).await;
    remote.simulator.set_listening(true).await.unwrap();
    assert_eq!(remote.send("GET", "/dep-a", &NONE).await.1["status"], "paused");
}

#[tokio::test]
async fn dropping_it_closes_its_port() {
    let remote = Remote::start().await;
    remote.send("GET", "/dep-a", &NONE).await;
    let page = remote.simulator.page_url();
    drop(remote.simulator);
    let closed = async {
        while !remote.client.get(&page).send().await.is_err_and(|error| error.is_connect()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, closed).await.unwrap();
}

#[tokio::test]
async fn tls_is_as_good_as_its_certificate() {
    // Each case: the certificate, whether the client knows the authority, and whether it is served.
    let cases = [
        (Tls::Valid, true, true),
        (Tls::Valid, false, false),
        (Tls::Expired, true, false),
        (Tls::OtherHost, true, false),
    ];
    for (tls, known, served) in cases {
        let mut remote = Remote::with(Config { tls: Some(tls), ..Config::default() }).await;
        remote.client = client(remote.simulator.ca_pem().filter(|_| known));
        assert!(remote.simulator.url().starts_with("https://127.0.0.1:"));
        let answer = remote.pause("dep-a").await;
        assert_eq!(answer.is_ok(), served, "{tls:?}, authority known: {known}: {answer:?}");
        assert_eq!(remote.simulator.calls(Route::Any), usize::from(served), "{tls:?}");
    }
}

#[tokio::test]
async fn it_serves_this_machine_only() {
    let config = Config { listen: ([0, 0, 0, 0], 0).into(), ..Config::default() };
    let refused = Simulator::start(config).await.err().unwrap();
    assert!(refused.to_string().contains("0.0.0.0:0 is no address of this machine"), "{refused}");
}

#[tokio::test]
async fn the_page_shows_and_changes_lines() {
    let remote = Remote::start().await;
    let root = remote.simulator.page_url();
    let page = remote.client.get(&root).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let html = page.text().await.unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "the page has no foreign parts");

    let post = async |path: &str, body: Value| {
        let request = remote.client.post(format!("{root}admin/{path}")).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    let new_key = || json!([{"name": "second", "key": "new"}]);
    let cases = [
        ("lines/dep-a/status", json!({"action": "pause", "who": "meera"}), 204),
        ("lines/dep-p/status", json!({"action": "resume"}), 204),
        ("lines/dep-x/status", json!({"action": "pause"}), 404),
        ("lines/dep-a/status", json!({"action": "stop"}), 400),
        ("keys", json!({"add": new_key(), "revoke": ["nobody"]}), 404),
        ("keys", json!({"add": new_key(), "revoke": ["first"]}), 204),
        ("keys", json!({"addd": []}), 400),
        ("nothing", json!({}), 404),
    ];
    for (path, body, expected) in cases {
        assert_eq!(post(path, body.clone()).await, expected, "{path} {body}");
    }
    let form = remote.client.post(format!("{root}admin/keys")).body("{}").send().await.unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    remote.pause("dep-a").await.unwrap();

    let shown: Value = remote.client.get(format!("{root}admin/state")).send().await.unwrap().json().await.unwrap();
    assert_eq!(shown["keys"], json!(["other", "second"]));
    let line = |n: usize| json!([shown["lines"][n]["id"], shown["lines"][n]["status"], shown["lines"][n]["by"]]);
    assert_eq!(line(0), json!(["dep-a", "paused", "meera"]));
    assert_eq!(line(1), json!(["dep-p", "active", "dashboard"]));
    let last = &shown["happenings"][0];
    assert_eq!(
        (&last["what"], &last["by"], &last["outcome"]),
        (&json!("Pause"), &json!("api-key:first"), &json!("403"))
    );
    assert!(!shown.to_string().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_runs_on_its_own() {
    let program = env!("CARGO_BIN_EXE_sarvam-simulator");
    let mut child = Command::new(program)
        .args(["--listen", "127.0.0.1:0", "--lines", "9", "--org", "acme", "--workspace", "voice"])
        .env("SARVAM_API_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().nth(1).unwrap();
    let list = format!("{url}/v1/orgs/acme/workspaces/voice/deployments?sort_by=created_at");
    let page: Value = client(None).get(list).header("X-API-Key", KEY).send().await.unwrap().json().await.unwrap();
    let names: Vec<&str> = page["items"].as_array().unwrap().iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!((names.len(), names[0], names[8]), (9, "support-line", "line-9"));
    assert_eq!(page["items"][0]["deployment_id"], "dep-support-line");
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());

    // Each case: arguments that are refused, and what the message names.
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", "0.0.0.0:8080"], "--listen"),
        (&["--listen", "8080"], "127.0.0.1:8080"),
        (&["--org", "a/b"], "--org"),
        (&["--key", ""], "--key"),
    ];
    for (arguments, named) in cases {
        let refused = Command::new(program).args(arguments).output().unwrap();
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && text.contains(named), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn a_change_of_the_configuration_is_told_field_by_field() {
    let remote = Remote::start().await;
    let patch = |version: i64| json!({"app_version": version, "description": format!("version {version}")});
    let part = |fields: &[&'static str], then| Effect::Part { fields: fields.to_vec(), then };
    let before = remote.simulator.history().len();
    assert_eq!(remote.send("PATCH", "/dep-a", &patch(2)).await.0, 200);
    assert_eq!(remote.send("PATCH", "/dep-a", &patch(2)).await.0, 200);
    for (effect, sees) in [(part(&["description"], Then::Reply), 200), (part(&[], Then::Reply), 200)] {
        remote.simulator.inject(Fault::on(Route::Update, effect).once());
        let (status, body) = remote.send("PATCH", "/dep-a", &patch(3)).await;
        assert_eq!((status, &body["app_version"]), (sees, &json!(3)), "the reply claims all of it");
    }
    remote.simulator.configure_from_dashboard("dep-a", "meera", |line| line.app_version = 9);
    let told: Vec<String> = remote.simulator.history()[before..]
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Configured { call, state, changed, after, .. } => {
                let by = call.map_or("the dashboard", |_| "a call");
                Some(format!("{state:?}: {} by {by}, then version {}", changed.join(" "), after.app_version))
            }
            _ => None,
        })
        .collect();
    let expected = [
        "Active: description app_version by a call, then version 2",
        "Active: description by a call, then version 2",
        "Active: app_version by the dashboard, then version 9",
    ];
    assert_eq!(told, expected);
}
