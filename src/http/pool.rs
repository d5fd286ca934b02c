//! Connections to one server, each kept for the next request when an answer has been read to its end.
//!
//! hyper-util's pool knows many servers, several kinds of connections and a request that waits for the first of two. An edit's four requests
//! need none of that, and paid for it with processor time. No timer closes what has become too old: the next connection that is kept does.

use std::{
    error::Error as StdError,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, poll_fn},
};
use hyper::{
    Request, Response, Uri,
    body::{Body as _, Bytes, Frame, Incoming, SizeHint},
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
    rt::{Read, Write},
};
use kube::client::Body;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tower_service::Service;
use tracing::{debug, trace};

use crate::causes::chain;

/// How many idle connections are kept: more than one workspace has calls in flight.
const MAX_IDLE_CONNECTIONS: usize = 16;

/// How long things may last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest wait for a connection, TLS included.
    pub connect: Duration,
    /// How long a connection may have been idle for another request to go into it.
    pub idle: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no connection to send the request over: nothing of it has left.
    #[error("no connection")]
    NoConnection(#[source] Cause),
    /// The connection broke before the head of the answer was whole. The request may have arrived.
    #[error("the connection broke before there was an answer")]
    Broken(#[source] hyper::Error),
}

/// Why a connection could not be opened, or did not take a request.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Sends requests to one server. Clones share its connections.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// In the extensions of a request: for how long it waits for a connection to become idle, before one is opened for it.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

struct Shared {
    host: HeaderValue,
    open: Box<dyn Fn() -> BoxFuture<'static, Result<Connection, Cause>> + Send + Sync>,
    max_idle: Duration,
    /// The one that was used last is the last.
    idle: Mutex<Vec<Idle>>,
    /// One has become idle.
    kept: Notify,
}

type Connection = SendRequest<Body>;

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_usable(&self, max_idle: Duration) -> bool {
        self.since.elapsed() <= max_idle && !self.connection.is_closed()
    }
}

impl Pool {
    /// Makes ready; connects to nothing. Any path of the server will do.
    pub fn new<C>(connector: C, server: &Uri, limits: Limits) -> Self
    where
        C: Service<Uri, Error: Into<Cause>, Response: Read + Write + Send + Unpin + 'static, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let (to, host) = (server.clone(), host(server));
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "not within its time");
        let open = move || {
            let opened = timeout(limits.connect, open(connector.clone(), to.clone()));
            async move { opened.await.map_err(late)? }.boxed()
        };
        let (open, idle, kept) = (Box::new(open), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { host, open, max_idle: limits.idle, idle, kept }))
    }

    /// Sends one request, whatever server its URI names, and gives the head of the answer as soon as that is there. A request that an idle
    /// connection did not take, since the server was closing it or had answered before it read all of the last one, goes into another; nothing
    /// else is tried again.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Answer>, Error> {
        // The form of a request that goes to no proxy: RFC 9112, 3.2.1.
        if let Some(path) = request.uri().path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        request.headers_mut().insert(HOST, self.0.host.clone());
        let mut patience = request.extensions_mut().remove();
        loop {
            let idle = match (self.idle(), patience.take()) {
                (None, Some(Patience(limit))) => timeout(limit, self.next_idle()).await.ok().or_else(|| self.idle()),
                (idle, _) => idle,
            };
            let is_new = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                None => (self.0.open)().await.map_err(Error::NoConnection)?,
            };
            let mut error = match connection.try_send_request(request).await {
                Ok(answer) => return Ok(answer.map(|body| self.answer(body, connection))),
                Err(error) => error,
            };
            request = match error.take_message() {
                Some(unsent) if !is_new => unsent,
                Some(_) => return Err(Error::NoConnection(error.into_error().into())),
                None => return Err(Error::Broken(error.into_error())),
            };
        }
    }

    /// The connection that was idle for the shortest time, of those that can be used.
    fn idle(&self) -> Option<Connection> {
        let mut idle = self.lock();
        while let Some(last) = idle.pop() {
            if last.is_usable(self.0.max_idle) {
                trace!("an idle connection is used again");
                return Some(last.connection);
            }
        }
        None
    }

    /// The next connection that becomes idle, and that nobody takes first.
    async fn next_idle(&self) -> Connection {
        loop {
            self.0.kept.notified().await;
            if let Some(connection) = self.idle() {
                return connection;
            }
        }
    }

    /// Closes those that have been idle for too long, or that the server has closed.
    fn keep(&self, connection: Connection) {
        let max_idle = self.0.max_idle;
        let mut idle = self.lock();
        idle.retain(|idle| idle.is_usable(max_idle));
        if idle.len() == MAX_IDLE_CONNECTIONS {
            idle.remove(0);
        }
        idle.push(Idle { connection, since: Instant::now() });
        self.0.kept.notify_one();
    }

    fn answer(&self, body: Incoming, connection: Connection) -> Answer {
        let mut answer = Answer { body, connection: Some((connection, self.clone())) };
        if answer.body.is_end_stream() {
            answer.give_back();
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("host", &self.0.host).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Pool {
    type Response = Response<Answer>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pool = self.clone();
        Box::pin(async move { pool.send(request).await })
    }
}

/// The body of an answer. Where it is not read to its end, its connection is closed.
pub struct Answer {
    body: Incoming,
    connection: Option<(Connection, Pool)>,
}

impl Answer {
    fn give_back(&mut self) {
        if let Some((connection, pool)) = self.connection.take() {
            pool.keep(connection);
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => self.give_back(),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.connection = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn open<C>(mut connector: C, server: Uri) -> Result<Connection, Cause>
where
    C: Service<Uri, Error: Into<Cause>, Response: Read + Write + Send + Unpin + 'static>,
{
    poll_fn(|context| connector.poll_ready(context)).await.map_err(Into::into)?;
    let stream = connector.call(server).await.map_err(Into::into)?;
    let (connection, driver) = http1::handshake(stream).await?;
    tokio::spawn(async {
        if let Err(error) = driver.await {
            debug!(error = chain(&error), "a connection broke");
        }
    });
    Ok(connection)
}

/// What the header has: the port only where it is not the scheme's own.
fn host(server: &Uri) -> HeaderValue {
    let name = server.host().unwrap_or_default();
    let own = if server.scheme_str() == Some("https") { 443 } else { 80 };
    let host = match server.port_u16() {
        Some(port) if port != own => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    HeaderValue::try_from(host).expect("a URI has no other characters")
}

#[cfg(test)]
mod tests;
