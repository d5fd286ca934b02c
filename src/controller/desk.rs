//! Lines at rest: none has a task, until there is news for it or its time has come. Then it gets one from here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, task::JoinSet};
use tracing::error;

use super::{
    deployment::{self, Follower, Start},
    mailbox::Mailbox,
};
use crate::{clock::Clock, core::time::Time, metrics::Metrics};

/// Gives lines a task while they have something to do, and others one for good.
pub struct Desk {
    /// `None`: the term is over.
    tasks: Mutex<Option<JoinSet<()>>>,
    metrics: Metrics,
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
    /// A desk that tells these metrics of tasks that end as none may.
    pub fn new(metrics: Metrics) -> Self {
        let tasks = Mutex::new(Some(JoinSet::new()));
        Self { tasks, metrics, alarms: Mutex::default(), sooner: Notify::new() }
    }

    fn tasks(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a line to work. When the term is over, that is its end.
    pub fn call(&self, follower: Box<Follower>, start: Start) {
        // What has ended is cleared away when it rests again: an edit waits.
        if let Some(tasks) = &mut *self.tasks() {
            tasks.spawn(deployment::work_on(follower, start));
        }
    }

    /// Begins a task, unless the term is over.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *self.tasks() {
            self.forget_ended(tasks);
            tasks.spawn(task);
        }
    }

    /// What has ended is kept until it is asked for.
    fn forget_ended(&self, tasks: &mut JoinSet<()>) {
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                // Tasks catch their own panics: this is the end of the rope.
                self.metrics.panics.inc();
                error!(%error, "a task ended that must not");
            }
        }
    }

    /// The term is over: no task begins any more. Returns those that have not ended.
    pub fn close(&self) -> JoinSet<()> {
        self.tasks().take().unwrap_or_default()
    }

    /// Has the line of that mailbox called at `at`; `None`: never.
    pub fn set(&self, at: Time, mailbox: &Arc<Mailbox>) -> Option<Alarm> {
        if let Some(tasks) = &mut *self.tasks() {
            self.forget_ended(tasks);
        }
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
    pub async fn ring(self: Arc<Self>, clock: Clock) {
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
