//! What a replica does: its controller around the real step function.

use super::{
    CALL, NOW, Note, Pending, Stored, World, Write, check::Check, properties::must_go_out, variants::Variant,
    world::shown,
};
use crate::{
    config::Sight,
    identity::Identity,
    line::{Action, Change, State, Trouble},
    step::{Due, Event, Request, Sent, Source, Uid},
    time::Time,
};

impl Check {
    /// The environment hands `event` to a replica's step function and takes its request up.
    pub(super) fn drive(&self, world: &mut World, replica: u8, mut event: Event) {
        let r = usize::from(replica);
        let mut memory = world.replicas[r].memory.clone();
        let known = memory.clone();
        let (is_row, is_look) =
            (matches!(event, Event::Listed { .. }), matches!(event, Event::Looked { answer: Ok(_), .. }));
        let patched = match (&known.in_flight, &event) {
            (Some(Change::Config(fields)), Event::Sent(sent, _)) => Some((fields.app_version, *sent)),
            _ => None,
        };
        self.variant.leave_out(&mut memory, &mut event);
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
    pub(super) fn settle(&self, world: &mut World, replica: u8) {
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

    pub(super) fn notice(&self, world: &mut World, replica: u8, note: Note) {
        let event = match note {
            Note::Applied(stored) => {
                world.replicas[usize::from(replica)].follow(stored.uid);
                Event::Noticed(stored.seen(), Source::Watch)
            }
            Note::Deleted(uid) => Event::Deleted(Uid(u128::from(uid))),
        };
        self.drive(world, replica, event);
    }

    pub(super) fn fail_look(&self, world: &mut World, replica: u8, trouble: Trouble) {
        if let Pending::Looking { began, .. } = world.replicas[usize::from(replica)].pending {
            self.drive(world, replica, Event::Looked { began, answer: Err((trouble, None)) });
        }
    }

    pub(super) fn guards(&self, stored: &Stored, write: &Write) -> bool {
        let (uid, version) = (stored.uid == write.uid, stored.version == write.version);
        match self.variant {
            Variant::NoGuard => true,
            Variant::NoUidGuard => version,
            _ => uid && version,
        }
    }
}
