//! What can go wrong at one seam of a run: a request of the operator, or an event that a watch brings it.

use std::time::Duration;

use sarvam_testkit::simulator::{Corruption, Effect, Refusal, Then};

use self::What::{Api, Crash, Deliver, Remote};

/// Where an operator meets the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// A call to the remote that reads.
    Look,
    /// A call to the remote that pauses or resumes.
    Send,
    /// A call to the remote that changes a configuration.
    Change,
    /// A request to the API server that reads.
    Read,
    /// One that changes something.
    Write,
    /// The start of a watch.
    Watch,
    /// An event of a watch.
    Event,
}

/// One thing that can go wrong.
#[derive(Debug)]
pub struct Trouble {
    /// Its name in a seed.
    pub name: &'static str,
    /// The seams that it can strike.
    pub at: &'static [Seam],
    pub what: What,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The process dies, and another starts.
    Crash(Moment),
    /// A call to the remote is bent.
    Remote(Bend),
    /// A request to the API server is.
    Api(Fate),
    /// An event is.
    Deliver(Delivery),
}

/// When, at a request, a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it is sent.
    Before,
    /// When it has taken effect, before the answer.
    Between,
    /// Just after the answer was read: what it leads to may be on its way already.
    After,
}

/// What becomes of a call to the remote.
#[derive(Clone, Copy, Debug)]
pub enum Bend {
    /// There is no connection.
    Unsent,
    /// The simulator's own fault.
    Fault(fn() -> Effect),
    /// It takes effect, and a proxy answers this status in the remote's place.
    Proxy(u16),
    /// The answer shows the line as it was before the call.
    OldState,
    /// The answer shows the lines as they were this long ago.
    Lag(Duration),
}

/// What becomes of a request to the API server.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// How much later it is carried out; `None`: never.
    pub lands: Option<Duration>,
    pub answer: Reply,
}

/// What its client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    True,
    Status(u16),
    /// The connection breaks.
    Broken,
    Nothing,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    /// It, and what follows it, comes this much later.
    Hold(Duration),
    /// Nothing newer is seen on any watch for this long: the API server lags.
    Freeze(Duration),
    /// The watch ends before it.
    Cut,
    /// The watch ends before it, and what happened until this much later is compacted: it is never seen by itself.
    Skip(Duration),
    /// It comes a second time, after a newer one.
    Again,
}

/// How a watch ends that somebody cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As at its own time limit.
    Whole,
    /// The connection breaks.
    Broken,
    /// As at its time limit, and what happened until then is compacted: who goes on from before it has to list again.
    Gone,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NEVER: Option<Duration> = None;
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

const REQUESTS: &[Seam] = &[Seam::Look, Seam::Send, Seam::Change, Seam::Read, Seam::Write, Seam::Watch];
const REMOTE: &[Seam] = &[Seam::Look, Seam::Send, Seam::Change];
/// A configuration that the remote refuses is not sent again until somebody edits it: that is an end of its own.
const NO_CHANGE: &[Seam] = &[Seam::Look, Seam::Send];
const SEND: &[Seam] = &[Seam::Send, Seam::Change];
const LOOK: &[Seam] = &[Seam::Look];
const SERVER: &[Seam] = &[Seam::Read, Seam::Write, Seam::Watch];
const WRITE: &[Seam] = &[Seam::Write];
const EVENT: &[Seam] = &[Seam::Event];

const fn trouble(name: &'static str, at: &'static [Seam], what: What) -> Trouble {
    Trouble { name, at, what }
}

const fn api(lands: Option<Duration>, answer: Reply) -> What {
    Api(Fate { lands, answer })
}

fn apply(after: u64, then: Then) -> Effect {
    Effect::Apply { after: seconds(after), then }
}

fn refuse(status: u16, code: &str) -> Effect {
    Effect::Refuse(Refusal::new(status, code))
}

fn refuse_until(status: u16, code: &str, retry_after: &str) -> Effect {
    Effect::Refuse(Refusal::new(status, code).header("retry-after", retry_after))
}

/// Everything that can go wrong. All of it stays within what the protocol assumes: 30 s of doubt, 5 s to settle, 2 s of lag.
pub static TROUBLES: &[Trouble] = &[
    trouble("crash-before", REQUESTS, Crash(Moment::Before)),
    trouble("crash-between", REQUESTS, Crash(Moment::Between)),
    trouble("crash-after", REQUESTS, Crash(Moment::After)),
    trouble("crash-at-event", EVENT, Crash(Moment::Before)),
    // The remote.
    trouble("unsent", REMOTE, Remote(Bend::Unsent)),
    trouble("hang", REMOTE, Remote(Bend::Fault(|| Effect::Hang))),
    trouble("drop", REMOTE, Remote(Bend::Fault(|| Effect::Drop))),
    trouble("lost-reply", REMOTE, Remote(Bend::Fault(|| apply(0, Then::Drop)))),
    trouble("applied-and-hang", SEND, Remote(Bend::Fault(|| apply(0, Then::Hang)))),
    trouble("late-5s", SEND, Remote(Bend::Fault(|| apply(5, Then::Drop)))),
    trouble("late-28s", SEND, Remote(Bend::Fault(|| apply(28, Then::Drop)))),
    trouble("late-and-hang", SEND, Remote(Bend::Fault(|| apply(28, Then::Hang)))),
    trouble("settles-late", SEND, Remote(Bend::Fault(|| apply(4, Then::Reply)))),
    trouble("slow", REMOTE, Remote(Bend::Fault(|| Effect::Delay(seconds(3))))),
    trouble("too-slow", REMOTE, Remote(Bend::Fault(|| Effect::Delay(seconds(20))))),
    trouble("429", REMOTE, Remote(Bend::Fault(|| refuse(429, "rate_limit_exceeded_error")))),
    trouble("429-seconds", REMOTE, Remote(Bend::Fault(|| refuse_until(429, "rate_limit_exceeded_error", "7")))),
    trouble(
        "429-date",
        REMOTE,
        Remote(Bend::Fault(|| refuse_until(429, "rate_limit_exceeded_error", "Thu, 01 Jan 2026 00:01:00 GMT"))),
    ),
    trouble("quota", REMOTE, Remote(Bend::Fault(|| refuse(429, "insufficient_quota_error")))),
    trouble("500", REMOTE, Remote(Bend::Fault(|| refuse(500, "internal_server_error")))),
    trouble("503-seconds", REMOTE, Remote(Bend::Fault(|| refuse_until(503, "service_unavailable_error", "4")))),
    trouble("502-applied", REMOTE, Remote(Bend::Proxy(502))),
    trouble("504-applied", REMOTE, Remote(Bend::Proxy(504))),
    trouble("401", REMOTE, Remote(Bend::Fault(|| refuse(401, "invalid_api_key_error")))),
    trouble("403", REMOTE, Remote(Bend::Fault(|| refuse(403, "permission_error")))),
    trouble("404", REMOTE, Remote(Bend::Fault(|| refuse(404, "not_found_error")))),
    trouble("408", REMOTE, Remote(Bend::Fault(|| refuse(408, "request_timeout_error")))),
    trouble("409", REMOTE, Remote(Bend::Fault(|| refuse(409, "conflict_error")))),
    trouble("422", NO_CHANGE, Remote(Bend::Fault(|| refuse(422, "unprocessable_entity_error")))),
    trouble(
        "redirect",
        REMOTE,
        Remote(Bend::Fault(|| Effect::Redirect { status: 302, location: "https://example.com/".to_owned() })),
    ),
    trouble("empty", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::Empty)))),
    trouble("truncated", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::Truncated)))),
    trouble("html", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::Html)))),
    trouble("garbage", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::Garbage)))),
    trouble("wrong-id", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::WrongId)))),
    trouble("wrong-type", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::WrongType)))),
    trouble("null-status", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::NullStatus)))),
    trouble("unknown-status", REMOTE, Remote(Bend::Fault(|| Effect::Corrupt(Corruption::UnknownStatus)))),
    trouble("old-state", SEND, Remote(Bend::OldState)),
    trouble("lag", LOOK, Remote(Bend::Lag(seconds(2)))),
    // The API server.
    trouble("api-409", WRITE, api(NEVER, Reply::Status(409))),
    trouble("api-403", SERVER, api(NEVER, Reply::Status(403))),
    trouble("api-429", SERVER, api(NEVER, Reply::Status(429))),
    trouble("api-500", SERVER, api(NEVER, Reply::Status(500))),
    trouble("api-504-applied", WRITE, api(AT_ONCE, Reply::Status(504))),
    trouble("api-drop", SERVER, api(NEVER, Reply::Broken)),
    trouble("api-lost-reply", WRITE, api(AT_ONCE, Reply::Broken)),
    trouble("api-hang", SERVER, api(NEVER, Reply::Nothing)),
    trouble("api-applied-and-hang", WRITE, api(AT_ONCE, Reply::Nothing)),
    trouble("api-late", WRITE, api(Some(seconds(12)), Reply::Nothing)),
    trouble("api-slow", SERVER, api(Some(seconds(3)), Reply::True)),
    // Its watches.
    trouble("held-3s", EVENT, Deliver(Delivery::Hold(seconds(3)))),
    trouble("held-40s", EVENT, Deliver(Delivery::Hold(seconds(40)))),
    trouble("frozen", EVENT, Deliver(Delivery::Freeze(seconds(60)))),
    trouble("cut", EVENT, Deliver(Delivery::Cut)),
    trouble("gone", EVENT, Deliver(Delivery::Skip(Duration::ZERO))),
    trouble("skipped", EVENT, Deliver(Delivery::Skip(seconds(15)))),
    trouble("again", EVENT, Deliver(Delivery::Again)),
];

impl Trouble {
    /// The trouble of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TROUBLES.iter().find(|trouble| trouble.name == name)
    }

    /// Whether it can strike this seam.
    pub fn fits(&self, seam: Seam) -> bool {
        self.at.contains(&seam)
    }
}
