//! What is left out to see whether the check can tell.

use super::{
    NOW,
    bounds::{Bounds, NONE},
    properties::{DAWDLES, ERRS, EXPOSES, LIES, RUSHES, STRAYS},
};
use crate::{
    line::Trouble,
    step::{Event, Memory, Sent, Uid, Version, doubts::Doubts},
    time::Time,
};

/// The protocol as it is, or without one of its rules. The check must tell each from the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
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

impl Variant {
    /// What it makes of an event, and of the memory before it.
    pub(super) fn leave_out(self, memory: &mut Memory, event: &mut Event) {
        match (self, &mut *event) {
            (Self::OlderActedOn, Event::Noticed(..)) => memory.newest = Version(0),
            (Self::JudgedAtTheEnd, Event::Looked { began, .. }) => *began = NOW,
            (Self::RowJudgedOnArrival, Event::Listed { began, .. }) => {
                *began = NOW;
                memory.settling = None;
            }
            (Self::RejectedIsRefused, Event::Sent(Sent::Refused(trouble), _)) => *trouble = Trouble::Refused,
            (Self::RowTrusted, Event::Listed { began, row: Some(row) }) => {
                *event = Event::Looked { began: *began, answer: Ok(row.clone()) };
            }
            (Self::AbsenceIsNotFound, Event::Listed { began, row: None }) => {
                *event = Event::Looked { began: *began, answer: Err((Trouble::NotFound, None)) };
            }
            (Self::AbsenceIsDeletion, Event::Listed { row: None, .. }) => {
                let uid = memory.object.as_ref().map_or(Uid(0), |object| object.uid);
                *event = Event::Deleted(uid);
            }
            (Self::HeirPassedOver, Event::Noticed(object, _)) if object.version <= memory.newest => {
                *event = Event::Woken;
            }
            (Self::EveryLineAdopted, _) => believe_in_the_line(memory),
            (Self::AdoptedUntilLooked, _) if memory.seen.is_none() => believe_in_the_line(memory),
            (Self::ReadyAtOnce, Event::Looked { .. }) => memory.doubts = Doubts::default(),
            (Self::PatchInDoubt, Event::Looked { .. }) => memory.doubts.resume = Time(0),
            (Self::ResumeInDoubt, Event::Looked { .. }) => {
                memory.doubts.patch = None;
                memory.doubts.patches = Time(0);
            }
            (Self::DoubtsOfObject, Event::Noticed(object, _) | Event::Read(object))
                if memory.object.as_ref().map(|o| o.uid).or(memory.gone).is_some_and(|uid| uid != object.uid) =>
            {
                memory.doubts = Doubts::default();
            }
            _ => {}
        }
    }
}

/// Whatever was shown, it counts as the line that the object has adopted.
fn believe_in_the_line(memory: &mut Memory) {
    memory.identity = memory.object.as_ref().map_or(memory.identity, |object| object.identity);
}

/// Each variant by its rule, the world in which it is caught, and the property that it breaks.
pub(super) const VARIANTS: [(Variant, Bounds, &str); 28] = [
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
