//! Carries out what the core decides: watches the objects, makes the calls, writes the statuses.
//!
//! Two watches feed [`cluster::Cluster`], what this process knows of the API server. Each `Deployment` object that has
//! something to do has a [`deployment`] task that runs the step function of its line, and rests at the [`desk`] without one
//! else. Each `Workspace` has a [`workspace`] task that keeps its key and a [`poller`] that walks the list of its lines. A task
//! that panics or hangs holds up its own line only.

mod census;
mod cluster;
mod deployment;
mod desk;
mod events;
mod guarded;
mod mailbox;
mod poller;
mod seen;
mod workspace;

pub use events::Events;

use std::{
    collections::HashMap,
    future::{pending, ready},
    panic::resume_unwind,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, future::join_all};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        utils::{Backoff, ResetTimerBackoff},
        watcher::{self, ExponentialBackoff, watcher},
    },
};
use opentelemetry::{KeyValue, trace::SpanKind};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::warn;

use self::{census::Key, cluster::Cluster, deployment::Follower, desk::Desk, seen::Received};
use crate::{
    api::Workspace,
    causes::chain,
    clock::Clock,
    core::{
        id::LineId,
        step::{self, Memory, Source},
        time::Time,
    },
    leader::Leadership,
    metrics::{ApiRequest, Metrics},
    sarvam::{self, Budget, Budgets, Held, Lane, Permit},
    server::Readiness,
    traces::Traces,
};

/// How many requests to the API server are under way at once, watches and lists apart.
const API_REQUESTS: usize = 16;

/// How long one request to the API server may take.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a watch is left open. Load balancers drop silent connections without a word after some minutes.
const WATCH_SECONDS: u32 = 200;

/// The first pause and the longest one before a watch that failed is tried again, each and up to as long again by chance.
const WATCH_PAUSES: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(2500)];

/// How often the log says that a watch fails.
const WATCH_TOLD_EVERY: Duration = Duration::from_secs(30);

/// After how long without a failure the pauses begin anew.
const WATCH_IS_WELL: Duration = Duration::from_mins(2);

/// What all tasks of one term share.
pub struct Context {
    /// The API server.
    pub kube: Client,
    /// The only namespace to look at; `None`: all.
    pub namespace: Option<String>,
    /// The remote.
    pub remote: sarvam::Client,
    /// How long one call to the remote may take in all.
    pub call_timeout: Duration,
    /// The protocol's windows and paces; `sync` is each Workspace's own.
    pub protocol: step::Settings,
    /// The clock that the core's times are of.
    pub clock: Clock,
    /// Whether this process may still act.
    pub leadership: Leadership,
    /// Whether another process may have led before.
    pub inherited: bool,
    /// True from SIGTERM on: no new call.
    pub stopping: watch::Receiver<bool>,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Makes the process's traces.
    pub traces: Traces,
    /// Publishes Kubernetes Events.
    pub events: Events,
}

/// One term as leader.
struct Term {
    context: Context,
    cluster: Cluster,
    desk: Arc<Desk>,
    /// What is remembered of each line, from the first object that named it to the end of the term. It outlives
    /// objects: calls for a line may still be on their way when its object is gone.
    lines: Mutex<HashMap<LineId, Arc<tokio::sync::Mutex<Memory>>>>,
    /// Workspaces with the same key share one.
    budgets: Budgets,
    api_requests: Semaphore,
}

impl Term {
    /// The memory of a line, made when it is first asked for.
    fn memory(&self, line: &LineId) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lines.entry(line.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(self.new_memory()))))
    }

    fn new_memory(&self) -> Memory {
        let Context { inherited, protocol, clock, .. } = &self.context;
        if *inherited { Memory::inherited(protocol, clock.now()) } else { Memory::first() }
    }

    /// Waits for the place of one call, and tells how long.
    async fn enter(&self, budget: &Budget, lane: Lane) -> Result<Permit, Held> {
        let wait = || vec![KeyValue::new("sarvam.lane", lane.name())];
        let _wait = self.context.traces.part(SpanKind::Internal, "wait", wait);
        let permit = budget.enter(lane).await?;
        self.context.metrics.waited(lane, permit.waited());
        Ok(permit)
    }

    /// Whether nothing may be begun any more.
    fn is_over(&self) -> bool {
        *self.context.stopping.borrow() || self.context.leadership.remaining().is_zero()
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.context.kube.clone(), namespace)
    }
}

/// Works until the term ends or the process is told to stop, and returns when nothing is under way any more.
///
/// `readiness` becomes [`Readiness::Leading`] when everything has been listed.
pub async fn run(context: Context, readiness: &watch::Sender<Readiness>) {
    let leadership = context.leadership.clone();
    let mut stopping = context.stopping.clone();
    let drain = context.call_timeout.min(Duration::from_secs(8));
    let desk = Arc::new(Desk::new(context.metrics.clone()));
    let term = Arc::new(Term {
        context,
        cluster: Cluster::default(),
        desk: Arc::clone(&desk),
        lines: Mutex::default(),
        budgets: Budgets::default(),
        api_requests: Semaphore::new(API_REQUESTS),
    });
    let _end = End(Arc::clone(&term));
    let listed = [Arc::default(), Arc::default()];
    // Each has a task of its own, so that it is looked after only when there is something for it.
    let mut senses = JoinSet::new();
    senses.spawn(watch_workspaces(Arc::clone(&term), Arc::clone(&listed[0])));
    senses.spawn(watch_deployments(Arc::clone(&term), Arc::clone(&listed[1])));
    senses.spawn(Arc::clone(&desk).ring(term.context.clock));
    let work = async {
        // No object is judged before its Workspace can be known.
        join_all(listed.iter().map(|listed| listed.notified())).await;
        term.cluster.open();
        readiness.send_replace(Readiness::Leading);
        pending::<bool>().await
    };
    let is_stopped = tokio::select! {
        biased;
        () = leadership.ended() => {
            warn!("the lease is lost: this process stops acting");
            false
        }
        // The guard that it returns must not be held while the tasks end.
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => true,
        // None ends but by a bug, and without it this process sees nothing any more: it had better start again.
        Some(Err(ended)) = senses.join_next() => resume_unwind(ended.into_panic()),
        never = work => never,
    };
    senses.shutdown().await;
    let mut tasks = desk.close();
    if is_stopped {
        // Tasks see it too and end after the call that they are in.
        term.cluster.stop();
        let _ = timeout(drain, async { while tasks.join_next().await.is_some() {} }).await;
    }
    readiness.send_replace(Readiness::Starting);
    tasks.shutdown().await;
}

/// The end of a term, however it comes: tasks and lines at rest hold it, and it holds them.
struct End(Arc<Term>);

impl Drop for End {
    fn drop(&mut self) {
        drop(self.0.desk.close());
        self.0.cluster.dismiss();
    }
}

/// Hands what the watch of the Workspaces brings to those who keep them. Tells when all are `listed`.
async fn watch_workspaces(term: Arc<Term>, listed: Arc<Notify>) {
    let mut notes = pin!(notes::<DeserializeGuard<Workspace>>(&term.context));
    while let Some(note) = notes.next().await {
        match note {
            Note::Seen(_, DeserializeGuard(Ok(workspace)), _) => {
                if let Some(account) = term.cluster.put_workspace(workspace) {
                    term.desk.spawn(poller::walk_on(Arc::clone(&term), Arc::clone(&account)));
                    term.desk.spawn(workspace::keep(Arc::clone(&term), account));
                }
            }
            Note::Seen(key, DeserializeGuard(Err(invalid)), _) => {
                warn!(workspace = %key, error = %invalid.error, "this Workspace breaks its schema and counts as missing");
                term.cluster.remove_workspace(&key);
            }
            Note::Gone(key) => term.cluster.remove_workspace(&key),
            Note::Listing => term.cluster.list_workspaces(),
            Note::Listed => {
                term.cluster.listed_workspaces();
                listed.notify_one();
            }
        }
    }
}

/// Hands what the watch of the lines brings to them. Tells when all are `listed`.
async fn watch_deployments(term: Arc<Term>, listed: Arc<Notify>) {
    let mut notes = pin!(notes::<Received>(&term.context));
    while let Some(note) = notes.next().await {
        match note {
            Note::Seen(key, received, source) => {
                if let Some(mailbox) = term.cluster.put_deployment(&key, received, source) {
                    mailbox.rest(Follower::new(&term, key, Arc::clone(&mailbox)), Time::NEVER);
                }
            }
            Note::Gone(key) => term.cluster.remove_deployment(&key),
            Note::Listing => term.cluster.list_deployments(),
            Note::Listed => {
                term.cluster.listed_deployments();
                listed.notify_one();
            }
        }
    }
}

/// What a watch brings.
#[allow(clippy::large_enum_variant, reason = "one at a time, and most are the large one")]
enum Note<K> {
    Seen(Key, K, Source),
    Gone(Key),
    /// A list begins.
    Listing,
    /// It is complete.
    Listed,
}

/// The objects of a kind, from a quorum list that begins now and the watch that follows. Never ends: errors are logged
/// and tried again.
fn notes<K>(context: &Context) -> impl Stream<Item = Note<K>> + use<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
    K::DynamicType: Default + Clone,
{
    let api: Api<K> = match &context.namespace {
        Some(namespace) => Api::namespaced(context.kube.clone(), namespace),
        None => Api::all(context.kube.clone()),
    };
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let metrics = context.metrics.clone();
    let mut told: Option<Instant> = None;
    watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)).backoff(backoff()).filter_map(move |event| {
        let note = match event {
            Ok(watcher::Event::Init) => Some(Note::Listing),
            Ok(watcher::Event::InitApply(object)) => Some(Note::Seen(Key::of(object.meta()), object, Source::List)),
            Ok(watcher::Event::InitDone) => Some(Note::Listed),
            Ok(watcher::Event::Apply(object)) => Some(Note::Seen(Key::of(object.meta()), object, Source::Watch)),
            Ok(watcher::Event::Delete(object)) => Some(Note::Gone(Key::of(object.meta()))),
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= WATCH_TOLD_EVERY) {
                    told = Some(Instant::now());
                    warn!(kind, error = chain(&error), "the watch failed and is tried again");
                }
                metrics.api_failed(ApiRequest::Watch);
                None
            }
        };
        ready(note)
    })
}

/// The pauses of kube's default, but for its longest, of up to a minute: nobody sees an edit meanwhile. An event ends them; where it is quiet
/// and something between here and the API server cuts each watch after a while, there is none.
fn backoff() -> impl Backoff {
    let [first, longest] = WATCH_PAUSES;
    let pauses = ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest).without_max_times();
    ResetTimerBackoff::new(ExponentialBackoff::from(pauses.with_jitter()), WATCH_IS_WELL)
}

/// What an error of the API server comes to, for a person.
fn reason_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("HTTP {}: {}", status.code, status.message),
        other => chain(other),
    }
}

/// Ends a request to the API server that takes too long.
async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    timeout(API_TIMEOUT, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service("the API server did not answer in time".into())))
}
