//! Sockets: from a connection to calls, through their faults, to replies or to none.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::lock;

use super::api::{self, Decision};
use super::call::{self, Call, Route, Target};
use super::faults::{Corruption, Effect, Then};
use super::history::{CallId, ClosedBy, What};
use super::pace::{Pace, Paced};
use super::reply::{Body, Cut, Reply};
use super::state::State;
use super::{BASE_PATH, page};

/// A longer body is refused with 413.
const LONGEST_BODY: usize = 1024 * 1024;

/// What every connection shares.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Scheme, host and port.
    pub root: String,
    /// Calls being answered and changes on their way. They outlive their connection, not the simulator.
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    pub(super) fn new(state: State, root: String) -> Self {
        Self { state: Mutex::new(state), root, tasks: Mutex::new(JoinSet::new()) }
    }

    /// The state.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ends every task.
    pub(super) fn stop(&self) {
        lock(&self.tasks).abort_all();
    }
}

/// Whether the port is wanted open, and whether it is.
pub(super) struct Gate {
    pub wanted: watch::Receiver<bool>,
    pub report: watch::Sender<bool>,
}

/// Accepts connections while the gate is open, until the simulator is dropped or its port can't be had again.
pub(super) async fn run(mut listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>, mut gate: Gate) {
    while let Ok(address) = listener.local_addr() {
        accept(&listener, tls.as_ref(), &shared, &mut gate.wanted).await;
        drop(listener);
        // A socket that is bound but doesn't listen refuses connections and keeps the port.
        let Ok(socket) = held(address) else {
            return;
        };
        gate.report.send_replace(false);
        if gate.wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        listener = match socket.listen(1024) {
            Ok(listener) => listener,
            Err(_) => return,
        };
        gate.report.send_replace(true);
    }
}

fn held(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts until the gate closes; then closes every connection.
async fn accept(
    listener: &TcpListener,
    tls: Option<&TlsAcceptor>,
    shared: &Arc<Shared>,
    wanted: &mut watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted: io::Result<TcpStream> = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            _ = wanted.wait_for(|wanted| !wanted) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok(stream) = accepted else {
            // Out of file handles, or a client that went at once: the next may do better.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Small replies go out at once. It fails only on a dead socket.
        let _ = stream.set_nodelay(true);
        let (tls, shared) = (tls.cloned(), Arc::clone(shared));
        connections.spawn(async move {
            match tls {
                None => connection(stream, shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, shared).await;
                    }
                }
            }
        });
    }
    connections.shutdown().await;
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let pace = Pace::default();
    let io = TokioIo::new(Paced::new(io, pace.clone()));
    let service = service_fn(move |request| respond(request, Arc::clone(&shared), pace.clone()));
    // An error is a client that went, or a connection dropped on purpose.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await;
}

/// Answers one request; the error is a connection that closes without a reply.
async fn respond(request: Request<Incoming>, shared: Arc<Shared>, pace: Pace) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let code = "invalid_request_error";
            return Ok(Reply::error(&shared.state().switches, 413, code, "Body too large").response());
        }
        Err(error) => return Err(error),
    };
    handle(&head, &body, shared, pace).await
}

/// Answers one request that came in whole.
pub(super) async fn handle(head: &Parts, body: &[u8], shared: Arc<Shared>, pace: Pace) -> Result<Response<Body>, Cut> {
    let path = head.uri.path();
    if let Some(reply) = page::answer(&shared, &head.method, path, &head.headers, body) {
        return Ok(reply.response());
    }
    let target = path.strip_prefix(BASE_PATH).map(|path| call::target(&head.method, path));
    let Some(Target::Call { route, org, workspace, line }) = target else {
        let mut state = shared.state();
        state.record(What::Stray { method: head.method.to_string(), path: path.to_owned() });
        let wrong_method = target == Some(Target::MethodNotAllowed);
        let (status, message) = if wrong_method { (405, "Method Not Allowed") } else { (404, "Not Found") };
        let body = serde_json::json!({"detail": message});
        return Ok(Reply::json(status, &body).response());
    };
    let call = Call {
        id: 0,
        route,
        org,
        workspace,
        line,
        query: head.uri.query().unwrap_or_default().to_owned(),
        json: is_json(&head.headers),
        body: body.to_vec(),
        key: head.headers.get("x-api-key").map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned()),
    };
    answer(call, shared, pace).await
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
}

/// How a call ends for its client.
enum Ending {
    Reply(Reply),
    Corrupted(Reply, Corruption),
    Drop,
    Hang,
}

impl Then {
    fn ending(self, reply: Reply) -> Ending {
        match self {
            Self::Reply => Ending::Reply(reply),
            Self::Drop => Ending::Drop,
            Self::Hang => Ending::Hang,
        }
    }
}

/// Answers a call of the API. The work is a task of its own: a client that goes doesn't stop it.
async fn answer(mut call: Call, shared: Arc<Shared>, pace: Pace) -> Result<Response<Body>, Cut> {
    let fault = shared.state().arrived(&mut call);
    let outcome = Outcome::of(call.id, Arc::clone(&shared));
    let (ended, end) = oneshot::channel();
    let worker = Arc::clone(&shared);
    shared.spawn(async move {
        // The client may have gone.
        let _ = ended.send(work(&worker, call, fault).await);
    });
    match end.await {
        Ok(Ending::Reply(reply)) => {
            outcome.replied(reply.status);
            Ok(reply.response())
        }
        Ok(Ending::Corrupted(reply, corruption)) => {
            outcome.replied(reply.status);
            Ok(reply.corrupted(&corruption, &pace))
        }
        Ok(Ending::Hang) => pending().await,
        Ok(Ending::Drop) | Err(_) => {
            outcome.dropped();
            Err("dropped by the simulator".into())
        }
    }
}

/// Does what a call asks, bent by its fault.
async fn work(shared: &Arc<Shared>, call: Call, fault: Option<Effect>) -> Ending {
    let Some(fault) = fault else {
        return Ending::Reply(carry_out(shared, &call));
    };
    match fault {
        Effect::Refuse(refusal) => Ending::Reply(refusal.into()),
        Effect::Delay(wait) => {
            sleep(wait).await;
            Ending::Reply(carry_out(shared, &call))
        }
        Effect::Hang => Ending::Hang,
        Effect::Drop => Ending::Drop,
        Effect::Apply { after, then } => {
            let decision = api::decide(&mut shared.state(), &call, &shared.root);
            then.ending(apply(shared, &call, decision, after))
        }
        Effect::Part { fields, then } => {
            let mut decision = api::decide(&mut shared.state(), &call, &shared.root);
            decision.effect = decision.effect.and_then(|effect| effect.only(&fields));
            then.ending(apply(shared, &call, decision, Duration::ZERO))
        }
        Effect::Corrupt(corruption) => Ending::Corrupted(carry_out(shared, &call), corruption),
        Effect::Redirect { status, location } => {
            let mut reply = Reply::text(status, "text/plain", "");
            reply.headers.push(("location".to_owned(), location));
            Ending::Reply(reply)
        }
        Effect::EchoKey(status) => {
            let message = format!("The key {} was refused", call.key.unwrap_or_default());
            let code = "invalid_api_key_error";
            Ending::Reply(Reply::error(&shared.state().switches, status, code, &message))
        }
    }
}

/// Does what a call asks as the switches say.
fn carry_out(shared: &Arc<Shared>, call: &Call) -> Reply {
    let mut state = shared.state();
    let decision = api::decide(&mut state, call, &shared.root);
    let late = matches!(call.route, Route::Status | Route::Update);
    let after = if late { state.switches.apply_after } else { Duration::ZERO };
    drop(state);
    apply(shared, call, decision, after)
}

/// Sets the decision's change going and returns its reply.
fn apply(shared: &Arc<Shared>, call: &Call, decision: Decision, after: Duration) -> Reply {
    if let Some(effect) = decision.effect {
        let land = |shared: &Shared, call: &Call, effect: &api::Effect| {
            shared.state().apply(&effect.change, call, &effect.line, &effect.by);
        };
        if after.is_zero() {
            land(shared, call, &effect);
        } else {
            let (call, later) = (call.clone(), Arc::downgrade(shared));
            shared.spawn(async move {
                sleep(after).await;
                if let Some(shared) = later.upgrade() {
                    land(&shared, &call, &effect);
                }
            });
        }
    }
    decision.reply
}

/// Writes down how a call ended, also when hyper gives it up because its client has gone.
struct Outcome {
    call: CallId,
    shared: Arc<Shared>,
    written: bool,
}

impl Outcome {
    fn of(call: CallId, shared: Arc<Shared>) -> Self {
        Self { call, shared, written: false }
    }

    fn write(&mut self, what: What) {
        self.written = true;
        self.shared.state().record(what);
    }

    fn replied(mut self, status: u16) {
        let call = self.call;
        self.write(What::Replied { call, status });
    }

    fn dropped(mut self) {
        let (call, closed_by) = (self.call, ClosedBy::Simulator);
        self.write(What::NoReply { call, closed_by });
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if !self.written {
            let (call, closed_by) = (self.call, ClosedBy::Client);
            self.write(What::NoReply { call, closed_by });
        }
    }
}
