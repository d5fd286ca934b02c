//! How one request reaches the remote and what comes back: by HTTP, or in a test by a remote in the same process.
//!
//! Everything above this seam is the same in both: how a request is made, and what its answer means.

use futures::future::BoxFuture;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode, Uri};
use jiff::Timestamp;

use super::settings::{InvalidSetting, Settings};
use crate::http::{Client, Failure, Options};

/// Carries requests to the remote.
pub trait Transport: Send + Sync {
    /// Carries one request, once, and gives up in its own time.
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Answer, Lost>>;
}

/// What the remote answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body, or why it is not whole.
    pub body: Result<Bytes, Lost>,
    /// When it was read, by the wall clock.
    pub read_at: Timestamp,
}

/// Why there is no whole answer.
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
pub(super) struct Http(Client);

impl Http {
    /// Checks the settings and makes ready; connects to nothing.
    pub(super) fn new(settings: &Settings, server: &Uri) -> Result<Self, InvalidSetting> {
        let (extra_roots, limit) = (settings.certificates()?, settings.total_timeout()?);
        let options = Options { server, extra_roots, use_proxy: settings.use_proxy, limit };
        Client::new(options).map(Self).map_err(|_| InvalidSetting::Tls)
    }
}

impl Transport for Http {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Answer, Lost>> {
        Box::pin(async {
            let (head, body) = self.0.send(request).await.map_err(lost)?.into_parts();
            let (status, headers, body) = (head.status, head.headers, body.map_err(lost));
            Ok(Answer { status, headers, body, read_at: Timestamp::now() })
        })
    }
}

/// What a failure comes to.
fn lost(failure: Failure) -> Lost {
    match failure {
        Failure::NoSuchHost => Lost::Unsent("the remote's host name can't be resolved"),
        Failure::Tls => Lost::Unsent("the remote's TLS certificate or handshake is not accepted"),
        Failure::ConnectTimeout => Lost::Unsent("no connection to the remote within its time"),
        Failure::NoConnection => Lost::Unsent("no connection to the remote"),
        Failure::Timeout => Lost::Unanswered("no whole answer from the remote within the call's timeout"),
        Failure::Broken => Lost::Unanswered("the connection to the remote broke before its answer was whole"),
        Failure::TooLong => Lost::TooLong,
    }
}
