//! What happened to one line at the remote, for people.

use sarvam_testkit::simulator::{Action, Arrival, CallId, ClosedBy, Entry, LineState, Route, What};

/// The calls about a line that have ended, and what people did to it at the dashboard.
pub fn told(history: &[Entry], line: &str) -> Vec<String> {
    let rows: Vec<_> = history.iter().filter_map(|entry| Row::of(entry, history, line)).collect();
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    let text = |row: &Row| format!("{}  {:width$}  {}", row.time, row.what, row.came_of_it).trim_end().to_owned();
    rows.iter().map(text).collect()
}

/// The calls that looked at a line, one by one or in the list, and saw it.
pub fn looks<'a>(history: &'a [Entry], line: &str) -> impl Iterator<Item = &'a Arrival> {
    let saw = |call: &&Arrival| outcome(history, call.call).as_deref() == Some("200");
    let at_it = move |call: &&Arrival| match call.route {
        Route::List => true,
        Route::Get => call.line.as_deref() == Some(line),
        _ => false,
    };
    arrivals(history).filter(at_it).filter(saw)
}

/// The calls that would change a line.
pub fn changes<'a>(history: &'a [Entry], line: &str) -> impl Iterator<Item = &'a Arrival> {
    let reads = |route| matches!(route, Route::Get | Route::List);
    arrivals(history).filter(move |call| !reads(call.route) && call.line.as_deref() == Some(line))
}

fn arrivals(history: &[Entry]) -> impl Iterator<Item = &Arrival> {
    history.iter().filter_map(|entry| match &entry.what {
        What::Arrived(call) => Some(call),
        _ => None,
    })
}

/// The word of this demo for a state.
pub fn word(state: LineState) -> &'static str {
    match state {
        LineState::Active => "answering",
        LineState::Paused => "paused",
    }
}

struct Row {
    time: String,
    what: String,
    came_of_it: String,
}

impl Row {
    fn of(entry: &Entry, history: &[Entry], line: &str) -> Option<Self> {
        let (what, came_of_it) = match &entry.what {
            What::Arrived(call) if call.line.as_deref() == Some(line) => {
                let what = match (call.route, call.action) {
                    (Route::Get, _) => format!("GET .../{line}"),
                    (_, action) => format!("PUT .../{line}/status {}", body(action)),
                };
                let key = call.key.as_deref().unwrap_or("unknown");
                (what, format!("{}, {key} key", outcome(history, call.call)?))
            }
            What::Dashboard { line: its, who, to: Some(to), .. } if its == line => {
                (format!("{who} sets it {} at the dashboard", word(*to)), String::new())
            }
            _ => return None,
        };
        Some(Self { time: entry.wall.strftime("%H:%M:%S%.3f").to_string(), what, came_of_it })
    }
}

fn body(action: Option<Action>) -> &'static str {
    match action {
        Some(Action::Pause) => r#"{"action":"pause"}"#,
        Some(Action::Resume) => r#"{"action":"resume"}"#,
        None => "(unreadable)",
    }
}

/// How a call ended; `None`: not yet.
fn outcome(history: &[Entry], call: CallId) -> Option<String> {
    history.iter().find_map(|entry| match &entry.what {
        What::Replied { call: of, status } if *of == call => Some(status.to_string()),
        What::NoReply { call: of, closed_by: ClosedBy::Client } if *of == call => Some("the client gave up".to_owned()),
        What::NoReply { call: of, .. } if *of == call => Some("no reply".to_owned()),
        _ => None,
    })
}
