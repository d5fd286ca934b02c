//! One `Deployment` object: runs the step function of its line and carries out what it asks for.

use std::{
    mem::{replace, take},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use opentelemetry::{KeyValue, trace::SpanKind};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, error, info, warn};

use super::{
    Term,
    census::Key,
    cluster::Standing,
    desk::Desk,
    events::is_passing,
    guarded::Guarded,
    in_time,
    mailbox::{Edited, Mailbox, Row},
    reason_of,
    seen::{Received, Seen, Status, fingerprint},
    workspace::Account,
};
use crate::{
    api::{DeploymentStatus, LineConfig, RemoteState, RemoteStatus, RolloutStatus, conditions},
    core::{
        classify::{Call, Fault, Landed, Remote},
        config::{Field, Sight},
        id::LineId,
        line::{Action, Change, State, Trouble},
        rollout::Failure,
        status::{Conditions, Details, Obstacle, Reason, Verdict},
        step::{Event, Memory, Request, Sent, Settings, Source, Told, Uid, Why, note, step},
        time::Time,
        walk,
    },
    metrics::{self, ApiRequest},
    sarvam::{ApiKey, Budget, Held, Lane},
    traces::{Edit, Outcome, within},
};

/// How long after a call was begun the status says that it is under way. Nobody reads one sooner, and most calls, with the
/// look that confirms them, have ended by then: the status says that instead, with one write for two.
const HEAD_START: Duration = Duration::from_millis(100);

/// Works on an object until there is nothing to do, and leaves it at rest; or lets go of it where it is gone or the term is over.
pub async fn work_on(mut follower: Box<Follower>, mut start: Start) {
    let rests = loop {
        // Boxed, so that who only passes by takes little memory.
        if let Ok(rests) = Box::pin(AssertUnwindSafe(follower.work(start)).catch_unwind()).await {
            break rests;
        }
        error!(object = %follower.key, "a bug: the work on this line panicked; it goes on after a pause");
        follower.term.context.metrics.panics.inc();
        start = Start::Panicked;
    };
    if let Some(until) = rests {
        Arc::clone(&follower.mailbox).rest(follower, until);
    } else {
        follower.leave();
        if let Some(seen) = follower.seen {
            follower.term.context.metrics.forget_line(seen.uid());
        }
    }
}

/// What work begins with.
pub enum Start {
    /// Something is in the mailbox.
    News,
    /// The moment has come.
    Time,
    /// The last work panicked.
    Panicked,
}

/// Where the memory of the line is.
enum Place {
    /// This object owns the line, and nobody else may touch its memory.
    Own(LineId, OwnedMutexGuard<Memory>),
    /// It owns none: a memory of its own, just to tell its status.
    Apart(Box<Memory>),
}

/// What is known of one object and its line.
pub struct Follower {
    term: Arc<Term>,
    key: Key,
    mailbox: Arc<Mailbox>,
    memory: Place,
    /// How much the line's own looks are put off, in thousandths, so that not all lines of a Workspace look at once.
    spread: u32,
    /// The newest view of the object that the step function was told of.
    seen: Option<Arc<Seen>>,
    /// What stands in its status.
    status: Status,
    /// The [`fingerprint`] of the one that it rested with, where another has come since.
    rested_with: Option<u64>,
    /// How the last view of it came.
    source: Source,
    /// The newest edit, until its call has been answered well.
    edited: Option<Edited>,
    /// Its trace, until it ends.
    edit: Option<Box<Edit>>,
    account: Option<Arc<Account>>,
    /// Where the mailbox gets rows of the list from.
    joined: Option<Arc<Account>>,
    /// What the last look showed; `None` also once the line is at rest.
    remote: Option<Box<Remote>>,
    /// The list shows, or lacks, something that only a look can tell.
    doubted: bool,
    /// Since when a look that is due has waited for the list to answer it.
    waits_since: Option<Time>,
    /// What only the status tells; most lines have none.
    words: Option<Box<Words>>,
    /// The verdict last told, and the fingerprint of the status that it was told in.
    told: Option<(Verdict, u64)>,
    /// The reason that an Event told last, and of which object, where the status is not known to say it.
    announced: Option<(Uid, Reason)>,
    /// What is being done, and when the status says so if nothing else has been told by then.
    untold: Option<(Verdict, Instant)>,
    /// A drift was told and has not been put right yet.
    drifted: bool,
    /// A call was sent, and its success has not been told yet.
    acted: bool,
}

/// What the status tells a person beside the verdict.
#[derive(Default)]
struct Words {
    /// What the last failed call said.
    fault: String,
    /// What the remote said when it refused the change of the configuration.
    refusal: String,
    obstacle: String,
    bar: String,
}

impl Follower {
    /// Of an object that has just come.
    pub fn new(term: &Arc<Term>, key: Key, mailbox: Arc<Mailbox>) -> Box<Self> {
        Box::new(Self {
            memory: Place::Apart(Box::new(term.new_memory())),
            spread: 50,
            term: Arc::clone(term),
            key,
            mailbox,
            seen: None,
            status: Status::default(),
            rested_with: None,
            source: Source::Watch,
            edited: None,
            edit: None,
            account: None,
            joined: None,
            remote: None,
            doubted: false,
            waits_since: None,
            words: None,
            told: None,
            announced: None,
            untold: None,
            drifted: false,
            acted: false,
        })
    }

    /// Where it is called to work.
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.term.desk)
    }

    /// Works until there is nothing to do before a moment, and returns that. `None`: the object is gone or the term is over.
    async fn work(&mut self, start: Start) -> Option<Time> {
        let mut request = match start {
            _ if self.term.is_over() => return None,
            Start::News => Box::pin(self.take_news()).await?,
            Start::Time => self.step(Event::Woken),
            Start::Panicked => self.step(Event::Interrupted),
        };
        // The status says what there is to say: it was written for the request that this one follows.
        let mut is_told = false;
        loop {
            if self.term.is_over() {
                return None;
            }
            let was_told = replace(&mut is_told, false);
            let edit = self.edit.as_deref().map(Edit::context);
            if matches!(request, Request::Tell(_)) && self.lacks_facts() {
                self.doubted = true;
                request = Request::Look;
            }
            let event = match request {
                Request::Wait(_) if !was_told && self.would_tell_otherwise() => {
                    self.told = None;
                    Event::Reworded
                }
                Request::Wait(until) => {
                    self.untold = None;
                    self.settle();
                    return Some(until);
                }
                Request::Look => {
                    if let Some(confirmed) = self.confirmed() {
                        request = self.step(confirmed);
                        self.doubted |= request == Request::Look;
                        continue;
                    }
                    if let Some(until) = self.may_wait() {
                        return Some(until);
                    }
                    // An edit does not wait for a look, also one that came while a call was under way: the look is given up.
                    let (mailbox, look) = (Arc::clone(&self.mailbox), self.look());
                    let looked = Box::pin(self.meanwhile(async move {
                        tokio::select! {
                            biased;
                            () = mailbox.urgent_news() => None,
                            looked = look => Some(looked),
                        }
                    }));
                    let Some(looked) = within(edit, looked).await else {
                        request = Box::pin(self.take_news()).await?;
                        continue;
                    };
                    self.looked(looked)
                }
                // Boxed, so that a line that waits for its turn to be written, as very many do at a cold start, takes little memory.
                Request::Read => within(edit, Box::pin(self.read())).await,
                Request::Tell(verdict) => {
                    let told = within(edit, Box::pin(self.tell(verdict))).await;
                    is_told = matches!(told, Told::Written(..));
                    Event::Told(verdict, told)
                }
                Request::Send { change, why, beside } => {
                    let Some(sent) = within(edit, Box::pin(self.send(change, why, beside))).await else {
                        self.note(Event::Sent(Sent::Withheld(None), None));
                        request = Box::pin(self.take_news()).await?;
                        continue;
                    };
                    sent
                }
            };
            request = self.step(event);
        }
    }

    fn memory(&self) -> &Memory {
        match &self.memory {
            Place::Own(_, guard) => guard,
            Place::Apart(memory) => memory,
        }
    }

    fn step(&mut self, event: Event) -> Request {
        debug!(object = %self.key, ?event, "step");
        let request = self.remember(|memory, settings, now| step(memory, settings, now, event));
        debug!(object = %self.key, ?request, "step");
        request
    }

    /// Takes in an event after which another one comes at once.
    fn note(&mut self, event: Event) {
        debug!(object = %self.key, ?event, "note");
        self.remember(|memory, settings, now| (note(memory, settings, now, event), ()));
    }

    /// Puts what `think` makes of the memory in its place.
    fn remember<T>(&mut self, think: impl FnOnce(Memory, &Settings, Time) -> (Memory, T)) -> T {
        let now = self.term.context.clock.now();
        let settings = self.settings();
        let memory = match &mut self.memory {
            Place::Own(_, guard) => &mut **guard,
            Place::Apart(memory) => memory,
        };
        let (next, thought) = think(replace(memory, Memory::first()), &settings, now);
        *memory = next;
        thought
    }

    /// The protocol's settings for this line.
    fn settings(&self) -> Settings {
        let protocol = self.term.context.protocol;
        let Some(account) = &self.account else { return protocol };
        let (sync, horizon) = account.pace();
        Settings { sync, horizon: horizon * (1000 + self.spread) / 1000, ..protocol }
    }

    /// Tells the mailbox what the line is like at rest, or that every row needs a thought. Of a line that is as asked, what only
    /// words are made of is not kept: there are very many, and the next look, or the object itself, has it again. But where the
    /// look doesn't tell all of which line that is, only the object has it, and it would be read for each look.
    fn settle(&mut self) {
        if !self.memory().rests() {
            self.mailbox.settle(None);
            return;
        }
        let adopted = self.memory().object().map(|object| object.identity).unwrap_or_default();
        let tells_all = self.remote.as_ref().is_none_or(|remote| remote.identity().tells(adopted));
        if let Some(remote) = &self.remote {
            self.mailbox.settle(Some(remote));
        }
        if let (Some((Verdict::Synced, fingerprint)), true) = (self.told, tells_all) {
            self.status = Status::Ready(fingerprint);
            self.remote = None;
            self.words = None;
        }
    }

    /// What rows that needed no thought come to: a look, where the line is at rest and has not looked since.
    fn confirmed(&self) -> Option<Event> {
        let memory = self.memory();
        let looked = memory.looked().filter(|_| memory.rests() && !self.doubted)?;
        let began = self.mailbox.confirmed();
        (looked < began).then(|| Event::Listed { began, row: memory.sight() })
    }

    /// Whether somebody else has changed the status of a line at rest, so that only a look has again what it said. Once.
    fn lacks_facts(&mut self) -> bool {
        let rested_with = self.rested_with.take().filter(|_| self.remote.is_none());
        rested_with.is_some_and(|known| self.status.fingerprint() != known) && self.memory().sight().is_some()
    }

    /// Until when a look that is due may wait for the list to answer it; `None`: it can't.
    fn may_wait(&mut self) -> Option<Time> {
        let account = Arc::clone(self.account.as_ref()?);
        let memory = self.memory();
        if self.doubted || self.joined.is_none() || !memory.is_quiet() {
            return None;
        }
        let now = self.term.context.clock.now();
        let until = match memory.looked() {
            // A slow walk has moved the horizon since.
            Some(looked) if memory.rests() => looked + self.settings().horizon,
            _ if memory.object()?.claims || self.is_in_a_crowd(&account) => {
                let since = *self.waits_since.get_or_insert_with(|| {
                    account.want_walk();
                    now
                });
                since + account.patience()
            }
            _ => return None,
        };
        (until > now).then_some(until)
    }

    /// Whether so many lines of the Workspace are not as asked, or not known to be, that the list answers sooner.
    fn is_in_a_crowd(&self, account: &Account) -> bool {
        let Some(lines) = self.term.cluster.lines(account.key()) else { return false };
        let count = |lines: i32| usize::try_from(lines).unwrap_or_default();
        walk::is_crowd(count(lines.total - lines.as_asked), count(lines.total))
    }

    /// Takes in what the mailbox and the cluster have to say. `None`: the object is gone.
    async fn take_news(&mut self) -> Option<Request> {
        let inbox = self.mailbox.take();
        if let Some(uid) = inbox.deleted {
            self.note(Event::Deleted(uid));
            self.seen = None;
            self.remote = None;
            self.told = None;
            self.end(Outcome::Deleted);
            self.term.context.metrics.forget_line(uid);
            inbox.seen.as_ref()?;
        }
        self.edited = inbox.edited.or(self.edited);
        // What a list brings at the start is no news, mostly.
        if let (Some(edited), Some((seen, _, Source::Watch))) = (inbox.edited, &inbox.seen) {
            self.begin(edited, seen);
        }
        if let Some((seen, status, source)) = inbox.seen {
            // An echo of our own last write is older than what that write answered.
            if self.seen.as_ref().is_none_or(|known| known.version() <= seen.version()) {
                self.seen = Some(seen);
                if let Status::Ready(fingerprint) = replace(&mut self.status, status) {
                    self.rested_with = Some(fingerprint);
                }
            }
            self.source = source;
        }
        let Some(obstacle) = self.stand().await else {
            // Not enough is known yet: what came is handed on with the next news.
            return Some(Request::Wait(Time::NEVER));
        };
        let request = match &self.seen {
            Some(seen) => {
                let object = seen.object(&self.term.context.clock);
                self.note(Event::Hindered(obstacle));
                self.step(Event::Noticed(object, self.source))
            }
            None => self.step(Event::Hindered(obstacle)),
        };
        // A call that was asked for must be made: another step would take the request's place. A row from before it is worth nothing.
        let sends = matches!(request, Request::Send { .. });
        Some(match inbox.row {
            Some(row) if obstacle.is_none() && !sends => self.take_row(row),
            _ => request,
        })
    }

    /// Begins the trace of an edit.
    fn begin(&mut self, edited: Edited, seen: &Seen) {
        self.end(Outcome::Superseded);
        if seen.is_deleting {
            return;
        }
        let edit = self.term.context.traces.edit(edited.at, edited.generation, || {
            let Key { namespace, name } = &self.key;
            let mut attributes = vec![
                KeyValue::new("k8s.namespace.name", Arc::clone(namespace)),
                KeyValue::new("sarvam.deployment.name", Arc::clone(name)),
                KeyValue::new("sarvam.deployment.uid", seen.guard().0.to_owned()),
                KeyValue::new("sarvam.deployment.generation", edited.generation),
            ];
            let action = seen.spec.as_ref().map(|spec| Action::for_paused(spec.paused).verb());
            attributes.extend(action.map(|action| KeyValue::new("sarvam.action", action)).ok());
            attributes
        });
        self.edit = edit.map(Box::new);
    }

    /// Ends the trace of the edit, where there is one.
    fn end(&mut self, outcome: Outcome) {
        if let Some(edit) = self.edit.take() {
            edit.end(outcome);
        }
    }

    fn take_row(&mut self, row: Row) -> Request {
        let Row { began, remote } = row;
        let known = self.memory().sight();
        let request = self.step(Event::Listed { began, row: remote.as_deref().map(sight) });
        if let Some(mut remote) = remote.filter(|_| self.memory().looked() == Some(began)) {
            // A row has the numbers alone; where they are the same, the connections of the last look still are.
            if let Some(known) = known.map(|known| known.config)
                && known.connections != remote.config.connections
                && known.connections.agrees_with(&remote.config.connections)
            {
                Arc::make_mut(&mut remote.config).connections.clone_from(&known.connections);
            }
            self.remote = Some(remote);
            self.waits_since = None;
        } else {
            self.doubted |= request == Request::Look;
        }
        request
    }

    /// Takes the place that the cluster gives this object, and returns what hinders it; `None`: it has none yet.
    async fn stand(&mut self) -> Option<Option<Obstacle>> {
        loop {
            let Standing { line, account, obstacle, bar } = self.term.cluster.standing(&self.key)?;
            self.move_to_account(account);
            let (obstacle, message) = obstacle.unzip();
            match line {
                Some(line) if matches!(&self.memory, Place::Own(own, _) if *own == line) => {
                    self.join();
                    let (bar, why) = bar.unzip();
                    self.note(Event::Barred(bar));
                    self.hindered(message, why);
                    return Some(obstacle);
                }
                // Whoever had it finishes its call first. By then another may own it: look again.
                Some(line) => {
                    self.leave();
                    self.memory = Place::Apart(Box::new(self.term.new_memory()));
                    let memory = self.term.memory(&line).lock_owned().await;
                    self.memory = Place::Own(line, memory);
                }
                None => {
                    if matches!(self.memory, Place::Own(..)) {
                        self.leave();
                        self.memory = Place::Apart(Box::new(self.term.new_memory()));
                    }
                    self.hindered(message, None);
                    return Some(obstacle);
                }
            }
        }
    }

    /// Takes in what to say of an obstacle and of a bar.
    fn hindered(&mut self, obstacle: Option<String>, bar: Option<String>) {
        if obstacle.is_some() || bar.is_some() || self.words.is_some() {
            let words = self.words();
            (words.obstacle, words.bar) = (obstacle.unwrap_or_default(), bar.unwrap_or_default());
        }
    }

    fn words(&mut self) -> &mut Words {
        self.words.get_or_insert_default()
    }

    fn move_to_account(&mut self, account: Option<Arc<Account>>) {
        self.spread = self.seen.as_ref().map_or(50, |seen| u32::try_from(seen.uid().0 % 101).unwrap_or(50));
        self.account = account;
    }

    /// From now on rows of the list that show the line come to this object's mailbox.
    fn join(&mut self) {
        let (Place::Own(line, _), Some(account)) = (&self.memory, &self.account) else { return };
        if self.joined.as_ref().is_some_and(|joined| Arc::ptr_eq(joined, account)) {
            return;
        }
        let (line, account) = (line.deployment.clone(), Arc::clone(account));
        self.leave();
        account.join(&line, &self.mailbox, self.term.context.clock.now());
        self.joined = Some(account);
    }

    fn leave(&mut self) {
        if let (Place::Own(line, _), Some(account)) = (&self.memory, self.joined.take()) {
            account.leave(&line.deployment, &self.mailbox);
        }
    }

    /// One GET of the line, and when it began.
    fn look(&self) -> impl Future<Output = Result<(Time, Remote), (Option<Fault>, Trouble, Time)>> + use<> {
        let (term, whose) = (Arc::clone(&self.term), self.line());
        let lane = match self.memory().for_edit() {
            Some(Why::Edit) => Lane::EditLook,
            Some(_) => Lane::RetryLook,
            None => Lane::Look,
        };
        async move { look(&term, whose, lane).await }
    }

    /// Waits for this work. Where it takes long, the status says meanwhile what is being done.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Some((verdict, at)) = self.untold else { return work.await };
        if let Ok(done) = timeout_at(at, &mut work).await {
            return done;
        }
        let (done, told) = tokio::join!(biased; work, self.tell(verdict));
        self.note(Event::Told(verdict, told));
        done
    }

    fn looked(&mut self, looked: Result<(Time, Remote), (Option<Fault>, Trouble, Time)>) -> Event {
        self.doubted = false;
        self.waits_since = None;
        match looked {
            Ok((began, remote)) => {
                self.mailbox.answered(began);
                let sight = sight(&remote);
                self.remote = Some(Box::new(remote));
                Event::Looked { began, answer: Ok(sight) }
            }
            Err((fault, trouble, not_before)) => {
                if trouble == Trouble::NotFound {
                    self.mailbox.answered(self.term.context.clock.now());
                }
                self.note_fault(fault.as_ref(), trouble);
                Event::Looked { began: self.term.context.clock.now(), answer: Err((trouble, Some(not_before))) }
            }
        }
    }

    fn note_fault(&mut self, fault: Option<&Fault>, trouble: Trouble) {
        self.words().fault = match (fault, trouble) {
            (Some(fault), _) => sentence(&fault.message),
            (None, Trouble::QuotaExhausted) => {
                "The remote says that the account's credits are used up; top them up. No call is made for a while."
                    .to_owned()
            }
            (None, Trouble::RateLimited) => "Calls have to wait: the remote wants fewer, or this Workspace has more lines than spec.requestsPerSecond and spec.syncInterval allow for.".to_owned(),
            (None, _) => "The remote can't be called for now; trying again.".to_owned(),
        };
    }

    /// The line that this object owns, and its Workspace.
    fn line(&self) -> Option<(LineId, Arc<Account>)> {
        let Place::Own(line, _) = &self.memory else { return None };
        Some((line.clone(), Arc::clone(self.account.as_ref()?)))
    }

    /// One call that changes the line, and beside it, where it takes long, the verdict. `None`: somebody has changed the object
    /// before it was its turn, and nothing was sent.
    async fn send(&mut self, change: Change, why: Why, beside: Option<Verdict>) -> Option<Event> {
        let term = Arc::clone(&self.term);
        let whose = self.line();
        let Some((line, account, key, budget)) = access(whose.as_ref()) else {
            return Some(Event::Sent(Sent::Withheld(None), None));
        };
        let (mailbox, generation) = (Arc::clone(&self.mailbox), self.seen.as_ref().map(|seen| seen.generation));
        let context = &term.context;
        let sending = async {
            let permit = tokio::select! {
                biased;
                () = mailbox.another_than(generation) => return Sending::Replaced,
                permit = term.enter(&budget, lane(&change, why)) => permit,
            };
            let permit = match permit {
                Ok(permit) => permit,
                Err(held) => return Sending::Withheld(Some(held)),
            };
            // The last look at the lease before the socket.
            if context.leadership.remaining() <= context.call_timeout || *context.stopping.borrow() {
                return Sending::Withheld(None);
            }
            let (call, answer) = match &change {
                Change::Status(action) => {
                    (Call::SetStatus, context.remote.set_status(&key, line, *action).left_future())
                }
                Change::Config(fields) => (Call::Update, context.remote.update(&key, line, fields).right_future()),
            };
            let answer = Box::pin(context.metrics.call(call, account.name(), answer)).await;
            permit.finish(Some(line), &answer);
            Sending::Ended(answer)
        };
        if let Some(verdict) = beside {
            let at = self.untold.map_or_else(|| Instant::now() + HEAD_START, |(_, at)| at);
            self.untold = Some((verdict, at));
        }
        let answer = match self.meanwhile(Box::pin(sending)).await {
            Sending::Ended(answer) => answer,
            Sending::Replaced => return None,
            Sending::Withheld(held) => {
                if let Some(held) = held {
                    self.note_fault(None, held.trouble);
                }
                let (trouble, until) = held.map(|held| (held.trouble, context.clock.at(held.until))).unzip();
                return Some(Event::Sent(Sent::Withheld(trouble), until));
            }
        };
        let fault = match answer {
            Ok(remote) => {
                info!(object = %self.key, %change, ?why, "sent");
                self.acted = true;
                if let (Change::Status(action), Why::Edit | Why::Retry) = (&change, why) {
                    self.carried_out(*action);
                }
                return Some(Event::Sent(Sent::Clean(remote.identity()), None));
            }
            Err(fault) => fault,
        };
        warn!(object = %self.key, %change, ?why, fault = fault.message, landed = ?fault.landed, "the call went wrong");
        if fault.trouble == Trouble::CredentialsRejected {
            Box::pin(account.rejected(&term, &key, &fault)).await;
        }
        self.note_fault(Some(&fault), fault.trouble);
        if matches!(change, Change::Config(_)) {
            let words = self.words();
            words.refusal.clone_from(&words.fault);
        }
        let not_before = fault.retry_after.map(|pause| context.clock.now() + pause);
        let sent = match fault.landed {
            Landed::No => Sent::Refused(fault.trouble),
            Landed::Maybe => Sent::Unclear(fault.trouble),
        };
        Some(Event::Sent(sent, not_before))
    }

    /// Tells Prometheus how long the edit took to reach the remote, once. That of another generation is another's.
    fn carried_out(&mut self, action: Action) {
        let generation = self.memory().object().map(|object| object.generation);
        if let Some(edited) = self.edited.take_if(|edited| Some(edited.generation) == generation) {
            self.term.context.metrics.carried_out(action, edited.at.elapsed());
        }
    }

    /// Reads the object with quorum.
    async fn read(&mut self) -> Event {
        // Not what the memory knows: that may be of another object, which takes the line over.
        let followed = self.seen.as_ref().map_or(Uid(0), |seen| seen.uid());
        let (seen, status) = match self.fetch().await {
            Ok(Some(read)) => read,
            Ok(None) => return Event::Missing(followed),
            Err(()) => return Event::ReadFailed,
        };
        if self.is_about_another_line(&seen) {
            return Event::Missing(followed);
        }
        if seen.is_deleting {
            self.note(Event::Hindered(Some(Obstacle::Deleting)));
        }
        let object = seen.object(&self.term.context.clock);
        self.seen = Some(Arc::new(seen));
        self.status = status;
        Event::Read(object)
    }

    /// The object as a quorum read finds it; `None`: it doesn't.
    async fn fetch(&self) -> Result<Option<(Seen, Status)>, ()> {
        let api: Api<Received> = self.term.api(&self.key.namespace);
        let permit = self.term.api_requests.acquire().await;
        let part = self.term.context.traces.part(SpanKind::Internal, "read object", Vec::new);
        let answer = Box::pin(in_time(api.get_opt(&self.key.name))).await;
        drop((permit, part));
        match answer {
            Ok(received) => Ok(received.map(|received| received.split(Source::Watch))),
            Err(error) => {
                debug!(object = %self.key, error = reason_of(&error), "the object could not be read");
                self.term.context.metrics.api_failed(ApiRequest::Read);
                Err(())
            }
        }
    }

    /// Whether an object made again under the same name is about another line than the one this memory is of.
    fn is_about_another_line(&self, seen: &Seen) -> bool {
        let (Place::Own(line, _), Some(account), Ok(spec)) = (&self.memory, &self.account, &seen.spec) else {
            return false;
        };
        account.line(&spec.deployment_id).as_ref() != Ok(line)
    }

    /// Writes the verdict, guarded by `resourceVersion` and `uid`.
    async fn tell(&mut self, verdict: Verdict) -> Told {
        self.untold = None;
        let Some(seen) = self.seen.clone() else { return Told::Gone };
        let is_mute = self.words.as_ref().is_none_or(|words| words.fault.is_empty());
        if let (Verdict::Failing { trouble, .. } | Verdict::Stale(trouble), true) = (verdict, is_mute) {
            // The line failed under the object that owned it before, which took the remote's words with it.
            self.note_fault(None, trouble);
        }
        let news = self.status(&seen, verdict);
        if self.status.says(&news.0) {
            if self.announced.is_some() {
                // Of something else, which the status did not come to say.
                self.announce(verdict, &seen, &news.1);
            }
            self.told(verdict, &news.0);
            return Told::Written(seen.version(), seen.identity());
        }
        let term = Arc::clone(&self.term);
        if self.status.whole().is_some()
            && let Ok(_permit) = term.api_requests.try_acquire()
        {
            return Box::pin(self.write(verdict, &seen, news)).await;
        }
        // At a cold start very many wait for their turn. None keeps what it is going to say.
        drop(news);
        if self.status.whole().is_none() {
            // What is to be changed must be known.
            match Box::pin(self.fetch()).await {
                Ok(Some((read, status))) if read.guard() == seen.guard() => self.status = status,
                Ok(Some(_)) => return Told::Outdated,
                Ok(None) => return Told::Gone,
                Err(()) => return Told::Failed,
            }
        }
        let _permit = term.api_requests.acquire().await;
        let news = self.status(&seen, verdict);
        Box::pin(self.write(verdict, &seen, news)).await
    }

    async fn write(&mut self, verdict: Verdict, seen: &Seen, news: (DeploymentStatus, Conditions)) -> Told {
        let (status, conditions) = news;
        let nothing = DeploymentStatus::default();
        let before = self.status.whole().unwrap_or(&nothing);
        let patch = Guarded::new(seen.guard(), status.patch_from(before));
        // Beside the write and not behind it: what sends the one has just sent the other.
        self.announce(verdict, seen, &conditions);
        let api: Api<Received> = self.term.api(&self.key.namespace);
        let reason = || vec![KeyValue::new("sarvam.reason", conditions.reason.to_string())];
        let mut part = self.term.context.traces.part(SpanKind::Internal, "write status", reason);
        let answer = in_time(api.patch_status(&self.key.name, &PatchParams::default(), &Patch::Merge(&patch))).await;
        if let (Some(part), Err(error)) = (&mut part, &answer) {
            part.fail("not_written", reason_of(error));
        }
        drop(part);
        match answer {
            Ok(written) => {
                let (written, stands) = written.split(Source::Watch);
                let written = Arc::new(written);
                self.status = stands;
                self.rested_with = None;
                info!(object = %self.key, reason = %conditions.reason, message = conditions.message, "told");
                let (version, identity) = (written.version(), written.identity());
                self.term.cluster.written(&self.key, &written);
                self.seen = Some(written);
                self.told(verdict, &status);
                Told::Written(version, identity)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Told::Outdated,
            Err(kube::Error::Api(status)) if status.code == 404 => Told::Gone,
            Err(error) => {
                warn!(object = %self.key, error = reason_of(&error), "the status could not be written");
                self.term.context.metrics.api_failed(ApiRequest::Status);
                Told::Failed
            }
        }
    }

    /// Publishes the Event of a verdict, where it is news. It is none where the write of the status has to be made again.
    fn announce(&mut self, verdict: Verdict, seen: &Seen, conditions: &Conditions) {
        let named = self.name_event(verdict);
        let announced = self.announced.filter(|(uid, _)| *uid == seen.uid()).map(|(_, reason)| reason.to_string());
        let stands = self.status.whole().and_then(|status| conditions::ready(&status.conditions));
        let before = announced.or_else(|| stands.map(|it| it.reason.clone()));
        self.term.context.events.transition(seen.reference(&self.key), before.as_deref(), conditions, named);
        if !is_passing(conditions.reason) {
            self.announced = Some((seen.uid(), conditions.reason));
        }
    }

    /// Whether the verdict last told has another message or other facts by now.
    fn would_tell_otherwise(&self) -> bool {
        let (Some(seen), Some((verdict, status))) = (&self.seen, &self.told) else { return false };
        let is_slim = self.remote.is_none() && self.status.whole().is_none();
        !is_slim && fingerprint(&self.status(seen, *verdict).0) != *status
    }

    fn told(&mut self, verdict: Verdict, status: &DeploymentStatus) {
        let Conditions { ready, reason, .. } = verdict.conditions(&Details::default());
        let since = conditions::ready(&status.conditions).map(|it| it.last_transition_time.0);
        let since = since.unwrap_or_else(|| self.term.context.clock.wall());
        let told = metrics::Told {
            ready,
            reason,
            since,
            wanted: self.memory().object().map_or(State::Unknown, |object| Action::for_paused(object.paused).state()),
            state: self.found().map_or(State::Unknown, |sight| sight.state),
            doubt_until: self.term.context.clock.on_the_wall(self.memory().doubt_until()),
        };
        if let Some(seen) = &self.seen {
            self.term.context.metrics.line(seen.uid(), told);
        }
        if verdict.is_at_rest() && self.edit.as_deref().map(Edit::generation) == status.observed_generation {
            self.end(if verdict.claims() { Outcome::Ready } else { Outcome::GivenUp });
        }
        self.announced = None;
        self.told = Some((verdict, fingerprint(status)));
    }

    /// The word for an Event about reaching `verdict`, where it says more than the reason.
    fn name_event(&mut self, verdict: Verdict) -> Option<&'static str> {
        if matches!(verdict, Verdict::Drifted | Verdict::Contended) {
            self.drifted = true;
        }
        if verdict != Verdict::Synced {
            return None;
        }
        let state = self.found().map(|sight| sight.state);
        let acted = take(&mut self.acted);
        Some(match (take(&mut self.drifted), state) {
            (true, _) => "DriftCorrected",
            (false, Some(State::Paused)) if acted => "Paused",
            (false, Some(State::Active)) if acted => "Resumed",
            (false, _) => return None,
        })
    }

    /// What the last look showed, if that was the line that the object has adopted.
    fn found(&self) -> Option<Sight> {
        self.memory().sight().filter(|_| !self.memory().identity_changed())
    }

    /// The whole status that tells `verdict`.
    fn status(&self, seen: &Seen, verdict: Verdict) -> (DeploymentStatus, Conditions) {
        let (stands, sight) = (self.status.whole(), self.found());
        let is_another = self.memory().identity_changed();
        let remote = self.remote.as_deref().filter(|_| !is_another);
        let differing = self.memory().differing(&self.term.context.protocol);
        let change = sight.as_ref().zip(seen.managed.as_ref().ok()).filter(|_| !differing.is_empty());
        let differences = change.map(|(sight, asked)| asked.tell(differing, &sight.config)).unwrap_or_default();
        let stood: &[_] = stands.map_or(&[], |status| &status.conditions);
        let before = conditions::ready(stood);
        let adopted = stands.and_then(|status| status.remote.as_ref());
        let other = adopted.zip(self.remote.as_deref().filter(|_| is_another));
        let identity =
            other.map(|(adopted, other)| adopted.tell_apart(&remote_status(other, false))).unwrap_or_default();
        let words = self.words.as_deref();
        let word = |of: fn(&Words) -> &String| words.map_or("", |words| of(words));
        let details = Details {
            paused: seen.spec.as_ref().is_ok_and(|spec| spec.paused),
            seen: sight.as_ref().map(|sight| sight.state),
            updated_by: remote.and_then(|remote| remote.updated_by.as_deref()),
            differences: &differences,
            fault: word(|words| &words.fault),
            refusal: word(|words| &words.refusal),
            obstacle: if matches!(verdict, Verdict::Barred { .. }) {
                word(|words| &words.bar)
            } else {
                word(|words| &words.obstacle)
            },
            identity: &identity,
        };
        let mut conditions = verdict.conditions(&details);
        // What was refused or found in an earlier term is told in the status alone.
        let is_known = match (verdict, verdict.failure()) {
            (Verdict::IdentityChanged, _) => !identity.is_empty(),
            (_, failure) => failure != Some(Failure::Refused) || !details.refusal.is_empty(),
        };
        if let (false, Some(before)) = (is_known, before)
            && before.reason == conditions.reason.to_string()
        {
            conditions.message.clone_from(&before.message);
        }
        let generation = seen.generation;
        let manages_connections = seen.managed.as_ref().is_ok_and(|managed| managed.connections.is_some());
        let known = match (remote, &sight) {
            (Some(remote), _) => Some(remote_status(remote, manages_connections).of_line(adopted)),
            // At rest since: what was written then stays, in the words of an edit that manages more or less.
            (None, Some(sight)) => adopted.map(|told| with_sight(told.clone(), sight, manages_connections)),
            // Not seen in this term yet, or not any more: what was written stays, but for the state.
            (None, None) => adopted.map(|told| RemoteStatus { state: RemoteState::Unknown, ..told.clone() }),
        };
        let remote = known.map(|remote| {
            let state = if verdict.shows_state() { remote.state } else { RemoteState::Unknown };
            RemoteStatus { state, ..remote }
        });
        let status = DeploymentStatus {
            observed_generation: Some(generation),
            remote,
            rollout: change
                .map(|(sight, asked)| RolloutStatus::new(self.paused_since(), differing, &sight.config, asked))
                .map(Box::new),
            conditions: conditions::update(stood, &conditions, generation, self.term.context.clock.wall()),
        };
        (status, conditions)
    }

    /// Since when the line has been paused for a change; what stands already is not told in another second.
    fn paused_since(&self) -> Option<jiff::Timestamp> {
        let since = self.memory().down_since()?;
        let stands = self.status.whole().and_then(|status| status.rollout.as_ref());
        let told = stands.and_then(|rollout| rollout.paused_since.as_ref()).map(|time| time.0);
        told.or_else(|| Some(self.term.context.clock.on_the_wall(since)))
    }
}

/// What a call for a line is made with, as it is now; `None`: it is nobody's, or there is no good key.
fn access(whose: Option<&(LineId, Arc<Account>)>) -> Option<(&LineId, &Arc<Account>, ApiKey, Budget)> {
    let (line, account) = whose?;
    let (key, budget) = account.access()?;
    Some((line, account, key, budget))
}

/// One GET of a line, and when it began.
async fn look(
    term: &Term,
    whose: Option<(LineId, Arc<Account>)>,
    queue: Lane,
) -> Result<(Time, Remote), (Option<Fault>, Trouble, Time)> {
    let context = &term.context;
    let clock = context.clock;
    let mut again = true;
    loop {
        let Some((line, account, key, budget)) = access(whose.as_ref()) else {
            return Err((None, Trouble::Unavailable, clock.now() + Duration::from_secs(1)));
        };
        // Who waits for a whole interval says so: there are more lines than the rate allows for.
        let permit = match timeout(account.sync_interval(), term.enter(&budget, queue)).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(held)) => return Err((None, held.trouble, clock.at(held.until))),
            Err(_) => return Err((None, Trouble::RateLimited, clock.now())),
        };
        let began = clock.now();
        let get = context.remote.get(&key, line);
        // Boxed, here and below: many tasks may wait for their turn, and few make a call.
        let answer = Box::pin(context.metrics.call(Call::Get, account.name(), get)).await;
        permit.finish(Some(line), &answer);
        match answer {
            Ok(remote) => return Ok((began, remote)),
            Err(fault) => {
                let rejected = fault.trouble == Trouble::CredentialsRejected;
                if rejected && Box::pin(account.rejected(term, &key, &fault)).await && again {
                    again = false;
                    continue;
                }
                let not_before = clock.now() + fault.retry_after.unwrap_or_default();
                return Err((Some(fault.clone()), fault.trouble, not_before));
            }
        }
    }
}

/// What came of a call that was asked for.
enum Sending {
    /// It was made.
    Ended(Result<Remote, Fault>),
    /// It was not: the lease ends too soon, or calls are held.
    Withheld(Option<Held>),
    /// It was not, and the object is another than it was asked for.
    Replaced,
}

/// Where in the budget's queue a call stands.
const fn lane(change: &Change, why: Why) -> Lane {
    match (why, change) {
        (Why::Edit, Change::Status(Action::Pause)) => Lane::Pause,
        (Why::Retry, Change::Status(Action::Pause)) => Lane::PauseRetry,
        (Why::Edit, Change::Status(Action::Resume)) => Lane::Resume,
        (Why::Retry, Change::Status(Action::Resume)) => Lane::ResumeRetry,
        (Why::Edit | Why::Retry | Why::Rollout, _) => Lane::Rollout,
        (Why::Correction, _) => Lane::Correction,
    }
}

/// What the step function needs of an answer.
fn sight(remote: &Remote) -> Sight {
    Sight { state: remote.state, config: Arc::clone(&remote.config), identity: remote.identity() }
}

fn remote_status(remote: &Remote, with_connections: bool) -> RemoteStatus {
    let facts = RemoteStatus {
        state: remote.state.into(),
        name: None,
        description: None,
        app_id: remote.app_id.clone(),
        app_version: None,
        phone_numbers: Vec::new(),
        connections: Vec::new(),
        schedule: None,
        channel_direction: remote.channel_direction.clone(),
        created_at: remote.created_at.map(Timestamp),
        updated_at: remote.updated_at.map(Timestamp),
        updated_by: remote.updated_by.clone(),
    };
    with_sight(facts, &sight(remote), with_connections)
}

/// The same facts, with what was seen.
fn with_sight(facts: RemoteStatus, seen: &Sight, with_connections: bool) -> RemoteStatus {
    let shown = Field::ALL.into_iter().filter(|field| with_connections || *field != Field::Connections).collect();
    let config = LineConfig::shown(&seen.config, shown);
    RemoteStatus {
        state: seen.state.into(),
        name: config.display_name,
        description: config.description,
        app_version: config.app_version,
        phone_numbers: seen.config.phone_numbers(),
        connections: config.connections.unwrap_or_default(),
        schedule: config.schedule.map(Box::new),
        ..facts
    }
    .fitted()
}

/// The message of a fault as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
