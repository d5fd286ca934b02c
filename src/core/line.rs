//! The words that every part of the operator shares about one remote line.

use std::{fmt, sync::Arc};

use super::config::{Field, Managed};

/// What the remote is told to do with a line: `PUT …/deployments/{id}/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// New inbound calls are not answered; calls in progress finish.
    Pause,
    /// Calls are answered again, within the line's schedule.
    Resume,
}

impl Action {
    /// The action that makes a line what `spec.paused` says.
    #[must_use]
    pub const fn for_paused(paused: bool) -> Self {
        if paused { Self::Pause } else { Self::Resume }
    }

    /// The state that the action leads to.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Pause => State::Paused,
            Self::Resume => State::Active,
        }
    }

    /// The action that would undo this one.
    #[must_use]
    pub const fn contrary(self) -> Self {
        match self {
            Self::Pause => Self::Resume,
            Self::Resume => Self::Pause,
        }
    }

    /// The remote's word for it, as the request's body carries it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// A call that changes a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// `PUT …/deployments/{id}/status`.
    Status(Action),
    /// `PATCH …/deployments/{id}`: these fields and no others.
    Config(Arc<Managed>),
}

impl fmt::Display for Change {
    /// The verb of a status call, or the fields that a PATCH carries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(action) => f.write_str(action.verb()),
            Self::Config(fields) => {
                let names: Vec<&str> = fields.fields().iter().map(Field::name).collect();
                write!(f, "change {}", names.join(", "))
            }
        }
    }
}

/// What a look at the remote showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The line answers.
    Active,
    /// The line does not answer.
    Paused,
    /// The remote said neither: `null`, nothing, or a word that is not known here.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "Active",
            Self::Paused => "Paused",
            Self::Unknown => "Unknown",
        })
    }
}

/// What went wrong with a call, by what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No answer, a broken connection, TLS, 408, 5xx: wait and try again.
    Unavailable,
    /// 429, or a 503 that says so: too many requests.
    RateLimited,
    /// 429 `insufficient_quota_error`: the credits are used up, waiting doesn't help.
    QuotaExhausted,
    /// 401 or 403: the key is refused, or not allowed to do this.
    CredentialsRejected,
    /// 404: the remote knows no such line.
    NotFound,
    /// 400, 413, 422 and every other definite 4xx: refused until the object changes.
    Refused,
    /// 409: clashes with the remote's present state.
    Conflict,
    /// An answer that can't be understood: a redirect, another line's id, HTML, a broken body.
    UnexpectedResponse,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unavailable,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::CredentialsRejected,
        Self::NotFound,
        Self::Refused,
        Self::Conflict,
        Self::UnexpectedResponse,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_its_word_its_state_and_its_contrary() {
        for (paused, verb, state) in [(true, "pause", State::Paused), (false, "resume", State::Active)] {
            let action = Action::for_paused(paused);
            assert_eq!((action.verb(), action.state()), (verb, state));
            assert_eq!(action.contrary(), Action::for_paused(!paused));
        }
    }

    #[test]
    fn a_change_prints_as_its_verb_or_its_fields() {
        let config = Managed { app_version: Some(7), name: Some("a".to_owned()), ..Managed::default() };
        for (change, words) in [
            (Change::Status(Action::Pause), "pause"),
            (Change::Status(Action::Resume), "resume"),
            (Change::Config(Arc::new(config)), "change appVersion, displayName"),
        ] {
            assert_eq!(change.to_string(), words);
        }
    }

    #[test]
    fn a_state_prints_as_its_name() {
        assert_eq!(
            [State::Active, State::Paused, State::Unknown].map(|it| it.to_string()),
            ["Active", "Paused", "Unknown"]
        );
    }
}
