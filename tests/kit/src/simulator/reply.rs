//! Replies, clean and damaged.

use std::convert::Infallible;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::faults::{Corruption, Refusal};
use super::limits::Broken;
use super::pace::Pace;
use super::switches::{ErrorForm, NotFoundBody, Switches};

/// Why a body or a connection ends early.
pub(super) type Cut = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

const HTML: &str = "<!doctype html><html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>502 Bad Gateway</h1><hr>nginx</body></html>";

/// A reply before it goes on the wire.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// An error in the form that the switches ask for.
    pub(super) fn error(switches: &Switches, status: u16, code: &str, message: &str) -> Self {
        let body = match switches.error_form {
            ErrorForm::Sarvam => json!({"error": {"message": message, "code": code}}),
            ErrorForm::FastApi => json!({"detail": message}),
        };
        Self::json(status, &body)
    }

    pub(super) fn not_found(switches: &Switches, what: &str) -> Self {
        match switches.not_found {
            NotFoundBody::LikeOthers => Self::error(switches, 404, "not_found_error", &format!("{what} not found")),
            NotFoundBody::Empty => Self::text(404, "text/plain", ""),
            NotFoundBody::Html => Self::text(404, "text/html", HTML),
        }
    }

    /// 422 for a body or query that breaks rules.
    pub(super) fn invalid(switches: &Switches, broken: &[Broken]) -> Self {
        match switches.error_form {
            ErrorForm::Sarvam => {
                let sentence = |b: &Broken| format!("{}: {}", b.place.join("."), b.rule);
                let message: Vec<String> = broken.iter().map(sentence).collect();
                Self::error(switches, 422, "invalid_request_error", &message.join("; "))
            }
            ErrorForm::FastApi => {
                let item = |b: &Broken| json!({"type": "value_error", "loc": b.place, "msg": b.rule});
                let detail: Vec<Value> = broken.iter().map(item).collect();
                Self::json(422, &json!({"detail": detail}))
            }
        }
    }

    /// The response as it goes on the wire.
    pub(super) fn response(self) -> Response<Body> {
        let body = whole(self.body.clone());
        self.with_body(body)
    }

    /// The response with its damage. A slow one slows its connection down.
    pub(super) fn corrupted(mut self, corruption: &Corruption, pace: &Pace) -> Response<Body> {
        match corruption {
            Corruption::Empty => self.body.clear(),
            Corruption::Html => self = Self::text(self.status, "text/html", HTML),
            Corruption::WrongId => self.set_field("deployment_id", &json!("dep-of-somebody-else")),
            Corruption::WrongType => self.set_field("status", &json!({"active": true})),
            Corruption::UnknownStatus => self.set_field("status", &json!("archived")),
            Corruption::NullStatus => self.set_field("status", &Value::Null),
            Corruption::DeepJson => self.body = "{\"a\":".repeat(100_000),
            Corruption::Garbage => {
                return self.with_body(whole(&b"\xff\xfe\x00{\"status\":\xc3\x28"[..]));
            }
            Corruption::Truncated => {
                let length = self.body.len();
                self.headers.push(("content-length".to_owned(), length.to_string()));
                let body = truncated(self.body.clone(), length / 2);
                return self.with_body(body);
            }
            Corruption::Huge(bytes) => {
                let body = huge(&self.body, *bytes);
                return self.with_body(body);
            }
            Corruption::SlowBody(every) => {
                self.headers.push(("content-length".to_owned(), self.body.len().to_string()));
                let body = dripping(self.body.clone(), *every);
                return self.with_body(body);
            }
            Corruption::SlowHeaders(every) => pace.slow_down(*every),
        }
        self.response()
    }

    /// Writes one field of the object, or of each item of a list.
    fn set_field(&mut self, field: &str, value: &Value) {
        let Ok(mut body) = serde_json::from_str::<Value>(&self.body) else {
            return;
        };
        if let Some(items) = body.get_mut("items").and_then(Value::as_array_mut) {
            for item in items {
                item[field] = value.clone();
            }
        } else {
            body[field] = value.clone();
        }
        self.body = body.to_string();
    }

    fn with_body(self, body: Body) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(body).expect("a scripted status is 100 to 999 and a scripted header is valid HTTP")
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut reply = Self::text(refusal.status, "application/json", refusal.body);
        reply.headers.extend(refusal.headers);
        reply
    }
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn streamed(frames: impl futures::Stream<Item = Result<Bytes, Cut>> + Send + 'static) -> Body {
    StreamBody::new(frames.map_ok(Frame::data)).boxed_unsync()
}

/// The first `kept` bytes, then a broken connection. The pause in between lets them reach the wire first.
fn truncated(body: String, kept: usize) -> Body {
    let mut start = Bytes::from(body);
    start.truncate(kept);
    let cut = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(Cut::from("truncated by a fault"))
    };
    streamed(stream::iter([Ok(start)]).chain(stream::once(cut)))
}

/// The object with one more field, which makes it valid JSON of at least `bytes` bytes.
fn huge(object: &str, bytes: usize) -> Body {
    const CHUNK: usize = 64 * 1024;
    let start = object.strip_suffix('}').unwrap_or("{\"_\":0").to_owned();
    let filling = Bytes::from(vec![b'x'; CHUNK]);
    let middle = stream::repeat(filling).take(bytes / CHUNK + 1);
    let ends = |text: String| stream::iter([Bytes::from(text)]);
    let frames = ends(start + ",\"padding\":\"").chain(middle).chain(ends("\"}".to_owned()));
    streamed(frames.map(Ok))
}

/// One byte each time `every` passes.
fn dripping(body: String, every: Duration) -> Body {
    let body = Bytes::from(body);
    streamed(stream::iter(0..body.len()).then(move |i| {
        let byte = body.slice(i..=i);
        async move {
            tokio::time::sleep(every).await;
            Ok(byte)
        }
    }))
}
