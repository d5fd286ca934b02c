//! What each move does to the world.

use super::{
    CALL, Call, HEIR, LATENESS, LEASE, NOW, Note, Page, Pending, SETTLING, Stored, World,
    bounds::NONE,
    check::Check,
    moves::{Move, Row},
    variants::Variant,
    world::identity,
};
use crate::{
    line::Trouble,
    status::{Obstacle, Verdict},
    step::{Event, Memory, Sent, Told, Uid, Version},
};

impl Check {
    /// The world after a move; `None` where nothing has come of it.
    pub(super) fn after(&self, last: &World, step: Move) -> Option<World> {
        let mut world = last.clone();
        self.happen(&mut world, last, step)?;
        if self.bounds.sum() - world.left.sum() >= self.faults {
            world.left = NONE;
        }
        Some(world.canonical())
    }

    #[allow(clippy::too_many_lines, reason = "one place for what each thing does")]
    fn happen(&self, world: &mut World, last: &World, step: Move) -> Option<()> {
        match step {
            Move::Tick => world.pass(),
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
            Move::Create { paused } => self.create(world, last, paused),
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
            Move::Obstruct(there) => self.obstruct(world, there),
            Move::Crash(id) => {
                world.left.crashes -= 1;
                let replica = &mut world.replicas[usize::from(id)];
                replica.forget();
                replica.up = false;
                replica.frozen = false;
                world.orphan(id);
            }
            Move::Panic(id) => self.panic(world, id),
            Move::Start(id) => world.replicas[usize::from(id)].up = true,
            Move::Freeze(id) => {
                world.left.freezes -= 1;
                world.replicas[usize::from(id)].frozen = true;
            }
            Move::Thaw(id) => {
                world.replicas[usize::from(id)].frozen = false;
                self.settle(world, id);
            }
            Move::TakeOver { replica: id, stale } => self.take_over(world, last, id, stale),
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
                self.notice(world, replica, note);
            }
            Move::Wake(id) => {
                let obstacle = world.obstacle.then_some(Obstacle::SecretNotFound);
                self.drive(world, id, Event::Hindered(obstacle));
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
                    self.drive(world, id, event);
                }
                Pending::Looking { began, served: Some((line, epoch)) } => {
                    let replica = &mut world.replicas[usize::from(id)];
                    (replica.saw, replica.epoch) = (line.which, epoch);
                    self.drive(world, id, Event::Looked { began, answer: Ok(line.sight()) });
                }
                _ => return None,
            },
            Move::FailLook(id) => {
                world.left.losses -= 1;
                self.fail_look(world, id, Trouble::Unavailable);
            }
            Move::Reject(id) => self.fail_look(world, id, Trouble::CredentialsRejected),
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
                self.drive(world, id, Event::Listed { began, row });
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
            Move::Land(i) => world.land(i),
            Move::Answer(i) => {
                let call = world.calls[i];
                world.end_call(i, call.life.min(SETTLING), true);
                world.sent(call.owner, Sent::Clean(identity(world.line.which)));
                self.settle(world, call.owner?);
            }
            Move::Refuse(i) => {
                let trouble = if world.old_key { Trouble::CredentialsRejected } else { Trouble::Refused };
                world.left.refusals -= u8::from(!world.old_key);
                let call = world.calls.remove(i);
                world.sent(call.owner, Sent::Refused(trouble));
                self.settle(world, call.owner?);
            }
            Move::Lose(i) => {
                let call = world.calls[i];
                world.left.losses = world.left.losses.saturating_sub(1);
                world.end_call(i, call.life.min(LATENESS), false);
                world.sent(call.owner, Sent::Unclear(Trouble::Unavailable));
                self.settle(world, call.owner?);
            }
            Move::Vanish(i) => {
                world.calls.remove(i);
            }
            Move::Apply { write: i, heard } => self.apply(world, i, heard),
            Move::Forget(i) => {
                world.writes.remove(i);
            }
        }
        Some(())
    }

    /// The object is made again under its name.
    fn create(&self, world: &mut World, last: &World, paused: bool) {
        world.uids += 1;
        let version = if self.restored { last.before.map_or(1, |old| old.version) } else { world.next_version() };
        let wants = u8::from(self.bounds.configs > 0);
        world.store(Some(Stored { version, ..Stored::new(world.uids, paused, wants) }));
    }

    /// The key is missing from now on, or there again.
    fn obstruct(&self, world: &mut World, there: bool) {
        world.left.obstacles -= u8::from(there);
        world.obstacle = there;
        for id in 0..2 {
            let replica = &world.replicas[usize::from(id)];
            // The controller hands it over where it waits; a busy line hears of it with the next note.
            if replica.leads && replica.runs() && matches!(replica.pending, Pending::Idle(_)) {
                let obstacle = there.then_some(Obstacle::SecretNotFound);
                self.drive(world, id, Event::Hindered(obstacle));
            }
        }
    }

    /// A replica becomes the leader, and is told of the object as it is, or as it was before the last edit.
    fn take_over(&self, world: &mut World, last: &World, id: u8, stale: bool) {
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
            self.drive(world, id, Event::Hindered(Some(Obstacle::SecretNotFound)));
        }
        if let Some(stored) = shown {
            self.notice(world, id, Note::Applied(stored));
        }
    }

    /// The API server takes a status write in, or refuses it; its answer is heard or lost.
    fn apply(&self, world: &mut World, i: usize, heard: bool) {
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
                let stands = (stored.claim.map(|claim| claim.0), stored.failed, stored.replaced, stored.adopted);
                if stands != (claim.map(|claim| claim.0), failed, replaced, adopted) {
                    stored = Stored { failed, adopted, replaced, claim, ..stored };
                    stored.version = world.next_version();
                    world.store(Some(stored));
                }
                Told::Written(Version(u64::from(stored.version)), identity(stored.adopted))
            }
        };
        world.told(write.owner, if heard { told } else { Told::Failed });
        if let Some(owner) = write.owner {
            self.settle(world, owner);
        }
    }

    /// The work on the line panics.
    fn panic(&self, world: &mut World, id: u8) {
        world.left.panics -= 1;
        // Here the call ends with the panic, not by its timeout.
        for call in world.calls.iter_mut().filter(|call| call.owner == Some(id)) {
            call.life = call.life.min(LATENESS);
        }
        world.orphan(id);
        self.drive(world, id, Event::Interrupted);
    }
}
