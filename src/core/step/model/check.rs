//! One check: a variant of the protocol in a world with its bounds.

use std::time::Duration;

use stateright::{Model, Property};

use super::{FREEZE, LAG, LATENESS, SETTLING, Stored, World, bounds::Bounds, moves::Move, variants::Variant};
use crate::{config::Lists, step::Settings};

const fn ticks(n: u8) -> Duration {
    Duration::from_millis(n as u64)
}

pub(super) struct Check {
    pub(super) variant: Variant,
    pub(super) bounds: Bounds,
    /// How much of that may happen in one run.
    pub(super) faults: u8,
    pub(super) settings: Settings,
    /// Whether a clean answer may come before the call lands.
    pub(super) early_answers: bool,
    /// Versions start again with a new object, as after a restore from a backup.
    pub(super) restored: bool,
    /// The line is paused at first, and shall answer.
    pub(super) paused_at_first: bool,
    /// Another line has come in before, and a leader before has told so.
    pub(super) replaced_at_first: bool,
    /// One state in so many is also followed to its end without faults.
    pub(super) follow_every: u64,
}

impl Check {
    pub(super) fn new(variant: Variant, bounds: Bounds) -> Self {
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

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        self.moves(world, moves);
    }

    fn next_state(&self, last: &World, step: Move) -> Option<World> {
        self.after(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Self::holds()
    }
}
