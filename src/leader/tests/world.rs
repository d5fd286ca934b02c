//! Processes that campaign for one Lease, the API server that keeps it, and the network between them.
//!
//! Each process has a runtime and a paused clock of its own, which the world moves tick by tick. So one process can stand
//! still while the others go on, and clocks can run at unequal rates. Everything is decided by the seed.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use crate::leader::{Election, Leadership, Settings};

/// The step of the world's time.
pub const TICK: Duration = Duration::from_millis(200);

/// How long a process keeps a term that is over.
pub const WIND_UP: Duration = Duration::from_secs(5);

/// A small generator whose whole state is its seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from zero to `limit`, without it.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).expect("below a usize")
    }

    /// A time of one tick to `limit` ticks.
    pub fn ticks(&mut self, limit: usize) -> Duration {
        TICK * (1 + u32::try_from(self.below(limit)).expect("small"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Create,
    Update,
}

/// A request as the network sees it.
pub struct Call {
    pub process: usize,
    pub verb: Verb,
    body: Option<Lease>,
    answer: oneshot::Sender<Response>,
}

/// What becomes of a request.
#[derive(Clone, Copy)]
pub struct Fate {
    /// When the API server carries it out, from now on.
    lands: Option<Duration>,
    /// When the answer arrives, after that or, where it never lands, from now on.
    answered: Option<Duration>,
    /// The status that stands in for the true answer.
    status: Option<u16>,
}

impl Fate {
    pub const fn prompt() -> Self {
        Self { lands: Some(TICK), answered: Some(TICK), status: None }
    }

    pub const fn refused(status: u16) -> Self {
        Self { lands: None, answered: Some(TICK), status: Some(status) }
    }

    pub const fn lost() -> Self {
        Self { lands: None, answered: None, status: None }
    }

    pub const fn answered_after(self, time: Duration) -> Self {
        Self { answered: Some(time), ..self }
    }

    pub const fn unanswered(self) -> Self {
        Self { answered: None, ..self }
    }

    pub const fn answering(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    fn of_a_storm(random: &mut Random) -> Self {
        let quick = Self { lands: Some(random.ticks(3)), answered: Some(random.ticks(3)), status: None };
        let late = Self { lands: Some(random.ticks(150)), answered: Some(random.ticks(20)), status: None };
        match random.below(20) {
            0 | 1 => quick.unanswered(),
            2 => quick.answering(500),
            3 => Self::refused(429),
            4 => Self::lost(),
            5 => late,
            _ => quick,
        }
    }
}

/// A request on its way.
struct Parcel {
    call: Call,
    /// When it lands. `None`: never, or it has landed.
    lands_at: Option<Duration>,
    answers_at: Option<Duration>,
    reply: Option<(u16, Value)>,
}

/// One Lease as the API server keeps it.
#[derive(Default)]
struct Store {
    lease: Option<Lease>,
    version: u64,
    /// When each write landed.
    writes: Vec<Duration>,
}

impl Store {
    fn carry_out(&mut self, verb: Verb, body: Option<Lease>, now: Duration) -> (u16, Value) {
        let Some(body) = body else {
            return match &self.lease {
                Some(lease) => (200, json!(lease)),
                None => failure(404, "leases.coordination.k8s.io \"operator\" not found"),
            };
        };
        let meta = &body.metadata;
        let swappable = match (&self.lease, verb) {
            (None, Verb::Create) => true,
            (Some(_), Verb::Create) => false,
            (Some(lease), _) => {
                meta.resource_version == lease.metadata.resource_version && meta.uid == lease.metadata.uid
            }
            // The real one creates a Lease on a PUT, unless the uid says which one was meant.
            (None, _) => meta.uid.is_none(),
        };
        if !swappable {
            return failure(409, "the object has been modified");
        }
        (200, json!(self.keep(body, now)))
    }

    fn keep(&mut self, mut lease: Lease, now: Duration) -> &Lease {
        self.version += 1;
        self.writes.push(now);
        lease.metadata.resource_version = Some(self.version.to_string());
        lease.metadata.uid.get_or_insert_with(|| format!("uid-{}", self.version));
        self.lease.insert(lease)
    }
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "message": message}))
}

/// What a process did, as its own task tells.
#[derive(Default)]
struct Journal {
    /// `first_ever` of each of its terms.
    terms: Vec<bool>,
    leadership: Option<Leadership>,
}

struct Process {
    identity: String,
    runtime: Runtime,
    inbox: Arc<Mutex<Vec<Call>>>,
    journal: Arc<Mutex<Journal>>,
    leave: Arc<Notify>,
    /// Its clock's rate in thousandths.
    rate: u32,
    /// How far its clock went on while it stood still.
    stood: Duration,
    frozen_until: Duration,
    cut_off_until: Duration,
    knows_the_lease: bool,
}

impl Process {
    fn start(index: usize, settings: Settings, rate: u32) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let inbox = Arc::new(Mutex::new(Vec::new()));
        let journal = Arc::new(Mutex::new(Journal::default()));
        let leave = Arc::new(Notify::new());
        let network = Router::new()
            .fallback(move |State(inbox): State<Arc<Mutex<Vec<Call>>>>, request: Request<Body>| {
                send(index, inbox, request)
            })
            .with_state(Arc::clone(&inbox));
        let identity = settings.identity.clone();
        let (log, leaving) = (Arc::clone(&journal), Arc::clone(&leave));
        runtime.spawn(async move {
            let client = kube::Client::new(network, "system");
            let mut election = Election::new(client, settings);
            loop {
                let term = election.acquire().await;
                let leadership = term.leadership().clone();
                {
                    let mut journal = log.lock().expect("unpoisoned");
                    journal.terms.push(term.first_ever());
                    journal.leadership = Some(leadership.clone());
                }
                tokio::select! {
                    // What only a leader may do takes a while to wind up.
                    () = leadership.ended() => sleep(WIND_UP).await,
                    () = leaving.notified() => {
                        term.release().await;
                        sleep(2 * WIND_UP).await;
                    }
                }
            }
        });
        Self {
            identity,
            runtime,
            inbox,
            journal,
            leave,
            rate,
            stood: Duration::ZERO,
            frozen_until: Duration::ZERO,
            cut_off_until: Duration::ZERO,
            knows_the_lease: false,
        }
    }

    /// Lets its clock reach the present and its tasks do what they can.
    fn run(&mut self) {
        let passed = mem::take(&mut self.stood);
        self.runtime.block_on(async {
            tokio::time::advance(passed).await;
            // Enough for a request to pass from the election through the client to the network, or back.
            for _ in 0..6 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// What a handle would tell by its clock, had it not stood still.
    fn ask(&self, leadership: &Leadership) -> Duration {
        let _clock = self.runtime.enter();
        leadership.remaining().saturating_sub(self.stood)
    }

    fn leadership(&self) -> Option<Leadership> {
        self.journal.lock().expect("unpoisoned").leadership.clone()
    }

    fn remaining(&self) -> Duration {
        self.leadership().map_or(Duration::ZERO, |leadership| self.ask(&leadership))
    }
}

/// Hands a request to the network and waits for what it brings back, if anything.
async fn send(process: usize, inbox: Arc<Mutex<Vec<Call>>>, request: Request<Body>) -> Response {
    let verb = match *request.method() {
        Method::GET => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        ref other => panic!("the election has no use for {other}"),
    };
    let bytes = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let body = (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).expect("a Lease"));
    let (answer, answered) = oneshot::channel();
    inbox.lock().expect("unpoisoned").push(Call { process, verb, body, answer });
    match answered.await {
        Ok(response) => response,
        Err(_) => std::future::pending().await,
    }
}

type Rule = Box<dyn FnMut(&Call) -> Fate>;

pub struct World {
    now: Duration,
    store: Store,
    rule: Rule,
    parcels: Vec<Parcel>,
    processes: Vec<Option<Process>>,
    /// What processes that start from now on are told.
    pub lease_duration: Duration,
    /// The rates of the clocks of processes that start from now on, in thousandths.
    pub rate: Box<dyn FnMut() -> usize>,
    started: usize,
}

impl World {
    /// Every request is carried out and answered at once, and all clocks agree.
    pub fn calm() -> Self {
        Self {
            now: Duration::ZERO,
            store: Store::default(),
            rule: Box::new(|_| Fate::prompt()),
            parcels: Vec::new(),
            processes: Vec::new(),
            lease_duration: Duration::from_secs(15),
            rate: Box::new(|| 1000),
            started: 0,
        }
    }

    /// Anything may become of a request, and clocks differ by up to a twentieth.
    pub fn stormy(seed: u64) -> Self {
        let mut random = Random::new(!seed);
        let mut rates = Random::new(seed.rotate_left(32));
        Self {
            rate: Box::new(move || 976 + rates.below(49)),
            rule: Box::new(move |_| Fate::of_a_storm(&mut random)),
            ..Self::calm()
        }
    }

    pub fn become_calm(&mut self) {
        self.rule(|_| Fate::prompt());
        for process in self.processes.iter_mut().flatten() {
            process.frozen_until = Duration::ZERO;
            process.cut_off_until = Duration::ZERO;
        }
    }

    pub fn rule(&mut self, rule: impl FnMut(&Call) -> Fate + 'static) {
        self.rule = Box::new(rule);
    }

    pub const fn now(&self) -> Duration {
        self.now
    }

    /// A new process; its number.
    pub fn start(&mut self) -> usize {
        self.processes.push(None);
        self.replace(self.processes.len() - 1);
        self.processes.len() - 1
    }

    /// Ends a process at once, as `kill -9` does, and starts another in its place.
    pub fn replace(&mut self, index: usize) {
        self.started += 1;
        let settings = Settings {
            identity: format!("process-{}", self.started),
            lease_duration: self.lease_duration,
            ..Settings::new("system", "operator")
        };
        let rate = u32::try_from((self.rate)()).expect("small");
        self.processes[index] = Some(Process::start(index, settings, rate));
    }

    pub fn kill(&mut self, index: usize) {
        self.processes[index] = None;
    }

    /// Lets a process give the lease up, now or once it leads, and campaign again some time later.
    pub fn release(&mut self, index: usize) {
        self.process(index).leave.notify_one();
    }

    pub fn freeze(&mut self, index: usize, length: Duration) {
        let until = self.now + length;
        self.process_mut(index).frozen_until = until;
    }

    pub fn is_frozen(&self, index: usize) -> bool {
        self.process(index).frozen_until > self.now
    }

    /// Loses all that a process sends.
    pub fn cut_off(&mut self, index: usize, length: Duration) {
        let until = self.now + length;
        self.process_mut(index).cut_off_until = until;
    }

    pub fn delete(&mut self) {
        self.store.lease = None;
    }

    /// Somebody edits a part of the Lease that says nothing about the holder.
    pub fn touch(&mut self) {
        if let Some(mut lease) = self.store.lease.take() {
            lease
                .metadata
                .labels
                .get_or_insert_default()
                .insert("touched".to_owned(), self.now.as_millis().to_string());
            self.store.keep(lease, self.now);
        }
    }

    /// Somebody writes a name over the holder's.
    pub fn write_holder(&mut self, holder: &str) {
        let mut lease = self.store.lease.take().expect("a Lease");
        lease.spec.get_or_insert_default().holder_identity = Some(holder.to_owned());
        self.store.keep(lease, self.now);
    }

    pub const fn has_a_lease(&self) -> bool {
        self.store.lease.is_some()
    }

    /// Somebody deletes the Lease and makes it again from a copy.
    pub fn restore_from_a_copy(&mut self) {
        let mut lease = self.store.lease.take().expect("a Lease");
        lease.metadata.uid = None;
        self.store.keep(lease, self.now);
    }

    /// Whether each process has read or written the Lease.
    pub fn all_know_the_lease(&self) -> bool {
        self.processes.iter().flatten().all(|process| process.knows_the_lease)
    }

    /// When each write landed, the last one last.
    pub fn writes(&self) -> &[Duration] {
        &self.store.writes
    }

    pub fn transitions(&self) -> Option<i32> {
        self.store.lease.as_ref()?.spec.as_ref()?.lease_transitions
    }

    /// Whether each of a process's terms was the first ever.
    pub fn terms(&self, index: usize) -> Vec<bool> {
        let journal = self.process(index).journal.lock().expect("unpoisoned");
        journal.terms.clone()
    }

    pub fn leadership(&self, index: usize) -> Leadership {
        self.process(index).leadership().expect("it has led")
    }

    /// What a handle of a process tells it.
    pub fn ask(&self, index: usize, leadership: &Leadership) -> Duration {
        self.process(index).ask(leadership)
    }

    pub fn remaining(&self, index: usize) -> Duration {
        self.process(index).remaining()
    }

    /// The process whose lease lasts. More than one is what must never be.
    pub fn leader(&self) -> Option<usize> {
        let leaders: Vec<_> = self
            .processes
            .iter()
            .enumerate()
            .filter_map(|(index, process)| Some((index, process.as_ref()?)))
            .filter(|(_, process)| !process.remaining().is_zero())
            .collect();
        if let [(_, one), (_, two), ..] = &leaders[..] {
            panic!(
                "at {:?} {} leads for {:?} and {} for {:?}; the record: {:?}",
                self.now,
                one.identity,
                one.remaining(),
                two.identity,
                two.remaining(),
                self.store.lease,
            );
        }
        leaders.first().map(|(index, _)| *index)
    }

    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.tick();
        }
    }

    /// Lets time pass until something is so, and tells how long that took. Panics after `limit`.
    pub fn until(&mut self, limit: Duration, what: &str, so: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !so(self) {
            assert!(self.now < start + limit, "{what}: not within {limit:?}; the record: {:?}", self.store.lease);
            self.tick();
        }
        self.now.saturating_sub(start)
    }

    pub fn tick(&mut self) {
        self.now += TICK;
        self.land();
        self.answer();
        for process in self.processes.iter_mut().flatten() {
            process.stood += TICK * process.rate / 1000;
            if process.frozen_until <= self.now {
                process.run();
            }
        }
        self.pick_up();
        self.leader();
    }

    fn land(&mut self) {
        for parcel in &mut self.parcels {
            if parcel.lands_at.is_some_and(|at| at <= self.now) {
                parcel.lands_at = None;
                let (code, body) = self.store.carry_out(parcel.call.verb, parcel.call.body.take(), self.now);
                parcel.reply.get_or_insert((code, body));
            }
        }
    }

    fn answer(&mut self) {
        let (due, waiting) = mem::take(&mut self.parcels)
            .into_iter()
            .partition(|parcel| parcel.answers_at.is_some_and(|at| at <= self.now));
        self.parcels = waiting;
        for parcel in due {
            let (code, body) = parcel.reply.expect("answered after it landed, or refused");
            if let Some(process) = &mut self.processes[parcel.call.process] {
                process.knows_the_lease |= code == 200 && process.frozen_until <= self.now;
            }
            let status = StatusCode::from_u16(code).expect("a status");
            // Nobody may be waiting any more.
            let _ = parcel.call.answer.send((status, body.to_string()).into_response());
        }
    }

    fn pick_up(&mut self) {
        for process in self.processes.iter().flatten() {
            let calls = mem::take(&mut *process.inbox.lock().expect("unpoisoned"));
            for call in calls {
                let fate = if process.cut_off_until > self.now { Fate::lost() } else { (self.rule)(&call) };
                let lands_at = fate.lands.map(|lands| self.now + lands);
                self.parcels.push(Parcel {
                    lands_at,
                    answers_at: fate.answered.map(|after| lands_at.unwrap_or(self.now) + after),
                    reply: fate.status.map(|code| failure(code, "refused by the test")),
                    call,
                });
            }
        }
    }

    fn process(&self, index: usize) -> &Process {
        self.processes[index].as_ref().expect("a living process")
    }

    fn process_mut(&mut self, index: usize) -> &mut Process {
        self.processes[index].as_mut().expect("a living process")
    }
}
