//! Leader election on a `coordination.k8s.io` Lease: at most one process at a time may tell the remote anything.
//!
//! Time is the monotonic clock of each process, never the wall clock. A leader trusts its lease for a lease duration, less
//! a margin, from just *before* it sent the last renewal that the API server acknowledged. A standby takes the lease only
//! after it has itself watched the record stay the same for the holder's whole lease duration. The leader's span begins
//! earlier and is shorter, so it is over before another's can begin, whatever happens to replies in between.
//!
//! What this rests on:
//! - Every write is a compare-and-swap on `resourceVersion` and `uid`. (The `uid` matters: the API server creates a Lease
//!   that is not there on a PUT without one.)
//! - Two clocks run at rates within a twentieth of each other.
//! - The monotonic clock goes on while the process is stopped (`SIGSTOP`, a debugger, a CPU limit), so a leader that wakes
//!   late finds its lease run out. It stands still while the whole machine is suspended: that, like a freeze between a look
//!   at [`Leadership::remaining`] and the write to the socket, is what the doubt after a take-over is for.
//! - Nobody deletes the Lease under a leader. The next process that finds it gone and knew it puts a record in its place
//!   that everyone waits out; but a process that starts before that can't know, and leads at once.

mod lease_api;
mod record;
#[cfg(test)]
mod tests;

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use lease_api::{Fault, LeaseApi};
use record::{Next, Sighting};

/// Which Lease is campaigned for, as whom, and for how long at a time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Lease's namespace, usually the operator's own.
    pub namespace: String,
    /// The Lease's name. Operators that manage the same objects must name the same Lease.
    pub name: String,
    /// What `holderIdentity` says. No two processes may ever share it: a process takes a lease in its own name at once.
    pub identity: String,
    /// How long a leader that fell silent keeps others waiting, from one second to an hour; values outside are moved to the
    /// nearer end. The record carries whole seconds, rounded up. A renewal is due after 2/15 of it, a request is given up
    /// after a third of it.
    pub lease_duration: Duration,
}

impl Settings {
    /// The usual settings: 15 seconds (so a renewal every 2 s and 5 s for a request), and an identity of its own.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: unique_identity(),
            lease_duration: Duration::from_secs(15),
        }
    }

    /// From the start of one renewal, or the end of one look, to the next.
    fn retry_interval(&self) -> Duration {
        self.lease_duration * 2 / 15
    }

    /// How long one request may take.
    fn request_timeout(&self) -> Duration {
        self.lease_duration / 3
    }

    /// How long the leader trusts an acknowledged write, from before it was sent: less than the record says, because the
    /// clock that others wait by may be faster.
    fn validity(&self) -> Duration {
        self.lease_duration * 19 / 20
    }
}

/// `<host>_<random>`: the host, in a cluster the pod's name, is for people; the random part makes it unique.
fn unique_identity() -> String {
    let host =
        std::env::var("HOSTNAME").or_else(|_| fs::read_to_string("/proc/sys/kernel/hostname")).unwrap_or_default();
    // The keys of a `RandomState` come from the operating system's randomness.
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", host.trim())
}

/// A process's campaign for one Lease, and all it has seen of it.
pub struct Election {
    lease: LeaseApi,
    sighting: Option<Sighting>,
}

impl Election {
    /// A campaign that has seen nothing yet. The client should not retry by itself (`kube::Config::default_retry` false):
    /// a retry that outlives a request's timeout only takes time from the next.
    #[must_use]
    pub fn new(client: Client, mut settings: Settings) -> Self {
        settings.lease_duration = settings.lease_duration.clamp(Duration::from_secs(1), Duration::from_hours(1));
        Self { lease: LeaseApi::new(client, Arc::new(settings)), sighting: None }
    }

    /// Waits, for ever if need be, until this process holds the lease.
    ///
    /// The future may be dropped at any time. If a write was on its way then, the lease may run on in this process's name
    /// with nobody leading, until another process takes it after a lease duration.
    pub async fn acquire(&mut self) -> Term<'_> {
        let won = loop {
            match self.attempt().await {
                Ok(won) => break won,
                Err(pause) => sleep(pause).await,
            }
        };
        Term::begin(self, won)
    }

    /// One look at the Lease and what follows from it. Where it isn't won: when to look again.
    async fn attempt(&mut self) -> Result<Won, Duration> {
        let retry_interval = self.lease.settings().retry_interval();
        let found = self.lease.get().await.map_err(|_| retry_interval)?;
        self.note(found);
        let Self { lease, sighting } = self;
        let sent = Instant::now();
        let claim = |found| record::claimed(found, lease.settings(), wall_clock());
        let (written, first_ever) = match sighting.as_ref().map(|sighting| sighting.next(sent)) {
            Some(Next::Create) => {
                let claim = claim(None);
                (lease.create(&claim).await, true)
            }
            Some(Next::Take(found)) => {
                let claim = claim(Some(found));
                (lease.update(&claim).await, false)
            }
            Some(Next::Restore(last)) => {
                let record = record::restored(last, lease.settings(), wall_clock());
                if lease.create(&record).await.is_ok() {
                    warn!(%lease, "the Lease was deleted: it is made again, for everyone to wait out");
                }
                return Err(retry_interval);
            }
            Some(Next::Wait(free_in)) => return Err(free_in.min(retry_interval)),
            None => return Err(retry_interval),
        };
        let held = written.map_err(|_| retry_interval)?;
        self.sighting = Some(Sighting::written(held.clone(), sent));
        Ok(Won { held, sent, first_ever })
    }

    /// Remembers what the API server has just answered, and tells when another process leads.
    fn note(&mut self, found: Option<Lease>) {
        let settings = self.lease.settings();
        let previous = self.sighting.take();
        let before = previous.as_ref().and_then(Sighting::holder).map(str::to_owned);
        let sighting = Sighting::new(previous, found, settings, Instant::now());
        if let Some(holder) = sighting.holder()
            && holder != settings.identity
            && before.as_deref() != Some(holder)
        {
            info!(lease = %self.lease, holder, "another process leads: standing by");
        }
        self.sighting = Some(sighting);
    }
}

/// The write that won the lease.
struct Won {
    held: Lease,
    sent: Instant,
    first_ever: bool,
}

/// One uninterrupted time as leader. The lease is renewed in a task of its own for as long as the term lives.
///
/// Dropping it ends it for every [`Leadership`] handle and stops the renewals, and leaves the lease to run out.
#[must_use = "a dropped term is over"]
pub struct Term<'e> {
    election: &'e mut Election,
    leadership: Leadership,
    first_ever: bool,
    renewal: JoinHandle<()>,
}

impl<'e> Term<'e> {
    fn begin(election: &'e mut Election, won: Won) -> Self {
        let validity = election.lease.settings().validity();
        let leadership = Leadership::until(won.sent + validity);
        info!(lease = %election.lease, first_ever = won.first_ever, "this process leads");
        let renewal = tokio::spawn(keep(election.lease.clone(), won.held, won.sent, leadership.clone()));
        Self { election, leadership, first_ever: won.first_ever, renewal }
    }

    /// The handle to this term, to be cloned to whoever must know whether it still lasts.
    #[must_use]
    pub const fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Whether nobody can have led before: this process created the Lease, and had neither seen it nor led before.
    /// If not, calls of a former leader may still be on their way.
    #[must_use]
    pub const fn first_ever(&self) -> bool {
        self.first_ever
    }

    /// Ends the term and gives the lease up, so that the next process takes it at once. Takes no longer than one request
    /// may; if it can't be done by then, the lease runs out by itself.
    ///
    /// Call it when nothing is in flight any more that only a leader may send.
    pub async fn release(self) {
        self.stop();
        let lease = self.election.lease.clone();
        let limit = lease.settings().request_timeout();
        if let Ok(Ok(())) = timeout(limit, vacate(lease)).await {
            info!(lease = %self.election.lease, "the lease is given up");
        } else {
            warn!(lease = %self.election.lease, "the lease could not be given up: it runs out by itself");
        }
    }

    fn stop(&self) {
        self.renewal.abort();
        self.leadership.end();
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether, and for how long, a term surely lasts. Cheap to ask and to clone; every clone tells the same.
///
/// Once a term is found to be over it stays so, on every handle.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// `None`: over.
    until: watch::Sender<Option<Instant>>,
}

impl Leadership {
    fn until(instant: Instant) -> Self {
        Self { until: watch::Sender::new(Some(instant)) }
    }

    /// How long the lease surely lasts from now on, renewed or not. Zero: the term is over.
    ///
    /// To be asked right before each call that only a leader may send; the call's whole timeout must fit in.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let left = self.until.borrow().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            self.end();
        }
        left
    }

    /// Resolves when the term is over: the lease was lost, deleted, given up, or could not be renewed in time.
    pub async fn ended(&self) {
        let mut renewed = self.until.subscribe();
        loop {
            let left = self.remaining();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                _ = renewed.changed() => {}
                () = sleep(left) => {}
            }
        }
    }

    /// Lengthens a term that is not over. `false`: it is over, and stays so.
    fn extend(&self, until: Instant) -> bool {
        let mut alive = false;
        self.until.send_if_modified(|current| {
            alive = current.is_some_and(|current| Instant::now() < current);
            *current = alive.then_some(until);
            true
        });
        alive
    }

    fn end(&self) {
        self.until.send_if_modified(|until| until.take().is_some());
    }
}

/// Renews the lease until the term is over, for whatever reason.
async fn keep(lease: LeaseApi, held: Lease, sent: Instant, leadership: Leadership) {
    let name = lease.to_string();
    let reason = tokio::select! {
        // First, so that a process that was stopped for long ends its term before it reads an answer that came meanwhile.
        biased;
        () = leadership.ended() => "it could not be renewed in time".to_owned(),
        reason = renew(lease, held, sent, &leadership) => reason,
    };
    leadership.end();
    warn!(lease = %name, reason, "this process leads no longer");
}

/// Renews the lease for as long as it is this process's. Returns why it no longer is.
async fn renew(mut lease: LeaseApi, mut held: Lease, sent: Instant, leadership: &Leadership) -> String {
    const DELETED: &str = "the Lease was deleted";
    let validity = lease.settings().validity();
    let mut due = sent + lease.settings().retry_interval();
    loop {
        sleep_until(due).await;
        let sent = Instant::now();
        due = sent + lease.settings().retry_interval();
        let claim = record::claimed(Some(&held), lease.settings(), wall_clock());
        match lease.update(&claim).await {
            Ok(renewed) => {
                if !leadership.extend(sent + validity) {
                    return "it was renewed too late".to_owned();
                }
                held = renewed;
            }
            Err(Fault::Gone) => return DELETED.to_owned(),
            Err(Fault::Changed) => match lease.get().await {
                Ok(Some(found)) if record::is_same(&found, &held) => {
                    match record::holder(&found) {
                        Some(holder) if holder == lease.settings().identity => {}
                        Some(holder) => return format!("{holder} holds it"),
                        None => return "somebody took this process's name out of it".to_owned(),
                    }
                    // An earlier renewal landed and its reply was lost, or somebody edited a label. Only the next renewal,
                    // acknowledged, lengthens the term.
                    if found.metadata.resource_version != held.metadata.resource_version {
                        due = sent;
                    }
                    held = found;
                }
                Ok(_) => return DELETED.to_owned(),
                Err(_) => {}
            },
            Err(Fault::Failed) => {}
        }
    }
}

/// Takes this process out of the Lease, unless another already holds it.
async fn vacate(mut lease: LeaseApi) -> Result<(), Fault> {
    loop {
        let Some(found) = lease.get().await? else {
            return Ok(());
        };
        if record::holder(&found) != Some(&lease.settings().identity) {
            return Ok(());
        }
        match lease.update(&record::vacated(found, wall_clock())).await {
            // A renewal that was on its way has landed in between.
            Err(Fault::Changed) => {}
            Ok(_) | Err(Fault::Gone) => return Ok(()),
            Err(Fault::Failed) => return Err(Fault::Failed),
        }
    }
}

/// What people read in the record; nothing decides by it.
fn wall_clock() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
