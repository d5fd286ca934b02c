//! HTTP as the remote and a receiver of traces are spoken to: a request goes out once, and its whole answer is read.
//!
//! This is hyper's protocol with TLS, proxies, limits and a [`pool`] around it. Nothing is followed, and nothing is tried again that may have
//! left: only a request that a kept connection never took, as the server was closing it, goes to another. A library that could follow reads
//! each URL once more to be ready for it, and an edit waits meanwhile.

pub(crate) mod pool;

use std::{error::Error, io, iter::successors, sync::Arc, time::Duration};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, Uri,
    body::Bytes,
    header::{ACCEPT, HeaderValue, USER_AGENT},
};
use hyper_rustls::HttpsConnector;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use pool::{Limits, Pool};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The longest wait for a connection, TLS included.
const MAX_CONNECT: Duration = Duration::from_secs(3);

/// A connection is left before servers and proxies commonly close it (60 s): a request that meets the closing may or may not have arrived.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// After which silence of a connection TCP asks whether the other side is still there, and how often in vain. A kept connection to a server
/// that went without a word is gone before a request goes into it, and a watch over one that something on the way has forgotten ends, and
/// another is opened: no edit comes over it any more.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

const US: HeaderValue = HeaderValue::from_static(concat!("sarvam-operator/", env!("CARGO_PKG_VERSION")));

/// Whom a [`Client`] speaks to, and how.
pub struct Options<'a> {
    /// The server. Any of its paths will do.
    pub server: &'a Uri,
    /// Certificates that are trusted beside those of the operating system.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Go through the proxy that `HTTPS_PROXY` and `NO_PROXY` name for the server. Only where that is HTTPS: a proxy reads plain HTTP.
    pub use_proxy: bool,
    /// The longest that a request takes, from the first packet to the last byte of the answer.
    pub limit: Duration,
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing has left.
    #[error("the host name can't be resolved")]
    NoSuchHost,
    /// Nothing of the request has left.
    #[error("the TLS certificate or handshake is not accepted")]
    Tls,
    /// Nothing of the request has left.
    #[error("no connection within its time")]
    ConnectTimeout,
    /// Nothing of the request has left.
    #[error("no connection")]
    NoConnection,
    /// The request may have arrived.
    #[error("no whole answer in time")]
    Timeout,
    /// The request may have arrived.
    #[error("the connection broke before the answer was whole")]
    Broken,
    /// The answer is longer than 1 MiB.
    #[error("the answer is longer than 1 MiB")]
    TooLong,
}

/// Sends requests to one server, over a pool of connections that clones share.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool,
    limit: Duration,
}

impl Client {
    /// Makes ready; connects to nothing. The process must have installed its rustls provider before.
    ///
    /// # Errors
    /// An extra certificate is none, or there is nothing to trust.
    pub fn new(options: Options<'_>) -> Result<Self, rustls::Error> {
        let Options { server, extra_roots, use_proxy, limit } = options;
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            warn!(%error, "certificates of the system could not be read");
        }
        let (_, ignored) = roots.add_parsable_certificates(system.certs);
        if ignored > 0 {
            warn!(ignored, "certificates of the system are none, and not trusted");
        }
        extra_roots.into_iter().try_for_each(|root| roots.add(root))?;
        if roots.is_empty() {
            return Err(rustls::Error::General("there is no certificate to trust".to_owned()));
        }
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Arc::new(tls);

        let mut tcp = tcp();
        let limits = Limits { connect: MAX_CONNECT.min(limit / 2), idle: MAX_IDLE };
        // For all addresses of a host together: one that is dead leaves time for the next.
        tcp.set_connect_timeout(Some(limits.connect));
        let may_proxy = use_proxy && server.scheme_str() == Some("https");
        let proxy = may_proxy.then(Matcher::from_env).and_then(|it| it.intercept(server));
        let pool = match proxy {
            None => Pool::new(HttpsConnector::from((tcp, tls)), server, limits),
            Some(proxy) => {
                let to_proxy = HttpsConnector::from((tcp, Arc::clone(&tls)));
                let mut tunnel =
                    Tunnel::new(proxy.uri().clone(), to_proxy).with_headers(HeaderMap::from_iter([(USER_AGENT, US)]));
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Pool::new(HttpsConnector::from((tunnel, tls)), server, limits)
            }
        };
        Ok(Self { pool, limit })
    }

    /// Sends one request. The inner error is about the body of an answer whose head has come.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Result<Bytes, Failure>>, Failure> {
        request.headers_mut().insert(USER_AGENT, US);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        let end = Instant::now() + self.limit;
        let answer = timeout_at(end, self.pool.send(request.map(Into::into))).await;
        let answer = answer.map_err(|_| Failure::Timeout)?.map_err(|error| failure(&error))?;
        let (head, body) = answer.into_parts();
        let body = match timeout_at(end, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::TooLong),
            Ok(Err(_)) => Err(Failure::Broken),
            Err(_) => Err(Failure::Timeout),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Opens connections that end where the other side has been silent for 25 s, whether it was asked something or not.
#[must_use]
pub fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    // Of what was sent and is not acknowledged TCP asks nothing, and sends it again for a quarter of an hour.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(KEEPALIVE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES));
    tcp
}

fn failure(error: &pool::Error) -> Failure {
    let pool::Error::NoConnection(cause) = error else { return Failure::Broken };
    let error: &(dyn Error + 'static) = &**cause;
    let mut causes = successors(Some(error), |&error| error.source());
    // The library has this word and no type for it.
    if causes.any(|error| error.to_string() == "dns error") {
        return Failure::NoSuchHost;
    }
    if let Some(error) = find::<rustls::Error>(error) {
        warn!(%error, "TLS failed");
        return Failure::Tls;
    }
    let is_late = find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    if is_late { Failure::ConnectTimeout } else { Failure::NoConnection }
}

/// The first error of this type, at the top or below. An I/O error leaves what it wraps out of its `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let wrapped = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let found = error.downcast_ref().or_else(|| wrapped().and_then(|error| find(error)));
    found.or_else(|| error.source().and_then(find))
}
