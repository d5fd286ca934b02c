//! How fast an edit of `spec.paused` reaches the remote, beside the least that any operator needs, how fast the operator
//! starts, and what it costs while nothing happens.
//!
//! `cargo bench --bench edits`, or `make bench`. It prints a table on stdout and passes no verdict: a busy machine is no
//! fault of the operator. The environment sets the sizes: `STARTS` (20), `LINES` (500), `EDITS` (500), `IDLE_SECONDS` (60).
//!
//! The API server, the operator and the [`floor`] are real processes; the remote is the simulator. The operator and the
//! floor have a namespace each with equal lines, down to their statuses: objects of one size. They are edited in turn, one edit at a time, so that a machine that
//! slows down or gets busy slows both.

mod floor;
mod idle;
mod lines;
mod start;
mod table;

use std::{env, fs, path::Path, time::Duration};

use sarvam_testkit::{
    control_plane::{ControlPlane, Options},
    error::{Because, Error, Result},
    process::Process,
    simulator::{Config, Simulator},
};
use tokio::{runtime, time::sleep};

use idle::Idle;
use lines::{Arrivals, Lines};
use table::{Report, Samples};

/// The first edits of each side open connections and fill caches. They are not counted.
const WARM_UP: usize = 10;

/// From the arrival of one PUT to the next edit: time for the status writes and looks that follow it.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a process may take until it says that it is up.
const START_LIMIT: Duration = Duration::from_mins(1);

fn main() -> Result<()> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, namespace, remote] = &arguments[..]
        && flag == floor::FLAG
    {
        // One thread: an edit is handed from none to another.
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        return runtime.because("the floor's runtime")?.block_on(floor::run(namespace, remote));
    }
    let sizes = Sizes::from_env()?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().because("the runtime")?;
    let report = runtime.block_on(measure(&sizes))?;
    print!("{report}");
    Ok(())
}

/// How much is measured.
struct Sizes {
    starts: usize,
    lines: usize,
    edits: usize,
    idle: Duration,
}

impl Sizes {
    fn from_env() -> Result<Self> {
        let idle = number("IDLE_SECONDS", 60)?;
        Ok(Self {
            starts: number("STARTS", 20)?,
            lines: number("LINES", 500)?,
            edits: number("EDITS", 500)?,
            idle: Duration::from_secs(idle.try_into().because("IDLE_SECONDS")?),
        })
    }
}

fn number(name: &str, default: usize) -> Result<usize> {
    let Some(text) = env::var_os(name) else { return Ok(default) };
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| Error::new(format!("{name} must be a whole number above 0, as in {name}={default}")))
}

async fn measure(sizes: &Sizes) -> Result<Report> {
    say("starting a control plane and the remote");
    let plane = ControlPlane::start(Options::default()).await?;
    plane.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).await?;
    let remote = Simulator::start(Config::default()).await.because("the simulator")?;
    say(&format!("starting the operator, {} times", sizes.starts));
    let starts = start::measure(&plane, &remote, sizes.starts).await?;
    say(&format!("making {} lines for the operator, and as many for the floor", sizes.lines));
    let mut operated = Lines::create(&plane, &remote, "operator", sizes.lines).await?;
    let mut watched = Lines::create(&plane, &remote, "floor", sizes.lines).await?;

    let operator = start_operator(&plane, &remote, &operated, "sarvam-operator")?;
    let floor = start_floor(&plane, &remote, &watched).await?;
    say("waiting until every line of the operator is Ready");
    operated.wait_until_ready().await?;
    watched.copy_statuses(&operated).await?;
    idle::settle(&plane).await?;

    say(&format!("editing, {} times each", sizes.edits));
    let load_before = load();
    let mut arrivals = Arrivals::of(&remote);
    let (mut operator_took, mut floor_took) = (Vec::new(), Vec::new());
    for edit in 0..WARM_UP + sizes.edits {
        for (lines, took) in [(&mut operated, &mut operator_took), (&mut watched, &mut floor_took)] {
            let latency = lines.edit(edit % sizes.lines, &mut arrivals).await?;
            if edit >= WARM_UP {
                took.push(latency);
            }
            sleep(PAUSE).await;
        }
        if edit > 0 && edit % 100 == 0 {
            say(&format!("  {edit}"));
        }
    }
    let load_after = load();
    let resident_kib = operator.rss_kib()?;
    drop(floor);

    say("editing every line once more, now that each is to be looked at every minute");
    operated.set_sync_interval("60s").await?;
    operated.edit_all().await?;
    operated.wait_until_ready().await?;
    idle::settle(&plane).await?;
    say(&format!("idle for {} s", sizes.idle.as_secs()));
    let idle = Idle::watch(&plane, &remote, sizes.idle).await?;

    Ok(Report {
        starts: Samples::new(starts),
        lines: sizes.lines,
        operator: Samples::new(operator_took),
        floor: Samples::new(floor_took),
        load: [load_before, load_after],
        resident_kib,
        peak_kib: operator.peak_rss_kib()?,
        idle_for: sizes.idle,
        idle,
    })
}

fn start_operator(plane: &ControlPlane, remote: &Simulator, lines: &Lines, lease: &str) -> Result<Process> {
    let namespace = lines.namespace();
    Process::spawn(
        env!("CARGO_BIN_EXE_sarvam-operator"),
        ["run", "--allow-http-loopback", "--remote-url", &remote.url(), "--http-address", "127.0.0.1:0"]
            .into_iter()
            .chain(["--namespace", namespace, "--lease-namespace", namespace, "--lease-name", lease]),
        [("KUBECONFIG", plane.kubeconfig())],
    )
}

/// This very program, as another process.
async fn start_floor(plane: &ControlPlane, remote: &Simulator, lines: &Lines) -> Result<Process> {
    let program = env::current_exe().because("this program's own path")?;
    let workspace = lines.workspace_url(remote);
    let floor =
        Process::spawn(program, [floor::FLAG, lines.namespace(), &workspace], [("KUBECONFIG", plane.kubeconfig())])?;
    floor.wait_for_line(floor::WATCHING, START_LIMIT).await?;
    Ok(floor)
}

/// The machine's load average over the last minute, as text.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
