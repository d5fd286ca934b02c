//! What can happen next.

use super::{CALL, Does, FREEZE, LATENESS, NOW, Page, Pending, World, check::Check, variants::Variant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
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
pub(super) enum Row {
    Fresh,
    Old(usize),
    /// Rows are skipped while lines come and go.
    Missing,
}

impl Check {
    /// Everything that can happen next. Time passes where nothing is late: what is assumed to take so long at most comes first.
    pub(super) fn moves(&self, world: &World, moves: &mut Vec<Move>) {
        let mut late = false;
        for id in 0..2 {
            late |= self.moves_of_replica(world, id, moves);
        }
        late |= self.moves_of_calls(world, moves);
        moves_of_writes(world, moves);
        moves_of_others(world, moves);
        if !late {
            moves.push(Move::Tick);
        }
    }

    /// What a replica can do, and what can be done to it. Returns whether it is late.
    fn moves_of_replica(&self, world: &World, id: u8, moves: &mut Vec<Move>) -> bool {
        let (left, replica) = (&world.left, &world.replicas[usize::from(id)]);
        if !replica.up {
            moves.push(Move::Start(id));
            return false;
        }
        if left.crashes > 0 {
            moves.push(Move::Crash(id));
        }
        if replica.frozen {
            moves.push(Move::Thaw(id));
            // The assumption on freezes between the look at the lease and the socket.
            return matches!(replica.pending, Pending::Checked { .. }) && replica.age >= FREEZE;
        }
        let mut late = false;
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
        late
    }

    /// What can become of calls on their way. Returns whether one is late.
    fn moves_of_calls(&self, world: &World, moves: &mut Vec<Move>) -> bool {
        let left = &world.left;
        let mut late = false;
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
        late
    }
}

/// What can become of status writes on their way.
fn moves_of_writes(world: &World, moves: &mut Vec<Move>) {
    let left = &world.left;
    for i in 0..world.writes.len() {
        moves.push(Move::Apply { write: i, heard: true });
        if left.losses > 0 {
            moves.push(Move::Apply { write: i, heard: false });
        }
        if world.writes[i].owner.is_none() {
            moves.push(Move::Forget(i));
        }
    }
}

/// What people do, to the object, at the dashboard and with the key.
fn moves_of_others(world: &World, moves: &mut Vec<Move>) {
    let left = &world.left;
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
}
