//! The model check: the real step function, two replicas that share a lease, one line, and every order of faults that
//! the budgets of a [`Bounds`] allow.
//!
//! The clock stands still at [`NOW`] and the world ages instead, so that states that differ only by when they happened
//! are one. A tick stands for a second or for a minute: only the order of the windows matters.
//!
//! Here are the assumptions and the world's parts. [`moves`] says what can happen next and [`happens`] what that does to
//! the world; [`replicas`] is the controller around the step function. [`properties`] must hold in every state of every
//! one of the [`walks`], and be broken by each of the [`variants`].

#![allow(
    clippy::option_option,
    clippy::struct_excessive_bools,
    clippy::trivially_copy_pass_by_ref,
    clippy::match_like_matches_macro,
    reason = "a model's state is flags, and what is not there yet"
)]

mod bounds;
mod canonical;
mod check;
mod happens;
mod moves;
mod properties;
mod replicas;
mod variants;
mod walks;
mod world;

use std::collections::VecDeque;

use self::bounds::Bounds;
use super::{Memory, Sent, Told};
use crate::{
    line::{Action, Change},
    rollout::Failure,
    status::Verdict,
    time::Time,
};

const NOW: Time = Time(64);
const PAST: Time = Time(63);

/// The assumptions, in ticks: how long a call may take, and a freeze between the look at the lease and the socket.
const CALL: u8 = 1;
const FREEZE: u8 = 1;
/// How many ticks after its end a call may still land, and after a clean answer. The windows are one tick longer: a
/// look in the very tick may come first.
const LATENESS: u8 = 2;
const SETTLING: u8 = 1;
const LEASE: u8 = 1;
/// How many ticks old what a look or a page shows may be, where reads lag.
const LAG: u8 = 1;

/// After that many failures in a row the pause is the longest, `retry_cap`.
const LONGEST_BACKOFF: u8 = 4;

/// The uid of the object that waits for the line. Its name is another than that of all others.
const HEIR: u8 = 100;

/// The object as the API server stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stored {
    uid: u8,
    version: u8,
    generation: u8,
    paused: bool,
    suspend: bool,
    /// `spec.appVersion`; 0 where it isn't managed.
    wants: u8,
    /// The change was given up, says the status of this generation.
    failed: Option<Failure>,
    /// Which line its status tells; 0 before it has adopted one.
    adopted: u8,
    /// Its status says that the id leads to another line.
    replaced: bool,
    /// Ready=True for this generation, and how often the dashboard had been used when the line was looked at.
    claim: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Note {
    Applied(Stored),
    Deleted(u8),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Does {
    Pause,
    Resume,
    Patch(u8),
}

impl From<Change> for Does {
    fn from(change: Change) -> Self {
        match change {
            Change::Status(Action::Pause) => Self::Pause,
            Change::Status(Action::Resume) => Self::Resume,
            Change::Config(fields) => Self::Patch(u8::try_from(fields.app_version.unwrap()).unwrap()),
        }
    }
}

/// A call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Call {
    does: Does,
    /// The replica that waits for the answer.
    owner: Option<u8>,
    landed: bool,
    answered: bool,
    /// How many ticks it may still take to land.
    life: u8,
}

/// A status write on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Write {
    owner: Option<u8>,
    verdict: Verdict,
    uid: u8,
    version: u8,
    generation: u8,
    epoch: u8,
    line: u8,
}

/// The line at the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Line {
    active: bool,
    /// The version that answers.
    runs: u8,
    /// Which line it is; 0 where nothing tells.
    which: u8,
}

/// The line as somebody is shown it, and how often the dashboard had been used by then.
type Sighting = (Line, u8);

/// What the line was, and how many ticks ago that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Past {
    sighting: Sighting,
    ended: u8,
}

/// A page of the list that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Page {
    began: Time,
    /// How long its answer takes.
    age: u8,
    /// The answer: the line's row, or that it has none.
    row: Option<Option<Sighting>>,
}

/// What a replica waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    Idle(Time),
    Reading(Option<Option<Stored>>),
    Looking {
        began: Time,
        served: Option<Sighting>,
    },
    /// The lease was found good; the call is not on the socket yet.
    Checked {
        does: Does,
        beside: Option<Verdict>,
    },
    Sending {
        beside: Option<(Verdict, Option<Told>)>,
        sent: Option<Sent>,
    },
    Telling(Verdict, Option<Told>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    up: bool,
    frozen: bool,
    leads: bool,
    memory: Memory,
    pending: Pending,
    /// How long it has been pending.
    age: u8,
    /// What the dashboard's count was at the last look.
    epoch: u8,
    /// Which line the last look for this object showed; 0 before that.
    saw: u8,
    /// It paused the line itself, for a change, and remembers.
    paused_it: bool,
    /// A leader's watch: what it has not delivered yet.
    queue: VecDeque<Note>,
    /// The uid of the object that it works for.
    follows: u8,
    page: Option<Page>,
    /// A row has changed its mind, and no look was answered since.
    rowed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    left: Bounds,
    object: Option<Stored>,
    /// The object one edit ago: what a lagging watch may still show.
    before: Option<Stored>,
    /// The object that has the line next.
    heir: Option<Stored>,
    uids: u8,
    line: Line,
    epoch: u8,
    /// What looks and pages may still show, where they lag.
    past: Vec<Past>,
    calls: Vec<Call>,
    writes: Vec<Write>,
    /// Whether there has ever been a leader.
    led: bool,
    holder: Option<u8>,
    lease: u8,
    replicas: [Replica; 2],
    obstacle: bool,
    /// The remote refuses the key that is known.
    old_key: bool,
    /// An edit that had to go out at once did not.
    dawdled: bool,
    /// The line was changed while it answered.
    exposed: bool,
    /// A call was made because of a row, without a look.
    rushed: bool,
    /// A call was made although another line than the adopted one was seen, or told of.
    mistaken: bool,
}
