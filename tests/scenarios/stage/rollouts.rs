//! What must hold of a line's configuration, whatever happens: no caller reaches a line while what it runs is changed,
//! and no status claims a configuration that the line doesn't have.

use std::collections::BTreeMap;
use std::time::Instant;

use sarvam_testkit::oracle::{Claim, Edit, Ready};
use sarvam_testkit::simulator::{Entry, Line, What};
use serde_json::{Value, json};

/// Judges a whole play. `specs` are those of `edits`, in the same order.
pub fn check(edits: &[Edit], specs: &[Value], claims: &[Claim], history: &[Entry]) {
    let broken: Vec<String> = while_it_answered(edits, specs, history).collect();
    assert!(broken.is_empty(), "a line was changed while it answered:\n{}", broken.join("\n"));
    let lies = lies(edits, specs, claims, history);
    assert!(lies.is_empty(), "a status claimed a configuration that was not so:\n{}", lies.join("\n"));
}

/// Every change by a call, of a field that needs a pause, that took effect while the line answered. Where somebody has
/// resumed the line at the dashboard that can't be helped, and where an object says `InPlace` it is meant.
fn while_it_answered(edits: &[Edit], specs: &[Value], history: &[Entry]) -> impl Iterator<Item = String> {
    let in_place = move |line: &str| {
        let of_line = edits.iter().zip(specs).filter(move |(edit, _)| edit.line == line);
        of_line.into_iter().any(|(_, spec)| spec["rollout"]["strategy"] == "InPlace")
    };
    let mut resumed_by_hand = BTreeMap::new();
    history.iter().filter_map(move |entry| match &entry.what {
        What::Applied { line, from, to, .. } if from != to => {
            resumed_by_hand.insert(line, false);
            None
        }
        What::Dashboard { line, from: Some(_), .. } => {
            resumed_by_hand.insert(line, true);
            None
        }
        What::Configured { line, call: Some(call), changed, .. } if entry.what.changed_an_answering_line() => {
            let excused = resumed_by_hand.get(line).copied().unwrap_or_default() || in_place(line);
            (!excused).then(|| format!("{line}: {} by call {call}", changed.join(", ")))
        }
        _ => None,
    })
}

/// What happens to an object or its line.
enum Event<'a> {
    Asked(&'a Edit, &'a Value),
    Claimed(&'a Claim),
    Configured(&'a Line, bool),
}

/// Every claim of Ready at the newest edit while the line's configuration was otherwise, unless somebody at the dashboard
/// has just made it so.
fn lies(edits: &[Edit], specs: &[Value], claims: &[Claim], history: &[Entry]) -> Vec<String> {
    let mut uids: Vec<(&str, &str)> = edits.iter().map(|edit| (edit.uid.as_str(), edit.line.as_str())).collect();
    uids.sort_unstable();
    uids.dedup();
    let mut lies = Vec::new();
    for (uid, line) in uids {
        let asked = edits.iter().zip(specs).filter(|(edit, _)| edit.uid == uid);
        let claimed = claims.iter().filter(|claim| claim.uid == uid);
        let configured = history.iter().filter_map(|entry| match &entry.what {
            What::Configured { line: its, call, after, .. } if its == line => {
                Some((entry.at, Event::Configured(after, call.is_none())))
            }
            _ => None,
        });
        let mut events: Vec<(Instant, Event<'_>)> = asked
            .map(|(edit, spec)| (edit.at, Event::Asked(edit, spec)))
            .chain(claimed.map(|claim| (claim.at, Event::Claimed(claim))))
            .chain(configured)
            .collect();
        events.sort_by_key(|(at, _)| *at);
        // Where no configuration ever changed, a look at the end has compared it.
        let mut now = history.iter().find_map(|entry| match &entry.what {
            What::Configured { line: its, before, .. } if its == line => Some(&**before),
            _ => None,
        });
        let (mut newest, mut spec, mut ready, mut unnoticed) = (0, &Value::Null, false, false);
        for (_, event) in events {
            match event {
                Event::Asked(edit, asked) => (newest, spec, ready, unnoticed) = (edit.generation, asked, false, false),
                Event::Claimed(claim) => {
                    let of_newest = claim.generation == newest && claim.observed_generation == Some(newest);
                    ready = of_newest && claim.ready == Ready::True;
                    unnoticed &= ready;
                }
                Event::Configured(line, by_hand) => {
                    let as_asked = now.is_some_and(|line| differs(spec, line).is_empty());
                    unnoticed = unnoticed || (by_hand && as_asked);
                    now = Some(line);
                }
            }
            let fields = now.map(|line| differs(spec, line)).unwrap_or_default();
            unnoticed &= !fields.is_empty();
            if ready && !unnoticed && !fields.is_empty() {
                lies.push(format!("{line} at generation {newest}: {}", fields.join(", ")));
            }
        }
    }
    lies
}

/// The fields of a spec that the line has otherwise. What the remote may write otherwise is no difference.
pub fn differs(spec: &Value, line: &Line) -> Vec<&'static str> {
    let sorted = |list: &Value| {
        let mut list: Vec<String> = list.as_array().into_iter().flatten().map(Value::to_string).collect();
        list.sort_unstable();
        list
    };
    let connections = |list: &Value, id: &str, numbers: &str| {
        let of_one = |one: &Value| (one[id].to_string(), sorted(&one[numbers]));
        list.as_array().into_iter().flatten().map(of_one).collect::<BTreeMap<_, _>>()
    };
    let schedule = |window: &Value, [start, end, days]: [&str; 3]| {
        let time = |field: &str| format!("{:0>5}", window[field].as_str().unwrap_or_default());
        (time(start), time(end), sorted(&window[days]), window["timezone"].clone())
    };
    let has = json!(line);
    let same = |field: &str| match field {
        "appVersion" => spec[field] == has["app_version"],
        "displayName" => spec[field] == has["name"],
        "description" => spec[field] == has["description"],
        "connections" => {
            connections(&spec[field], "connectionID", "phoneNumbers")
                == connections(&has["connection_configs"], "connection_id", "phone_numbers")
        }
        _ => {
            schedule(&spec[field], ["startTime", "endTime", "allowedDays"])
                == schedule(&has["inbound_config"], ["start_time", "end_time", "allowed_days"])
        }
    };
    let fields = ["appVersion", "displayName", "description", "connections", "schedule"];
    fields.into_iter().filter(|field| !spec[*field].is_null() && !same(field)).collect()
}
