//! The page that shows the lines live, and what its buttons do. Everything else the simulator serves is the API.

use std::collections::HashMap;

use hyper::Method;
use hyper::header::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Route;
use super::history::{CallId, ClosedBy, Entry, What};
use super::line::Action;
use super::reply::Reply;
use super::serve::{Shared, is_json};
use super::state::State;

/// The whole page: markup, style and script.
const PAGE: &str = include_str!("page.html");

/// How many of the last happenings the page gets.
const SHOWN: usize = 200;

/// Answers `/` and everything below `/admin/`; `None` is not a matter of the page.
pub(super) fn answer(shared: &Shared, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
    if (method, path) == (&Method::GET, "/") {
        let mut reply = Reply::text(200, "text/html; charset=utf-8", PAGE);
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
        reply.headers.push(("content-security-policy".to_owned(), policy.to_owned()));
        return Some(reply);
    }
    let rest = path.strip_prefix("/admin/")?;
    if (method, rest) == (&Method::GET, "state") {
        return Some(Reply::json(200, &snapshot(&shared.state())));
    }
    if method != Method::POST {
        return Some(refusal(404, "there is nothing here; try GET /admin/state"));
    }
    // Another site's page in the same browser can't send this type without asking first, and gets no answer.
    if !is_json(headers) {
        return Some(refusal(415, "send Content-Type: application/json"));
    }
    let segments: Vec<&str> = rest.split('/').collect();
    Some(match segments[..] {
        ["lines", id, "status"] => set_line(&mut shared.state(), id, body),
        ["keys"] => set_keys(&mut shared.state(), body),
        _ => refusal(404, "there is nothing here; try /admin/lines/{id}/status or /admin/keys"),
    })
}

fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}

fn done() -> Reply {
    Reply::text(204, "application/json", "")
}

/// A press of a line's button.
fn set_line(state: &mut State, id: &str, body: &[u8]) -> Reply {
    #[derive(Deserialize)]
    struct Press {
        action: Action,
        #[serde(default = "somebody")]
        who: String,
    }
    fn somebody() -> String {
        "dashboard".to_owned()
    }
    match serde_json::from_slice::<Press>(body) {
        Err(_) => refusal(400, r#"send {"action": "pause" or "resume", "who": "…"}"#),
        Ok(press) if state.dashboard(id, Some(press.action.leads_to()), &press.who) => done(),
        Ok(_) => refusal(404, "there is no such line"),
    }
}

/// A rotation: new keys become valid in every workspace that has a line, old ones stop being so, by name.
fn set_keys(state: &mut State, body: &[u8]) -> Reply {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rotation {
        #[serde(default)]
        add: Vec<NewKey>,
        #[serde(default)]
        revoke: Vec<String>,
    }
    #[derive(Deserialize)]
    struct NewKey {
        name: String,
        key: String,
    }
    let Ok(rotation) = serde_json::from_slice::<Rotation>(body) else {
        return refusal(400, r#"send {"add": [{"name": "…", "key": "…"}], "revoke": ["name"]}"#);
    };
    let known = state.key_names();
    if let Some(name) = rotation.revoke.iter().find(|name| !known.contains(&name.as_str())) {
        return refusal(404, &format!("there is no valid key named {name}; nothing was changed"));
    }
    for NewKey { name, key } in &rotation.add {
        for (org, workspace) in state.workspaces() {
            state.add_key(&org, &workspace, name, key);
        }
    }
    for name in &rotation.revoke {
        state.revoke_key(name);
    }
    done()
}

/// What the page shows, newest happening first.
fn snapshot(state: &State) -> Value {
    let mut lines: Vec<_> = state.all().collect();
    lines.sort_by_key(|(_, _, line, _)| line.created_at);
    let lines: Vec<Value> = lines
        .into_iter()
        .map(|(org, workspace, line, set)| {
            json!({
                "id": line.deployment_id,
                "name": line.name,
                "org": org,
                "workspace": workspace,
                "status": line.status,
                "version": line.app_version,
                "phone_numbers": line.phone_numbers(),
                "by": set.by,
                "since": millis(set.at),
            })
        })
        .collect();
    json!({
        "now": millis(state.wall()),
        "lines": lines,
        "keys": state.key_names(),
        "happenings": happenings(state.history()),
    })
}

fn happenings(history: &[Entry]) -> Vec<Value> {
    // Walked backwards, how a call ended comes before that it came.
    let mut ends: HashMap<CallId, (String, Timestamp)> = HashMap::new();
    let mut landed: HashMap<CallId, Timestamp> = HashMap::new();
    let mut shown = Vec::new();
    for entry in history.iter().rev() {
        if shown.len() == SHOWN {
            break;
        }
        let happening = match &entry.what {
            What::Replied { call, status } => {
                ends.insert(*call, (status.to_string(), entry.wall));
                continue;
            }
            What::NoReply { call, closed_by } => {
                let text = match closed_by {
                    ClosedBy::Simulator => "connection dropped",
                    ClosedBy::Client => "client gave up",
                };
                ends.insert(*call, (text.to_owned(), entry.wall));
                continue;
            }
            What::Applied { call, .. } => {
                landed.insert(*call, entry.wall);
                continue;
            }
            // A call tells of itself.
            What::Configured { call: Some(_), .. } => continue,
            What::Configured { call: None, line, changed, after, .. } => {
                let who = after.updated_by.as_deref().unwrap_or_default();
                json!({"kind": "dashboard", "what": format!("Changed {}", changed.join(", ")), "line": line, "by": who})
            }
            What::Arrived(arrival) => {
                let (outcome, ended) = ends.remove(&arrival.call).unzip();
                let took = |at: Timestamp| millis(at) - millis(entry.wall);
                json!({
                    "kind": if matches!(arrival.route, Route::Get | Route::List) { "read" } else { "write" },
                    "what": what(arrival.route, arrival.action),
                    "line": arrival.line,
                    "by": arrival.key.as_ref().map_or("unknown key".to_owned(), |name| format!("api-key:{name}")),
                    "outcome": outcome,
                    "took": ended.map(took),
                    "landed": landed.remove(&arrival.call).map(took),
                })
            }
            What::Dashboard { line, who, from, to } => {
                let what = match (from, to) {
                    (None, _) => "Line added".to_owned(),
                    (_, None) => "Line removed".to_owned(),
                    (_, Some(state)) => {
                        format!("Set {}", json!(state).as_str().unwrap_or_default())
                    }
                };
                json!({"kind": "dashboard", "what": what, "line": line, "by": who})
            }
            What::Key { name, valid } => {
                let done = if *valid { "valid" } else { "revoked" };
                json!({"kind": "dashboard", "what": format!("Key “{name}” {done}")})
            }
            What::Stray { method, path } => {
                json!({"kind": "write", "what": format!("{method} {path}"), "outcome": "no such call"})
            }
        };
        let mut happening = happening;
        happening["at"] = json!(millis(entry.wall));
        shown.push(happening);
    }
    shown
}

fn what(route: Route, action: Option<Action>) -> &'static str {
    match (route, action) {
        (Route::Status, Some(Action::Pause)) => "Pause",
        (Route::Status, Some(Action::Resume)) => "Resume",
        (Route::Status | Route::Any, _) => "Status",
        (Route::Get, _) => "Get",
        (Route::List, _) => "List",
        (Route::Create, _) => "Create",
        (Route::Update, _) => "Update",
        (Route::Delete, _) => "Delete",
    }
}

/// Milliseconds since 1970, which is what a browser counts in.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}
