//! How one request reaches the remote and what comes back: by HTTP, or in a test by a remote in the same process.
//!
//! Everything above this seam is the same in both: how a request is made, and what its answer means.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Request, Response};

use super::settings::{InvalidSetting, Settings};

const USER_AGENT: &str = concat!("sarvam-operator/", env!("CARGO_PKG_VERSION"));

/// The longest body that is read, in bytes. A full page of the list is a tenth of it.
const MAX_BODY: usize = 1024 * 1024;

/// The longest wait for a connection, TLS included.
const MAX_CONNECT: Duration = Duration::from_secs(3);

/// A connection is left before servers and proxies commonly close it (60 s): a call that meets the closing is in doubt.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// How many idle connections are kept: more than one workspace has calls in flight.
const MAX_IDLE_CONNECTIONS: usize = 16;

/// Carries requests to the remote.
pub trait Transport: Send + Sync {
    /// Carries one request, once, and gives up in its own time.
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Answer, Lost>>;
}

/// What the remote answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body, or why it is not whole.
    pub body: Result<Vec<u8>, Lost>,
    /// When it was read, by the wall clock.
    pub read_at: Timestamp,
}

/// Why there is no whole answer: a sentence of our own, because the HTTP library's words repeat the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing of the request has left.
    Unsent(&'static str),
    /// It was sent, and may have taken effect.
    Unanswered(&'static str),
    /// The answer is longer than any that the remote has reason to give.
    TooLong,
}

/// Over real connections, from one pool.
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Checks the settings and makes ready; connects to nothing.
    pub(super) fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let https = settings.url()?.scheme() == "https";
        let total = settings.total_timeout()?;
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
        Ok(Self(http.build().map_err(|_| InvalidSetting::Tls)?))
    }
}

impl Transport for Http {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Answer, Lost>> {
        Box::pin(async {
            let mut response = self.0.execute(request).await.map_err(|error| lost(&error))?;
            let body = body(&mut response).await;
            let headers = response.headers().iter();
            Ok(Answer {
                status: response.status().as_u16(),
                headers: headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
                body,
                read_at: Timestamp::now(),
            })
        })
    }
}

/// The whole body, or why it is not whole.
async fn body(response: &mut Response) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Lost::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an error of the HTTP library comes to.
fn lost(error: &reqwest::Error) -> Lost {
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
    // Before the connection stands, with TLS, nothing of the request has left.
    if error.is_connect() || error.is_builder() { Lost::Unsent(message) } else { Lost::Unanswered(message) }
}

/// Whether the TLS library is at the bottom of the error. An I/O error leaves what it wraps out of its `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|error| is_tls(error)) || error.source().is_some_and(is_tls)
}
