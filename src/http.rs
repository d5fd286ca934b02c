//! HTTP as the remote and a receiver of traces are spoken to: a request goes out once, and its whole answer is read.
//!
//! This is hyper's client with TLS, proxies and limits around it, as the Kubernetes client is. Nothing is followed, and nothing is tried again
//! that may have left: only a request that a kept connection never took, as the server was closing it, goes to another. A library that could
//! follow reads each URL once more to be ready for it, and an edit waits meanwhile.

use std::{error::Error, io, iter::successors, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, Uri,
    body::Bytes,
    header::{ACCEPT, HeaderValue, USER_AGENT},
    rt::{Read, Write},
};
use hyper_rustls::HttpsConnector;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::{
        legacy::{
            self,
            connect::{Connection, HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use tracing::warn;

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

/// How many idle connections are kept: more than one workspace has calls in flight.
const MAX_IDLE_CONNECTIONS: usize = 16;

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
    way: Way,
    limit: Duration,
}

/// Connections of one kind, with TLS where the server wants it.
type Pool<C> = legacy::Client<TimeoutConnector<HttpsConnector<C>>, Full<Bytes>>;

#[derive(Clone, Debug)]
enum Way {
    Direct(Pool<HttpConnector>),
    Proxied(Box<Pool<Tunnel<HttpsConnector<HttpConnector>>>>),
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
        // For all addresses of a host together: one that is dead leaves time for the next.
        tcp.set_connect_timeout(Some(connect_limit(limit)));
        let is_https = server.scheme_str() == Some("https");
        let proxy = (use_proxy && is_https).then(Matcher::from_env).and_then(|it| it.intercept(server));
        let way = match proxy {
            None => Way::Direct(pool(HttpsConnector::from((tcp, tls)), is_https, limit)),
            Some(proxy) => {
                let to_proxy = HttpsConnector::from((tcp, Arc::clone(&tls)));
                let mut tunnel =
                    Tunnel::new(proxy.uri().clone(), to_proxy).with_headers(HeaderMap::from_iter([(USER_AGENT, US)]));
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Way::Proxied(Box::new(pool(HttpsConnector::from((tunnel, tls)), is_https, limit)))
            }
        };
        Ok(Self { way, limit })
    }

    /// Sends one request. The inner error is about the body of an answer whose head has come.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Result<Bytes, Failure>>, Failure> {
        request.headers_mut().insert(USER_AGENT, US);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        let end = Instant::now() + self.limit;
        let request = request.map(Full::new);
        let answer = match &self.way {
            Way::Direct(client) => client.request(request),
            Way::Proxied(client) => client.request(request),
        };
        let answer = timeout_at(end, answer).await.map_err(|_| Failure::Timeout)?.map_err(|error| failure(&error))?;
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

fn pool<C>(mut connector: HttpsConnector<C>, is_https: bool, limit: Duration) -> Pool<C>
where
    C: Service<Uri, Response: Connection + Read + Write + Send + Unpin + 'static, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if is_https {
        connector.enforce_https();
    }
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(Some(connect_limit(limit)));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(MAX_IDLE)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .build(connector)
}

/// How long a connection may take where a request has this long.
fn connect_limit(limit: Duration) -> Duration {
    MAX_CONNECT.min(limit / 2)
}

fn failure(error: &legacy::Error) -> Failure {
    if !error.is_connect() {
        return Failure::Broken;
    }
    let mut causes = successors(error.source(), |&error| error.source());
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
