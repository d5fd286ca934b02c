//! Lines at rest: none has a task, until there is news for it or its time has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    deployment::{Follower, Start},
    mailbox::Mailbox,
};
use crate::{clock::Clock, core::time::Time};

/// A line that has something to do.
pub type Called = (Box<Follower>, Start);

/// Calls lines to work.
pub struct Desk {
    calls: UnboundedSender<Called>,
    alarms: Mutex<Alarms>,
    /// An alarm was set that goes before all others.
    sooner: Notify,
}

/// When which line is to be called. An alarm is known by its moment and a number of its own.
#[derive(Default)]
struct Alarms {
    set: BTreeMap<Alarm, Arc<Mailbox>>,
    count: u64,
}

/// See [`Desk::set`].
pub type Alarm = (Time, u64);

impl Desk {
    /// A desk, and where those come out who are called.
    pub fn new() -> (Self, UnboundedReceiver<Called>) {
        let (calls, called) = unbounded_channel();
        (Self { calls, alarms: Mutex::default(), sooner: Notify::new() }, called)
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a line to work. When nobody takes calls any more, that is its end.
    pub fn call(&self, follower: Box<Follower>, start: Start) {
        drop(self.calls.send((follower, start)));
    }

    /// Has the line of that mailbox called at `at`; `None`: never.
    pub fn set(&self, at: Time, mailbox: &Arc<Mailbox>) -> Option<Alarm> {
        if at == Time::NEVER {
            return None;
        }
        let mut alarms = self.alarms();
        alarms.count += 1;
        let alarm = (at, alarms.count);
        alarms.set.insert(alarm, Arc::clone(mailbox));
        if alarms.set.first_key_value().is_some_and(|(first, _)| *first == alarm) {
            self.sooner.notify_one();
        }
        Some(alarm)
    }

    /// Takes an alarm back.
    pub fn cancel(&self, alarm: Alarm) {
        self.alarms().set.remove(&alarm);
    }

    /// Calls each line at its time, for ever.
    pub async fn ring(&self, clock: Clock) {
        loop {
            let next = self.alarms().set.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
            tokio::select! {
                biased;
                () = self.sooner.notified() => continue,
                () = clock.wait_until(next) => {}
            }
            let now = clock.now();
            while let Some(mailbox) = self.take_due(now) {
                mailbox.call(Start::Time);
            }
        }
    }

    fn take_due(&self, now: Time) -> Option<Arc<Mailbox>> {
        let mut alarms = self.alarms();
        let due = alarms.set.first_entry().filter(|first| first.key().0 <= now)?;
        Some(due.remove())
    }
}
