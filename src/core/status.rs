//! What to tell: the one place that makes conditions from what is known.
//!
//! The vocabulary is the Kubernetes API conventions' and kstatus': `Ready` is always there, `Reconciling` and `Stalled`
//! only when true and never together, `RolloutOverdue` only when true. Reasons are API: `docs/status.md` lists every one.

use std::{fmt, time::Duration};

use super::{
    line::{Action, State, Trouble},
    rollout::{Failure, Stage},
    step::{CREDENTIALS_GRACE, Settings},
};

/// What hinders every call for an object, whatever its line is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// An older object names the same line.
    NotOwner,
    /// `spec.workspaceRef` names no Workspace of this namespace.
    WorkspaceNotFound,
    /// The Workspace's Secret, or the key in it, isn't there.
    SecretNotFound,
    /// What the Secret holds can't be an API key.
    SecretInvalid,
    /// The remote refused the key.
    CredentialsRejected,
    /// The object breaks a rule of its schema: it was stored before the rule.
    InvalidSpec,
    /// The object is being deleted, and something keeps it. The line stays as it is.
    Deleting,
}

impl Obstacle {
    /// How long it may last before it needs a human; `None`: it does at once.
    #[must_use]
    pub const fn grace(self, settings: &Settings) -> Option<Duration> {
        match self {
            Self::NotOwner | Self::InvalidSpec => None,
            // The same `kubectl apply` may be about to bring it.
            Self::WorkspaceNotFound | Self::SecretNotFound | Self::SecretInvalid => Some(settings.grace),
            // A key can be refused for a moment while it is rotated on the other side.
            Self::CredentialsRejected => Some(CREDENTIALS_GRACE),
            Self::Deleting => Some(Duration::MAX),
        }
    }

    /// The reason that tells it.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::NotOwner => Reason::RemoteIdConflict,
            Self::WorkspaceNotFound => Reason::WorkspaceNotFound,
            Self::SecretNotFound => Reason::SecretNotFound,
            Self::SecretInvalid => Reason::SecretInvalid,
            Self::CredentialsRejected => Reason::CredentialsRejected,
            Self::InvalidSpec => Reason::InvalidSpec,
            Self::Deleting => Reason::Deleting,
        }
    }
}

/// What keeps an object's configuration from being carried out, and leaves `spec.paused` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bar {
    /// An older object claims one of its phone numbers.
    NumberTaken,
    /// A field of it is not what its schema can check.
    InvalidConfig,
}

impl Bar {
    /// How long it may last before it needs a human; `None`: it does at once.
    #[must_use]
    pub const fn grace(self, settings: &Settings) -> Option<Duration> {
        match self {
            // A number that moves from one object to another can be in both for a moment.
            Self::NumberTaken => Some(settings.grace),
            Self::InvalidConfig => None,
        }
    }

    /// The reason that tells it.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::NumberTaken => Reason::PhoneNumberConflict,
            Self::InvalidConfig => Reason::InvalidSpec,
        }
    }
}

/// What there is to say about an object, decided by [`super::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A call is on its way, or the remote has accepted it and does not show it yet.
    Acting(Action),
    /// The line is as asked, and a contrary call may still land.
    Awaiting,
    /// The line is as asked.
    Synced,
    /// `suspend: true`; whether the line differs from what is asked.
    Suspended {
        /// The line is not as asked.
        differs: bool,
    },
    /// `driftPolicy: Report`, and the line is not as asked.
    Reported,
    /// Somebody else changed the line, and it is being put right.
    Drifted,
    /// Somebody else changes the line again and again, so the next correction waits.
    Contended,
    /// The remote doesn't say whether the line answers.
    StateUnknown,
    /// Calls go wrong.
    Failing {
        /// How.
        trouble: Trouble,
        /// Whether it needs a human.
        stalled: bool,
    },
    /// Calls go wrong, and the last good look is too old to claim anything.
    Stale(Trouble),
    /// No call can be made for this object.
    Hindered {
        /// Why.
        obstacle: Obstacle,
        /// Whether it needs a human.
        stalled: bool,
    },
    /// The line's configuration is being changed.
    RollingOut(Stage),
    /// The change of its configuration went wrong.
    RolloutFailed {
        /// How.
        failure: Failure,
        /// Whether it is tried on all the same.
        goes_on: bool,
    },
    /// The line has more in a list than is asked, and the remote's lists only grow.
    Surplus,
    /// The configuration can't be carried out; whether the line answers is as asked or will be.
    Barred {
        /// Why.
        bar: Bar,
        /// Whether it needs a human.
        stalled: bool,
    },
    /// The id leads to another line than the one that the object adopted.
    IdentityChanged,
    /// A bug of the operator: the work on this line panicked.
    InternalError,
}

/// The value of a condition: `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// `"True"`.
    True,
    /// `"False"`.
    False,
    /// `"Unknown"`.
    Unknown,
}

impl Truth {
    /// The word in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The abnormal-true condition beside Ready, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Neither: at rest, and well.
    Done,
    /// `Reconciling`: the operator is at it.
    Reconciling,
    /// `Stalled`: it needs a human. Slow retries go on.
    Stalled,
}

impl Progress {
    /// What is not as asked, and needs a human or doesn't.
    #[must_use]
    pub const fn stalled_if(stalled: bool) -> Self {
        if stalled { Self::Stalled } else { Self::Reconciling }
    }
}

/// Every value of a condition's `reason`: a closed list, part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "docs/status.md says of each what it means, its cause and the way out")]
pub enum Reason {
    Pending,
    Progressing,
    AwaitingConfirmation,
    Synced,
    Suspended,
    DriftDetected,
    DriftReported,
    RemoteContended,
    RemoteStateUnknown,
    RemoteUnavailable,
    RateLimited,
    QuotaExhausted,
    CredentialsRejected,
    RemoteNotFound,
    InvalidRequest,
    RemoteConflict,
    UnexpectedResponse,
    ObservationStale,
    RemoteIdConflict,
    IdentityChanged,
    WorkspaceNotFound,
    SecretNotFound,
    SecretInvalid,
    InvalidSpec,
    PhoneNumberConflict,
    RollingOut,
    RolloutRefused,
    RolloutOverdue,
    RolloutNotApplied,
    RolloutIncomplete,
    ListSurplus,
    Deleting,
    InternalError,
    KeyAccepted,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Pending,
        Self::Progressing,
        Self::AwaitingConfirmation,
        Self::Synced,
        Self::Suspended,
        Self::DriftDetected,
        Self::DriftReported,
        Self::RemoteContended,
        Self::RemoteStateUnknown,
        Self::RemoteUnavailable,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::CredentialsRejected,
        Self::RemoteNotFound,
        Self::InvalidRequest,
        Self::RemoteConflict,
        Self::UnexpectedResponse,
        Self::ObservationStale,
        Self::RemoteIdConflict,
        Self::IdentityChanged,
        Self::WorkspaceNotFound,
        Self::SecretNotFound,
        Self::SecretInvalid,
        Self::InvalidSpec,
        Self::PhoneNumberConflict,
        Self::RollingOut,
        Self::RolloutRefused,
        Self::RolloutOverdue,
        Self::RolloutNotApplied,
        Self::RolloutIncomplete,
        Self::ListSurplus,
        Self::Deleting,
        Self::InternalError,
        Self::KeyAccepted,
    ];

    /// The reason for a change of the configuration that went wrong.
    #[must_use]
    pub const fn of_failure(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Self::RolloutRefused,
            Failure::Overdue => Self::RolloutOverdue,
            Failure::NotApplied => Self::RolloutNotApplied,
            Failure::Incomplete => Self::RolloutIncomplete,
        }
    }

    /// The reason for a call that went wrong.
    #[must_use]
    pub const fn of(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable => Self::RemoteUnavailable,
            Trouble::RateLimited => Self::RateLimited,
            Trouble::QuotaExhausted => Self::QuotaExhausted,
            Trouble::CredentialsRejected => Self::CredentialsRejected,
            Trouble::NotFound => Self::RemoteNotFound,
            Trouble::Refused => Self::InvalidRequest,
            Trouble::Conflict => Self::RemoteConflict,
            Trouble::UnexpectedResponse => Self::UnexpectedResponse,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the conditions of an object say, before times and generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `Ready`'s status.
    pub ready: Truth,
    /// The reason, the same in every condition.
    pub reason: Reason,
    /// The condition beside Ready.
    pub progress: Progress,
    /// For people: what is so, where, and what to do.
    pub message: String,
}

/// What a message can tell beside the verdict. Empty where it isn't known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// `spec.paused`.
    pub paused: bool,
    /// The line's state in the last look.
    pub seen: Option<State>,
    /// Who changed the line last, as the remote tells it.
    pub updated_by: Option<&'a str>,
    /// What of the configuration is not as asked, field by field.
    pub differences: &'a str,
    /// What the last failed call said, in our own words.
    pub fault: &'a str,
    /// What the remote said when it refused the change of the configuration, in our own words.
    pub refusal: &'a str,
    /// What the obstacle or the bar is, where, and the way out.
    pub obstacle: &'a str,
    /// By what the line that was found differs from the adopted one.
    pub identity: &'a str,
}

impl Verdict {
    /// Whether it claims that the line is as asked: Ready=True.
    #[must_use]
    pub const fn claims(self) -> bool {
        matches!(self, Self::Synced | Self::Suspended { differs: false })
    }

    /// Why it says that the change of the configuration was given up, if it does.
    #[must_use]
    pub const fn failure(self) -> Option<Failure> {
        match self {
            Self::RolloutFailed { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Whether nothing is to be done about the line itself, until something changes.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        match self {
            Self::Synced
            | Self::Suspended { .. }
            | Self::Reported
            | Self::Surplus
            | Self::IdentityChanged
            | Self::Barred { stalled: true, .. } => true,
            Self::RolloutFailed { goes_on, .. } => !goes_on,
            _ => false,
        }
    }

    /// Whether it tells that the operator is at it, and nothing else.
    #[must_use]
    pub const fn is_progress(self) -> bool {
        matches!(self, Self::Acting(_) | Self::RollingOut(_) | Self::Awaiting)
    }

    /// The conditions that tell it.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "one place for what is said of each")]
    pub fn conditions(self, details: &Details<'_>) -> Conditions {
        use {Progress as P, Truth as T};
        let found = match details.seen {
            Some(State::Active) => "is answering",
            Some(State::Paused) => "is paused",
            Some(State::Unknown) => "has a state that the remote does not tell",
            None => "has not been seen yet",
        };
        let by = details.updated_by.map(|who| format!(" (last changed by {who})")).unwrap_or_default();
        let differs = || {
            let state = details.seen == Some(Action::for_paused(details.paused).state());
            let paused = if state { "as spec.paused asks" } else { "but spec.paused is" };
            let value = if state { String::new() } else { format!(" {}", details.paused) };
            let config =
                if details.differences.is_empty() { String::new() } else { format!("; {}", details.differences) };
            format!("The line {found}{by}, {paused}{value}{config}.")
        };
        let (ready, reason, progress, message) = match self {
            Self::Acting(Action::Pause) => {
                (T::Unknown, Reason::Progressing, P::Reconciling, "Pausing the line; not confirmed yet.".to_owned())
            }
            Self::Acting(Action::Resume) => {
                (T::Unknown, Reason::Progressing, P::Reconciling, "Resuming the line; not confirmed yet.".to_owned())
            }
            Self::Awaiting => (
                T::Unknown,
                Reason::AwaitingConfirmation,
                P::Reconciling,
                format!("The line {found} as asked, but an earlier contrary call may still reach it; looking again when that time has passed."),
            ),
            Self::Synced => (T::True, Reason::Synced, P::Done, format!("The line {found}, as spec.paused asks.")),
            Self::Suspended { differs: false } => (
                T::True,
                Reason::Suspended,
                P::Done,
                format!("The line {found}, as spec.paused asks. spec.suspend is true: nothing is written to the remote."),
            ),
            Self::Suspended { differs: true } => (
                T::False,
                Reason::Suspended,
                P::Stalled,
                format!("{} spec.suspend is true, so it stays; set it to false to have it corrected.", differs()),
            ),
            Self::Reported => (
                T::False,
                Reason::DriftReported,
                P::Stalled,
                format!("{} spec.driftPolicy is Report, so it stays; set it to Correct, or change the spec or the line.", differs()),
            ),
            Self::Drifted => {
                (T::False, Reason::DriftDetected, P::Reconciling, format!("{} Putting it right.", differs()))
            }
            Self::Contended => (
                T::False,
                Reason::RemoteContended,
                P::Reconciling,
                format!("{} It has been changed back again and again, so the next correction waits, each time longer. Find who else decides about this line: another cluster, a script, a person; or set spec.driftPolicy to Report.", differs()),
            ),
            Self::StateUnknown => (
                T::Unknown,
                Reason::RemoteStateUnknown,
                P::Reconciling,
                "The remote does not say whether the line answers; looking again.".to_owned(),
            ),
            Self::Failing { trouble, stalled } => {
                (T::False, Reason::of(trouble), Progress::stalled_if(stalled), details.fault.to_owned())
            }
            Self::Stale(_) => (
                T::Unknown,
                Reason::ObservationStale,
                P::Reconciling,
                format!("When last seen the line {found}, but that is too long ago to count: {}", details.fault),
            ),
            Self::Hindered { obstacle, stalled } => {
                (T::False, obstacle.reason(), Progress::stalled_if(stalled), details.obstacle.to_owned())
            }
            Self::RollingOut(stage) => {
                let words = match stage {
                    Stage::Pausing => "Pausing the line to change its configuration",
                    Stage::Changing => "Changing the line's configuration",
                    Stage::Resuming => "The line's configuration is as asked; resuming the line",
                    Stage::Waiting => "Waiting with the line as it is, because an earlier call that says otherwise may still reach it",
                };
                let what = if details.differences.is_empty() { String::new() } else { format!(": {}", details.differences) };
                (T::Unknown, Reason::RollingOut, P::Reconciling, format!("{words}{what}."))
            }
            Self::RolloutFailed { failure, goes_on } => {
                let line = match (failure, details.seen) {
                    (Failure::Incomplete, _) => "Nobody may reach a line that is half changed, so it stays paused",
                    (_, Some(State::Paused)) if details.paused => "The line is paused, as spec.paused asks",
                    (_, Some(State::Paused)) if goes_on => "The line stays paused, as spec.rollout.onFailure asks, and the change is tried on",
                    (_, Some(State::Paused)) => "The line is paused",
                    _ => "The line answers with the configuration that it had",
                };
                let why = match failure {
                    Failure::Refused => format!("The change was refused. {}", details.refusal),
                    Failure::Overdue => "The line was paused for the change for longer than spec.rollout.maxPauseSeconds.".to_owned(),
                    Failure::NotApplied => "The remote accepted the change several times and never showed it.".to_owned(),
                    Failure::Incomplete => "The remote carried out a part of the change only.".to_owned(),
                };
                let way_out = if goes_on { "" } else { " Edit the spec to have it tried again." };
                let message = format!("{} {line}; {}.{way_out}", why.trim_end(), details.differences);
                (T::False, Reason::of_failure(failure), Progress::stalled_if(!goes_on), message)
            }
            Self::Surplus => (
                T::False,
                Reason::ListSurplus,
                P::Stalled,
                format!("The remote's lists only grow (--lists=merge), and no call takes away what is too much: {}. Remove it at the dashboard, or add it to the spec.", details.differences),
            ),
            Self::Barred { bar, stalled } => (T::False, bar.reason(), Progress::stalled_if(stalled), details.obstacle.to_owned()),
            Self::IdentityChanged => {
                let what = if details.identity.is_empty() { String::new() } else { format!(": {}", details.identity) };
                let message = format!("The id leads to another line than the one that this object adopted{what}. Nothing is written to it, until the adopted line is back. To have this object decide about the other line, delete this object and create it again (the line itself stays as it is).");
                (T::False, Reason::IdentityChanged, P::Stalled, message)
            }
            Self::InternalError => (
                T::False,
                Reason::InternalError,
                P::Reconciling,
                "A bug in the operator stopped the work on this line; it will be tried again. Please report it with the operator's log.".to_owned(),
            ),
        };
        Conditions { ready, reason, progress, message }
    }

    /// Whether `status.remote` may show the last look's state: not while a call is on its way, nor that of another line.
    #[must_use]
    pub const fn shows_state(self) -> bool {
        !matches!(
            self,
            Self::Acting(_)
                | Self::RollingOut(Stage::Pausing | Stage::Resuming)
                | Self::Stale(_)
                | Self::IdentityChanged
        )
    }
}

#[cfg(test)]
mod tests;
