//! News for one object, what the list last said of its line, and the line itself while it rests.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    deployment::{Follower, Start},
    desk::Alarm,
    seen::{Seen, Status},
};
use crate::core::{
    classify::Remote,
    config::Shown,
    step::{Source, Uid},
    time::Time,
};

/// Where news for one object is left until its line takes it.
#[derive(Default)]
pub struct Mailbox {
    state: Mutex<State>,
    /// Something was signalled.
    signalled: Notify,
}

#[derive(Default)]
struct State {
    /// Boxed, so that a line at rest takes little memory.
    inbox: Option<Box<Inbox>>,
    /// Something was signalled since the inbox was last taken; and something that can't wait for a look to end.
    news: bool,
    urgent: bool,
    record: Record,
    /// Who reads it, while there is nothing to do.
    resting: Option<Resting>,
}

struct Resting {
    follower: Box<Follower>,
    alarm: Option<Alarm>,
}

/// What has come since it was last taken.
#[derive(Default)]
pub struct Inbox {
    /// The newest view of the object, what stands in its status, and how it came.
    pub seen: Option<(Arc<Seen>, Status, Source)>,
    /// An object of this name that is gone, before the one in `seen`.
    pub deleted: Option<Uid>,
    /// What the list shows of the line, where that needs a thought.
    pub row: Option<Row>,
    /// The newest edit.
    pub edited: Option<Edited>,
}

/// Which edit came, and when.
#[derive(Clone, Copy)]
pub struct Edited {
    /// The object's `metadata.generation`.
    pub generation: i64,
    /// When it came.
    pub at: Instant,
}

/// What one walk over the list found of a line.
#[derive(Debug)]
pub struct Row {
    /// Just before the page was asked for; or the walk's first page, where no page had the line.
    pub began: Time,
    /// The line; `None`: no page had it.
    pub remote: Option<Box<Remote>>,
}

/// What a page costs that shows a line as it was: a comparison and a time.
#[derive(Clone, Copy, Default)]
struct Record {
    /// The fingerprint that a line at rest is known by.
    settled: Option<u64>,
    /// When the last page was asked for that showed just that.
    confirmed: Time,
    /// When the last page was asked for that had the line.
    listed: Option<Time>,
    /// The last own look that was answered.
    answered: Time,
}

impl Mailbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a view of the object. `replaced`: another one of its name was there before. `edited`: it is another than before.
    pub fn put(&self, seen: Arc<Seen>, status: Status, source: Source, replaced: Option<Uid>, edited: bool) {
        let mut state = self.state();
        let inbox = state.inbox.get_or_insert_default();
        if edited {
            inbox.edited = Some(Edited { generation: seen.generation, at: Instant::now() });
        }
        inbox.deleted = replaced.or(inbox.deleted);
        inbox.seen = Some((seen, status, source));
    }

    /// Leaves the news that the object is gone.
    pub fn put_deletion(&self, uid: Uid) {
        let mut state = self.state();
        let inbox = state.inbox.get_or_insert_default();
        inbox.deleted = Some(uid);
        inbox.seen = None;
    }

    /// Calls the line to work, or ends its look where that can't wait.
    pub fn signal(&self, urgent: bool) {
        {
            let mut state = self.state();
            state.news = true;
            state.urgent |= urgent;
        }
        self.signalled.notify_one();
        self.call(Start::News);
    }

    /// Leaves the line at rest until there is news for it, or until that moment.
    pub fn rest(self: &Arc<Self>, follower: Box<Follower>, until: Time) {
        let desk = follower.desk();
        let mut state = self.state();
        if state.news {
            drop(state);
            desk.call(follower, Start::News);
            return;
        }
        let alarm = desk.set(until, self);
        state.resting = Some(Resting { follower, alarm });
    }

    /// Calls the line to work, where it is at rest.
    pub fn call(&self, start: Start) {
        let resting = self.state().resting.take();
        let Some(Resting { follower, alarm }) = resting else { return };
        let desk = follower.desk();
        if let Some(alarm) = alarm {
            desk.cancel(alarm);
        }
        desk.call(follower, start);
    }

    /// Lets go of the line, where it is at rest.
    pub fn dismiss(&self) {
        let resting = self.state().resting.take();
        drop(resting);
    }

    /// Waits for a signal that came since the inbox was last taken, and that can't wait for a look to end. For one task at a time.
    pub async fn urgent_news(&self) {
        self.wait(|state| state.urgent).await;
    }

    /// The same for another object, or another generation of it, than the one of this generation.
    pub async fn another_than(&self, generation: Option<i64>) {
        self.wait(|state| {
            state.inbox.as_ref().is_some_and(|inbox| {
                let seen = inbox.seen.as_ref().map(|(seen, ..)| seen.generation);
                inbox.deleted.is_some() || seen.is_some() && seen != generation
            })
        })
        .await;
    }

    async fn wait(&self, so: impl Fn(&State) -> bool) {
        while !so(&self.state()) {
            self.signalled.notified().await;
        }
    }

    /// Takes what is there.
    pub fn take(&self) -> Inbox {
        let mut state = self.state();
        state.news = false;
        state.urgent = false;
        state.inbox.take().map(|inbox| *inbox).unwrap_or_default()
    }

    /// Takes in what a page shows of the line that was asked for at `began`, in a walk that began at `walk`. The line is called
    /// where it has to think about that. True where the walk had not shown the line before.
    pub fn list(&self, walk: Time, began: Time, remote: Remote) -> bool {
        let shows = fingerprint(&remote);
        let is_first = {
            let mut state = self.state();
            let is_first = state.record.listed.is_none_or(|listed| listed < walk);
            state.record.listed = Some(began);
            if state.record.settled == Some(shows) {
                state.record.confirmed = state.record.confirmed.max(began);
                return is_first;
            }
            state.inbox.get_or_insert_default().row = Some(Row { began, remote: Some(Box::new(remote)) });
            is_first
        };
        self.signal(false);
        is_first
    }

    /// Takes in that a whole walk has gone by without the line. True where that is so.
    pub fn miss(&self, walk: Time) -> bool {
        {
            let mut state = self.state();
            if state.record.listed.is_none_or(|listed| listed >= walk) {
                return false;
            }
            state.inbox.get_or_insert_default().row = Some(Row { began: walk, remote: None });
        }
        self.signal(false);
        true
    }

    /// From now on walks have the line, or miss it.
    pub fn begin(&self, now: Time) {
        self.state().record = Record { listed: Some(now), ..Record::default() };
    }

    /// Says what the line is like at rest: a row that shows just that needs no thought. `None`: each does.
    pub fn settle(&self, remote: Option<&Remote>) {
        let shows = remote.map(fingerprint);
        let mut state = self.state();
        // A page that showed what the line was at its last rest says nothing about what it is at this one.
        if state.record.settled != shows {
            state.record.confirmed = Time::default();
        }
        state.record.settled = shows;
    }

    /// Notes that an own look of then was answered.
    pub fn answered(&self, at: Time) {
        self.state().record.answered = at;
    }

    /// When the remote last showed the line, by a row or in answer to a look; `None`: no walk has it.
    pub fn shown(&self) -> Option<Time> {
        let record = self.state().record;
        record.listed.map(|listed| listed.max(record.answered))
    }

    /// When the last page was asked for that showed the line as it is at rest.
    pub fn confirmed(&self) -> Time {
        self.state().record.confirmed
    }
}

/// All that a row says, in a number. It has the phone numbers, not the connections that they belong to.
fn fingerprint(remote: &Remote) -> u64 {
    let Remote { deployment, state, config, app_id, channel_direction, created_at, updated_at, updated_by } = remote;
    let Shown { app_version, name, description, connections, schedule } = &**config;
    let mut hasher = DefaultHasher::new();
    (deployment, state, app_id, channel_direction, created_at, updated_at, updated_by).hash(&mut hasher);
    (app_version, name, description, connections.numbers(), schedule).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{id::Id, line};

    fn remote(state: line::State) -> Remote {
        Remote {
            deployment: Id::new("dep-1").unwrap(),
            state,
            config: Arc::default(),
            app_id: None,
            channel_direction: None,
            created_at: None,
            updated_at: None,
            updated_by: None,
        }
    }

    #[test]
    fn a_page_confirms_only_what_it_shows() {
        let (paused, active) = (remote(line::State::Paused), remote(line::State::Active));
        let mailbox = Mailbox::default();
        mailbox.settle(Some(&paused));
        mailbox.list(Time(10), Time(10), paused.clone());
        assert_eq!(mailbox.confirmed(), Time(10));
        mailbox.settle(Some(&paused));
        assert_eq!(mailbox.confirmed(), Time(10), "it rests as before");
        // It is resumed, a look shows that, and before it rests a page shows it paused again.
        mailbox.list(Time(20), Time(20), paused);
        mailbox.settle(Some(&active));
        assert_eq!(mailbox.confirmed(), Time(0), "no page has shown it active");
    }
}
