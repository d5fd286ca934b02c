//! A simulator of the remote API on a port of this machine.
//!
//! It speaks the calls that pause, resume, read, list, create, change and delete phone lines. Every point that the
//! remote's documentation leaves open is a [switch](Switches); [faults](Fault) are scripted by route, line and call
//! number; the [history](Entry) tells what truly happened and when.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use sarvam_testkit::simulator::{Config, Effect, Fault, Line, LineState, Route, Simulator, Then};
//! # async fn example() -> std::io::Result<()> {
//! let remote = Simulator::start(Config::default()).await?;
//! remote.add_key("org-1", "ws-1", "first", "a-key");
//! remote.add_line("org-1", "ws-1", Line::new("dep-1").paused());
//! // The next status call takes effect three seconds late, and its reply is lost.
//! let after = Duration::from_secs(3);
//! remote.inject(Fault::on(Route::Status, Effect::Apply { after, then: Then::Drop }).once());
//! // ... start the operator with --remote-url remote.url() ...
//! let limit = Duration::from_secs(10);
//! let active = |line: &Line| line.status == LineState::Active;
//! remote.wait_until(limit, |state| state.line("dep-1").is_some_and(active)).await.unwrap();
//! # Ok(())
//! # }
//! ```

mod api;
mod call;
mod faults;
mod history;
mod limits;
mod line;
mod pace;
mod page;
mod reply;
mod serve;
mod state;
mod switches;
mod tls;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{Request, Response};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use call::Route;
pub use faults::{Corruption, Effect, Fault, Refusal, Then};
pub use history::{Arrival, CallId, ClosedBy, Entry, What};
pub use line::{Action, ConnectionConfig, InboundConfig, Line, LineState};
pub use state::State;
pub use switches::{
    Answer, ErrorForm, Lists, NotFoundBody, PageUri, RateLimit, RetryAfter, ShownStatus, Switches, UpdatedAt,
};
pub use tls::Tls;

/// The path below which the API lives, as at the real remote.
const BASE_PATH: &str = "/api/app-authoring";

/// How a simulator starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// An address that is not reached from the internet: loopback, or that of a private network for pods. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// `None` speaks plain HTTP.
    pub tls: Option<Tls>,
    /// The open points.
    pub switches: Switches,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), tls: None, switches: Switches::default() }
    }
}

/// A running simulator. Dropping it closes its port and its connections, and forgets changes that are still on
/// their way.
pub struct Simulator {
    shared: Arc<serve::Shared>,
    /// `None` where it is called in this process only.
    port: Option<Port>,
}

/// What listens.
struct Port {
    ca_pem: Option<String>,
    listening: watch::Sender<bool>,
    listens: watch::Receiver<bool>,
    serving: JoinHandle<()>,
}

impl Simulator {
    /// Starts listening.
    ///
    /// # Errors
    /// An address of the internet, or one that can't be bound.
    pub async fn start(config: Config) -> io::Result<Self> {
        let private = matches!(config.listen.ip(), IpAddr::V4(address) if address.is_private());
        if !config.listen.ip().is_loopback() && !private {
            let message = format!(
                "{} is no address of this machine or of a private network: the simulator serves nobody else, use 127.0.0.1:0",
                config.listen
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (acceptor, ca_pem) = match config.tls {
            None => (None, None),
            Some(tls) => {
                let (acceptor, ca) =
                    tls::acceptor(tls, config.listen.ip()).map_err(|error| io::Error::other(error.to_string()))?;
                (Some(acceptor), Some(ca))
            }
        };
        let listener = TcpListener::bind(config.listen).await?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let root = format!("{scheme}://{}", listener.local_addr()?);
        let shared = Arc::new(serve::Shared::new(State::new(config.switches, Timestamp::now()), root));
        let listening = watch::Sender::new(true);
        let (report, listens) = watch::channel(true);
        let gate = serve::Gate { wanted: listening.subscribe(), report };
        let serving = tokio::spawn(serve::run(listener, acceptor, Arc::clone(&shared), gate));
        Ok(Self { shared, port: Some(Port { ca_pem, listening, listens, serving }) })
    }

    /// One that opens no port and is reached by [`call`](Self::call). Its time is the runtime's, also where that is paused, and its
    /// wall shows `wall` now.
    #[must_use]
    pub fn in_process(switches: Switches, wall: Timestamp) -> Self {
        let shared = serve::Shared::new(State::new(switches, wall), "http://127.0.0.1".to_owned());
        Self { shared: Arc::new(shared), port: None }
    }

    /// Answers a request as if it had come over a connection; dropping the future is a client that goes.
    ///
    /// # Errors
    /// The connection would have been closed: `None` before a reply, else after its head.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Option<Response<()>>> {
        let (head, body) = request.into_parts();
        let response = serve::handle(&head, &body, Arc::clone(&self.shared), pace::Pace::default()).await;
        let (head, body) = response.map_err(|_| None)?.into_parts();
        match body.collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(_) => Err(Some(Response::from_parts(head, ()))),
        }
    }

    /// The base URL that the operator gets, the API's path included.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{BASE_PATH}", self.shared.root)
    }

    /// The URL of the page to look at.
    #[must_use]
    pub fn page_url(&self) -> String {
        format!("{}/", self.shared.root)
    }

    /// The certificate of the simulator's own authority; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.port.as_ref()?.ca_pem.as_deref()
    }

    /// Makes a key valid in a workspace. The history tells it by `name`.
    pub fn add_key(&self, org: &str, workspace: &str, name: &str, key: &str) {
        self.state().add_key(org, workspace, name, key);
    }

    /// Makes the key of this name invalid everywhere.
    ///
    /// # Panics
    /// When no valid key has this name.
    pub fn revoke_key(&self, name: &str) {
        let was_valid = self.state().revoke_key(name);
        assert!(was_valid, "there is no valid key named {name}");
    }

    /// Adds a line that reads show at once, whatever their lag.
    ///
    /// # Panics
    /// When there is or was a line of this id in any workspace.
    pub fn add_line(&self, org: &str, workspace: &str, line: Line) {
        self.state().add_line(org, workspace, line);
    }

    /// The line as it truly is, whatever reads show; `None` where there is none.
    #[must_use]
    pub fn line(&self, deployment_id: &str) -> Option<Line> {
        self.state().line(deployment_id).cloned()
    }

    /// What `who` does at the dashboard: the state, `updated_by` and `updated_at` change at once.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn set_from_dashboard(&self, deployment_id: &str, state: LineState, who: &str) {
        let there = self.state().dashboard(deployment_id, Some(state), who);
        assert!(there, "there is no line {deployment_id}");
    }

    /// What `who` does at the dashboard: the configuration, `updated_by` and `updated_at` change at once; the state stays.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn configure_from_dashboard(&self, deployment_id: &str, who: &str, change: impl FnOnce(&mut Line)) {
        let there = self.state().configure(deployment_id, who, change);
        assert!(there, "there is no line {deployment_id}");
    }

    /// What `who` does at the dashboard: the line is deleted.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn remove_line(&self, deployment_id: &str, who: &str) {
        let there = self.state().dashboard(deployment_id, None, who);
        assert!(there, "there is no line {deployment_id}");
    }

    /// What `who` does at the dashboard: the line of this id is deleted, and another one comes in under the same id.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn replace_line(&self, line: Line, who: &str) {
        let id = line.deployment_id.clone();
        let there = self.state().replace(line, who);
        assert!(there, "there is no line {id}");
    }

    /// Adds a fault behind those in force.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.inject(fault);
    }

    /// Forgets every fault. What they set going goes on: a change on its way still lands.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Forgets the faults that name this line.
    pub fn clear_faults_of(&self, deployment_id: &str) {
        self.state().faults.clear_of(deployment_id);
    }

    /// Changes switches from now on.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.state().switches);
    }

    /// Closes the port and every connection, or opens the same port again. Changes on their way still land.
    ///
    /// # Errors
    /// The port was taken by another process in the meantime, or there never was one.
    pub async fn set_listening(&self, listening: bool) -> io::Result<()> {
        let none =
            || io::Error::new(io::ErrorKind::Unsupported, "this simulator is called in its process: it has no port");
        let port = self.port.as_ref().ok_or_else(none)?;
        port.listening.send_replace(listening);
        let mut listens = port.listens.clone();
        match listens.wait_for(|now| *now == listening).await {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{} was taken while the simulator was away", self.shared.root),
            )),
        }
    }

    /// Reads the remote as it is now. Nothing happens at it meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state())
    }

    /// Everything that happened so far, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Entry> {
        self.state().history().to_vec()
    }

    /// How many calls on this route came in.
    #[must_use]
    pub fn calls(&self, route: Route) -> usize {
        self.state().calls(route)
    }

    /// Waits until `holds`, which is asked now and after every entry of the history.
    ///
    /// # Errors
    /// It didn't hold within the limit; the error's text shows the end of the history.
    pub async fn wait_until(&self, limit: Duration, mut holds: impl FnMut(&State) -> bool) -> Result<(), NotInTime> {
        let mut grown = self.state().grown();
        let held = async {
            while !holds(&self.state()) {
                // The sender lives in the state that `self` holds, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        tokio::time::timeout(limit, held).await.map_err(|_| {
            let history = self.history();
            let last = history.len().saturating_sub(NotInTime::SHOWN);
            NotInTime { limit, last: history[last..].to_vec() }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(port) = &self.port {
            port.serving.abort();
        }
        self.shared.stop();
    }
}

/// What was waited for didn't come.
#[derive(Debug)]
pub struct NotInTime {
    limit: Duration,
    last: Vec<Entry>,
}

impl NotInTime {
    /// How many of the last entries are shown.
    const SHOWN: usize = 20;
}

impl fmt::Display for NotInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not within {:?}; the remote's history ends with", self.limit)?;
        self.last.iter().try_for_each(|entry| write!(f, "\n  {:.3} {:?}", entry.wall, entry.what))
    }
}

impl std::error::Error for NotInTime {}
