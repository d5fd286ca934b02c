//! Calls to the remote. Each is sent once: nothing here or below tries again.

use std::error::Error;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, Url};

use super::key::ApiKey;
use super::patch;
use super::settings::{InvalidSetting, Settings};
use crate::core::classify::{self, Call, Fault, Landed, Page, Remote, Reply};
use crate::core::config::Managed;
use crate::core::id::{Id, LineId};
use crate::core::line::{Action, Trouble};

const USER_AGENT: &str = concat!("sarvam-operator/", env!("CARGO_PKG_VERSION"));
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest body that is read, in bytes. A full page of the list is a tenth of it.
const MAX_BODY: usize = 1024 * 1024;

/// The longest wait for a connection, TLS included.
const MAX_CONNECT: Duration = Duration::from_secs(3);

/// A connection is left before servers and proxies commonly close it (60 s): a call that meets the closing is in doubt.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// How many idle connections are kept: more than one workspace has calls in flight.
const MAX_IDLE_CONNECTIONS: usize = 16;

/// The remote at one address. All clones share one pool of connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// Checks the settings and makes ready; connects to nothing.
    ///
    /// The process must have installed its rustls provider before.
    pub fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let base = settings.url()?;
        let total = settings.total_timeout()?;
        let https = base.scheme() == "https";
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .https_only(https)
            .tls_certs_merge(settings.certificates()?)
            // A redirect would be followed with the key, also to another host.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .http1_only()
            // A limit on silence would let a byte now and then hold a call for ever.
            .timeout(total)
            .connect_timeout(MAX_CONNECT.min(total / 2))
            .pool_idle_timeout(MAX_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
        if !(settings.use_proxy && https) {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build().map_err(|_| InvalidSetting::Tls)?, base })
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

    /// One page of a workspace's lines: at most `limit` (1 to 100) of them, from number `offset` (0 is the first).
    pub async fn list(
        &self,
        key: &ApiKey,
        org: &Id,
        workspace: &Id,
        offset: usize,
        limit: usize,
    ) -> Result<Page, Fault> {
        let mut request = self.request(Method::GET, &deployments(org, workspace))?;
        request
            .url_mut()
            .query_pairs_mut()
            .append_pair("offset", &offset.to_string())
            .append_pair("limit", &limit.to_string());
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
        let mut response = self.http.execute(request).await.map_err(|error| unanswered(call, &error))?;
        let body = match body(call, &mut response).await {
            Ok(body) => body,
            Err(fault) if response.status().is_success() => return Err(fault),
            // The status alone says what a refusal means.
            Err(_) => Vec::new(),
        };
        let headers: Vec<(&str, &[u8])> =
            response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        read(&Reply {
            status: response.status().as_u16(),
            headers: &headers,
            body: &body,
            read_at: Timestamp::now(),
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
    let mut path = deployments(&line.org, &line.workspace).to_vec();
    path.push(line.deployment.as_str());
    path.extend(rest);
    path
}

/// The URL with the segments below the base's path. Nothing when one of them is not taken as it is: a URL library drops
/// dots, strips line breaks and keeps an empty segment, and each of these is another address.
fn below(base: &Url, segments: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    let root = base.path().trim_end_matches('/');
    let built = url.path().strip_prefix(root)?.strip_prefix('/')?;
    let same = built.split('/').eq(segments.iter().copied());
    (same && !segments.contains(&"")).then_some(url)
}

/// The whole body, or why it is not whole.
async fn body(call: Call, response: &mut Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(call, &error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Fault::new(
                Trouble::UnexpectedResponse,
                call.in_doubt(),
                "the remote's answer is longer than 1 MiB",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The fault behind an error of the HTTP library, in our own words: its words repeat the URL.
fn unanswered(call: Call, error: &reqwest::Error) -> Fault {
    // Before the connection stands, with TLS, nothing of the request has left.
    let landed = if error.is_connect() || error.is_builder() { Landed::No } else { call.in_doubt() };
    let message = if error.is_dns() {
        "the remote's host name can't be resolved"
    } else if error.is_connect() && is_tls(error) {
        "the remote's TLS certificate or handshake is not accepted"
    } else if error.is_connect() && error.is_timeout() {
        "no connection to the remote within its time"
    } else if error.is_connect() {
        "no connection to the remote"
    } else if error.is_timeout() {
        "no whole answer from the remote within the call's timeout"
    } else {
        "the connection to the remote broke before its answer was whole"
    };
    Fault::new(Trouble::Unavailable, landed, message)
}

/// Whether the TLS library is at the bottom of the error. An I/O error leaves what it wraps out of its `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|error| is_tls(error)) || error.source().is_some_and(is_tls)
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
