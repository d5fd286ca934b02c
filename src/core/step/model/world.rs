//! What the world is at first, and what its parts do.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{Does, HEIR, LAG, LEASE, Line, Note, Past, Pending, Replica, Stored, World, Write, bounds::Bounds};
use crate::{
    config::{Managed, Shown, Sight},
    identity::Identity,
    line::State,
    rollout::Rollout,
    status::Verdict,
    step::{Memory, Mode, Object, Sent, Told, Uid, Version},
    time::Time,
};

/// The configuration that asks for this version; 0 asks for none.
fn managed(version: u8) -> Arc<Managed> {
    static CONFIGS: LazyLock<[Arc<Managed>; 3]> = LazyLock::new(|| {
        [None, Some(1), Some(2)].map(|app_version| Arc::new(Managed { app_version, ..Managed::default() }))
    });
    Arc::clone(&CONFIGS[usize::from(version)])
}

/// What a look shows of a line that runs this version.
pub(super) fn shown(version: u8) -> Arc<Shown> {
    static CONFIGS: LazyLock<[Arc<Shown>; 3]> = LazyLock::new(|| {
        [None, Some(1), Some(2)].map(|app_version| Arc::new(Shown { app_version, ..Shown::default() }))
    });
    Arc::clone(&CONFIGS[usize::from(version)])
}

/// What tells this line from others; 0 is told nothing.
pub(super) fn identity(which: u8) -> Identity {
    Identity::new(None, (which > 0).then(|| jiff::Timestamp::constant(i64::from(which), 0)))
}

impl Line {
    pub(super) fn sight(self) -> Sight {
        let state = if self.active { State::Active } else { State::Paused };
        Sight { state, config: shown(self.runs), identity: identity(self.which) }
    }
}

impl Stored {
    /// As somebody has just made it, with a version to come.
    pub(super) fn new(uid: u8, paused: bool, wants: u8) -> Self {
        let (suspend, failed, claim) = (false, None, None);
        let (version, generation, adopted, replaced) = (0, 1, 0, false);
        Self { uid, version, generation, paused, suspend, wants, failed, adopted, replaced, claim }
    }

    pub(super) fn seen(&self) -> Object {
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

impl Replica {
    pub(super) fn new() -> Self {
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

    pub(super) fn runs(&self) -> bool {
        self.up && !self.frozen
    }

    /// Whether a row has changed what it knows, and no look was answered since.
    pub(super) fn minds_row(&mut self, is_row: bool, is_look: bool, before: &Memory, after: &Memory) -> bool {
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
    pub(super) fn follow(&mut self, uid: u8) {
        if self.follows != uid {
            (self.follows, self.saw) = (uid, 0);
        }
    }

    /// Whether a call would be made although the last look, or before it the status, tells of another line.
    pub(super) fn is_mistaken(&self, memory: &Memory) -> bool {
        memory.object.as_ref().is_some_and(|object| match self.saw {
            0 => object.identity_changed,
            saw => object.identity.differs_from(identity(saw)),
        })
    }

    /// Dies, or ends its term: forgets all but what the watch brings.
    pub(super) fn forget(&mut self) {
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
    pub(super) fn new(bounds: Bounds) -> Self {
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
    pub(super) fn leads(&self, replica: u8) -> bool {
        self.holder == Some(replica) && self.lease > 0
    }

    pub(super) fn runs_as_asked(&self, object: &Stored) -> bool {
        object.wants == 0 || object.wants == self.line.runs
    }

    /// Whether the id leads to another line than the object has adopted.
    pub(super) fn has_another_line(&self, object: &Stored) -> bool {
        object.adopted > 0 && object.adopted != self.line.which
    }

    pub(super) fn store(&mut self, object: Option<Stored>) {
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

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Stored)) {
        if let Some(mut stored) = self.object {
            stored.version = self.next_version();
            stored.generation += 1;
            stored.failed = None;
            change(&mut stored);
            self.store(Some(stored));
        }
    }

    pub(super) fn next_version(&self) -> u8 {
        self.versions().into_iter().max().unwrap_or(0) + 1
    }

    pub(super) fn put_write(&mut self, owner: u8, verdict: Verdict) {
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
    pub(super) fn told(&mut self, owner: Option<u8>, told: Told) {
        let Some(owner) = owner else { return };
        match &mut self.replicas[usize::from(owner)].pending {
            Pending::Telling(_, answer) | Pending::Sending { beside: Some((_, answer)), .. } => *answer = Some(told),
            _ => {}
        }
    }

    pub(super) fn sent(&mut self, owner: Option<u8>, outcome: Sent) {
        let Some(owner) = owner else { return };
        if let Pending::Sending { sent, .. } = &mut self.replicas[usize::from(owner)].pending {
            *sent = Some(outcome);
        }
    }

    /// Something happens to the line.
    pub(super) fn change_line(&mut self, change: impl FnOnce(&mut Line, &mut u8)) {
        let sighting = (self.line, self.epoch);
        change(&mut self.line, &mut self.epoch);
        if sighting != (self.line, self.epoch) {
            self.past.retain(|past| past.sighting != sighting);
            self.past.push(Past { sighting, ended: 0 });
        }
    }

    /// What can still be shown by an answer to what was asked that many ticks ago.
    pub(super) fn shows_old(&self, age: u8) -> impl Iterator<Item = usize> {
        let shown = self.past.iter().enumerate().filter(move |(_, past)| past.ended <= age + LAG);
        shown.map(|(i, _)| i)
    }

    /// A tick. Who leads and runs keeps the lease.
    pub(super) fn pass(&mut self) {
        self.age();
        let renewed = self.holder.is_some_and(|holder| {
            let replica = &self.replicas[usize::from(holder)];
            replica.runs() && replica.leads
        });
        self.lease = if renewed { LEASE } else { self.lease.saturating_sub(1) };
    }

    /// A call reaches the line.
    pub(super) fn land(&mut self, i: usize) {
        self.calls[i].landed = true;
        let does = self.calls[i].does;
        if let Does::Patch(version) = does {
            // What somebody at the dashboard resumes in between is theirs.
            self.exposed |= self.line.active && self.line.runs != version && self.epoch == 0;
        }
        self.change_line(|line, _| match does {
            Does::Pause => line.active = false,
            Does::Resume => line.active = true,
            Does::Patch(version) => line.runs = version,
        });
        if self.calls[i].owner.is_none() {
            self.calls.remove(i);
        }
    }

    /// The sender has its answer, or has given up: what is left of the call lives on by itself.
    pub(super) fn end_call(&mut self, i: usize, life: u8, answered: bool) {
        let call = &mut self.calls[i];
        (call.owner, call.life, call.answered) = (None, life, answered);
        if call.landed {
            self.calls.remove(i);
        }
    }

    /// A process is gone: nobody waits for its calls and writes any more.
    pub(super) fn orphan(&mut self, id: u8) {
        for call in self.calls.iter_mut().filter(|call| call.owner == Some(id)) {
            call.owner = None;
        }
        self.calls.retain(|call| !(call.landed && call.owner.is_none()));
        for write in self.writes.iter_mut().filter(|write| write.owner == Some(id)) {
            write.owner = None;
        }
    }
}
