//! How far a run may go.

use std::fmt;

/// How often each thing may happen in one run.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    /// `spec.paused` is flipped.
    pub(super) edits: u8,
    /// `spec.appVersion` is edited. Without such edits nothing is managed but `spec.paused`.
    pub(super) configs: u8,
    /// A PATCH is refused for good.
    pub(super) refusals: u8,
    /// Another field is edited: a new generation that asks for the same.
    pub(super) touches: u8,
    /// `spec.suspend` is flipped.
    pub(super) suspends: u8,
    /// The object is deleted (and may be made again, either way).
    pub(super) deletions: u8,
    /// Somebody flips the line on the dashboard.
    pub(super) flips: u8,
    /// The line gives way to another one, which is the contrary and has the same id. Without that nothing tells lines apart.
    pub(super) swaps: u8,
    /// A process dies; it may start again, with an old view of the object too.
    pub(super) crashes: u8,
    /// The work on the line panics, and goes on with the memory as it was.
    pub(super) panics: u8,
    /// A process stands still for as long as it likes.
    pub(super) freezes: u8,
    /// The leader gives the lease away.
    pub(super) handovers: u8,
    /// A reply is lost, or a call, or both.
    pub(super) losses: u8,
    /// The key is missing for a while.
    pub(super) obstacles: u8,
    /// The key is replaced: for a while the remote refuses the one that is known.
    pub(super) rotations: u8,
    /// A page of the list is asked for.
    pub(super) pages: u8,
    /// A look or a page shows what the line was before.
    pub(super) lags: u8,
    /// Another object names the line, asks for the contrary, and has the line next.
    pub(super) heirs: u8,
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

    pub(super) fn sum(&self) -> u8 {
        self.all().iter().map(|(_, times)| times).sum()
    }
}

impl fmt::Debug for Bounds {
    /// What may happen at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all().into_iter().filter(|(_, times)| *times > 0)).finish()
    }
}

/// Nothing happens but what people asked for at first.
pub(super) const NONE: Bounds = Bounds {
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
