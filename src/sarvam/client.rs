//! Calls to the remote. Each is sent once: nothing here or below tries again.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use super::key::ApiKey;
use super::patch;
use super::settings::{InvalidSetting, Settings};
use super::transport::{Http, Lost, Transport};
use crate::core::classify::{self, Call, Fault, LONGEST_PAGE, Landed, Page, Remote, Reply};
use crate::core::config::Managed;
use crate::core::id::{Id, LineId};
use crate::core::line::{Action, Trouble};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The remote at one address. All clones share one pool of connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    base: Url,
}

impl Client {
    /// Checks the settings and makes ready; connects to nothing.
    ///
    /// The process must have installed its rustls provider before.
    pub fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        Ok(Self { transport: Arc::new(Http::new(settings)?), base: settings.url()? })
    }

    /// The same, by another way than HTTP. Of the settings only the base URL is used.
    pub fn over(transport: Arc<dyn Transport>, settings: &Settings) -> Result<Self, InvalidSetting> {
        Ok(Self { transport, base: settings.url()? })
    }

    /// The same, by the way that is made of the one that there is.
    #[must_use]
    pub fn by_way_of(self, way: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>) -> Self {
        Self { transport: way(self.transport), ..self }
    }

    /// Looks at one line.
    pub async fn get(&self, key: &ApiKey, line: &LineId) -> Result<Remote, Fault> {
        let request = self.request(Method::GET, &path(line, &[]))?;
        self.send(Call::Get, key, request, |reply| classify::line(Call::Get, &line.deployment, reply)).await
    }

    /// Tells the remote what to do with one line.
    ///
    /// A success shows what the remote answered, which may still be the old state. With [`Landed::Maybe`] in the fault the
    /// action may have taken effect, or may still do so.
    pub async fn set_status(&self, key: &ApiKey, line: &LineId, action: Action) -> Result<Remote, Fault> {
        let request = self.request(Method::PUT, &path(line, &["status"]))?;
        let request = with_body(request, format!(r#"{{"action":"{}"}}"#, action.verb()));
        self.send(Call::SetStatus, key, request, |reply| classify::line(Call::SetStatus, &line.deployment, reply)).await
    }

    /// Changes the fields of one line's configuration that `patch` has, in one call, and no other.
    ///
    /// A success shows what the remote answered, which may still be the old configuration. With [`Landed::Maybe`] in the
    /// fault the fields may have changed, or may still do so, all or some of them.
    pub async fn update(&self, key: &ApiKey, line: &LineId, patch: &Managed) -> Result<Remote, Fault> {
        let request = with_body(self.request(Method::PATCH, &path(line, &[]))?, patch::body(patch));
        self.send(Call::Update, key, request, |reply| classify::line(Call::Update, &line.deployment, reply)).await
    }

    /// One page of a workspace's lines: as many as the remote gives at once, from number `offset` (0 is the first).
    pub async fn list(&self, key: &ApiKey, org: &Id, workspace: &Id, offset: usize) -> Result<Page, Fault> {
        let mut request = self.request(Method::GET, &deployments(org, workspace))?;
        request
            .url_mut()
            .query_pairs_mut()
            .append_pair("offset", &offset.to_string())
            .append_pair("limit", &LONGEST_PAGE.to_string());
        self.send(Call::List, key, request, classify::page).await
    }

    fn request(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        let url = below(&self.base, segments)
            .ok_or_else(|| Fault::new(Trouble::Refused, Landed::No, "the ids don't make a URL of the remote"))?;
        Ok(Request::new(method, url))
    }

    async fn send<T>(
        &self,
        call: Call,
        key: &ApiKey,
        mut request: Request,
        read: impl FnOnce(&Reply<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        request.headers_mut().insert(API_KEY, key.header());
        let answer = self.transport.carry(request).await.map_err(|lost| fault(call, lost))?;
        let body = match answer.body {
            Ok(body) => body,
            Err(lost) if (200..300).contains(&answer.status) => return Err(fault(call, lost)),
            // The status alone says what a refusal means.
            Err(_) => Vec::new(),
        };
        let headers: Vec<(&str, &[u8])> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        read(&Reply {
            status: answer.status,
            headers: &headers,
            body: &body,
            read_at: answer.read_at,
            gives_key_away: &|text| key.is_given_away_by(text),
        })
    }
}

/// The request with a body of JSON.
fn with_body(mut request: Request, body: String) -> Request {
    *request.body_mut() = Some(body.into());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// The segments of the list of a workspace's lines.
fn deployments<'a>(org: &'a Id, workspace: &'a Id) -> [&'a str; 6] {
    ["v1", "orgs", org.as_str(), "workspaces", workspace.as_str(), "deployments"]
}

/// The segments of one line, and what follows.
fn path<'a>(line: &'a LineId, rest: &[&'a str]) -> Vec<&'a str> {
    [&deployments(&line.org, &line.workspace)[..], &[line.deployment.as_str()], rest].concat()
}

/// The URL with the segments below the base's path. Nothing when one of them is not taken as it is: a URL library drops
/// dots, strips line breaks and keeps an empty segment, and each of these is another address.
fn below(base: &Url, segments: &[&str]) -> Option<Url> {
    if segments.iter().any(|segment| segment.is_empty() || segment.contains(['/', '%'])) {
        return None;
    }
    let path = [base.path().trim_end_matches('/'), &segments.join("/")].join("/");
    let mut url = base.clone();
    url.set_path(&path);
    (url.path() == path).then_some(url)
}

/// The fault behind a missing answer.
fn fault(call: Call, lost: Lost) -> Fault {
    match lost {
        Lost::Unsent(message) => Fault::new(Trouble::Unavailable, Landed::No, message),
        Lost::Unanswered(message) => Fault::new(Trouble::Unavailable, call.in_doubt(), message),
        Lost::TooLong => {
            let message = "the remote's answer is longer than 1 MiB";
            Fault::new(Trouble::UnexpectedResponse, call.in_doubt(), message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_exactly_the_segments_asked_for() {
        for base in ["https://h.example/", "https://h.example/api/app-authoring"] {
            let base = Url::parse(base).unwrap();
            let root = base.as_str().trim_end_matches('/').to_owned();
            let url = below(&base, &["v1", "deployments", "dep_1-A", "status"]).map(String::from);
            assert_eq!(url, Some(format!("{root}/v1/deployments/dep_1-A/status")));
            for id in [
                "", ".", "..", "%2e%2e", "%2E.", "a/b", "a\\b", "../../x", "a?x=1", "a#f", "a\nb", "a\tb", "a b", "é",
                "a%",
            ] {
                assert_eq!(below(&base, &["deployments", id, "status"]), None, "{id:?}");
                assert_eq!(below(&base, &["deployments", id]), None, "{id:?}");
            }
        }
    }
}
