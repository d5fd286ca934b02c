//! The protocol: what to do next about one remote line.
//!
//! The remote has no fence, no version and no idempotency key, so a call that was sent may land later, also after its
//! sender died. What counts is which *contrary* calls may still land. [`step`] keeps that in its [`Memory`], takes one
//! [`Event`] at a time and answers with one [`Request`]. The controller carries requests out and hands back what came
//! of them; it decides nothing. `step/model.rs` checks this very function against every order of faults it knows.
//!
//! The rules, as `docs/protocol.md` explains them:
//!
//! 1. An edit goes out at once: PUT first where the last look differs or a contrary call may have landed since, else look
//!    first.
//! 2. Doubts are kept for the *line*, for each action: until when its latest call may still land.
//! 3. Ready is claimed only after a look that began when every contrary doubt had closed, and that agrees.
//! 4. Who takes the lease knows nothing: every action is in doubt, and nothing is sent before a quorum read; nothing
//!    older than the newest known is ever acted on.
//! 5. Everything that isn't a fresh edit reads the object and the line before it acts.
//! 8. A change of the configuration is derived from what is asked and what was last seen, never from a remembered
//!    position: no PATCH that callers could notice is sent while a resume may still land, and no resume while a PATCH
//!    may still land that says otherwise than the object.
//! 9. Where the id leads to another line than the object has adopted, nothing is sent until a look shows that one again.

mod doubts;
mod rollout;

use std::{sync::Arc, time::Duration};

use self::doubts::Doubts;
use super::{
    config::{Lists, Managed, Shown, Sight},
    identity::Identity,
    line::{Action, Change, State, Trouble},
    rollout::{Failure, Rollout},
    status::{Bar, Obstacle, Verdict},
    time::Time,
};

/// An object's `metadata.uid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub u128);

impl Uid {
    /// The hexadecimal digits of a UUID as a number; whatever else is in the text is passed over.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.chars().filter_map(|c| c.to_digit(16)).fold(0, |uid, digit| (uid << 4) + u128::from(digit)))
    }
}

/// An object's `metadata.resourceVersion`, which grows with every write to any object of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Whether the operator may write to the remote for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `driftPolicy: Correct`: the line is made what the object says.
    Correct,
    /// `driftPolicy: Report`: looks and tells, and writes nothing remote.
    Report,
    /// `suspend: true`: looks and tells, and writes nothing remote, whatever `driftPolicy` says.
    Suspend,
}

/// What the step function needs of a `Deployment` object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each as the object tells it")]
pub struct Object {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub version: Version,
    /// `metadata.generation`. Compared for equality only: a restored backup takes it back.
    pub generation: i64,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.suspend` and `spec.driftPolicy`.
    pub mode: Mode,
    /// The configuration that it manages.
    pub config: Arc<Managed>,
    /// `spec.rollout`.
    pub rollout: Rollout,
    /// Whether its status says Ready=True for this generation.
    pub claims: bool,
    /// Whether its status says Ready=True for another generation: it was edited since.
    pub edited: bool,
    /// Why its status says, for this generation, that the change of its configuration was given up.
    pub failed: Option<Failure>,
    /// Since when its status says that the line has been paused for a change.
    pub down_since: Option<Time>,
    /// The line that it adopted, as its status tells it.
    pub identity: Identity,
    /// Whether its status says that the id leads to another line now.
    pub identity_changed: bool,
}

impl Object {
    /// Whether the id, where it leads to this line, leads to another than the adopted one. Once that has been told, only what tells all of
    /// the adopted one ends it.
    fn is_changed_by(&self, shown: Identity) -> bool {
        self.identity.differs_from(shown) || self.identity_changed && !shown.tells(self.identity)
    }
}

/// What is assumed of the remote and of this machine, and the pace of trying again. See `docs/protocol.md`.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The longest that a sent call without a clear answer takes to land, from the end of the call.
    pub doubt: Duration,
    /// The longest that the remote takes to apply a call after its clean answer was read.
    pub settle: Duration,
    /// How long after a take-over calls of the leader before may still land: the doubt window and the longest
    /// assumed freeze of a process between its look at the lease and the write to the socket.
    pub takeover: Duration,
    /// The first pause before trying again; it doubles with each failure.
    pub retry: Duration,
    /// The longest pause before trying again.
    pub retry_cap: Duration,
    /// The time between two looks when nothing is wrong: the Workspace's `syncInterval`.
    pub sync: Duration,
    /// How long a line that was seen as asked waits for a row of the list to show that it still is, until it looks itself.
    pub horizon: Duration,
    /// How many sync intervals a look is good for.
    pub stale_after: u32,
    /// How long a Workspace or a Secret that isn't there yet may take to appear before a line counts as stalled.
    pub grace: Duration,
    /// What PATCH does with a list.
    pub lists: Lists,
}

/// The last look that showed the line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    state: State,
    config: Arc<Shown>,
    began: Time,
}

/// A failure that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Failing {
    trouble: Trouble,
    since: Time,
    /// Whether it needs a human.
    stalled: bool,
}

/// How often in a row somebody else has changed the line back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Contest {
    rounds: u8,
    /// When the last round began.
    at: Time,
    /// The correction of the last round waits until then.
    until: Time,
}

/// Something that wants a call to the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Due {
    Nothing,
    /// A fresh edit that has not gone out.
    Edit,
    /// A look showed something else than the spec asks.
    Correction,
}

/// What a call was for, to tell whether a look shows that it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Aim {
    Status(Action),
    Config,
}

impl Aim {
    const fn of(change: &Change) -> Self {
        match change {
            Change::Status(action) => Self::Status(*action),
            Change::Config(_) => Self::Config,
        }
    }
}

/// Why a call is made, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Somebody has changed whether the line shall answer.
    Edit,
    /// The same, after a try that failed.
    Retry,
    /// A step of a change of the configuration.
    Rollout,
    /// The line is not what it shall be.
    Correction,
}

/// All that is remembered about one remote line, for one term as leader.
///
/// It belongs to the line (org, workspace, deployment id), not to an object: an object can be deleted and made again
/// while a call for the line is still on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each with its own life")]
pub struct Memory {
    doubts: Doubts,
    /// A call that was sent and has not ended.
    in_flight: Option<Change>,
    /// The last clean call, and until when the remote may take to show it.
    settling: Option<(Aim, Time)>,
    /// The newest version of any object of this line that this process knows of.
    newest: Version,
    /// Whether a quorum list or read in this term has brought the object.
    quorum: bool,
    /// An object that a quorum read did not find any more. Late news of it is ignored.
    gone: Option<Uid>,
    object: Option<Object>,
    /// The object in memory may be outdated: read it before anything else.
    reread: bool,
    read_at: Time,
    /// The object was read after the last look.
    fresh: bool,
    obstacle: Option<(Obstacle, Time)>,
    /// What keeps the configuration alone from being carried out.
    bar: Option<(Bar, Time)>,
    due: Due,
    /// The object's generation has not been carried out yet.
    pending: bool,
    rollout: rollout::Progress,
    seen: Option<Seen>,
    /// Which line the id leads to, as last shown: by a look, by the answer to a call, or by a row that made a look due.
    identity: Identity,
    look_at: Time,
    /// No correction goes out before.
    hold: Time,
    contest: Contest,
    failing: Option<Failing>,
    failures: u8,
    panicked: bool,
    told: Option<Verdict>,
    /// What was told would be told in other words now.
    reworded: bool,
    tell_failures: u8,
}

/// How knowledge of an object came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A quorum list that began in this term.
    List,
    /// A watch, which may lag.
    Watch,
}

/// What came of a mutating call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// A clean 2xx, and which line it is about. Not proof of the new state: only a later look is.
    Clean(Identity),
    /// A definite refusal: this call has changed nothing and never will.
    Refused(Trouble),
    /// Anything else, a cancelled call too: it may have landed or land later.
    Unclear(Trouble),
    /// Nothing was sent, because the lease ends too soon or the budget is spent.
    Withheld(Option<Trouble>),
}

/// What came of a guarded write to an object's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// It stands, as this version of the object, and beside it which line the object adopted; also where it stood already and nothing
    /// was written.
    Written(Version, Identity),
    /// The object has changed since it was read.
    Outdated,
    /// There is no such object any more.
    Gone,
    /// It may stand or not.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A list or watch brought the object.
    Noticed(Object, Source),
    /// The quorum read that was asked for brought the object. It began after everything that this memory knows.
    Read(Object),
    /// It did not find the object of this uid, which is the one that the reader follows.
    Missing(Uid),
    /// The quorum read failed.
    ReadFailed,
    /// A watch told that the object was deleted.
    Deleted(Uid),
    /// What hinders every call for this object, if anything does.
    Hindered(Option<Obstacle>),
    /// What keeps its configuration alone from being carried out, if anything does.
    Barred(Option<Bar>),
    /// The look that was asked for ended. `began` is from before it was sent; on failure, the earliest moment to try
    /// again if the remote or the budget named one.
    Looked {
        /// The moment just before the call was sent.
        began: Time,
        /// What it showed, or what went wrong and when to try again.
        answer: Result<Sight, (Trouble, Option<Time>)>,
    },
    /// A walk over the list of lines came by, unasked.
    Listed {
        /// The moment just before the page was asked for.
        began: Time,
        /// What the line's row shows; `None`: the whole list has no such row.
        row: Option<Sight>,
    },
    /// The call that was asked for ended (or was not sent); with the earliest moment to try again if one was named.
    Sent(Sent, Option<Time>),
    /// The status write that was asked for ended.
    Told(Verdict, Told),
    /// What was told would be told in other words now: the same verdict, with another message or other facts.
    Reworded,
    /// The work on this line was cut off by a panic.
    Interrupted,
    /// The moment that was waited for came, or something else woke the line.
    Woken,
}

/// What the controller must do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Read the object from the API server with quorum.
    Read,
    /// GET the line from the remote.
    Look,
    /// Change the line with one call; beside it, never before it, and only where it takes long, write the verdict.
    Send {
        /// What to do with the line.
        change: Change,
        /// Why.
        why: Why,
        /// What to tell meanwhile.
        beside: Option<Verdict>,
    },
    /// Write the verdict to the object's status, guarded by `resourceVersion` and `uid`.
    Tell(Verdict),
    /// Nothing until that moment or the next event.
    Wait(Time),
}

/// One step of the protocol.
#[must_use]
pub fn step(memory: Memory, settings: &Settings, now: Time, event: Event) -> (Memory, Request) {
    let mut memory = note(memory, settings, now, event);
    let request = memory.decide(settings, now);
    (memory, request)
}

/// Takes in one of several events that came together. Nothing is asked for before the [`step`] of the last: a request that
/// nobody carries out would count as made.
#[must_use]
pub fn note(mut memory: Memory, settings: &Settings, now: Time, event: Event) -> Memory {
    memory.take_in(settings, now, event);
    memory
}

impl Memory {
    /// What a new leader knows: nothing. Every action may still land until the take-over window has passed.
    #[must_use]
    pub fn inherited(settings: &Settings, now: Time) -> Self {
        Self { doubts: Doubts::all_until(now + settings.takeover), ..Self::first() }
    }

    /// What the first leader ever knows: nothing, and nobody can have called before.
    #[must_use]
    pub fn first() -> Self {
        Self {
            doubts: Doubts::default(),
            in_flight: None,
            settling: None,
            newest: Version(0),
            quorum: false,
            gone: None,
            object: None,
            reread: false,
            read_at: Time(0),
            fresh: false,
            obstacle: None,
            bar: None,
            due: Due::Nothing,
            pending: false,
            rollout: rollout::Progress::default(),
            seen: None,
            identity: Identity::default(),
            look_at: Time(0),
            hold: Time(0),
            contest: Contest::default(),
            failing: None,
            failures: 0,
            panicked: false,
            told: None,
            reworded: false,
            tell_failures: 0,
        }
    }

    /// The object that the line follows, as last known.
    #[must_use]
    pub const fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    /// Whether the id is known to lead to another line than the one that the object adopted.
    #[must_use]
    pub fn identity_changed(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.is_changed_by(self.identity))
    }

    /// When the last look began that showed a state, a row of the list included.
    #[must_use]
    pub fn looked(&self) -> Option<Time> {
        self.seen.as_ref().map(|seen| seen.began)
    }

    /// What the last look showed, a row of the list included, and which line the id leads to as far as known.
    #[must_use]
    pub fn sight(&self) -> Option<Sight> {
        let identity = self.identity;
        self.seen.as_ref().map(|seen| Sight { state: seen.state, config: Arc::clone(&seen.config), identity })
    }

    /// Whether a look is due for no other reason than that there was none for a while.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_busy = self.in_flight.is_some() || self.settling.is_some() || self.due != Due::Nothing;
        !is_busy && !self.reread && !self.panicked && self.failing.is_none() && self.failures == 0
    }

    /// Whether the next call or look is for an edit that has not been carried out: [`Why::Edit`], or [`Why::Retry`] after a try
    /// that failed.
    #[must_use]
    pub const fn for_edit(&self) -> Option<Why> {
        match (self.pending, self.failures) {
            (false, _) => None,
            (true, 0) => Some(Why::Edit),
            (true, _) => Some(Why::Retry),
        }
    }

    /// Whether the line is at rest: what shows it as it was last seen changes nothing.
    #[must_use]
    pub fn rests(&self) -> bool {
        let is_told = self.told.is_some_and(Verdict::is_at_rest);
        is_told && self.obstacle.is_none() && self.is_quiet()
    }

    /// Until when a call that contradicts the object may still land.
    #[must_use]
    pub fn doubt_until(&self) -> Time {
        self.object.as_ref().map_or(Time(0), |object| self.closes(object))
    }

    fn take_in(&mut self, settings: &Settings, now: Time, event: Event) {
        match event {
            Event::Noticed(object, source) => self.notice(now, object, source),
            Event::Read(object) => self.read(now, object),
            Event::Missing(uid) => self.lose(uid),
            Event::ReadFailed => {
                self.reread = true;
                self.read_at = now + settings.retry;
            }
            Event::Deleted(uid) => {
                if self.object.as_ref().is_some_and(|object| object.uid == uid) {
                    self.lose(uid);
                }
            }
            Event::Hindered(obstacle) => self.hinder(now, obstacle),
            Event::Barred(bar) => self.bar(now, bar),
            Event::Looked { began, answer: Ok(Sight { state, config, identity }) } => {
                self.identity = identity.or(self.identity);
                self.look(settings, now, &Seen { state, config, began });
            }
            Event::Looked { answer: Err((trouble, not_before)), .. } => {
                self.fail(settings, now, trouble, not_before);
            }
            Event::Listed { began, row } => self.list(settings, now, began, row),
            Event::Sent(sent, not_before) => self.end_call(settings, now, sent, not_before),
            Event::Told(verdict, told) => self.tell(settings, now, verdict, told),
            Event::Reworded => self.reworded = true,
            Event::Interrupted => {
                if let Some(change) = self.in_flight.take() {
                    self.doubts.extend(&change, now + settings.doubt);
                }
                self.panicked = true;
                self.reread = self.object.is_some();
                self.failures = self.failures.saturating_add(1);
                self.look_at = now + self.backoff(settings, self.failures.saturating_add(1));
            }
            Event::Woken => {}
        }
    }

    fn notice(&mut self, now: Time, object: Object, source: Source) {
        if self.gone == Some(object.uid) {
            return;
        }
        if object.version <= self.newest {
            // Late news of the object we follow is no news, unless a list says that versions have gone back (a restored
            // backup). Of another one, which takes the line over after a newer one went, only a read can tell how it is.
            let went_back = source == Source::List && object.version < self.newest;
            self.reread |= went_back || self.object.as_ref().is_none_or(|known| known.uid != object.uid);
            if self.object.is_none() {
                self.object = Some(object);
            }
            return;
        }
        let known_before = self.quorum;
        self.quorum |= source == Source::List;
        self.adopt(now, object, known_before);
        self.reread = false;
    }

    fn read(&mut self, now: Time, object: Object) {
        // The read began after all that is known here, so what it brought is the newest, whatever its version: after
        // a restore from a backup versions go back.
        if self.object.as_ref().is_some_and(|known| known.uid == object.uid) {
            self.newest = object.version;
        }
        let known_before = self.quorum && self.object.is_some();
        self.quorum = true;
        self.gone = None;
        self.adopt(now, object, known_before);
        self.reread = false;
        self.fresh = true;
    }

    /// Follows `object` from now on. A new generation of something known before is an edit.
    fn adopt(&mut self, now: Time, object: Object, known_before: bool) {
        let same =
            self.object.as_ref().is_some_and(|known| (known.uid, known.generation) == (object.uid, object.generation));
        if !same {
            // So is one that came while nobody led: what it asks for has been read with quorum.
            let is_edit = known_before || self.quorum && object.edited;
            self.due = if is_edit { Due::Edit } else { Due::Nothing };
            self.pending = !object.claims;
            self.rollout.begin(&object, known_before);
            self.failing = None;
            self.failures = 0;
            self.settling = None;
            self.look_at = now;
            self.hold = now;
            self.contest = Contest::default();
        }
        self.told = None;
        self.newest = self.newest.max(object.version);
        self.object = Some(object);
    }

    /// The object of that uid is gone. What is known here may be of another, which takes the line over: its next news tells.
    fn lose(&mut self, uid: Uid) {
        self.object = None;
        self.gone = Some(uid);
        self.reread = false;
        self.due = Due::Nothing;
    }

    fn hinder(&mut self, now: Time, obstacle: Option<Obstacle>) {
        if self.obstacle.map(|(known, _)| known) == obstacle {
            return;
        }
        if obstacle.is_none() {
            self.look_at = now;
        }
        self.obstacle = obstacle.map(|obstacle| (obstacle, now));
        // An edit that had to wait is not fresh any more.
        self.due = Due::Nothing;
    }

    fn bar(&mut self, now: Time, bar: Option<Bar>) {
        if self.bar.map(|(known, _)| known) != bar {
            self.bar = bar.map(|bar| (bar, now));
            self.look_at = now;
        }
    }

    fn look(&mut self, settings: &Settings, now: Time, seen: &Seen) {
        let before = self.seen.replace(seen.clone());
        self.panicked = false;
        self.fresh = false;
        self.due = Due::Nothing;
        let Some(object) = self.object.clone() else { return };
        // What another line is like says nothing about a change of the adopted one.
        if !self.identity_changed() {
            self.follow_rollout(settings, now, &object, seen);
        }
        let next = if self.changes(&object) { self.next(settings, &object, seen) } else { None };
        let Some(next) = next else {
            self.failing = None;
            self.failures = 0;
            self.settling = None;
            self.pending = false;
            self.hold = now;
            self.look_at = now + settings.horizon;
            let closes = self.closes(&object);
            if !object.claims && seen.began < closes {
                self.look_at = self.look_at.min(closes.max(now));
            }
            return;
        };
        if before.as_ref().is_some_and(|before| before.state != seen.state) {
            // What was refused was refused to a line in another state: a resume that came before the pause had landed.
            self.hold = now;
        }
        if object.claims || self.was_undone(&object, before.as_ref(), seen) {
            self.contend(settings, now);
        }
        match self.settling {
            // The remote accepted the call and may need a moment to show it: look again, ever less often.
            Some((aim, until)) if aim == Aim::of(&next.change) && until > now => {
                let elapsed = settings.settle.saturating_sub(until.from_now(now));
                let pause = elapsed.max(settings.settle / 32).max(Duration::from_millis(1));
                self.look_at = until.min(now + pause);
                return;
            }
            // It never showed: that try failed.
            Some((aim, _)) if aim == Aim::of(&next.change) => {
                self.settling = None;
                self.failures = self.failures.saturating_add(1);
                self.hold = now + self.backoff(settings, self.failures);
                if aim == Aim::Config && self.rollout.was_ignored(&object, seen) {
                    return self.start_afresh(now);
                }
            }
            // It shows, and this is the step after it.
            Some(_) => {
                self.settling = None;
                self.failures = 0;
            }
            None => {}
        }
        if self.hold <= now && next.gate <= seen.began {
            self.due = Due::Correction;
        }
        // Looks go on while calls are held back: an earlier one may show late, or somebody else put it right.
        self.look_at = self.hold.max(next.gate).max(now).min(now + settings.sync);
    }

    /// Something else is to be done than what failed until now: look, and do it.
    fn start_afresh(&mut self, now: Time) {
        self.failing = None;
        self.failures = 0;
        self.due = Due::Nothing;
        self.look_at = now;
        self.hold = now;
    }

    /// Takes in what the list shows. Where that is as asked, it is a look like another. Else it is a reason for a look, and
    /// for nothing else: a list may be old. Where calls of ours wait for a look to show them, only a look does.
    fn list(&mut self, settings: &Settings, now: Time, began: Time, row: Option<Sight>) {
        let Some(object) = self.object.clone() else { return };
        if self.seen.as_ref().is_some_and(|seen| seen.began >= began) {
            return;
        }
        // Of which line the id leads to, a row tells enough to stop, and not enough to go on.
        let known = self.identity;
        let shown = row.as_ref().map_or(known, |row| row.identity.or(known));
        let is_same_line = !shown.differs_from(known) && object.is_changed_by(shown) == object.is_changed_by(known);
        if object.identity.differs_from(shown) {
            self.identity = shown;
        }
        if self.in_flight.is_some() || self.settling.is_some() {
            return;
        }
        // In peace a row changes nothing: there is nothing to do, or nothing that may be done.
        let is_done = |seen: &Seen| self.next(settings, &object, seen).is_none();
        let is_in_peace = |seen: &Seen| !self.changes(&object) || is_done(seen);
        let was_in_peace = self.seen.as_ref().is_none_or(is_in_peace);
        let row = row.map(|Sight { state, config, .. }| Seen { state, config, began });
        // A row lacks which number belongs to which connection, and what is told of a line that isn't as asked has more in it
        // than a row: then it is as good as a look only where it shows no change.
        let is_as_seen = |row: &Seen| {
            self.seen
                .as_ref()
                .filter(|seen| seen.state == row.state && object.config.sees_no_change(&seen.config, &row.config))
        };
        let is_plain = |row: &Seen| {
            object.config.connections.is_none() && is_done(row) && self.shortfall(settings, &object, row).is_none()
        };
        let is_plain_or_as_seen = |row: &Seen| is_as_seen(row).is_some() || is_plain(row);
        match row.filter(|row| is_same_line && is_in_peace(row) && is_plain_or_as_seen(row)) {
            Some(row) => {
                // Where it shows no change, the look's word stands.
                let config = is_as_seen(&row).map_or_else(|| Arc::clone(&row.config), |seen| Arc::clone(&seen.config));
                self.identity = shown;
                self.look(settings, now, &Seen { config, ..row });
                // It is as old as it is, and the next one is due from then.
                self.look_at = self.look_at.min(began + settings.horizon).max(now);
            }
            // A line that is known to differ, or whose calls fail, has looks of its own already.
            None if self.failing.is_none() && was_in_peace => self.look_at = now,
            None => {}
        }
    }

    /// Somebody else changed a line that was as asked. Where that goes on, corrections wait ever longer: two writers that
    /// both insist would otherwise switch the line back and forth as fast as they can.
    fn contend(&mut self, settings: &Settings, now: Time) {
        let Contest { rounds, at, .. } = self.contest;
        let goes_on = now < at + CALM;
        let rounds = if goes_on { rounds.saturating_add(1) } else { 1 };
        self.contest = Contest { rounds, at: now, until: now + self.backoff(settings, rounds.saturating_sub(1)) };
        self.hold = self.hold.max(self.contest.until);
    }

    fn fail(&mut self, settings: &Settings, now: Time, trouble: Trouble, not_before: Option<Time>) {
        let known = self.failing.filter(|failing| failing.trouble == trouble);
        let since = known.map_or(now, |failing| failing.since);
        self.failures = self.failures.saturating_add(1);
        let mut again = now + self.backoff(settings, self.failures);
        let stalled = match trouble {
            Trouble::Refused | Trouble::QuotaExhausted => true,
            // A right can be missing for a moment while it is changed on the other side.
            Trouble::CredentialsRejected => known.is_some() && since + CREDENTIALS_GRACE <= now,
            Trouble::NotFound => {
                // A line that is just being made may not be found yet: two looks this far apart.
                again = again.max(since + NOT_FOUND_GRACE);
                known.is_some() && since + NOT_FOUND_GRACE <= now
            }
            Trouble::Unavailable | Trouble::RateLimited | Trouble::Conflict | Trouble::UnexpectedResponse => false,
        };
        self.failing = Some(Failing { trouble, since, stalled });
        self.look_at = again.max(not_before.unwrap_or(now));
    }

    /// A call went wrong: look at once where that is allowed, and hold the next one back.
    fn fail_call(&mut self, settings: &Settings, now: Time, trouble: Trouble, not_before: Option<Time>) {
        self.fail(settings, now, trouble, not_before);
        let stalled = self.failing.is_some_and(|failing| failing.stalled);
        let pause = if stalled { settings.retry_cap } else { self.backoff(settings, self.failures) };
        self.look_at = not_before.unwrap_or(now);
        self.hold = self.look_at.max(now + pause);
    }

    fn end_call(&mut self, settings: &Settings, now: Time, sent: Sent, not_before: Option<Time>) {
        let Some(change) = self.in_flight.take() else {
            return;
        };
        match sent {
            Sent::Clean(identity) => {
                self.identity = identity.or(self.identity);
                let until = now + settings.settle;
                self.doubts.extend(&change, until);
                self.settling = Some((Aim::of(&change), until));
                self.failing = None;
                self.look_at = now;
            }
            Sent::Refused(Trouble::Refused) if Aim::of(&change) == Aim::Config => {
                let answers = self.seen.as_ref().is_some_and(|seen| seen.state != State::Paused);
                if let Some(object) = &self.object {
                    self.rollout.was_refused(object, answers);
                }
                self.start_afresh(now);
            }
            // Too many calls is nothing about this one.
            Sent::Refused(trouble @ Trouble::RateLimited) => self.put_off(settings, now, Some(trouble), not_before),
            Sent::Refused(trouble) => self.fail_call(settings, now, trouble, not_before),
            Sent::Unclear(trouble) => {
                self.doubts.extend(&change, now + settings.doubt);
                self.fail_call(settings, now, trouble, not_before);
            }
            Sent::Withheld(trouble) => self.put_off(settings, now, trouble, not_before),
        }
    }

    /// A call was not made, and has not failed: it goes out when it may, and has its turn as before.
    fn put_off(&mut self, settings: &Settings, now: Time, trouble: Option<Trouble>, not_before: Option<Time>) {
        let again = not_before.unwrap_or(now + settings.retry);
        self.look_at = again;
        if let Some(trouble) = trouble {
            self.failing = Some(Failing { trouble, since: now, stalled: trouble == Trouble::QuotaExhausted });
            self.due = Due::Correction;
            self.hold = again;
        }
    }

    fn tell(&mut self, settings: &Settings, now: Time, verdict: Verdict, told: Told) {
        match told {
            Told::Written(version, identity) => {
                self.newest = self.newest.max(version);
                self.told = Some(verdict);
                self.reworded = false;
                self.tell_failures = 0;
                if let Some(object) = &mut self.object {
                    object.version = version;
                    object.claims = verdict.claims();
                    object.identity = identity;
                    object.identity_changed = verdict == Verdict::IdentityChanged;
                }
            }
            Told::Outdated => self.reread = true,
            Told::Gone => {
                if let Some(uid) = self.object.as_ref().map(|object| object.uid) {
                    self.lose(uid);
                }
            }
            // Whether it stands is not known, so neither is what the status claims.
            Told::Failed => {
                self.reread = true;
                self.tell_failures = self.tell_failures.saturating_add(1);
                self.read_at = now + self.backoff(settings, self.tell_failures.saturating_add(1));
            }
        }
    }

    /// The pause after the n-th failure in a row: none, then doubling from `retry` to `retry_cap`, less up to a quarter that
    /// differs from object to object: what failed together is not tried again together.
    fn backoff(&self, settings: &Settings, failures: u8) -> Duration {
        let Some(doublings) = failures.checked_sub(2) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(u32::from(doublings)).unwrap_or(u32::MAX);
        let pause = settings.retry.saturating_mul(factor).min(settings.retry_cap);
        let uid = self.object.as_ref().map_or(0, |object| object.uid.0);
        let part = (uid ^ uid >> 64).wrapping_add(u128::from(failures) * 97) % 256;
        let less = pause.as_millis() / 4 * part / 256;
        pause.saturating_sub(Duration::from_millis(u64::try_from(less).unwrap_or_default()))
    }

    fn decide(&mut self, settings: &Settings, now: Time) -> Request {
        let Some(object) = self.object.clone() else { return Request::Wait(Time::NEVER) };
        if self.failures == 0 {
            // The interval may have become shorter since the last look.
            self.look_at = self.look_at.min(now + settings.horizon);
        }
        if self.in_flight.is_some() {
            return Request::Wait(Time::NEVER);
        }
        if self.reread || !self.quorum {
            return if self.read_at <= now { Request::Read } else { Request::Wait(self.read_at) };
        }
        let overdue = self.judge_overdue(settings, now, &object);
        if self.obstacle.is_none() {
            if self.changes(&object)
                && let Some(request) = self.act(settings, now, &object)
            {
                return request;
            }
            if self.look_at <= now {
                return Request::Look;
            }
        }
        let (verdict, changes) = self.verdict(settings, now, &object);
        if self.told == Some(verdict) && !self.reworded {
            let look = if self.obstacle.is_none() { self.look_at } else { Time::NEVER };
            Request::Wait(look.min(changes).min(overdue))
        } else {
            Request::Tell(verdict)
        }
    }

    /// Whether the remote may be changed for the object.
    fn changes(&self, object: &Object) -> bool {
        object.mode == Mode::Correct && !object.is_changed_by(self.identity)
    }

    /// The next request towards a call to the remote, if one is due.
    fn act(&mut self, settings: &Settings, now: Time, object: &Object) -> Option<Request> {
        if self.due == Due::Nothing {
            return None;
        }
        let needed = self.seen.as_ref().and_then(|seen| self.next(settings, object, seen));
        let looked = self.looked();
        let is_ready = |next: &rollout::Next| looked.is_some_and(|began| next.gate <= began);
        if self.due == Due::Edit {
            // Where nothing says that the line needs a call, one may have landed that the last look could not see. And what
            // callers could notice is changed after a look only: the last one may be old.
            let unsure = self.unsure(now, object, needed.as_ref()).map(Change::Status);
            let at_once = needed.filter(|next| is_ready(next) && !next.looks_first).map(|next| next.change);
            return at_once.or(unsure).map(|change| self.send(object, change));
        }
        let next = needed.filter(is_ready).filter(|_| self.hold <= now)?;
        if !self.fresh {
            self.reread = true;
            return Some(Request::Read);
        }
        // Before a drift is corrected, the claim that it contradicts is taken back.
        Some(if object.claims { Request::Tell(Verdict::Drifted) } else { self.send(object, next.change) })
    }

    /// What to send for an edit although the last look shows the state that is asked, or there was none: a contrary call may
    /// have landed that it could not see. Ours may have, also where its doubt has closed since and no look has succeeded after
    /// it.
    fn unsure(&self, now: Time, object: &Object, next: Option<&rollout::Next>) -> Option<Action> {
        let stands = next.is_none_or(|next| matches!(next.change, Change::Config(_)) && object.paused);
        let (action, began) = match &self.seen {
            Some(seen) => (self.target(object, seen.state), seen.began),
            None => (wanted(object), now),
        };
        let may_answer = action == Action::Pause || self.contrary_patch(object) <= began;
        (stands && may_answer && self.doubts.of(action.contrary()) > began).then_some(action)
    }

    /// When the last call that contradicts the object can't land any more.
    fn closes(&self, object: &Object) -> Time {
        let action = self.seen.as_ref().map_or(wanted(object), |seen| self.target(object, seen.state));
        self.doubts.of(action.contrary()).max(self.contrary_patch(object))
    }

    fn send(&mut self, object: &Object, change: Change) -> Request {
        let rolls = self.rolls_out(object, &change);
        let why = if rolls { Why::Rollout } else { self.for_edit().unwrap_or(Why::Correction) };
        let verdict = self.doing(object, &change);
        // A status that tells of trouble stays as it is: it tells more than that we try again.
        let beside = match self.told {
            _ if self.failing.is_some() && !object.claims => None,
            Some(told) if told == verdict || !(told.claims() || told.is_progress()) => None,
            _ => Some(verdict),
        };
        self.rollout.sends(&change, self.seen.as_ref());
        self.due = Due::Nothing;
        self.settling = None;
        self.in_flight = Some(change.clone());
        Request::Send { change, why, beside }
    }

    /// What to tell now, and when that changes by itself.
    fn verdict(&self, settings: &Settings, now: Time, object: &Object) -> (Verdict, Time) {
        // Before all else: it is known from this word alone until a look has been made, by the next leader too.
        if self.identity_changed() {
            return (Verdict::IdentityChanged, Time::NEVER);
        }
        if let Some((obstacle, since)) = self.obstacle {
            let (stalled, changes) = patience(obstacle.grace(settings), since, now);
            return (Verdict::Hindered { obstacle, stalled }, changes);
        }
        if self.panicked {
            return (Verdict::InternalError, Time::NEVER);
        }
        let Some(seen) = &self.seen else {
            return (self.failing.map_or(Verdict::Acting(wanted(object)), Failing::verdict), Time::NEVER);
        };
        let next = self.next(settings, object, seen);
        let agrees = next.is_none() && self.shortfall(settings, object, seen).is_none();
        if let Some(failing) = self.failing {
            if !failing.is_passing() {
                return (failing.verdict(), Time::NEVER);
            }
            let expires = seen.began + (settings.sync * settings.stale_after).max(settings.horizon + settings.sync);
            if expires <= now {
                return (Verdict::Stale(failing.trouble), Time::NEVER);
            }
            if let Some(failed) = self.given_up(object) {
                return (failed, expires);
            }
            // One failed look does not make a claim untrue: it holds until the last good look is too old.
            let verdict = if agrees && object.claims { self.settled(object, seen) } else { failing.verdict() };
            return (verdict, expires);
        }
        if let Some((bar, since)) = self.bar {
            let (stalled, changes) = patience(bar.grace(settings), since, now);
            return (Verdict::Barred { bar, stalled }, changes);
        }
        let verdict = match (next, object.mode) {
            _ if agrees => self.settled(object, seen),
            (_, Mode::Suspend) => Verdict::Suspended { differs: true },
            (_, Mode::Report) => Verdict::Reported,
            (Some(_), Mode::Correct) if seen.state == State::Unknown && self.settling.is_none() => {
                Verdict::StateUnknown
            }
            (Some(_), Mode::Correct) if self.contest.until > now => Verdict::Contended,
            (Some(_), Mode::Correct) if self.told == Some(Verdict::Drifted) => Verdict::Drifted,
            (Some(next), Mode::Correct) => self.progress(object, seen, &next),
            // At rest, and not as asked.
            (None, Mode::Correct) => self.shortfall(settings, object, seen).unwrap_or(Verdict::Awaiting),
        };
        (verdict, Time::NEVER)
    }

    /// What to tell of a line that was last seen as asked.
    fn settled(&self, object: &Object, seen: &Seen) -> Verdict {
        let confirmed = object.claims || seen.began >= self.closes(object);
        match object.mode {
            _ if !confirmed => Verdict::Awaiting,
            Mode::Suspend => Verdict::Suspended { differs: false },
            Mode::Correct | Mode::Report => Verdict::Synced,
        }
    }
}

impl Failing {
    const fn verdict(self) -> Verdict {
        Verdict::Failing { trouble: self.trouble, stalled: self.stalled }
    }

    /// Whether it says nothing about the line itself.
    const fn is_passing(self) -> bool {
        matches!(self.trouble, Trouble::Unavailable | Trouble::RateLimited | Trouble::UnexpectedResponse)
    }
}

/// How far apart two looks must find nothing before a line counts as not there.
const NOT_FOUND_GRACE: Duration = Duration::from_secs(30);

/// How long a line must stay as asked until a change of it counts as the first again.
const CALM: Duration = Duration::from_mins(15);

/// How long a key may be refused before that counts as lasting.
pub const CREDENTIALS_GRACE: Duration = Duration::from_mins(1);

const fn wanted(object: &Object) -> Action {
    Action::for_paused(object.paused)
}

/// Whether what has lasted since then needs a human by now, and when that changes.
fn patience(grace: Option<Duration>, since: Time, now: Time) -> (bool, Time) {
    let until = grace.map_or(Time(0), |grace| since + grace);
    if until <= now { (true, Time::NEVER) } else { (false, until) }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
