//! Which calls may still land.

use std::sync::Arc;

use crate::{
    config::Managed,
    line::{Action, Change},
    time::Time,
};

/// Until when the latest call of each kind may still land.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Doubts {
    pub(super) pause: Time,
    pub(super) resume: Time,
    /// The last PATCH, by what it sets.
    pub(super) patch: Option<(Arc<Managed>, Time)>,
    /// Every PATCH before it that set something else: what, is not remembered.
    pub(super) patches: Time,
}

impl Doubts {
    /// Everything may land until then.
    pub(super) const fn all_until(until: Time) -> Self {
        Self { pause: until, resume: until, patch: None, patches: until }
    }

    pub(super) const fn of(&self, action: Action) -> Time {
        match action {
            Action::Pause => self.pause,
            Action::Resume => self.resume,
        }
    }

    /// Until when a PATCH may land that sets a field of `wanted`, which has some, to something else.
    pub(super) fn against(&self, wanted: &Managed) -> Time {
        let last = self.patch.as_ref().filter(|(sent, _)| sent.contradicts(wanted));
        last.map_or(self.patches, |(_, until)| self.patches.max(*until))
    }

    /// Until when any PATCH may land.
    pub(super) fn any_patch(&self) -> Time {
        self.patch.as_ref().map_or(self.patches, |(_, until)| self.patches.max(*until))
    }

    pub(super) fn extend(&mut self, change: &Change, until: Time) {
        match change {
            Change::Status(Action::Pause) => self.pause = self.pause.max(until),
            Change::Status(Action::Resume) => self.resume = self.resume.max(until),
            Change::Config(sent) => match &mut self.patch {
                Some((last, open)) if last == sent => *open = until.max(*open),
                last => {
                    let before = last.replace((Arc::clone(sent), until));
                    self.patches = before.map_or(self.patches, |(_, open)| self.patches.max(open));
                }
            },
        }
    }
}
