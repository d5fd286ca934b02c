//! How fast an edit of `spec.paused` reaches the remote and what it costs, what a start and an idle operator cost, and how edits fare where
//! the remote allows few calls: beside the same job in other frameworks, and beside the least that any operator needs.
//!
//! `cargo bench --bench edits`, or `make bench`, which also writes `docs/benchmarks.md`. It prints a table on stdout and passes no verdict:
//! a busy machine is no fault of the operator. The environment sets the sizes: `LINES` (10000), how many lines each contender has;
//! `KOPF_LINES` (2000, at most `LINES`), the same for kopf, which needs minutes to take ten thousand in; `EDITS` (1200: a p99 of fewer says
//! little), how many of each contender's lines are edited; `STARTS` (20); `IDLE_SECONDS` (60).
//!
//! The API server, the operator, the [`floor`] and the [`peers`] are real processes; the remotes are simulators, one for each. Each contender
//! has a namespace with equal lines; the floor's have the operator's statuses too, so that their objects are of one size.

mod contender;
mod edits;
mod events;
mod floor;
mod idle;
mod limited;
mod lines;
mod machine;
mod peers;
mod report;
mod restart;
mod samples;
mod start;
mod table;

use std::{env, fs, path::Path, time::Duration};

use sarvam_testkit::{
    control_plane::{ControlPlane, Options},
    error::{Because, Error, Result},
};
use tokio::runtime;

use contender::{Contender, Program};
use events::Events;
use idle::Idle;
use lines::{Lines, UNLIMITED};
use peers::Peers;
use report::Report;
use samples::Samples;

/// How many lines a second operator has, to see what grows with them.
const FEW: usize = 100;

/// Where the page is written when `WRITE_BENCHMARKS` is set.
const PAGE: &str = "docs/benchmarks.md";

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
    print!("{}", report.text());
    if env::var_os("WRITE_BENCHMARKS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), report.page()).because(PAGE)?;
    }
    Ok(())
}

/// How much is measured.
struct Sizes {
    starts: usize,
    lines: usize,
    kopf_lines: usize,
    edits: usize,
    idle: Duration,
}

impl Sizes {
    fn from_env() -> Result<Self> {
        let lines = number("LINES", 10_000)?;
        let idle = number("IDLE_SECONDS", 60)?;
        Ok(Self {
            starts: number("STARTS", 20)?,
            lines,
            kopf_lines: number("KOPF_LINES", 2000)?.min(lines),
            edits: number("EDITS", 1200)?,
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
    let peers = Peers::prepare().await;
    say("starting a control plane");
    let plane = ControlPlane::start(Options::default()).await?;
    plane.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).await?;
    say(&format!("starting the operator, {} times", sizes.starts));
    let starts = start::measure(&plane, sizes.starts).await?;

    let mut contenders = contenders(&plane, &peers, sizes).await?;
    idle::settle(&plane).await?;
    let events = Events::watch(&plane).await?;
    say(&format!("editing, {} times each", sizes.edits));
    let load_before = machine::load();
    let edited = edits::measure(&mut contenders, &events, sizes.edits).await?;
    let loads = [load_before, machine::load()];
    let edited = contenders.iter().zip(edited).map(|(contender, edited)| {
        Ok((contender.program, contender.lines.count(), contender.process.rss_kib()?, edited))
    });
    let edited = edited.collect::<Result<Vec<_>>>()?;

    // The two operators stay.
    contenders.truncate(2);
    for contender in &contenders {
        contender.lines.wait_until_ready().await?;
    }
    idle::settle(&plane).await?;
    say(&format!("idle for {} s", sizes.idle.as_secs()));
    let idle = Idle::watch(&plane, &contenders, sizes.idle).await?;
    let operator = contenders.swap_remove(0);
    let (resident_kib, peak_kib) = (operator.process.rss_kib()?, operator.process.peak_rss_kib()?);
    drop(contenders);

    say(&format!("a restart with {} lines that were edited meanwhile", restart::EDITED));
    let restart = restart::measure(&plane, &peers, operator).await?;
    say("making lines for a remote that allows few calls");
    let limited = limited::measure(&plane, &peers, &events).await?;
    Ok(Report {
        lines: sizes.lines,
        starts: Samples::new(starts),
        edited,
        loads,
        idle,
        resident_kib,
        peak_kib,
        restart,
        limited,
    })
}

/// The operator, one with few lines, the floor and the peers, in this order, each with its lines Ready.
async fn contenders(plane: &ControlPlane, peers: &Peers, sizes: &Sizes) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    let few = FEW.min(sizes.lines);
    let operators = [("operator", Program::Operator, sizes.lines), ("few", Program::Operator, few)];
    let others = peers.programs().map(|program| match program {
        Program::Kopf => ("kopf", program, sizes.kopf_lines),
        other => ("controller-runtime", other, sizes.lines),
    });
    for (name, program, count) in operators.into_iter().chain(others) {
        say(&format!("making {count} lines for {}, and waiting until it says that all are Ready", program.name()));
        let lines = Lines::create(plane, name, count).await?;
        let contender = Contender::start(plane, peers, program, lines, UNLIMITED).await?;
        contender.lines.wait_until_ready().await?;
        contenders.push(contender);
    }
    say(&format!("making {} lines for the floor", sizes.lines));
    let lines = Lines::create(plane, "floor", sizes.lines).await?;
    lines.copy_statuses(&contenders[0].lines).await?;
    contenders.insert(2, Contender::start(plane, peers, Program::Floor, lines, UNLIMITED).await?);
    Ok(contenders)
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
