//! What must hold.

use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Property;

use super::{
    NOW, World,
    bounds::Bounds,
    check::Check,
    moves::{Move, Row},
};
use crate::{
    config::Lists,
    line::Action,
    step::{Memory, Mode, Object},
};

pub(super) const LIES: &str = "the status never lies";
pub(super) const DAWDLES: &str = "an edit goes out at once";
pub(super) const EXPOSES: &str = "nobody reaches a line that is being changed";
pub(super) const RUSHES: &str = "no call is made because of a row";
pub(super) const ERRS: &str = "no call is made for another line";
pub(super) const STRAYS: &str = "without faults it becomes right and stays so";

impl Check {
    /// What must hold in every state.
    pub(super) fn holds() -> Vec<Property<Self>> {
        vec![
            Property::always(LIES, |_, world: &World| !world.lies()),
            Property::always(DAWDLES, |_, world: &World| !world.dawdled),
            Property::always(EXPOSES, |_, world: &World| !world.exposed),
            Property::always(RUSHES, |_, world: &World| !world.rushed),
            Property::always(ERRS, |_, world: &World| !world.mistaken),
            Property::always(STRAYS, |check: &Check, world: &World| !check.follows(world) || check.converges(world)),
        ]
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
            world = self.after(&world, step).unwrap_or(world);
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
        self.moves(world, &mut moves);
        moves
    }
}

impl World {
    /// The status claims what is not so, and nobody outside has touched the line since it was looked at.
    fn lies(&self) -> bool {
        self.object.is_some_and(|object| {
            (object.paused == self.line.active || !self.runs_as_asked(&object) || self.has_another_line(&object))
                && object
                    .claim
                    .is_some_and(|(generation, epoch)| generation == object.generation && epoch == self.epoch)
        })
    }
}

/// Whether rule 1 asks for a call at once, in the words of the design.
pub(super) fn must_go_out(known: &Memory, object: &Object) -> bool {
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
