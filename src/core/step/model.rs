//! The model check: the real step function, two replicas that share a lease, one line, and every order of faults that
//! the budgets of a [`Bounds`] allow.
//!
//! The clock stands still at [`NOW`] and the world ages instead, so that states that differ only by when they happened
//! are one. A tick stands for a second or for a minute: only the order of the windows matters.

#![allow(
    clippy::option_option,
    clippy::struct_excessive_bools,
    clippy::trivially_copy_pass_by_ref,
    clippy::match_like_matches_macro,
    reason = "a model's state is flags, and what is not there yet"
)]

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::{Due, Event, Memory, Mode, Object, Request, Sent, Settings, Source, Told, Uid, Version};
use crate::core::{
    config::{Lists, Managed, Shown, Sight},
    identity::Identity,
    line::{Action, Change, State, Trouble},
    rollout::{Failure, Rollout},
    status::{Obstacle, Verdict},
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

const fn ticks(n: u8) -> Duration {
    Duration::from_millis(n as u64)
}

/// How often each thing may happen in one run.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Bounds {
    /// `spec.paused` is flipped.
    edits: u8,
    /// `spec.appVersion` is edited. Without such edits nothing is managed but `spec.paused`.
    configs: u8,
    /// A PATCH is refused for good.
    refusals: u8,
    /// Another field is edited: a new generation that asks for the same.
    touches: u8,
    /// `spec.suspend` is flipped.
    suspends: u8,
    /// The object is deleted (and may be made again, either way).
    deletions: u8,
    /// Somebody flips the line on the dashboard.
    flips: u8,
    /// The line gives way to another one, which is the contrary and has the same id. Without that nothing tells lines apart.
    swaps: u8,
    /// A process dies; it may start again, with an old view of the object too.
    crashes: u8,
    /// The work on the line panics, and goes on with the memory as it was.
    panics: u8,
    /// A process stands still for as long as it likes.
    freezes: u8,
    /// The leader gives the lease away.
    handovers: u8,
    /// A reply is lost, or a call, or both.
    losses: u8,
    /// The key is missing for a while.
    obstacles: u8,
    /// The key is replaced: for a while the remote refuses the one that is known.
    rotations: u8,
    /// A page of the list is asked for.
    pages: u8,
    /// A look or a page shows what the line was before.
    lags: u8,
    /// Another object names the line, asks for the contrary, and has the line next.
    heirs: u8,
}

impl Bounds {
    fn all(&self) -> [(&'static str, u8); 18] {
        let Self { edits, configs, refusals, touches, suspends, deletions, .. } = *self;
        let Self { flips, swaps, crashes, panics, freezes, handovers, losses, obstacles, .. } = *self;
        let Self { rotations, pages, lags, heirs, .. } = *self;
        [
            ("edits", edits),
            ("configs", configs),
            ("refusals", refusals),
            ("touches", touches),
            ("suspends", suspends),
            ("deletions", deletions),
            ("flips", flips),
            ("swaps", swaps),
            ("crashes", crashes),
            ("panics", panics),
            ("freezes", freezes),
            ("handovers", handovers),
            ("losses", losses),
            ("obstacles", obstacles),
            ("rotations", rotations),
            ("pages", pages),
            ("lags", lags),
            ("heirs", heirs),
        ]
    }

    fn sum(&self) -> u8 {
        self.all().iter().map(|(_, times)| times).sum()
    }
}

impl fmt::Debug for Bounds {
    /// What may happen at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all().into_iter().filter(|(_, times)| *times > 0)).finish()
    }
}

/// The protocol as it is, or without one of its rules. The check must tell each from the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Real,
    /// Rule 1 left out: an edit waits for a look.
    LookBeforeEdit,
    /// Rule 2: doubts are forgotten with the object.
    DoubtsOfObject,
    /// Rule 2: the doubt window is a tick too short.
    DoubtTooShort,
    /// Rule 2: the settle window is a tick too short.
    SettleTooShort,
    /// Rule 2: a key that is refused counts as a refusal of the change.
    RejectedIsRefused,
    /// Rule 2: the windows leave out how far looks lag.
    LookLagLeftOut,
    /// Rule 2: the windows leave out how far pages of the list lag.
    PageLagLeftOut,
    /// Rule 3: Ready at the first look that agrees.
    ReadyAtOnce,
    /// Rule 3: doubts are judged when the look ends.
    JudgedAtTheEnd,
    /// Rule 3: a row counts from when it is read, also where a call was made since the page was asked for.
    RowJudgedOnArrival,
    /// Rule 3: status writes are not guarded at all.
    NoGuard,
    /// Rule 3: status writes are guarded by version only, in a world where versions start again.
    NoUidGuard,
    /// Rule 4: nothing is in doubt after a take-over.
    TrustAfterTakeOver,
    /// Rule 4: the take-over window leaves out the freeze.
    TakeOverTooShort,
    /// Rule 4: the watch is believed before a quorum read.
    NoQuorumRead,
    /// Rule 4: whatever comes is acted on, also what is older than the newest known.
    OlderActedOn,
    /// Rule 4: what is older than the newest known is passed over, also of an object that has the line next.
    HeirPassedOver,
    /// Rule 5: a row that differs is believed as a look is.
    RowTrusted,
    /// Rule 6: calls are sent whatever is left of the lease.
    NoLease,
    /// Rule 7: a line that the list doesn't have counts as given up.
    AbsenceIsDeletion,
    /// Rule 7: a line that the list doesn't have counts as not there.
    AbsenceIsNotFound,
    /// Rule 8: who paused a line for a change remembers that, and resumes no line without.
    PositionRemembered,
    /// Rule 8: a PATCH that was answered counts as seen.
    PatchTrusted,
    /// Rule 8: the line is resumed after the PATCH, whatever came of it.
    ResumeBeforeLook,
    /// Rule 8: a PATCH goes out while a resume may still land.
    PatchInDoubt,
    /// Rule 8: a resume goes out while a PATCH may still land that says otherwise.
    ResumeInDoubt,
    /// Rule 9: every line that comes in under the id counts as the adopted one.
    EveryLineAdopted,
    /// Rule 9: a new leader counts the line as the adopted one until it has looked.
    AdoptedUntilLooked,
}

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Move {
    Tick,
    Edit,
    Config,
    Touch,
    Suspend,
    Delete,
    Create {
        paused: bool,
    },
    Flip,
    Swap,
    Obstruct(bool),
    Rotate(bool),
    Crash(u8),
    Panic(u8),
    Start(u8),
    Freeze(u8),
    Thaw(u8),
    /// With an old view of the object, or the present one.
    TakeOver {
        replica: u8,
        stale: bool,
    },
    HandOver(u8),
    StepDown(u8),
    /// The watch delivers the oldest note, or the newest and skips the rest.
    Deliver {
        replica: u8,
        last: bool,
    },
    Wake(u8),
    Serve(u8),
    /// The look shows what the line was before.
    ServeOld {
        replica: u8,
        past: usize,
    },
    Return(u8),
    FailLook(u8),
    /// The remote refuses the key of a look.
    Reject(u8),
    AskPage(u8),
    AnswerPage {
        replica: u8,
        row: Row,
    },
    /// The row, or the lack of one, is read.
    TakeRow(u8),
    Put(u8),
    Land(usize),
    Answer(usize),
    Refuse(usize),
    Lose(usize),
    Vanish(usize),
    Apply {
        write: usize,
        heard: bool,
    },
    Forget(usize),
}

/// What a page has of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    Fresh,
    Old(usize),
    /// Rows are skipped while lines come and go.
    Missing,
}

struct Check {
    variant: Variant,
    bounds: Bounds,
    /// How much of that may happen in one run.
    faults: u8,
    settings: Settings,
    /// Whether a clean answer may come before the call lands.
    early_answers: bool,
    /// Versions start again with a new object, as after a restore from a backup.
    restored: bool,
    /// The line is paused at first, and shall answer.
    paused_at_first: bool,
    /// Another line has come in before, and a leader before has told so.
    replaced_at_first: bool,
    /// One state in so many is also followed to its end without faults.
    follow_every: u64,
}

impl Check {
    fn new(variant: Variant, bounds: Bounds) -> Self {
        let short = |than: Variant| u8::from(variant == than);
        let lag = match variant {
            Variant::LookLagLeftOut | Variant::PageLagLeftOut => 0,
            _ => LAG.min(bounds.lags),
        };
        let doubt = LATENESS + lag + 1;
        let settings = Settings {
            doubt: ticks(doubt - short(Variant::DoubtTooShort)),
            settle: ticks(SETTLING + lag + 1 - short(Variant::SettleTooShort)),
            takeover: ticks(doubt + FREEZE - short(Variant::TakeOverTooShort)),
            retry: ticks(1),
            retry_cap: ticks(2),
            sync: ticks(4),
            horizon: ticks(4),
            stale_after: 1 << 20,
            grace: ticks(1),
            lists: Lists::Replace,
        };
        Self {
            variant,
            bounds,
            faults: u8::MAX,
            settings,
            early_answers: true,
            restored: variant == Variant::NoUidGuard,
            paused_at_first: variant == Variant::PatchInDoubt,
            replaced_at_first: variant == Variant::AdoptedUntilLooked,
            follow_every: 16,
        }
    }

    /// What a variant makes of an event, and of the memory before it.
    fn leave_out(&self, memory: &mut Memory, event: &mut Event) {
        match (self.variant, &mut *event) {
            (Variant::OlderActedOn, Event::Noticed(..)) => memory.newest = Version(0),
            (Variant::JudgedAtTheEnd, Event::Looked { began, .. }) => *began = NOW,
            (Variant::RowJudgedOnArrival, Event::Listed { began, .. }) => {
                *began = NOW;
                memory.settling = None;
            }
            (Variant::RejectedIsRefused, Event::Sent(Sent::Refused(trouble), _)) => *trouble = Trouble::Refused,
            (Variant::RowTrusted, Event::Listed { began, row: Some(row) }) => {
                *event = Event::Looked { began: *began, answer: Ok(row.clone()) };
            }
            (Variant::AbsenceIsNotFound, Event::Listed { began, row: None }) => {
                *event = Event::Looked { began: *began, answer: Err((Trouble::NotFound, None)) };
            }
            (Variant::AbsenceIsDeletion, Event::Listed { row: None, .. }) => {
                let uid = memory.object.as_ref().map_or(Uid(0), |object| object.uid);
                *event = Event::Deleted(uid);
            }
            (Variant::HeirPassedOver, Event::Noticed(object, _)) if object.version <= memory.newest => {
                *event = Event::Woken;
            }
            (Variant::EveryLineAdopted, _) => memory.believe_in_the_line(),
            (Variant::AdoptedUntilLooked, _) if memory.seen.is_none() => memory.believe_in_the_line(),
            (Variant::ReadyAtOnce, Event::Looked { .. }) => memory.doubts = super::Doubts::default(),
            (Variant::PatchInDoubt, Event::Looked { .. }) => memory.doubts.resume = Time(0),
            (Variant::ResumeInDoubt, Event::Looked { .. }) => {
                memory.doubts.patch = None;
                memory.doubts.patches = Time(0);
            }
            (Variant::DoubtsOfObject, Event::Noticed(object, _) | Event::Read(object))
                if memory.object.as_ref().map(|o| o.uid).or(memory.gone).is_some_and(|uid| uid != object.uid) =>
            {
                memory.doubts = super::Doubts::default();
            }
            _ => {}
        }
    }

    /// The environment hands `event` to a replica's step function and takes its request up.
    fn drive(&self, world: &mut World, replica: u8, mut event: Event) {
        let r = usize::from(replica);
        let mut memory = world.replicas[r].memory.clone();
        let known = memory.clone();
        let (is_row, is_look) =
            (matches!(event, Event::Listed { .. }), matches!(event, Event::Looked { answer: Ok(_), .. }));
        let patched = match (&known.in_flight, &event) {
            (Some(Change::Config(fields)), Event::Sent(sent, _)) => Some((fields.app_version, *sent)),
            _ => None,
        };
        self.leave_out(&mut memory, &mut event);
        let noticed = match &event {
            Event::Noticed(object, _) => Some(object.clone()),
            _ => None,
        };
        memory.take_in(&self.settings, NOW, event);
        let goes_on = match (self.variant, patched) {
            (Variant::PatchTrusted | Variant::ResumeBeforeLook, Some((version, Sent::Clean(_))))
            | (Variant::ResumeBeforeLook, Some((version, Sent::Unclear(_)))) => version,
            _ => None,
        };
        if let Some(version) = goes_on {
            let config = shown(u8::try_from(version).unwrap());
            let answer = Ok(Sight { state: State::Paused, config, identity: Identity::default() });
            memory.take_in(&self.settings, NOW, Event::Looked { began: NOW, answer });
        }
        if self.variant == Variant::LookBeforeEdit {
            memory.due = if memory.due == Due::Edit { Due::Nothing } else { memory.due };
        }
        let rowed = world.replicas[r].minds_row(is_row, is_look, &known, &memory);
        let is_edit = memory.due == Due::Edit;
        let mut request = memory.decide(&self.settings, NOW);
        world.rushed |= rowed && !is_edit && matches!(request, Request::Send { .. });
        world.mistaken |= matches!(request, Request::Send { .. }) && world.replicas[r].is_mistaken(&memory);
        if let Some(object) = noticed {
            world.dawdled |=
                world.leads(replica) && must_go_out(&known, &object) && !matches!(request, Request::Send { .. });
        }
        if let (Variant::PositionRemembered, Request::Send { change, .. }) = (self.variant, &request) {
            let paused_it = &mut world.replicas[r].paused_it;
            match change {
                Change::Status(Action::Pause) => *paused_it = true,
                Change::Status(Action::Resume) if !*paused_it => {
                    memory.in_flight = None;
                    request = Request::Wait(Time::NEVER);
                }
                _ => {}
            }
        }
        let awaits_call = is_row && memory.in_flight.is_some();
        world.replicas[r].memory = memory;
        if awaits_call {
            return;
        }
        world.replicas[r].age = 0;
        // Whose lease has run out does nothing more, not even tell.
        if self.variant != Variant::NoLease && !world.leads(replica) {
            world.replicas[r].pending = Pending::Idle(Time::NEVER);
            return;
        }
        world.replicas[r].pending = match request {
            Request::Wait(until) => Pending::Idle(until),
            Request::Read => Pending::Reading(None),
            Request::Look => Pending::Looking { began: NOW, served: None },
            Request::Send { change, beside, .. } => {
                if world.lease < CALL && self.variant != Variant::NoLease {
                    return self.drive(world, replica, Event::Sent(Sent::Withheld(None), None));
                }
                Pending::Checked { does: change.into(), beside }
            }
            Request::Tell(verdict) => {
                world.put_write(replica, verdict);
                Pending::Telling(verdict, None)
            }
        };
    }

    /// Hands back what is pending where it has come to its end.
    fn settle(&self, world: &mut World, replica: u8) {
        let r = &world.replicas[usize::from(replica)];
        if r.frozen || !r.up {
            return;
        }
        match r.pending {
            Pending::Telling(verdict, Some(told)) => self.drive(world, replica, Event::Told(verdict, told)),
            Pending::Sending { beside, sent: Some(sent) } => match beside {
                Some((_, None)) => {}
                Some((verdict, Some(told))) => {
                    self.drive(world, replica, Event::Told(verdict, told));
                    self.drive(world, replica, Event::Sent(sent, None));
                }
                None => self.drive(world, replica, Event::Sent(sent, None)),
            },
            _ => {}
        }
    }

    fn notice(&self, world: &mut World, replica: u8, note: Note) {
        let event = match note {
            Note::Applied(stored) => {
                world.replicas[usize::from(replica)].follow(stored.uid);
                Event::Noticed(stored.seen(), Source::Watch)
            }
            Note::Deleted(uid) => Event::Deleted(Uid(u128::from(uid))),
        };
        self.drive(world, replica, event);
    }

    fn fail_look(&self, world: &mut World, replica: u8, trouble: Trouble) {
        if let Pending::Looking { began, .. } = world.replicas[usize::from(replica)].pending {
            self.drive(world, replica, Event::Looked { began, answer: Err((trouble, None)) });
        }
    }

    fn guards(&self, stored: &Stored, write: &Write) -> bool {
        let (uid, version) = (stored.uid == write.uid, stored.version == write.version);
        match self.variant {
            Variant::NoGuard => true,
            Variant::NoUidGuard => version,
            _ => uid && version,
        }
    }

    /// From `world` on without faults: the line must end as asked, be claimed as such, and stay so.
    fn converges(&self, world: &World) -> bool {
        let mut world = world.clone();
        world.left = Bounds::default();
        let mut quiet = 0;
        for _ in 0..400 {
            if world.lies() {
                return false;
            }
            let next = self.enabled(&world).into_iter().find(|step| match step {
                Move::Thaw(_)
                | Move::TakeOver { stale: false, .. }
                | Move::StepDown(_)
                | Move::Start(_)
                | Move::Deliver { last: false, .. }
                | Move::Wake(_)
                | Move::Serve(_)
                | Move::Return(_)
                | Move::Put(_)
                | Move::Land(_)
                | Move::Answer(_)
                | Move::Obstruct(false)
                | Move::Rotate(false)
                | Move::AnswerPage { row: Row::Fresh, .. }
                | Move::TakeRow(_)
                | Move::Apply { heard: true, .. } => true,
                _ => false,
            });
            let step = next.unwrap_or(Move::Tick);
            if step == Move::Tick {
                quiet = if self.is_right(&world) { quiet + 1 } else { 0 };
                if quiet > 4 {
                    return true;
                }
            }
            world = self.next_state(&world, step).unwrap_or(world);
        }
        false
    }

    /// The line is as asked and claimed to be; or its change was given up, where it can have been refused.
    fn is_right(&self, world: &World) -> bool {
        world.object.is_none_or(|object| {
            let claimed = object.claim.is_some_and(|(generation, _)| generation == object.generation);
            if world.has_another_line(&object) {
                return object.replaced && !claimed;
            }
            let right = object.paused != world.line.active;
            let failed = object.failed.is_some() && self.bounds.refusals > 0;
            object.suspend || right && (claimed && world.runs_as_asked(&object) || failed)
        })
    }

    fn follows(&self, world: &World) -> bool {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish().is_multiple_of(self.follow_every)
    }

    fn enabled(&self, world: &World) -> Vec<Move> {
        let mut moves = Vec::with_capacity(24);
        self.actions(world, &mut moves);
        moves
    }
}

/// Whether rule 1 asks for a call at once, in the words of the design.
fn must_go_out(known: &Memory, object: &Object) -> bool {
    let changes = known.seen.as_ref().is_some_and(|seen| {
        let difference = object.config.difference(&seen.config, Lists::Replace);
        !difference.is_empty()
    });
    let wanted = if changes { Action::Pause } else { Action::for_paused(object.paused) };
    // A resume has to wait for what a PATCH before it may still do.
    let waits = wanted == Action::Resume && !object.config.is_empty();
    let differs = known.seen.as_ref().is_some_and(|seen| seen.state != wanted.state());
    let in_doubt = known.doubts.of(wanted.contrary()) > NOW && (!changes || object.paused);
    known.quorum
        && !known.reread
        && known.obstacle.is_none()
        && object.mode == Mode::Correct
        && known.gone != Some(object.uid)
        && object.version > known.newest
        && !object.is_changed_by(known.identity)
        && known.object.as_ref().is_some_and(|o| o.uid == object.uid && o.generation != object.generation)
        && !waits
        && (differs || in_doubt)
}

/// The configuration that asks for this version; 0 asks for none.
fn managed(version: u8) -> Arc<Managed> {
    static CONFIGS: LazyLock<[Arc<Managed>; 3]> = LazyLock::new(|| {
        [None, Some(1), Some(2)].map(|app_version| Arc::new(Managed { app_version, ..Managed::default() }))
    });
    Arc::clone(&CONFIGS[usize::from(version)])
}

/// What a look shows of a line that runs this version.
fn shown(version: u8) -> Arc<Shown> {
    static CONFIGS: LazyLock<[Arc<Shown>; 3]> = LazyLock::new(|| {
        [None, Some(1), Some(2)].map(|app_version| Arc::new(Shown { app_version, ..Shown::default() }))
    });
    Arc::clone(&CONFIGS[usize::from(version)])
}

/// What tells this line from others; 0 is told nothing.
fn identity(which: u8) -> Identity {
    Identity::new(None, (which > 0).then(|| jiff::Timestamp::constant(i64::from(which), 0)))
}

impl Line {
    fn sight(self) -> Sight {
        let state = if self.active { State::Active } else { State::Paused };
        Sight { state, config: shown(self.runs), identity: identity(self.which) }
    }
}

impl Stored {
    /// As somebody has just made it, with a version to come.
    fn new(uid: u8, paused: bool, wants: u8) -> Self {
        let (suspend, failed, claim) = (false, None, None);
        let (version, generation, adopted, replaced) = (0, 1, 0, false);
        Self { uid, version, generation, paused, suspend, wants, failed, adopted, replaced, claim }
    }

    fn seen(&self) -> Object {
        Object {
            uid: Uid(u128::from(self.uid)),
            version: Version(u64::from(self.version)),
            generation: i64::from(self.generation),
            paused: self.paused,
            mode: if self.suspend { Mode::Suspend } else { Mode::Correct },
            config: managed(self.wants),
            // Slowness is not what this world is about.
            rollout: Rollout { max_pause: Duration::MAX, ..Rollout::default() },
            failed: self.failed,
            down_since: None,
            claims: self.claim.is_some_and(|(generation, _)| generation == self.generation),
            edited: self.claim.is_some_and(|(generation, _)| generation != self.generation),
            identity: identity(self.adopted),
            identity_changed: self.replaced,
        }
    }
}

impl Memory {
    /// What a variant makes of the line, whatever was shown.
    fn believe_in_the_line(&mut self) {
        self.identity = self.object.as_ref().map_or(self.identity, |object| object.identity);
    }
}

impl Replica {
    fn new() -> Self {
        Self {
            up: true,
            frozen: false,
            leads: false,
            memory: Memory::first(),
            pending: Pending::Idle(Time::NEVER),
            age: 0,
            epoch: 0,
            saw: 0,
            paused_it: false,
            queue: VecDeque::new(),
            follows: 0,
            page: None,
            rowed: false,
        }
    }

    fn runs(&self) -> bool {
        self.up && !self.frozen
    }

    /// Whether a row has changed what it knows, and no look was answered since.
    fn minds_row(&mut self, is_row: bool, is_look: bool, before: &Memory, after: &Memory) -> bool {
        if is_row {
            self.rowed |= before != after;
            let shown = self.page.take().and_then(|page| page.row.flatten());
            if let Some((line, epoch)) = shown.filter(|_| before.looked() != after.looked()) {
                (self.saw, self.epoch) = (line.which, epoch);
            }
        }
        self.rowed &= !is_look;
        self.rowed
    }

    /// Works for this object from now on.
    fn follow(&mut self, uid: u8) {
        if self.follows != uid {
            (self.follows, self.saw) = (uid, 0);
        }
    }

    /// Whether a call would be made although the last look, or before it the status, tells of another line.
    fn is_mistaken(&self, memory: &Memory) -> bool {
        memory.object.as_ref().is_some_and(|object| match self.saw {
            0 => object.identity_changed,
            saw => object.identity.differs_from(identity(saw)),
        })
    }

    /// Dies, or ends its term: forgets all but what the watch brings.
    fn forget(&mut self) {
        self.leads = false;
        self.memory = Memory::first();
        self.pending = Pending::Idle(Time::NEVER);
        self.age = 0;
        self.epoch = 0;
        self.saw = 0;
        self.paused_it = false;
        self.queue.clear();
        self.follows = 0;
        self.page = None;
        self.rowed = false;
    }
}

impl World {
    fn new(bounds: Bounds) -> Self {
        // With a configuration the line is live, and a change of it is what is looked at.
        let wants = u8::from(bounds.configs > 0);
        let paused = wants == 0;
        let stored = Stored { version: 1, ..Stored::new(1, paused, wants) };
        let heir = Stored { uid: HEIR, version: 2, paused: !paused, ..stored };
        Self {
            left: bounds,
            object: Some(stored),
            before: None,
            heir: (bounds.heirs > 0).then_some(heir),
            uids: 1,
            line: Line { active: true, runs: 1, which: u8::from(bounds.swaps > 0) },
            epoch: 0,
            past: Vec::new(),
            calls: Vec::new(),
            writes: Vec::new(),
            led: false,
            holder: None,
            lease: 0,
            replicas: [Replica::new(), Replica::new()],
            obstacle: false,
            old_key: false,
            dawdled: false,
            exposed: false,
            rushed: false,
            mistaken: false,
        }
    }

    /// Whether the lease is this replica's, and good.
    fn leads(&self, replica: u8) -> bool {
        self.holder == Some(replica) && self.lease > 0
    }

    fn runs_as_asked(&self, object: &Stored) -> bool {
        object.wants == 0 || object.wants == self.line.runs
    }

    /// Whether the id leads to another line than the object has adopted.
    fn has_another_line(&self, object: &Stored) -> bool {
        object.adopted > 0 && object.adopted != self.line.which
    }

    /// The status claims what is not so, and nobody outside has touched the line since it was looked at.
    fn lies(&self) -> bool {
        self.object.is_some_and(|object| {
            (object.paused == self.line.active || !self.runs_as_asked(&object) || self.has_another_line(&object))
                && object
                    .claim
                    .is_some_and(|(generation, epoch)| generation == object.generation && epoch == self.epoch)
        })
    }

    fn store(&mut self, object: Option<Stored>) {
        let note = match (object, self.object) {
            (Some(stored), _) => Note::Applied(stored),
            (None, Some(old)) => Note::Deleted(old.uid),
            (None, None) => return,
        };
        let spec = |stored: Stored| (stored.uid, stored.generation);
        if self.object.map(spec) != object.map(spec) {
            self.before = self.object;
        }
        self.object = object;
        for replica in self.replicas.iter_mut().filter(|replica| replica.leads) {
            replica.queue.push_back(note);
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Stored)) {
        if let Some(mut stored) = self.object {
            stored.version = self.next_version();
            stored.generation += 1;
            stored.failed = None;
            change(&mut stored);
            self.store(Some(stored));
        }
    }

    fn next_version(&self) -> u8 {
        self.versions().into_iter().max().unwrap_or(0) + 1
    }

    fn put_write(&mut self, owner: u8, verdict: Verdict) {
        let replica = &self.replicas[usize::from(owner)];
        let Some(object) = &replica.memory.object else {
            return;
        };
        self.writes.push(Write {
            owner: Some(owner),
            verdict,
            uid: u8::try_from(object.uid.0).unwrap(),
            version: u8::try_from(object.version.0).unwrap(),
            generation: u8::try_from(object.generation).unwrap(),
            epoch: replica.epoch,
            line: replica.saw,
        });
    }

    /// Hands an answer to the replica that waits for it, to be read when it runs.
    fn told(&mut self, owner: Option<u8>, told: Told) {
        let Some(owner) = owner else { return };
        match &mut self.replicas[usize::from(owner)].pending {
            Pending::Telling(_, answer) | Pending::Sending { beside: Some((_, answer)), .. } => *answer = Some(told),
            _ => {}
        }
    }

    fn sent(&mut self, owner: Option<u8>, outcome: Sent) {
        let Some(owner) = owner else { return };
        if let Pending::Sending { sent, .. } = &mut self.replicas[usize::from(owner)].pending {
            *sent = Some(outcome);
        }
    }

    /// Every version that anything in the world knows of.
    fn versions(&self) -> Vec<u8> {
        let mut versions: Vec<u8> =
            self.object.iter().chain(&self.before).chain(&self.heir).map(|stored| stored.version).collect();
        versions.extend(self.writes.iter().map(|write| write.version));
        for replica in &self.replicas {
            versions.push(u8::try_from(replica.memory.newest.0).unwrap());
            versions.extend(replica.memory.object.as_ref().map(|object| u8::try_from(object.version.0).unwrap()));
            versions.extend(replica.queue.iter().filter_map(|note| match note {
                Note::Applied(stored) => Some(stored.version),
                Note::Deleted(_) => None,
            }));
            match replica.pending {
                Pending::Reading(Some(Some(stored))) => versions.push(stored.version),
                Pending::Telling(_, Some(Told::Written(version, _)))
                | Pending::Sending { beside: Some((_, Some(Told::Written(version, _)))), .. } => {
                    versions.push(u8::try_from(version.0).unwrap());
                }
                _ => {}
            }
        }
        versions
    }

    /// One state for all that differ only in how long ago things were and in how large the versions are.
    fn canonical(mut self) -> Self {
        let mut ranks = self.versions();
        ranks.push(0);
        ranks.sort_unstable();
        ranks.dedup();
        let rank = |version: &mut u8| *version = u8::try_from(ranks.binary_search(version).unwrap_or(0)).unwrap();
        let rank64 = |version: &mut Version| {
            let mut small = u8::try_from(version.0).unwrap();
            rank(&mut small);
            version.0 = u64::from(small);
        };
        for stored in self.object.iter_mut().chain(&mut self.before).chain(&mut self.heir) {
            rank(&mut stored.version);
        }
        for write in &mut self.writes {
            rank(&mut write.version);
        }
        for replica in &mut self.replicas {
            rank64(&mut replica.memory.newest);
            if let Some(object) = &mut replica.memory.object {
                rank64(&mut object.version);
            }
            for note in &mut replica.queue {
                if let Note::Applied(stored) = note {
                    rank(&mut stored.version);
                }
            }
            match &mut replica.pending {
                Pending::Reading(Some(Some(stored))) => rank(&mut stored.version),
                Pending::Telling(_, Some(Told::Written(version, _)))
                | Pending::Sending { beside: Some((_, Some(Told::Written(version, _)))), .. } => rank64(version),
                _ => {}
            }
            replica.canonical_times();
        }
        let by_content = |call: &Call| (call.does, call.owner, call.landed, call.answered, call.life);
        self.calls.sort_unstable_by_key(by_content);
        if self.left.lags == 0 {
            self.past.clear();
        }
        self
    }

    fn age(&mut self) {
        for replica in &mut self.replicas {
            let memory = &mut replica.memory;
            let mut times = vec![
                &mut memory.doubts.pause,
                &mut memory.doubts.resume,
                &mut memory.read_at,
                &mut memory.look_at,
                &mut memory.hold,
                &mut memory.contest.until,
            ];
            times.push(&mut memory.doubts.patches);
            times.extend(memory.doubts.patch.iter_mut().map(|(_, until)| until));
            times.extend(memory.settling.iter_mut().map(|(_, until)| until));
            times.extend(memory.obstacle.iter_mut().map(|(_, since)| since));
            times.extend(memory.failing.iter_mut().map(|failing| &mut failing.since));
            times.extend(memory.seen.iter_mut().map(|seen| &mut seen.began));
            match &mut replica.pending {
                Pending::Idle(until) => times.push(until),
                Pending::Looking { began, .. } => times.push(began),
                _ => {}
            }
            if let Some(page) = &mut replica.page {
                times.push(&mut page.began);
                page.age = if page.row.is_some() { 0 } else { page.age.saturating_add(1).min(2) };
            }
            for time in times {
                if *time != Time::NEVER {
                    time.0 = time.0.saturating_sub(1);
                }
            }
            replica.age =
                if matches!(replica.pending, Pending::Idle(_)) { 0 } else { replica.age.saturating_add(1).min(2) };
        }
        for call in &mut self.calls {
            call.life = call.life.saturating_sub(1);
        }
        for past in &mut self.past {
            past.ended += 1;
        }
        self.past.retain(|past| past.ended <= CALL + LAG);
    }

    /// Something happens to the line.
    fn change_line(&mut self, change: impl FnOnce(&mut Line, &mut u8)) {
        let sighting = (self.line, self.epoch);
        change(&mut self.line, &mut self.epoch);
        if sighting != (self.line, self.epoch) {
            self.past.retain(|past| past.sighting != sighting);
            self.past.push(Past { sighting, ended: 0 });
        }
    }

    /// What can still be shown by an answer to what was asked that many ticks ago.
    fn shows_old(&self, age: u8) -> impl Iterator<Item = usize> {
        let shown = self.past.iter().enumerate().filter(move |(_, past)| past.ended <= age + LAG);
        shown.map(|(i, _)| i)
    }
}

impl Replica {
    /// Past moments count by their order only: those of looks and doubts by rank, the others not at all.
    fn canonical_times(&mut self) {
        let memory = &mut self.memory;
        for time in [&mut memory.read_at, &mut memory.look_at, &mut memory.hold, &mut memory.contest.until] {
            *time = (*time).max(PAST);
        }
        // No run lasts until it is calm again.
        memory.contest.at = PAST;
        memory.failures = memory.failures.min(LONGEST_BACKOFF);
        memory.contest.rounds = memory.contest.rounds.min(LONGEST_BACKOFF);
        if let Pending::Idle(until) = &mut self.pending {
            *until = (*until).max(PAST);
        }
        if let Some((_, until)) = &mut memory.settling {
            *until = (*until).max(PAST);
        }
        if let Some((_, since)) = &mut memory.obstacle {
            *since = (*since).max(Time(PAST.0 - 1));
        }
        if let Some(failing) = &mut memory.failing {
            failing.since = PAST;
        }
        for since in [&mut memory.rollout.down_since, &mut memory.rollout.counts_from].into_iter().flatten() {
            *since = PAST;
        }
        let mut ranked = vec![&mut memory.doubts.pause, &mut memory.doubts.resume, &mut memory.doubts.patches];
        ranked.extend(memory.doubts.patch.iter_mut().map(|(_, until)| until));
        ranked.extend(memory.seen.iter_mut().map(|seen| &mut seen.began));
        if let Pending::Looking { began, .. } = &mut self.pending {
            ranked.push(began);
        }
        ranked.extend(self.page.iter_mut().map(|page| &mut page.began));
        let mut past: Vec<u64> = ranked.iter().map(|time| time.0).filter(|time| *time < NOW.0).collect();
        past.sort_unstable();
        past.dedup();
        for time in ranked {
            if let Ok(rank) = past.binary_search(&time.0) {
                time.0 = NOW.0 - (past.len() - rank) as u64;
            }
        }
    }
}

impl Model for Check {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self.bounds);
        world.line.active &= !self.paused_at_first;
        if self.replaced_at_first {
            world.led = true;
            world.object = world.object.map(|object| Stored { adopted: 2, replaced: true, ..object });
        }
        vec![world]
    }

    #[allow(clippy::too_many_lines, reason = "one list of everything that can happen")]
    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        let left = &world.left;
        let mut late = false;
        for (r, replica) in world.replicas.iter().enumerate() {
            let id = u8::try_from(r).unwrap();
            if !replica.up {
                moves.push(Move::Start(id));
                continue;
            }
            if left.crashes > 0 {
                moves.push(Move::Crash(id));
            }
            if replica.frozen {
                moves.push(Move::Thaw(id));
                // The assumption on freezes between the look at the lease and the socket.
                late |= matches!(replica.pending, Pending::Checked { .. }) && replica.age >= FREEZE;
                continue;
            }
            if left.panics > 0 && replica.leads && !matches!(replica.pending, Pending::Idle(_)) {
                moves.push(Move::Panic(id));
            }
            if left.freezes > 0 && replica.leads {
                moves.push(Move::Freeze(id));
            }
            let holds = world.leads(id);
            if replica.leads && !holds {
                moves.push(Move::StepDown(id));
                late = true;
            }
            if !replica.leads && (world.holder.is_none() || world.lease == 0) {
                moves.push(Move::TakeOver { replica: id, stale: false });
                if world.before.is_some() {
                    moves.push(Move::TakeOver { replica: id, stale: true });
                }
            }
            let waits = matches!(replica.pending, Pending::Idle(_) | Pending::Looking { .. });
            if !replica.queue.is_empty() && waits {
                moves.push(Move::Deliver { replica: id, last: false });
                if replica.queue.len() > 1 {
                    moves.push(Move::Deliver { replica: id, last: true });
                }
            }
            match replica.page {
                None => moves.extend((left.pages > 0 && holds && replica.leads).then_some(Move::AskPage(id))),
                Some(Page { row: None, age, .. }) => {
                    let old = world.shows_old(age).map(Row::Old).filter(|_| left.lags > 0);
                    let rows = [Row::Fresh, Row::Missing].into_iter().chain(old);
                    moves.extend(rows.map(|row| Move::AnswerPage { replica: id, row }));
                    late |= age >= CALL;
                }
                Some(_) if waits || replica.memory.in_flight.is_some() => moves.push(Move::TakeRow(id)),
                Some(_) => {}
            }
            match replica.pending {
                Pending::Idle(until)
                    if replica.leads && (until <= NOW || replica.memory.obstacle.is_some() != world.obstacle) =>
                {
                    moves.push(Move::Wake(id));
                    late = true;
                }
                Pending::Idle(_) => {
                    if left.handovers > 0 && holds && replica.leads {
                        moves.push(Move::HandOver(id));
                    }
                }
                Pending::Reading(served) => {
                    moves.push(if served.is_some() { Move::Return(id) } else { Move::Serve(id) });
                    late |= replica.age >= CALL;
                }
                Pending::Looking { served, .. } => {
                    moves.push(match served {
                        Some(_) => Move::Return(id),
                        None if world.old_key => Move::Reject(id),
                        None => Move::Serve(id),
                    });
                    let lags = left.lags > 0 && served.is_none() && self.variant != Variant::PageLagLeftOut;
                    if lags && !world.old_key {
                        moves.extend(world.shows_old(replica.age).map(|past| Move::ServeOld { replica: id, past }));
                    }
                    if left.losses > 0 {
                        moves.push(Move::FailLook(id));
                    }
                    late |= replica.age >= CALL;
                }
                Pending::Checked { .. } => {
                    moves.push(Move::Put(id));
                    late = true;
                }
                Pending::Sending { .. } => {}
                Pending::Telling(..) => late |= replica.age >= CALL,
            }
        }
        for (i, call) in world.calls.iter().enumerate() {
            if !call.landed {
                moves.push(Move::Land(i));
                if call.owner.is_none() && !call.answered {
                    moves.push(Move::Vanish(i));
                }
            }
            if let Some(owner) = call.owner {
                let open = !call.landed && !call.answered;
                let (refusable, rejected) = (open && matches!(call.does, Does::Patch(_)), open && world.old_key);
                moves.extend((refusable && left.refusals > 0 || rejected).then_some(Move::Refuse(i)));
                if !call.answered {
                    if call.landed || self.early_answers {
                        moves.push(Move::Answer(i));
                    }
                    if left.losses > 0 {
                        moves.push(Move::Lose(i));
                    }
                }
                late |= world.replicas[usize::from(owner)].runs() && call.life <= LATENESS;
            }
            late |= call.life == 0 && !call.landed;
        }
        for i in 0..world.writes.len() {
            moves.push(Move::Apply { write: i, heard: true });
            if left.losses > 0 {
                moves.push(Move::Apply { write: i, heard: false });
            }
            if world.writes[i].owner.is_none() {
                moves.push(Move::Forget(i));
            }
        }
        if world.object.is_some() {
            moves.extend((left.edits > 0).then_some(Move::Edit));
            moves.extend((left.configs > 0).then_some(Move::Config));
            moves.extend((left.touches > 0).then_some(Move::Touch));
            moves.extend((left.suspends > 0).then_some(Move::Suspend));
            moves.extend((left.deletions > 0).then_some(Move::Delete));
        } else {
            moves.extend([true, false].map(|paused| Move::Create { paused }));
        }
        moves.extend((left.flips > 0).then_some(Move::Flip));
        moves.extend((left.swaps > 0).then_some(Move::Swap));
        if world.obstacle {
            moves.push(Move::Obstruct(false));
        } else if left.obstacles > 0 {
            moves.push(Move::Obstruct(true));
        }
        if world.old_key {
            moves.push(Move::Rotate(false));
        } else if left.rotations > 0 {
            moves.push(Move::Rotate(true));
        }
        if !late {
            moves.push(Move::Tick);
        }
    }

    #[allow(clippy::too_many_lines, reason = "one place for what each thing does")]
    fn next_state(&self, last: &World, step: Move) -> Option<World> {
        let mut world = last.clone();
        match step {
            Move::Tick => {
                world.age();
                let renewed = world.holder.is_some_and(|holder| {
                    let replica = &world.replicas[usize::from(holder)];
                    replica.runs() && replica.leads
                });
                world.lease = if renewed { LEASE } else { world.lease.saturating_sub(1) };
            }
            Move::Edit => {
                world.left.edits -= 1;
                world.edit(|stored| stored.paused = !stored.paused);
            }
            Move::Config => {
                world.left.configs -= 1;
                world.edit(|stored| stored.wants = 3 - stored.wants);
            }
            Move::Touch => {
                world.left.touches -= 1;
                world.edit(|_| {});
            }
            Move::Suspend => {
                world.left.suspends -= 1;
                world.edit(|stored| stored.suspend = !stored.suspend);
            }
            Move::Delete => {
                world.left.deletions -= 1;
                world.store(None);
                if let Some(heir) = world.heir.take() {
                    world.store(Some(heir));
                    world.before = last.object;
                }
            }
            Move::Create { paused } => {
                world.uids += 1;
                let version =
                    if self.restored { last.before.map_or(1, |old| old.version) } else { world.next_version() };
                let wants = u8::from(self.bounds.configs > 0);
                world.store(Some(Stored { version, ..Stored::new(world.uids, paused, wants) }));
            }
            Move::Flip => {
                world.left.flips -= 1;
                world.change_line(|line, epoch| {
                    *epoch += 1;
                    line.active = !line.active;
                });
            }
            Move::Swap => {
                world.left.swaps -= 1;
                world.change_line(|line, epoch| {
                    *epoch += 1;
                    (line.active, line.which) = (!line.active, 3 - line.which);
                });
            }
            Move::Rotate(old_key) => {
                world.left.rotations -= u8::from(old_key);
                world.old_key = old_key;
            }
            Move::Obstruct(there) => {
                world.left.obstacles -= u8::from(there);
                world.obstacle = there;
                for id in 0..2 {
                    let replica = &world.replicas[usize::from(id)];
                    // The controller hands it over where it waits; a busy line hears of it with the next note.
                    if replica.leads && replica.runs() && matches!(replica.pending, Pending::Idle(_)) {
                        let obstacle = there.then_some(Obstacle::SecretNotFound);
                        self.drive(&mut world, id, Event::Hindered(obstacle));
                    }
                }
            }
            Move::Crash(id) => {
                world.left.crashes -= 1;
                let replica = &mut world.replicas[usize::from(id)];
                replica.forget();
                replica.up = false;
                replica.frozen = false;
                world.orphan(id);
            }
            Move::Panic(id) => {
                world.left.panics -= 1;
                // Here the call ends with the panic, not by its timeout.
                for call in world.calls.iter_mut().filter(|call| call.owner == Some(id)) {
                    call.life = call.life.min(LATENESS);
                }
                world.orphan(id);
                self.drive(&mut world, id, Event::Interrupted);
            }
            Move::Start(id) => world.replicas[usize::from(id)].up = true,
            Move::Freeze(id) => {
                world.left.freezes -= 1;
                world.replicas[usize::from(id)].frozen = true;
            }
            Move::Thaw(id) => {
                world.replicas[usize::from(id)].frozen = false;
                self.settle(&mut world, id);
            }
            Move::TakeOver { replica: id, stale } => {
                world.holder = Some(id);
                world.lease = LEASE;
                let first = !world.led || self.variant == Variant::TrustAfterTakeOver;
                world.led = true;
                let replica = &mut world.replicas[usize::from(id)];
                replica.forget();
                replica.leads = true;
                replica.memory = if first { Memory::first() } else { Memory::inherited(&self.settings, NOW) };
                replica.memory.quorum = self.variant == Variant::NoQuorumRead;
                let shown = if stale { last.before } else { last.object };
                if stale {
                    let deleted = last.before.map(|old| Note::Deleted(old.uid));
                    replica.queue.extend(last.object.map(Note::Applied).or(deleted));
                }
                if world.obstacle {
                    self.drive(&mut world, id, Event::Hindered(Some(Obstacle::SecretNotFound)));
                }
                if let Some(stored) = shown {
                    self.notice(&mut world, id, Note::Applied(stored));
                }
            }
            Move::HandOver(id) => {
                world.left.handovers -= 1;
                world.holder = None;
                world.lease = 0;
                world.replicas[usize::from(id)].forget();
                world.orphan(id);
            }
            Move::StepDown(id) => {
                world.replicas[usize::from(id)].forget();
                world.orphan(id);
            }
            Move::Deliver { replica, last } => {
                let queue = &mut world.replicas[usize::from(replica)].queue;
                let note = if last { queue.pop_back() } else { queue.pop_front() }?;
                if last {
                    queue.clear();
                }
                self.notice(&mut world, replica, note);
            }
            Move::Wake(id) => {
                let obstacle = world.obstacle.then_some(Obstacle::SecretNotFound);
                self.drive(&mut world, id, Event::Hindered(obstacle));
            }
            Move::Serve(id) => {
                let line = (world.line, world.epoch);
                let replica = &mut world.replicas[usize::from(id)];
                // It is read by its name.
                let is_named = |stored: &Stored| (stored.uid == HEIR) == (replica.follows == HEIR);
                match &mut replica.pending {
                    Pending::Reading(served) => *served = Some(world.object.filter(is_named)),
                    Pending::Looking { served, .. } => *served = Some(line),
                    _ => return None,
                }
            }
            Move::ServeOld { replica: id, past } => {
                world.left.lags -= 1;
                let Pending::Looking { served, .. } = &mut world.replicas[usize::from(id)].pending else {
                    return None;
                };
                *served = Some(last.past[past].sighting);
            }
            Move::Return(id) => match world.replicas[usize::from(id)].pending {
                Pending::Reading(Some(object)) => {
                    let replica = &mut world.replicas[usize::from(id)];
                    let event = match object {
                        None => Event::Missing(Uid(u128::from(replica.follows))),
                        Some(stored) => {
                            replica.follow(stored.uid);
                            Event::Read(stored.seen())
                        }
                    };
                    self.drive(&mut world, id, event);
                }
                Pending::Looking { began, served: Some((line, epoch)) } => {
                    let replica = &mut world.replicas[usize::from(id)];
                    (replica.saw, replica.epoch) = (line.which, epoch);
                    self.drive(&mut world, id, Event::Looked { began, answer: Ok(line.sight()) });
                }
                _ => return None,
            },
            Move::FailLook(id) => {
                world.left.losses -= 1;
                self.fail_look(&mut world, id, Trouble::Unavailable);
            }
            Move::Reject(id) => self.fail_look(&mut world, id, Trouble::CredentialsRejected),
            Move::AskPage(id) => {
                world.left.pages -= 1;
                world.replicas[usize::from(id)].page = Some(Page { began: NOW, age: 0, row: None });
            }
            Move::AnswerPage { replica: id, row } => {
                let row = match row {
                    Row::Fresh => Some((last.line, last.epoch)),
                    Row::Old(past) => {
                        world.left.lags -= 1;
                        Some(last.past[past].sighting)
                    }
                    Row::Missing => None,
                };
                let page = world.replicas[usize::from(id)].page.as_mut()?;
                (page.age, page.row) = (0, Some(row));
            }
            Move::TakeRow(id) => {
                let Some(Page { began, row: Some(row), .. }) = world.replicas[usize::from(id)].page else {
                    return None;
                };
                let row = row.map(|(line, _)| line.sight());
                self.drive(&mut world, id, Event::Listed { began, row });
            }
            Move::Put(id) => {
                let Pending::Checked { does, beside } = world.replicas[usize::from(id)].pending else {
                    return None;
                };
                let life = CALL + LATENESS;
                world.calls.push(Call { does, owner: Some(id), landed: false, answered: false, life });
                if let Some(verdict) = beside {
                    world.put_write(id, verdict);
                }
                let replica = &mut world.replicas[usize::from(id)];
                replica.pending = Pending::Sending { beside: beside.map(|verdict| (verdict, None)), sent: None };
                replica.age = 0;
            }
            Move::Land(i) => {
                world.calls[i].landed = true;
                let does = world.calls[i].does;
                if let Does::Patch(version) = does {
                    // What somebody at the dashboard resumes in between is theirs.
                    world.exposed |= world.line.active && world.line.runs != version && world.epoch == 0;
                }
                world.change_line(|line, _| match does {
                    Does::Pause => line.active = false,
                    Does::Resume => line.active = true,
                    Does::Patch(version) => line.runs = version,
                });
                if world.calls[i].owner.is_none() {
                    world.calls.remove(i);
                }
            }
            Move::Answer(i) => {
                let call = world.calls[i];
                world.end_call(i, call.life.min(SETTLING), true);
                world.sent(call.owner, Sent::Clean(identity(world.line.which)));
                self.settle(&mut world, call.owner?);
            }
            Move::Refuse(i) => {
                let trouble = if world.old_key { Trouble::CredentialsRejected } else { Trouble::Refused };
                world.left.refusals -= u8::from(!world.old_key);
                let call = world.calls.remove(i);
                world.sent(call.owner, Sent::Refused(trouble));
                self.settle(&mut world, call.owner?);
            }
            Move::Lose(i) => {
                let call = world.calls[i];
                world.left.losses = world.left.losses.saturating_sub(1);
                world.end_call(i, call.life.min(LATENESS), false);
                world.sent(call.owner, Sent::Unclear(Trouble::Unavailable));
                self.settle(&mut world, call.owner?);
            }
            Move::Vanish(i) => {
                world.calls.remove(i);
            }
            Move::Apply { write: i, heard } => {
                let write = world.writes.remove(i);
                world.left.losses -= u8::from(!heard);
                let told = match world.object {
                    None => Told::Gone,
                    Some(stored) if !self.guards(&stored, &write) => Told::Outdated,
                    Some(mut stored) => {
                        let claim = write.verdict.claims().then_some((write.generation, write.epoch));
                        let failed = write.verdict.failure();
                        let replaced = write.verdict == Verdict::IdentityChanged;
                        let adopted = if stored.adopted > 0 { stored.adopted } else { write.line };
                        // What stands already is not written again: the controller compares.
                        let stands =
                            (stored.claim.map(|claim| claim.0), stored.failed, stored.replaced, stored.adopted);
                        if stands != (claim.map(|claim| claim.0), failed, replaced, adopted) {
                            stored = Stored { claim, failed, replaced, adopted, ..stored };
                            stored.version = world.next_version();
                            world.store(Some(stored));
                        }
                        Told::Written(Version(u64::from(stored.version)), identity(stored.adopted))
                    }
                };
                world.told(write.owner, if heard { told } else { Told::Failed });
                if let Some(owner) = write.owner {
                    self.settle(&mut world, owner);
                }
            }
            Move::Forget(i) => {
                world.writes.remove(i);
            }
        }
        if self.bounds.sum() - world.left.sum() >= self.faults {
            world.left = NONE;
        }
        Some(world.canonical())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LIES, |_, world: &World| !world.lies()),
            Property::always(DAWDLES, |_, world: &World| !world.dawdled),
            Property::always(EXPOSES, |_, world: &World| !world.exposed),
            Property::always(RUSHES, |_, world: &World| !world.rushed),
            Property::always(ERRS, |_, world: &World| !world.mistaken),
            Property::always(STRAYS, |check: &Check, world: &World| !check.follows(world) || check.converges(world)),
        ]
    }
}

impl World {
    /// The sender has its answer, or has given up: what is left of the call lives on by itself.
    fn end_call(&mut self, i: usize, life: u8, answered: bool) {
        let call = &mut self.calls[i];
        (call.owner, call.life, call.answered) = (None, life, answered);
        if call.landed {
            self.calls.remove(i);
        }
    }

    /// A process is gone: nobody waits for its calls and writes any more.
    fn orphan(&mut self, id: u8) {
        for call in self.calls.iter_mut().filter(|call| call.owner == Some(id)) {
            call.owner = None;
        }
        self.calls.retain(|call| !(call.landed && call.owner.is_none()));
        for write in self.writes.iter_mut().filter(|write| write.owner == Some(id)) {
            write.owner = None;
        }
    }
}

/// How many states one run comes upon at most, breadth first: what lies further costs minutes and gigabytes. `MODEL_STEPS` sets
/// another number for the largest bound, as `make model` does.
const STEPS: usize = 600_000;

/// The same for a variant, which must be caught by then.
const VARIANT_STEPS: usize = 3_000_000;

/// What a walk found: each property that is broken, and the number of events on the way there.
type Violations = Vec<(&'static str, usize)>;

fn broken(check: Check) -> Violations {
    walk(check, 2, STEPS)
}

/// Walks breadth first, until something is found; with one thread always the same way.
fn walk(check: Check, threads: usize, most: usize) -> Violations {
    let (variant, bounds, started) = (check.variant, check.bounds, Instant::now());
    let checker = check.checker().threads(threads).finish_when(HasDiscoveries::Any).target_state_count(most);
    let checker = checker.spawn_bfs().join();
    let mut violations = Vec::new();
    for (name, path) in checker.discoveries() {
        if variant == Variant::Real {
            println!("{name}: {path}");
        }
        violations.push((name, path.into_actions().len()));
    }
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    let extent = if states < most { "all of it" } else { "the nearest" };
    println!(
        "{variant:?} {bounds:?}: {states} states, {unique} unique, depth {depth}, {extent}, {:.1} seconds, {} violations {violations:?}",
        started.elapsed().as_secs_f64(),
        violations.len(),
    );
    violations
}

const NONE: Bounds = Bounds {
    edits: 0,
    configs: 0,
    refusals: 0,
    touches: 0,
    suspends: 0,
    deletions: 0,
    flips: 0,
    swaps: 0,
    crashes: 0,
    panics: 0,
    freezes: 0,
    handovers: 0,
    losses: 0,
    obstacles: 0,
    rotations: 0,
    pages: 0,
    lags: 0,
    heirs: 0,
};

const LIES: &str = "the status never lies";
const DAWDLES: &str = "an edit goes out at once";
const EXPOSES: &str = "nobody reaches a line that is being changed";
const RUSHES: &str = "no call is made because of a row";
const ERRS: &str = "no call is made for another line";
const STRAYS: &str = "without faults it becomes right and stays so";

#[test]
fn the_protocol_holds() {
    for bounds in [
        Bounds { edits: 1, losses: 1, crashes: 1, ..NONE },
        Bounds { edits: 2, losses: 1, ..NONE },
        Bounds { edits: 1, losses: 1, freezes: 1, ..NONE },
        Bounds { edits: 1, losses: 1, handovers: 1, ..NONE },
        Bounds { edits: 1, losses: 1, deletions: 1, ..NONE },
        Bounds { edits: 1, losses: 1, flips: 1, ..NONE },
        Bounds { edits: 1, flips: 4, ..NONE },
        Bounds { edits: 1, losses: 1, panics: 1, ..NONE },
        Bounds { edits: 1, touches: 1, obstacles: 1, ..NONE },
        Bounds { edits: 1, losses: 1, suspends: 2, ..NONE },
        Bounds { configs: 2, losses: 1, ..NONE },
        Bounds { configs: 1, edits: 1, losses: 1, ..NONE },
        Bounds { configs: 1, crashes: 1, losses: 1, ..NONE },
        Bounds { configs: 1, handovers: 1, losses: 1, ..NONE },
        Bounds { configs: 1, freezes: 1, ..NONE },
        Bounds { configs: 1, flips: 1, losses: 1, ..NONE },
        Bounds { configs: 1, edits: 1, refusals: 1, ..NONE },
        Bounds { edits: 1, losses: 1, pages: 1, ..NONE },
        Bounds { edits: 1, flips: 1, pages: 2, ..NONE },
        Bounds { edits: 2, losses: 1, lags: 1, ..NONE },
        Bounds { edits: 2, pages: 1, lags: 1, ..NONE },
        Bounds { edits: 1, losses: 1, rotations: 1, ..NONE },
        Bounds { configs: 1, edits: 1, rotations: 1, ..NONE },
        Bounds { edits: 1, losses: 1, deletions: 1, heirs: 1, ..NONE },
        Bounds { edits: 1, losses: 1, swaps: 1, ..NONE },
        Bounds { edits: 1, crashes: 1, swaps: 2, ..NONE },
        Bounds { deletions: 1, pages: 1, swaps: 1, ..NONE },
    ] {
        assert_eq!(broken(Check::new(Variant::Real, bounds)), []);
    }
    let restored = Check { restored: true, ..Check::new(Variant::Real, Bounds { edits: 1, deletions: 1, ..NONE }) };
    assert_eq!(broken(restored), []);
    let bounds = Bounds { configs: 1, losses: 1, ..NONE };
    let paused = Check { paused_at_first: true, ..Check::new(Variant::Real, bounds) };
    assert_eq!(broken(paused), []);
    let bounds = Bounds { edits: 1, losses: 1, swaps: 1, ..NONE };
    let replaced = Check { replaced_at_first: true, ..Check::new(Variant::Real, bounds) };
    assert_eq!(broken(replaced), []);
}

/// Any two of all that may happen, in one world.
#[test]
fn the_largest_bound() {
    let most = std::env::var("MODEL_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
    let bounds = Bounds {
        edits: 2,
        configs: 2,
        refusals: 1,
        touches: 2,
        suspends: 2,
        deletions: 2,
        flips: 2,
        swaps: 2,
        crashes: 2,
        panics: 2,
        freezes: 2,
        handovers: 2,
        losses: 2,
        obstacles: 2,
        rotations: 2,
        pages: 2,
        lags: 2,
        heirs: 1,
    };
    let largest = Check { faults: 2, follow_every: 1024, ..Check::new(Variant::Real, bounds) };
    assert_eq!(walk(largest, 2, most), []);
}

/// The check can tell: without any one rule it finds the fault, and the documentation says after how many events.
#[test]
fn no_rule_can_be_left_out() {
    let found: Vec<_> = VARIANTS
        .iter()
        .map(|&(variant, bounds, expected)| {
            let follow_every = if expected == STRAYS { 1 } else { u64::MAX };
            let violations = walk(Check { follow_every, ..Check::new(variant, bounds) }, 1, VARIANT_STEPS);
            let events = violations.iter().find(|(property, _)| *property == expected).map(|(_, events)| *events);
            (format!("`{variant:?}`"), expected, events.expect("it is caught").to_string())
        })
        .collect();
    let (_, table) = include_str!("../../../docs/protocol.md").split_once("\n| Variant |").expect("there is a table");
    let cells = |row: &'static str| -> Vec<_> { row.trim_matches('|').split('|').map(str::trim).collect() };
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells);
    let told: Vec<_> = rows.map(|cells| (cells[0].to_owned(), cells[4], cells[5].to_owned())).collect();
    assert_eq!(found, told, "what catches which, after how many events; and the table of docs/protocol.md");
}

/// Each variant by its rule, the world in which it is caught, and the property that it breaks.
const VARIANTS: [(Variant, Bounds, &str); 28] = [
    (Variant::LookBeforeEdit, Bounds { edits: 1, ..NONE }, DAWDLES),
    (Variant::DoubtsOfObject, Bounds { edits: 1, losses: 1, deletions: 1, ..NONE }, LIES),
    (Variant::DoubtTooShort, Bounds { edits: 2, losses: 1, ..NONE }, LIES),
    (Variant::SettleTooShort, Bounds { edits: 2, losses: 1, ..NONE }, LIES),
    (Variant::RejectedIsRefused, Bounds { configs: 1, rotations: 1, ..NONE }, STRAYS),
    (Variant::LookLagLeftOut, Bounds { edits: 2, lags: 1, ..NONE }, LIES),
    (Variant::PageLagLeftOut, Bounds { edits: 2, pages: 1, lags: 1, ..NONE }, LIES),
    (Variant::ReadyAtOnce, Bounds { edits: 2, losses: 1, ..NONE }, LIES),
    (Variant::JudgedAtTheEnd, Bounds { edits: 2, losses: 1, ..NONE }, LIES),
    (Variant::RowJudgedOnArrival, Bounds { edits: 2, pages: 1, ..NONE }, LIES),
    (Variant::NoGuard, Bounds { edits: 1, losses: 1, deletions: 1, ..NONE }, LIES),
    (Variant::NoUidGuard, Bounds { edits: 1, losses: 1, deletions: 1, ..NONE }, LIES),
    (Variant::TrustAfterTakeOver, Bounds { edits: 1, losses: 1, handovers: 1, ..NONE }, LIES),
    (Variant::TakeOverTooShort, Bounds { edits: 1, freezes: 1, ..NONE }, LIES),
    (Variant::NoQuorumRead, Bounds { edits: 1, handovers: 1, ..NONE }, LIES),
    (Variant::OlderActedOn, Bounds { edits: 2, ..NONE }, LIES),
    (Variant::HeirPassedOver, Bounds { edits: 1, deletions: 1, heirs: 1, ..NONE }, STRAYS),
    (Variant::RowTrusted, Bounds { flips: 1, pages: 1, ..NONE }, RUSHES),
    (Variant::NoLease, Bounds { edits: 1, freezes: 1, ..NONE }, LIES),
    (Variant::AbsenceIsDeletion, Bounds { edits: 1, pages: 1, ..NONE }, STRAYS),
    (Variant::AbsenceIsNotFound, Bounds { edits: 1, pages: 1, ..NONE }, STRAYS),
    (Variant::PositionRemembered, Bounds { configs: 1, crashes: 1, ..NONE }, STRAYS),
    (Variant::PatchTrusted, Bounds { configs: 1, ..NONE }, EXPOSES),
    (Variant::ResumeBeforeLook, Bounds { configs: 1, losses: 1, ..NONE }, EXPOSES),
    (Variant::PatchInDoubt, Bounds { configs: 1, losses: 1, ..NONE }, EXPOSES),
    (Variant::ResumeInDoubt, Bounds { configs: 2, losses: 1, ..NONE }, EXPOSES),
    (Variant::EveryLineAdopted, Bounds { edits: 1, swaps: 1, ..NONE }, LIES),
    (Variant::AdoptedUntilLooked, Bounds { edits: 1, swaps: 1, ..NONE }, ERRS),
];
