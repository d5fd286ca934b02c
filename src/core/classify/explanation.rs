//! What the body of a refusal says: `{"error": {"message", "code"}}`, or `{"detail": "…"}` and `{"detail": [{"loc", "msg"}]}`
//! of `FastAPI`. Any other body says nothing.

use serde_json::Value;

use super::{Reply, text};

/// A longer body is no explanation. Bounds what its decoding takes.
const LONGEST_BODY: usize = 64 * 1024;

/// What the remote says about its refusal.
#[derive(Default)]
pub(super) struct Explanation {
    /// `error.code`.
    pub(super) code: Option<String>,
    /// Words for people, clean and without what looks like a credential.
    pub(super) message: Option<String>,
}

pub(super) fn read(reply: &Reply<'_>) -> Explanation {
    if reply.body.len() > LONGEST_BODY {
        return Explanation::default();
    }
    let Ok(body) = serde_json::from_slice::<Value>(reply.body) else {
        return Explanation::default();
    };
    let said = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| detail(body.get("detail")?));
    Explanation {
        code: body.pointer("/error/code").and_then(Value::as_str).map(str::to_owned),
        message: said.and_then(|said| text::clean(&text::redact(&said), reply)),
    }
}

fn detail(detail: &Value) -> Option<String> {
    match detail {
        Value::String(words) => Some(words.clone()),
        Value::Array(problems) => {
            let problems: Vec<String> = problems.iter().filter_map(problem).collect();
            Some(problems.join("; "))
        }
        _ => None,
    }
}

/// `{"loc": ["body", "action"], "msg": "…"}` as `body.action: …`.
fn problem(problem: &Value) -> Option<String> {
    let words = problem.get("msg")?.as_str()?;
    let place: Vec<String> = problem
        .get("loc")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|part| match part {
            Value::String(name) => Some(name.clone()),
            Value::Number(index) => Some(index.to_string()),
            _ => None,
        })
        .collect();
    Some(if place.is_empty() { words.to_owned() } else { format!("{}: {words}", place.join(".")) })
}
