//! The poller of one Workspace: walks the list of its lines, and hands on what it shows.
//!
//! A page of a hundred lines that are as they were costs one call and a hundred comparisons. Only a line that shows
//! otherwise, or that a whole walk has missed, is called to work, and it looks for itself before it acts.
//! The first page also tells whether the key is good.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use super::{Term, workspace::Account};
use crate::{
    api::{Unmanaged, workspace::UNMANAGED_MAX},
    core::{
        classify::{Call, Fault, Landed, Page},
        id::{Id, LineId},
        line::Trouble,
        step::Uid,
        time::Time,
        walk::{Walk, pause},
    },
    metrics::Walked,
    sarvam::{ApiKey, Budget, Lane},
};

/// How often a refused key is tried again: soon at first, to tell a moment's refusal from a lasting one.
const FIRST_PROBES: Duration = Duration::from_secs(20);
const LATER_PROBES: Duration = Duration::from_mins(5);

/// How often one page is asked for in all.
const TRIES: u32 = 4;

/// The pause before the second try; the later ones are that much longer each.
const RETRY: Duration = Duration::from_secs(1);

/// How long a page waits at most until what the pages before it showed has been written.
const TAKEN_IN: Duration = Duration::from_secs(1);

/// How long the first walk waits until every line can be told of it.
const GATHERING: Duration = Duration::from_secs(1);

/// Walks the list of a Workspace's lines again and again, until the Workspace is gone.
pub async fn walk_on(term: Arc<Term>, account: Arc<Account>) {
    let (mut turn, mut refusals, mut last) = (0, 0u32, None);
    let phase = phase(&account);
    while !term.is_over() && !account.is_closed() {
        let probe = account.walk_due(last, |interval| match refusals {
            0 => pause(interval, phase, turn),
            1..=3 => FIRST_PROBES,
            _ => LATER_PROBES,
        });
        if probe.await {
            refusals = 0;
        }
        let Some((key, budget)) = account.access() else {
            last = Some(Instant::now());
            continue;
        };
        if turn == 0 {
            gather(&term, &account).await;
        }
        last = Some(Instant::now());
        turn += 1;
        let walker = Walker { term: &term, account: &account, key, budget };
        refusals = if walker.walk().await { refusals + 1 } else { 0 };
    }
}

/// Where in its interval the Workspace walks: by its uid, so that it stays so.
fn phase(account: &Account) -> u128 {
    Uid::of(&account.uid().unwrap_or_default()).0
}

/// Waits a moment for the lines that are just taking their places.
async fn gather(term: &Term, account: &Account) {
    let until = Instant::now() + GATHERING;
    let all = || term.cluster.lines(account.key()).and_then(|lines| usize::try_from(lines.total).ok());
    while Instant::now() < until && all().is_none_or(|all| account.joined() < all) {
        sleep(GATHERING / 50).await;
    }
}

struct Walker<'a> {
    term: &'a Term,
    account: &'a Account,
    key: ApiKey,
    budget: Budget,
}

impl Walker<'_> {
    /// One walk, and what it tells. True where the key was refused.
    async fn walk(&self) -> bool {
        let clock = self.term.context.clock;
        let began = clock.now();
        let found = self.pages(began).await;
        let mut oldest: Option<Time> = None;
        self.account.each_line(|mailbox| oldest = oldest.into_iter().chain(mailbox.shown()).min());
        let unmanaged = found.as_ref().ok().and_then(Option::as_ref);
        self.term.context.metrics.walked(
            self.account.name(),
            Walked {
                took: found.is_ok().then(|| clock.now().from_now(began)),
                unmanaged: unmanaged.map(BTreeSet::len),
                oldest_look: oldest.map(|oldest| clock.on_the_wall(oldest)),
            },
        );
        if let Some(unmanaged) = unmanaged {
            self.account.unmanaged(tell(unmanaged));
        }
        found == Err(true)
    }

    /// Every page; returns the lines that no object names, where the walk was whole. `Err`: it came to no end; true where the
    /// key was refused.
    async fn pages(&self, began: Time) -> Result<Option<BTreeSet<Id>>, bool> {
        let (org, workspace) = self.account.place().ok_or(false)?;
        let walking = self.account.begin_walk();
        let (mut walk, mut managed, mut unmanaged) = (Walk::default(), 0, BTreeSet::new());
        while let Some(offset) = walk.next() {
            let (asked, page) = self.page(&org, &workspace, offset).await?;
            walk.take(page.rows, page.lines.len(), page.total);
            for remote in page.lines {
                let line = |deployment| LineId { org: org.clone(), workspace: workspace.clone(), deployment };
                if let Some(mailbox) = self.account.mailbox(&remote.deployment) {
                    managed += usize::from(mailbox.list(began, asked, remote));
                } else if self.term.cluster.is_managed(&line(remote.deployment.clone())) {
                    managed += 1;
                } else {
                    unmanaged.insert(remote.deployment);
                }
            }
            // Behind the status writes that earlier pages led to: at a cold start every line has one, and a row that waits
            // for it takes memory.
            drop(timeout(TAKEN_IN, self.term.api_requests.acquire()).await);
        }
        let mut missed = 0;
        self.account.each_line(|mailbox| missed += usize::from(mailbox.miss(began)));
        let is_whole = walk.is_whole(managed + unmanaged.len());
        debug!(workspace = self.account.name(), pages = walk.pages, managed, missed, is_whole, "walked");
        walking.complete();
        Ok(is_whole.then_some(unmanaged))
    }

    /// One page, and just when it was asked for. `Err`: there is none; true where the key was refused.
    async fn page(&self, org: &Id, workspace: &Id, offset: usize) -> Result<(Time, Page), bool> {
        let context = &self.term.context;
        let mut tries = 1;
        loop {
            if self.term.is_over() || self.account.is_closed() {
                return Err(false);
            }
            let fault = match self.term.enter(&self.budget, Lane::Walk).await {
                Ok(permit) => {
                    let asked = context.clock.now();
                    let list = context.remote.list(&self.key, org, workspace, offset);
                    let answer = context.metrics.call(Call::List, self.account.name(), list).await;
                    permit.finish(None, &answer);
                    if self.account.listed(self.term, &self.key, answer.as_ref().err()) {
                        return Err(true);
                    }
                    match answer {
                        Ok(page) => return Ok((asked, page)),
                        Err(fault) => fault,
                    }
                }
                Err(held) if held.trouble == Trouble::RateLimited => {
                    sleep_until(held.until).await;
                    continue;
                }
                Err(held) => Fault::new(held.trouble, Landed::No, "calls have stopped for a while"),
            };
            debug!(workspace = self.account.name(), offset, fault = fault.message, "no page of the list");
            if tries == TRIES || !matches!(fault.trouble, Trouble::Unavailable | Trouble::RateLimited) {
                return Err(false);
            }
            sleep(RETRY * tries).await;
            tries += 1;
        }
    }
}

fn tell(unmanaged: &BTreeSet<Id>) -> Unmanaged {
    Unmanaged {
        total: i32::try_from(unmanaged.len()).unwrap_or(i32::MAX),
        deployment_ids: unmanaged.iter().take(UNMANAGED_MAX).map(Id::to_string).collect(),
    }
}
