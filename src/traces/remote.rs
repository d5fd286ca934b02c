//! Calls to the remote as parts of an edit, in the words of OpenTelemetry for HTTP clients.

use std::sync::Arc;

use futures::future::BoxFuture;
use hyper::{Request, body::Bytes};
use opentelemetry::{KeyValue, trace::SpanKind};

use super::{Part, Traces};
use crate::sarvam::{
    self,
    transport::{Answer, Lost, Transport},
};

impl Traces {
    /// The same client, whose calls are parts of the edits that they are made for. Without traces, it is as it was.
    #[must_use]
    pub fn of(&self, remote: sarvam::Client) -> sarvam::Client {
        if self.0.is_none() {
            return remote;
        }
        remote.by_way_of(|transport| Arc::new(Traced { transport, traces: self.clone() }))
    }
}

struct Traced {
    transport: Arc<dyn Transport>,
    traces: Traces,
}

impl Transport for Traced {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Answer, Lost>> {
        Box::pin(async move {
            let mut part = self.begin(&request);
            let answer = self.transport.carry(request).await;
            if let Some(part) = &mut part {
                tell(part, &answer);
            }
            answer
        })
    }
}

impl Traced {
    /// Of the request, its headers have the key and its query is nobody's business: neither is looked at.
    fn begin(&self, request: &Request<Bytes>) -> Option<Part> {
        let (method, url) = (request.method(), request.uri());
        let template = template(url.path());
        self.traces.part(SpanKind::Client, format!("{method} {template}"), || {
            let mut attributes = vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("url.template", template.clone()),
                KeyValue::new("server.address", url.host().unwrap_or_default().to_owned()),
            ];
            let port = url.port_u16().or_else(|| Some(if url.scheme_str()? == "https" { 443 } else { 80 }));
            attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
            attributes
        })
    }
}

fn tell(part: &mut Part, answer: &Result<Answer, Lost>) {
    match answer {
        Ok(answer) => {
            part.tell(KeyValue::new("http.response.status_code", i64::from(answer.status.as_u16())));
            if answer.status.as_u16() >= 400 {
                part.fail(answer.status.as_u16().to_string(), "the remote refused");
            }
            if let Err(lost) = answer.body {
                fail(part, lost);
            }
        }
        Err(lost) => fail(part, *lost),
    }
}

fn fail(part: &mut Part, lost: Lost) {
    match lost {
        Lost::Unsent(why) => part.fail("unsent", why),
        Lost::Unanswered(why) => part.fail("unanswered", why),
        Lost::TooLong => part.fail("too_long", "the remote's answer is too long"),
    }
}

/// A path with names in the place of ids.
fn template(path: &str) -> String {
    let mut before = "";
    let segments = path.split('/').map(|segment| match std::mem::replace(&mut before, segment) {
        "orgs" => "{org}",
        "workspaces" => "{workspace}",
        "deployments" => "{deployment}",
        _ => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_names_for_ids() {
        let lines = "/v1/orgs/{org}/workspaces/{workspace}/deployments";
        for (path, expected) in [
            ("/v1/orgs/o/workspaces/w/deployments", lines.to_owned()),
            ("/v1/orgs/o/workspaces/w/deployments/d", format!("{lines}/{{deployment}}")),
            ("/api/app/v1/orgs/o/workspaces/w/deployments/d/status", format!("/api/app{lines}/{{deployment}}/status")),
            ("/", "/".to_owned()),
        ] {
            assert_eq!(template(path), expected);
        }
    }
}
