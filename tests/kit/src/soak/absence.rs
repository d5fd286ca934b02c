//! What happens to processes, servers and the way between them. One at a time, with calm between, so that there are times at which none
//! of it is to blame.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Because, Result};
use crate::random::Random;
use crate::simulator::{RateLimit, RetryAfter};

use super::lines::{KEYS, Lines};
use super::operator::{Operator, library};
use super::pace;
use super::spells::Nature;

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Killed,
    BothKilled,
    Restarted,
    Frozen,
    CutOff,
    Unheard,
    ApiServerKilled,
    ApiServerAway,
    EtcdKilled,
    RemoteAway,
    TooMany,
    KeyReplaced,
    KeyRevoked,
    ClockStepped,
}

impl Happening {
    const ALL: [Self; 14] = [
        Self::Killed,
        Self::Frozen,
        Self::ClockStepped,
        Self::ApiServerKilled,
        Self::TooMany,
        Self::EtcdKilled,
        Self::BothKilled,
        Self::KeyRevoked,
        Self::CutOff,
        Self::Restarted,
        Self::ApiServerAway,
        Self::Unheard,
        Self::RemoteAway,
        Self::KeyReplaced,
    ];

    /// In a few words, and what it leaves behind; nothing where it must not be noticed.
    const fn told(self) -> (&'static str, Option<Nature>) {
        match self {
            Self::Killed => ("operator killed", Some(Nature::Absence)),
            Self::BothKilled => ("both operators killed", Some(Nature::Absence)),
            Self::Restarted => ("operator restarted", Some(Nature::Absence)),
            Self::Frozen => ("operator frozen", Some(Nature::Absence)),
            Self::CutOff => ("operator cut off", Some(Nature::Absence)),
            Self::Unheard => ("operator unheard", Some(Nature::Absence)),
            Self::ApiServerKilled => ("API server killed", Some(Nature::Absence)),
            Self::ApiServerAway => ("API server away", Some(Nature::Absence)),
            Self::EtcdKilled => ("etcd killed", Some(Nature::Absence)),
            Self::RemoteAway => ("remote away", Some(Nature::Calls)),
            Self::TooMany => ("429", Some(Nature::Calls)),
            Self::KeyRevoked => ("key revoked", Some(Nature::Calls)),
            Self::KeyReplaced => ("key replaced", None),
            Self::ClockStepped => ("wall clock stepped", None),
        }
    }
}

/// Has one thing happen after another, until it is dropped between two of them.
pub struct Absences {
    random: Random,
    calm: Duration,
    /// What is still to come of this round, in which everything happens once.
    round: Vec<Happening>,
}

impl Absences {
    /// With about this long between two of them. The first round is in the order of the list: what matters most comes in a short soak too.
    pub fn new(random: Random, calm: Duration) -> Self {
        Self { random, calm, round: Happening::ALL.into_iter().rev().collect() }
    }

    /// Waits a while.
    pub async fn calm(&mut self) {
        let half = u64::try_from(self.calm.as_millis() / 2).unwrap_or(1).max(1);
        sleep(self.calm / 2 + self.random.millis(half * 2)).await;
    }

    /// Has the next thing happen, and waits until it is over.
    pub async fn next(&mut self, lines: &Lines, operators: &mut [Operator; 2]) -> Result<()> {
        if self.round.is_empty() {
            self.round = Happening::ALL.to_vec();
            for last in (1..self.round.len()).rev() {
                let other = self.random.below(last as u64 + 1);
                self.round.swap(last, usize::try_from(other).unwrap_or(last));
            }
        }
        let Some(next) = self.round.pop() else { return Ok(()) };
        if next == Happening::ClockStepped && library().is_none() {
            return Ok(());
        }
        let (kind, nature) = next.told();
        lines.happened(kind);
        let spell = nature.map(|nature| lines.spells.begin(kind, nature, None));
        self.play(next, lines, operators).await.because(kind)?;
        if let Some(spell) = spell {
            lines.spells.end(spell);
        }
        operators.iter().try_for_each(Operator::runs)
    }

    /// Anything up to the longest outage.
    fn outage(&mut self) -> Duration {
        let longest = u64::try_from(pace::OUTAGE.as_millis()).unwrap_or_default();
        self.random.millis(longest)
    }

    async fn play(&mut self, what: Happening, lines: &Lines, operators: &mut [Operator; 2]) -> Result<()> {
        let outage = self.outage();
        let one = usize::from(self.random.once_in(2));
        let plane = &lines.plane;
        match what {
            Happening::Killed => {
                operators[one].kill().await?;
                sleep(outage / 3).await;
                operators[one].start_again()?;
            }
            Happening::BothKilled => {
                for operator in &mut *operators {
                    operator.kill().await?;
                }
                sleep(outage / 3).await;
                operators.iter_mut().try_for_each(Operator::start_again)?;
            }
            Happening::Restarted => {
                operators[one].stop().await?;
                operators[one].start_again()?;
            }
            Happening::Frozen => {
                operators[one].freeze()?;
                sleep(outage).await;
                operators[one].thaw()?;
            }
            Happening::CutOff | Happening::Unheard => {
                let gate = &operators[one].gate;
                if what == Happening::CutOff {
                    gate.cut().await;
                } else {
                    gate.hang().await;
                }
                sleep(outage).await;
                gate.restore().await;
            }
            Happening::ApiServerKilled => plane.restart_api_server().await?,
            Happening::ApiServerAway => {
                plane.stop_api_server()?;
                sleep(outage).await;
                plane.start_api_server().await?;
            }
            Happening::EtcdKilled => plane.restart_etcd().await?,
            Happening::RemoteAway => {
                lines.remote.set_listening(false).await.because("the simulator")?;
                sleep(outage).await;
                lines.remote.set_listening(true).await.because("the simulator")?;
            }
            Happening::TooMany => {
                let retry_after = *self.random.pick(&[RetryAfter::Absent, RetryAfter::Seconds, RetryAfter::Date]);
                let limit = RateLimit { per_second: 2.0, burst: 4.0, retry_after };
                lines.remote.switch(|switches| switches.rate_limit = Some(limit));
                sleep(outage).await;
                lines.remote.switch(|switches| switches.rate_limit = None);
            }
            Happening::KeyReplaced => {
                let old = lines.next_key().await?;
                sleep(KEYS).await;
                lines.remote.revoke_key(&old);
            }
            Happening::KeyRevoked => {
                lines.revoke_key();
                sleep(outage / 3).await;
                lines.next_key().await?;
            }
            Happening::ClockStepped => {
                let hour = 3600;
                let seconds = *self.random.pick(&[-24 * hour, -hour, -30, 30, hour, 24 * hour, 0]);
                operators[one].set_clock_wrong_by(seconds)?;
            }
        }
        Ok(())
    }
}
