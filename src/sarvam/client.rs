//! Calls to the remote. Each is sent once: nothing here or below tries again.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

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
    /// Without a slash at its end.
    base: Arc<str>,
}

impl Client {
    /// Checks the settings and makes ready; connects to nothing.
    ///
    /// The process must have installed its rustls provider before.
    pub fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let base = base(settings)?;
        let server = base.parse().map_err(|_| InvalidSetting::Url)?;
        Ok(Self { transport: Arc::new(Http::new(settings, &server)?), base })
    }

    /// The same, by another way than HTTP. Of the settings only the base URL is used.
    pub fn over(transport: Arc<dyn Transport>, settings: &Settings) -> Result<Self, InvalidSetting> {
        Ok(Self { transport, base: base(settings)? })
    }

    /// The same, by the way that is made of the one that there is.
    #[must_use]
    pub fn by_way_of(self, way: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>) -> Self {
        Self { transport: way(self.transport), ..self }
    }

    /// Looks at one line.
    pub async fn get(&self, key: &ApiKey, line: &LineId) -> Result<Remote, Fault> {
        let request = request(Method::GET, line_url(&self.base, line, "")?, Bytes::new());
        self.send(Call::Get, key, request, |reply| classify::line(Call::Get, &line.deployment, reply)).await
    }

    /// Tells the remote what to do with one line.
    ///
    /// A success shows what the remote answered, which may still be the old state. With [`Landed::Maybe`] in the fault the
    /// action may have taken effect, or may still do so.
    pub async fn set_status(&self, key: &ApiKey, line: &LineId, action: Action) -> Result<Remote, Fault> {
        let body = [r#"{"action":""#, action.verb(), r#""}"#].concat();
        let request = request(Method::PUT, line_url(&self.base, line, "/status")?, body.into());
        self.send(Call::SetStatus, key, request, |reply| classify::line(Call::SetStatus, &line.deployment, reply)).await
    }

    /// Changes the fields of one line's configuration that `patch` has, in one call, and no other.
    ///
    /// A success shows what the remote answered, which may still be the old configuration. With [`Landed::Maybe`] in the
    /// fault the fields may have changed, or may still do so, all or some of them.
    pub async fn update(&self, key: &ApiKey, line: &LineId, patch: &Managed) -> Result<Remote, Fault> {
        let request = request(Method::PATCH, line_url(&self.base, line, "")?, patch::body(patch).into());
        self.send(Call::Update, key, request, |reply| classify::line(Call::Update, &line.deployment, reply)).await
    }

    /// One page of a workspace's lines: as many as the remote gives at once, from number `offset` (0 is the first).
    pub async fn list(&self, key: &ApiKey, org: &Id, workspace: &Id, offset: usize) -> Result<Page, Fault> {
        let query = format!("?offset={offset}&limit={LONGEST_PAGE}");
        let request = request(Method::GET, list_url(&self.base, org, workspace, &[&query])?, Bytes::new());
        self.send(Call::List, key, request, classify::page).await
    }

    async fn send<T>(
        &self,
        call: Call,
        key: &ApiKey,
        mut request: Request<Bytes>,
        read: impl FnOnce(&Reply<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        request.headers_mut().insert(API_KEY, key.header());
        let answer = self.transport.carry(request).await.map_err(|lost| fault(call, lost))?;
        let body = match answer.body {
            Ok(body) => body,
            Err(lost) if answer.status.is_success() => return Err(fault(call, lost)),
            // The status alone says what a refusal means.
            Err(_) => Bytes::new(),
        };
        let headers: Vec<(&str, &[u8])> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        read(&Reply {
            status: answer.status.as_u16(),
            headers: &headers,
            body: &body,
            read_at: answer.read_at,
            gives_key_away: &|text| key.is_given_away_by(text),
        })
    }
}

/// A request with this JSON, where there is any.
fn request(method: Method, url: Uri, body: Bytes) -> Request<Bytes> {
    let has_body = !body.is_empty();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url;
    if has_body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request
}

/// What all URLs begin with.
fn base(settings: &Settings) -> Result<Arc<str>, InvalidSetting> {
    Ok(settings.url()?.as_str().trim_end_matches('/').into())
}

/// The list of a workspace's lines, and what follows it. No [`Id`] needs escaping or climbs out of its segment.
fn list_url(base: &str, org: &Id, workspace: &Id, then: &[&str]) -> Result<Uri, Fault> {
    let list = [base, "/v1/orgs/", org.as_str(), "/workspaces/", workspace.as_str(), "/deployments"];
    let url: Result<Uri, _> = [&list, then].concat().concat().try_into();
    url.map_err(|_| Fault::new(Trouble::Refused, Landed::No, "the ids don't make a URL of the remote"))
}

/// One line, and what follows it.
fn line_url(base: &str, LineId { org, workspace, deployment }: &LineId, then: &str) -> Result<Uri, Fault> {
    list_url(base, org, workspace, &["/", deployment.as_str(), then])
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_url_has_exactly_the_segments_asked_for() {
        let longest = "9".repeat(crate::core::id::MAX_LENGTH);
        for base_url in ["https://h.example", "https://h.example/", "https://[::1]:8443/api/app-authoring/"] {
            let settings = Settings {
                base_url: base_url.to_owned(),
                allow_http_loopback: false,
                extra_ca_pem: None,
                call_timeout: Duration::from_secs(10),
                use_proxy: false,
            };
            let base = base(&settings).unwrap();
            let root = base_url.trim_end_matches('/');
            for deployment in ["dep_1-A", "0", "Z--__", &longest] {
                let id = |text| Id::new(text).unwrap();
                let line = LineId { org: id("o"), workspace: id("w-1"), deployment: id(deployment) };
                let uri = line_url(&base, &line, "").unwrap();
                let expected = format!("{root}/v1/orgs/o/workspaces/w-1/deployments/{deployment}");
                assert_eq!(uri.to_string(), expected);
                assert_eq!((uri.query(), uri.path().split('/').next_back()), (None, Some(deployment)));
            }
        }
        for text in ["", ".", "..", "%2e%2e", "a/b", "a\\b", "../../x", "a?x=1", "a#f", "a\nb", "a b", "é", "a%"] {
            assert!(Id::new(text).is_err(), "{text:?} would be another address");
        }
    }
}
