//! One `Deployment` object: runs the step function of its line and carries out what it asks for.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Timestamp;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::json;
use tokio::{
    sync::{OwnedMutexGuard, watch},
    time::timeout,
};
use tracing::{debug, error, info, instrument, warn};

use super::{
    Term,
    cluster::{Key, Mailbox, Seen, Standing},
    in_time,
    merge_patch::merge_patch,
    reason_of,
    workspace::Account,
};
use crate::{
    api::{Deployment, DeploymentStatus, RemoteState, RemoteStatus, conditions},
    core::{
        classify::{Call, Fault, Landed, Remote},
        id::LineId,
        line::{Action, State, Trouble},
        status::{Conditions, Details, Obstacle, Verdict},
        step::{Event, Memory, Request, Sent, Settings, Source, Told, Uid, step},
        time::Time,
    },
    metrics::ApiRequest,
    sarvam::{ApiKey, Lane},
};

/// Follows an object until it is gone or the term ends.
#[instrument(name = "line", skip_all, fields(object = %key))]
pub async fn follow(term: Arc<Term>, key: Key, mailbox: Arc<Mailbox>) {
    let mut follower = Follower {
        news: mailbox.subscribe(),
        heard: 0,
        memory: Place::Apart(Box::new(term.new_memory())),
        protocol: term.context.protocol,
        term,
        key,
        mailbox,
        seen: None,
        source: Source::Watch,
        account: None,
        remote: None,
        fault: String::new(),
        obstacle: String::new(),
        told: None,
        drifted: false,
        acted: false,
    };
    // What was there before this task subscribed counts as news.
    follower.news.mark_changed();
    let mut request = Request::Wait(Time::NEVER);
    loop {
        // Boxed, so that a line at rest takes little memory.
        let work = Box::pin(AssertUnwindSafe(follower.work(request)).catch_unwind());
        if work.await.is_ok() {
            break;
        }
        error!("a bug: the work on this line panicked; it goes on after a pause");
        follower.term.context.metrics.panics.inc();
        request = follower.step(Event::Interrupted);
    }
    follower.term.context.metrics.forget_line(&follower.key.to_string());
}

/// Where the memory of the line is.
enum Place {
    /// This object owns the line, and nobody else may touch its memory.
    Own(LineId, OwnedMutexGuard<Memory>),
    /// It owns none: a memory of its own, just to tell its status.
    Apart(Box<Memory>),
}

struct Follower {
    term: Arc<Term>,
    key: Key,
    mailbox: Arc<Mailbox>,
    news: watch::Receiver<(u64, u64)>,
    /// The count of urgent news when they were last taken in.
    heard: u64,
    memory: Place,
    protocol: Settings,
    /// The newest view of the object that the step function was told of, with the status as last written.
    seen: Option<Arc<Seen>>,
    /// How the last view of it came.
    source: Source,
    account: Option<Arc<Account>>,
    /// What the last look showed.
    remote: Option<Remote>,
    /// What the last failed call said.
    fault: String,
    obstacle: String,
    /// The verdict last told, and the status that it was told in.
    told: Option<(Verdict, DeploymentStatus)>,
    /// A drift was told and has not been put right yet.
    drifted: bool,
    /// A call was sent, and its success has not been told yet.
    acted: bool,
}

impl Follower {
    /// Works through requests until the object is gone or the term is over.
    async fn work(&mut self, mut request: Request) {
        loop {
            if self.term.is_over() {
                return;
            }
            let event = match request {
                Request::Wait(_) if self.would_tell_otherwise() => {
                    self.told = None;
                    Some(Event::Reworded)
                }
                Request::Wait(until) => {
                    let clock = self.term.context.clock;
                    let mut stopping = self.term.context.stopping.clone();
                    tokio::select! {
                        biased;
                        _ = stopping.wait_for(|stopping| *stopping) => return,
                        changed = self.news.changed() => match changed {
                            Ok(()) => None,
                            Err(_) => return,
                        },
                        () = clock.wait_until(until) => Some(Event::Woken),
                    }
                }
                // An edit does not wait for a look, also one that came while a call was under way: the look is given up.
                Request::Look => {
                    let (mut news, heard) = (self.news.clone(), self.heard);
                    let looked = tokio::select! {
                        biased;
                        _ = news.wait_for(|(_, urgents)| *urgents != heard) => None,
                        looked = self.look() => Some(looked),
                    };
                    looked.map(|looked| self.looked(looked))
                }
                Request::Read => Some(self.read().await),
                Request::Tell(verdict) => {
                    let told = self.tell(verdict).await;
                    Some(Event::Told(verdict, told))
                }
                Request::Send { action, edit, beside } => Some(self.send(action, edit, beside).await),
            };
            request = match event {
                Some(event) => self.step(event),
                None => match self.take_news().await {
                    Some(request) => request,
                    None => return,
                },
            };
        }
    }

    fn step(&mut self, event: Event) -> Request {
        let now = self.term.context.clock.now();
        let memory = match &mut self.memory {
            Place::Own(_, guard) => &mut **guard,
            Place::Apart(memory) => memory,
        };
        let (next, request) = step(*memory, &self.protocol, now, event);
        debug!(?event, ?request, "step");
        *memory = next;
        request
    }

    /// Takes in what the mailbox and the cluster have to say. `None`: the object is gone.
    async fn take_news(&mut self) -> Option<Request> {
        self.heard = self.news.borrow_and_update().1;
        let inbox = self.mailbox.take();
        if let Some(uid) = inbox.deleted {
            self.step(Event::Deleted(uid));
            self.seen = None;
            self.remote = None;
            self.told = None;
            self.term.context.metrics.forget_line(&self.key.to_string());
            inbox.seen.as_ref()?;
        }
        if let Some((seen, source)) = inbox.seen {
            // An echo of our own last write is older than what that write answered.
            if self.seen.as_ref().is_none_or(|known| known.object().version <= seen.object().version) {
                self.seen = Some(seen);
            }
            self.source = source;
        }
        let Some(obstacle) = self.stand().await else {
            // Not enough is known yet: what came is handed on with the next news.
            return Some(Request::Wait(Time::NEVER));
        };
        let request = self.step(Event::Hindered(obstacle));
        Some(match &self.seen {
            Some(seen) => {
                let object = seen.object();
                self.step(Event::Noticed(object, self.source))
            }
            None => request,
        })
    }

    /// Takes the place that the cluster gives this object, and returns what hinders it; `None`: it has none yet.
    async fn stand(&mut self) -> Option<Option<Obstacle>> {
        loop {
            let Standing { line, account, obstacle } = self.term.cluster.standing(&self.key)?;
            self.move_to_account(account);
            match line {
                Some(line) if matches!(&self.memory, Place::Own(own, _) if *own == line) => {
                    let (obstacle, message) = obstacle.unzip();
                    self.obstacle = message.unwrap_or_default();
                    return Some(obstacle);
                }
                // Whoever had it finishes its call first. By then another may own it: look again.
                Some(line) => {
                    self.memory = Place::Apart(Box::new(self.term.new_memory()));
                    let memory = self.term.memory(&line).lock_owned().await;
                    self.memory = Place::Own(line, memory);
                }
                None => {
                    if matches!(self.memory, Place::Own(..)) {
                        self.memory = Place::Apart(Box::new(self.term.new_memory()));
                    }
                    let (obstacle, message) = obstacle.unzip();
                    self.obstacle = message.unwrap_or_default();
                    return Some(obstacle);
                }
            }
        }
    }

    fn move_to_account(&mut self, account: Option<Arc<Account>>) {
        if let Some(account) = &account {
            // Lines of one Workspace drift apart, so that they don't all look at once.
            let spread = self.seen.as_ref().map_or(50, |seen| u32::try_from(seen.uid().0 % 101).unwrap_or(50));
            self.protocol.sync = account.sync_interval() * (950 + spread) / 1000;
        }
        self.account = account;
    }

    /// One GET of the line, and when it began.
    async fn look(&self) -> Result<(Time, Remote), (Option<Fault>, Trouble, Time)> {
        let clock = self.term.context.clock;
        let mut again = true;
        loop {
            let Some((line, account, key, budget)) = self.access() else {
                return Err((None, Trouble::Unavailable, clock.now() + Duration::from_secs(1)));
            };
            // Who waits for a whole interval says so: there are more lines than the rate allows for.
            let permit = match timeout(self.protocol.sync, budget.enter(Lane::Look)).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(held)) => return Err((None, held.trouble, clock.at(held.until))),
                Err(_) => return Err((None, Trouble::RateLimited, clock.now())),
            };
            let began = clock.now();
            let context = &self.term.context;
            let get = context.remote.get(&key, &line);
            let answer = context.metrics.call(Call::Get, &account.name(), get).await;
            permit.finish(&answer);
            match answer {
                Ok(remote) => return Ok((began, remote)),
                Err(fault) => {
                    let rejected = fault.trouble == Trouble::CredentialsRejected;
                    if rejected && account.rejected(&self.term, &key, &fault).await && again {
                        again = false;
                        continue;
                    }
                    let not_before = clock.now() + fault.retry_after.unwrap_or_default();
                    return Err((Some(fault.clone()), fault.trouble, not_before));
                }
            }
        }
    }

    fn looked(&mut self, looked: Result<(Time, Remote), (Option<Fault>, Trouble, Time)>) -> Event {
        match looked {
            Ok((began, remote)) => {
                let state = remote.state;
                self.remote = Some(remote);
                Event::Looked { began, answer: Ok(state) }
            }
            Err((fault, trouble, not_before)) => {
                self.note_fault(fault.as_ref(), trouble);
                Event::Looked { began: self.term.context.clock.now(), answer: Err((trouble, Some(not_before))) }
            }
        }
    }

    fn note_fault(&mut self, fault: Option<&Fault>, trouble: Trouble) {
        self.fault = match (fault, trouble) {
            (Some(fault), _) => sentence(&fault.message),
            (None, Trouble::QuotaExhausted) => {
                "The remote says that the account's credits are used up; top them up. No call is made for a while."
                    .to_owned()
            }
            (None, Trouble::RateLimited) => "Calls have to wait: the remote wants fewer, or this Workspace has more lines than spec.requestsPerSecond and spec.syncInterval allow for.".to_owned(),
            (None, _) => "The remote can't be called for now; trying again.".to_owned(),
        };
    }

    fn access(&self) -> Option<(LineId, Arc<Account>, ApiKey, crate::sarvam::Budget)> {
        let Place::Own(line, _) = &self.memory else { return None };
        let account = self.account.as_ref()?;
        let (key, budget) = account.access()?;
        Some((line.clone(), Arc::clone(account), key, budget))
    }

    /// One PUT, and beside it the verdict.
    async fn send(&mut self, action: Action, edit: bool, beside: Option<Verdict>) -> Event {
        let term = Arc::clone(&self.term);
        let context = &term.context;
        let Some((line, account, key, budget)) = self.access() else {
            return Event::Sent(Sent::Withheld(None), None);
        };
        let permit = match budget.enter(if edit { Lane::Edit } else { Lane::Correction }).await {
            Ok(permit) => permit,
            Err(held) => {
                self.note_fault(None, held.trouble);
                return Event::Sent(Sent::Withheld(Some(held.trouble)), Some(context.clock.at(held.until)));
            }
        };
        // The last look at the lease before the socket.
        if context.leadership.remaining() <= context.call_timeout || *context.stopping.borrow() {
            return Event::Sent(Sent::Withheld(None), None);
        }
        let workspace = account.name();
        let put = context.remote.set_status(&key, &line, action);
        let put = context.metrics.call(Call::SetStatus, &workspace, put);
        let tell = async {
            // The task that owns the PUT's connection goes first: who listens to a phone is worth more than who reads a status.
            tokio::task::yield_now().await;
            match beside {
                Some(verdict) => Some((verdict, self.tell(verdict).await)),
                None => None,
            }
        };
        let (answer, told) = tokio::join!(biased; put, tell);
        permit.finish(&answer);
        if let Some((verdict, told)) = told {
            self.step(Event::Told(verdict, told));
        }
        let Err(fault) = answer else {
            info!(action = action.verb(), edit, "sent");
            self.acted = true;
            return Event::Sent(Sent::Clean, None);
        };
        warn!(action = action.verb(), edit, fault = fault.message, landed = ?fault.landed, "the call went wrong");
        if fault.trouble == Trouble::CredentialsRejected {
            account.rejected(&term, &key, &fault).await;
        }
        self.note_fault(Some(&fault), fault.trouble);
        let not_before = fault.retry_after.map(|pause| context.clock.now() + pause);
        Event::Sent(
            match fault.landed {
                Landed::No => Sent::Refused(fault.trouble),
                Landed::Maybe => Sent::Unclear(fault.trouble),
            },
            not_before,
        )
    }

    /// Reads the object with quorum.
    async fn read(&mut self) -> Event {
        // Not what the memory knows: that may be of another object, which takes the line over.
        let followed = self.seen.as_ref().map_or(Uid(0), |seen| seen.uid());
        let api: Api<DeserializeGuard<Deployment>> = self.term.api(&self.key.namespace);
        let permit = self.term.api_requests.acquire().await;
        let answer = in_time(api.get_opt(&self.key.name)).await;
        drop(permit);
        let seen = match answer {
            Ok(Some(guard)) => Seen::from(guard),
            Ok(None) => return Event::Missing(followed),
            Err(error) => {
                debug!(error = reason_of(&error), "the object could not be read");
                self.term.context.metrics.api_failed(ApiRequest::Read);
                return Event::ReadFailed;
            }
        };
        if self.is_about_another_line(&seen) {
            return Event::Missing(followed);
        }
        if seen.meta.deletion_timestamp.is_some() {
            self.step(Event::Hindered(Some(Obstacle::Deleting)));
        }
        let object = seen.object();
        self.seen = Some(Arc::new(seen));
        Event::Read(object)
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
        let Some(seen) = self.seen.clone() else { return Told::Gone };
        let (status, conditions) = self.status(&seen, verdict);
        if status == seen.status {
            self.told(verdict, status);
            return Told::Written(seen.object().version);
        }
        let patch = json!({
            "metadata": {"uid": seen.meta.uid, "resourceVersion": seen.meta.resource_version},
            "status": merge_patch(&json!(seen.status), &json!(status)),
        });
        let api: Api<DeserializeGuard<Deployment>> = self.term.api(&self.key.namespace);
        let permit = self.term.api_requests.acquire().await;
        let answer = in_time(api.patch_status(&self.key.name, &PatchParams::default(), &Patch::Merge(&patch))).await;
        drop(permit);
        match answer {
            Ok(written) => {
                let reference = written.object_ref(&());
                let written = Seen::from(written);
                let before = seen.status.conditions.iter().find(|it| it.type_ == "Ready").map(|it| it.reason.as_str());
                let named = self.name_event(verdict);
                self.term.context.events.transition(reference, before, &conditions, named);
                info!(reason = %conditions.reason, message = conditions.message, "told");
                let version = written.object().version;
                self.seen = Some(Arc::new(written));
                self.told(verdict, status);
                Told::Written(version)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Told::Outdated,
            Err(kube::Error::Api(status)) if status.code == 404 => Told::Gone,
            Err(error) => {
                warn!(error = reason_of(&error), "the status could not be written");
                self.term.context.metrics.api_failed(ApiRequest::Status);
                Told::Failed
            }
        }
    }

    /// Whether the verdict last told has another message or other facts by now.
    fn would_tell_otherwise(&self) -> bool {
        let (Some(seen), Some((verdict, status))) = (&self.seen, &self.told) else { return false };
        self.status(seen, *verdict).0 != *status
    }

    fn told(&mut self, verdict: Verdict, status: DeploymentStatus) {
        let Conditions { ready, reason, .. } = verdict.conditions(&Details::default());
        let since = status.conditions.iter().find(|it| it.type_ == "Ready").map(|it| it.last_transition_time.0);
        let since = since.unwrap_or_else(|| self.term.context.clock.wall());
        self.term.context.metrics.line(&self.key.to_string(), ready, reason, since);
        self.told = Some((verdict, status));
    }

    /// The word for an Event about reaching `verdict`, where it says more than the reason.
    fn name_event(&mut self, verdict: Verdict) -> Option<&'static str> {
        if matches!(verdict, Verdict::Drifted | Verdict::Contended) {
            self.drifted = true;
        }
        if verdict != Verdict::Synced {
            return None;
        }
        let state = self.remote.as_ref().map(|remote| remote.state);
        let acted = std::mem::take(&mut self.acted);
        Some(match (std::mem::take(&mut self.drifted), state) {
            (true, _) => "DriftCorrected",
            (false, Some(State::Paused)) if acted => "Paused",
            (false, Some(State::Active)) if acted => "Resumed",
            (false, _) => return None,
        })
    }

    /// The whole status that tells `verdict`.
    fn status(&self, seen: &Seen, verdict: Verdict) -> (DeploymentStatus, Conditions) {
        let details = Details {
            paused: seen.spec.as_ref().is_ok_and(|spec| spec.paused),
            seen: self.remote.as_ref().map(|remote| remote.state),
            updated_by: self.remote.as_ref().and_then(|remote| remote.updated_by.as_deref()),
            fault: &self.fault,
            obstacle: &self.obstacle,
        };
        let conditions = verdict.conditions(&details);
        let generation = seen.meta.generation.unwrap_or_default();
        let known = self.remote.as_ref().map(remote_status).or_else(|| {
            // Not seen in this term yet: what an earlier one wrote stays, but for the state.
            seen.status.remote.clone().map(|remote| RemoteStatus { state: RemoteState::Unknown, ..remote })
        });
        let remote = known.map(|remote| {
            let state = if verdict.shows_state() { remote.state } else { RemoteState::Unknown };
            RemoteStatus { state, ..remote }
        });
        let status = DeploymentStatus {
            observed_generation: Some(generation),
            remote,
            conditions: conditions::update(
                &seen.status.conditions,
                &conditions,
                generation,
                self.term.context.clock.wall(),
            ),
        };
        (status, conditions)
    }
}

fn remote_status(remote: &Remote) -> RemoteStatus {
    RemoteStatus {
        state: remote.state.into(),
        name: remote.name.clone(),
        app_id: remote.app_id.clone(),
        app_version: remote.app_version,
        phone_numbers: remote.phone_numbers.clone(),
        channel_direction: remote.channel_direction.clone(),
        updated_at: remote.updated_at.map(Timestamp),
        updated_by: remote.updated_by.clone(),
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
