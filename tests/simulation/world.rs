//! One run: an API server, a remote and operators, all in this process, on paused time. Everything that is left to chance is drawn
//! from the run's seed, so that a run goes the same way each time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use jiff::Timestamp;
use sarvam_operator::clock::Clock;
use sarvam_operator::config::{Cli, Command, Run};
use sarvam_operator::metrics::Metrics;
use sarvam_operator::operator::{self, Process};
use sarvam_operator::server::Readiness;
use sarvam_operator::traces::Traces;
use sarvam_operator::{leader, sarvam};
use sarvam_testkit::api_server::{ApiServer, Kind};
use sarvam_testkit::clock::{self, Wall};
use sarvam_testkit::lock;
use sarvam_testkit::oracle::Edit;
use sarvam_testkit::simulator::{Route, Simulator, Switches, What as Happening};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::network;
use crate::trouble::{Ending, Moment, Reply, Seam, Trouble, What};

/// How long it takes until a dead operator's successor starts.
const RESTART: Duration = Duration::from_secs(2);

/// The kinds that the API server keeps.
static KINDS: LazyLock<Arc<Vec<Kind>>> = LazyLock::new(|| {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    Arc::new(Kind::all(&folder).expect("the CRDs can be read"))
});

/// What every operator is told: the defaults, but that reads of the remote may lag.
pub static FLAGS: LazyLock<Run> = LazyLock::new(|| {
    let Command::Run(flags) = Cli::parse_from(["sarvam-operator", "run", "--read-lag", "2s"]).command else {
        unreachable!("the command is run");
    };
    *flags
});

pub struct World {
    pub api: ApiServer,
    pub remote: Simulator,
    pub metrics: Metrics,
    wall: Wall,
    start: Instant,
    /// What goes wrong, by the number of the seam.
    plan: BTreeMap<usize, &'static Trouble>,
    chance: Mutex<fastrand::Rng>,
    seams: Mutex<Vec<(Seam, String)>>,
    /// `None` where nobody will read it.
    trace: Option<Mutex<String>>,
    operators: Mutex<Vec<Arc<Operator>>>,
    /// What operators, and only they, see of an API server that is away.
    pub away: watch::Sender<Option<Reply>>,
    /// After how many milliseconds each watch that begins is cut, and how.
    pub cuts: Mutex<Option<(RangeInclusive<u64>, Ending)>>,
    /// What people asked, for the oracle.
    pub edits: Mutex<Vec<Edit>>,
}

/// One process of the operator.
pub struct Operator {
    pub number: usize,
    /// What it sees of the API server.
    pub view: sarvam_testkit::api_server::View,
    dead: AtomicBool,
    stop: watch::Sender<bool>,
    task: Mutex<Option<AbortHandle>>,
}

impl Operator {
    /// Whether nothing that it does counts any more.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

impl World {
    /// A world in which these troubles strike. To be made within a paused runtime.
    pub fn new(seed: u64, plan: BTreeMap<usize, &'static Trouble>, traced: bool) -> Arc<Self> {
        // The pauses between the tries of a watch are drawn from this one.
        fastrand::seed(seed);
        Arc::new(Self {
            api: ApiServer::new(Arc::clone(&KINDS), Wall::REPEATABLE),
            remote: Simulator::in_process(Switches::default(), Wall::REPEATABLE),
            metrics: Metrics::default(),
            wall: Wall::start_at(Wall::REPEATABLE),
            start: clock::now(),
            plan,
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            seams: Mutex::default(),
            trace: traced.then(Mutex::default),
            operators: Mutex::default(),
            away: watch::Sender::new(None),
            cuts: Mutex::default(),
            edits: Mutex::default(),
        })
    }

    /// Starts an operator.
    pub fn start_operator(self: &Arc<Self>) {
        let number = lock(&self.operators).len() + 1;
        let (stop, stopping) = watch::channel(false);
        let operator = Arc::new(Operator {
            number,
            view: sarvam_testkit::api_server::View::default(),
            dead: AtomicBool::new(false),
            stop,
            task: Mutex::default(),
        });
        lock(&self.operators).push(Arc::clone(&operator));
        self.note(|| format!("operator {number} starts"));
        let identity = format!("operator-{number}");
        let lease = leader::Settings {
            namespace: "system".to_owned(),
            name: FLAGS.lease_name.clone(),
            identity,
            lease_duration: FLAGS.lease_duration,
        };
        let settings = sarvam::Settings {
            base_url: FLAGS.remote.remote_url.clone(),
            allow_http_loopback: false,
            extra_ca_pem: None,
            call_timeout: FLAGS.remote.call_timeout,
            use_proxy: false,
        };
        let transport = network::to_remote(self, &operator, FLAGS.remote.call_timeout);
        let process = Process {
            flags: FLAGS.clone(),
            kube: network::to_api_server(self, &operator),
            remote: sarvam::Client::over(transport, &settings).expect("the default URL is valid"),
            lease,
            clock: Clock::start_at(self.wall()),
            metrics: self.metrics.clone(),
            traces: Traces::default(),
            stopping,
        };
        let (readiness, _) = watch::channel(Readiness::Starting);
        let task = tokio::spawn(async move { operator::lead(process, &readiness).await });
        *lock(&operator.task) = Some(task.abort_handle());
    }

    /// Kills an operator; another starts soon.
    pub fn kill(self: &Arc<Self>, operator: &Operator) {
        if operator.dead.swap(true, Ordering::Relaxed) {
            return;
        }
        self.note(|| format!("operator {} dies", operator.number));
        if let Some(task) = lock(&operator.task).take() {
            task.abort();
        }
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(RESTART).await;
            world.start_operator();
        });
    }

    /// Kills the newest operator.
    pub fn kill_newest(self: &Arc<Self>) {
        let newest = lock(&self.operators).last().cloned();
        if let Some(operator) = newest {
            self.kill(&operator);
        }
    }

    /// Starts an operator and tells the ones before it to stop, as a rolling update does.
    pub fn roll_over(self: &Arc<Self>) {
        for operator in lock(&self.operators).iter() {
            operator.stop.send_replace(true);
        }
        self.start_operator();
    }

    /// Numbers a seam that an operator has come to, and says what goes wrong there.
    pub fn arrive(&self, operator: &Operator, seam: Seam, gist: impl FnOnce() -> String) -> (usize, Option<What>) {
        let gist = gist();
        let mut seams = lock(&self.seams);
        let number = seams.len();
        let trouble = self.plan.get(&number).filter(|trouble| trouble.fits(seam));
        self.note(|| {
            let struck = trouble.map(|trouble| format!("  !! {}", trouble.name)).unwrap_or_default();
            format!("operator {} #{number} {gist}{struck}", operator.number)
        });
        seams.push((seam, gist));
        (number, trouble.map(|trouble| trouble.what))
    }

    /// How long something is on its way.
    pub fn leg(&self) -> Duration {
        Duration::from_millis(lock(&self.chance).u64(1..=20))
    }

    /// Waits while the API server says nothing.
    pub async fn reached(&self) {
        // The sender lives as long as the world.
        let _ = self.away.subscribe().wait_for(|away| *away != Some(Reply::Nothing)).await;
    }

    /// Resolves when the way to the API server breaks.
    pub async fn broken(&self) {
        let _ = self.away.subscribe().wait_for(|away| away.is_some_and(|reply| reply != Reply::Nothing)).await;
    }

    /// When the watch that begins now is cut, and how; `None`: never.
    pub fn next_cut(&self) -> Option<(tokio::time::Instant, Ending)> {
        let (after, ending) = lock(&self.cuts).clone()?;
        let after = Duration::from_millis(lock(&self.chance).u64(after));
        Some((tokio::time::Instant::now() + after, ending))
    }

    /// Has a request carried out, and returns the answer when it has come back. What was sent is carried out whatever becomes of
    /// its sender.
    pub async fn carry<T: Send + 'static>(
        self: &Arc<Self>,
        operator: &Arc<Operator>,
        crash: Option<Moment>,
        lands: Option<Duration>,
        serve: impl Future<Output = T> + Send + 'static,
    ) -> T {
        if crash == Some(Moment::Before) {
            self.kill(operator);
        }
        let (Some(lands), false) = (lands, operator.is_dead()) else { return std::future::pending().await };
        let (out, back) = (self.leg() + lands, self.leg());
        let (world, sender) = (Arc::clone(self), Arc::clone(operator));
        let (answer, answered) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            sleep(out).await;
            let served = serve.await;
            if crash == Some(Moment::Between) {
                world.kill(&sender);
            }
            // Nobody may wait for it any more.
            let _ = answer.send(served);
        });
        let Ok(answer) = answered.await else { return std::future::pending().await };
        sleep(back).await;
        if crash == Some(Moment::After) {
            let (world, operator) = (Arc::clone(self), Arc::clone(operator));
            tokio::spawn(async move {
                sleep(Duration::from_millis(1)).await;
                world.kill(&operator);
            });
        }
        answer
    }

    /// Writes a line of the trace.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at = clock::now().duration_since(self.start).as_secs_f64();
            // Writing to a String does not fail.
            let _ = writeln!(lock(trace), "{at:9.3} {}", text());
        }
    }

    /// What operators have asked about a line, of anybody, since there were `before` seams.
    pub fn asked_about(&self, line: &str, before: usize) -> Vec<String> {
        let asked = self.seams().into_iter().skip(before).filter(|(seam, _)| *seam != Seam::Event);
        asked.map(|(_, gist)| gist).filter(|gist| gist.split(['/', ' ']).any(|word| word == line)).collect()
    }

    /// The calls that change a line: when each came to the remote, and whose it was.
    pub fn changes(&self) -> Vec<(Instant, String)> {
        let changes = self.remote.history().into_iter().filter_map(|entry| match entry.what {
            Happening::Arrived(call) if matches!(call.route, Route::Status | Route::Update) => {
                call.line.map(|line| (entry.at, line))
            }
            _ => None,
        });
        changes.collect()
    }

    /// What happened so far, a line each.
    pub fn trace(&self) -> String {
        self.trace.as_ref().map(|trace| lock(trace).clone()).unwrap_or_default()
    }

    /// The seams so far, with a word for what happened at each.
    pub fn seams(&self) -> Vec<(Seam, String)> {
        lock(&self.seams).clone()
    }

    /// What the wall shows.
    pub fn wall(&self) -> Timestamp {
        self.wall.now()
    }
}
