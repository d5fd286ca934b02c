//! What an answer of the remote means. Every answer goes through [`line`] or [`page`], and nothing else reads one.

mod body;
mod explanation;
mod retry_after;
mod text;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::config::Shown;
use crate::id::Id;
use crate::identity::Identity;
use crate::line::{State, Trouble};

pub use text::legible;

/// The most rows that a page of the list has.
pub const LONGEST_PAGE: usize = 100;

/// What was asked of the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET …/deployments/{id}`.
    Get,
    /// `GET …/deployments`.
    List,
    /// `PUT …/deployments/{id}/status`: changes whether the line answers.
    SetStatus,
    /// `PATCH …/deployments/{id}`: changes what the line is.
    Update,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Get, Self::List, Self::SetStatus, Self::Update];

    /// Whether it only looks.
    #[must_use]
    pub const fn is_look(self) -> bool {
        matches!(self, Self::Get | Self::List)
    }

    /// What is known when it is not known whether the remote acted on the call.
    #[must_use]
    pub const fn in_doubt(self) -> Landed {
        if self.is_look() { Landed::No } else { Landed::Maybe }
    }
}

/// One HTTP answer, as it came.
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case; only `retry-after` and `date` are read.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
    /// The wall clock when the answer was read, for a `Retry-After` that is a date.
    pub read_at: Timestamp,
    /// Tells whether a text gives away the API key, or a part of it. Such a text is not passed on.
    pub gives_key_away: &'a dyn Fn(&str) -> bool,
}

/// One line as the remote describes it. Only what is used is read, and whatever is of another type than documented
/// counts as not told; only the id has to be right. Texts are free of control characters and cut to a length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// The line's id.
    pub deployment: Id,
    /// Whether it answers.
    pub state: State,
    /// What can be managed of it; texts of at most 256 characters. A row of the list has the numbers alone, not the
    /// connections that they belong to.
    pub config: Arc<Shown>,
    /// `app_id`: the agent that answers; at most 256 characters.
    pub app_id: Option<String>,
    /// `channel_direction`, at most 256 characters.
    pub channel_direction: Option<String>,
    /// `created_at`: when it was made.
    pub created_at: Option<Timestamp>,
    /// `updated_at`: when it was last changed.
    pub updated_at: Option<Timestamp>,
    /// `updated_by`: who changed it last; at most 256 characters.
    pub updated_by: Option<String>,
}

impl Remote {
    /// Which line it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(self.app_id.as_deref(), self.created_at)
    }
}

/// One page of the list of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many rows the page had, readable or not: what the offset of the next page grows by.
    pub rows: usize,
    /// `total`: how many lines the remote says there are.
    pub total: Option<u64>,
    /// The rows that have an id.
    pub lines: Vec<Remote>,
}

/// Whether a call that failed changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Landed {
    /// It certainly changed nothing, and never will.
    No,
    /// It may have changed the line, or may still do so.
    Maybe,
}

/// What lies behind [`Trouble::CredentialsRejected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The key itself is refused.
    Key,
    /// The key is good, but not for this.
    Permission,
}

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What to do about it.
    pub trouble: Trouble,
    /// Whether the call may have changed anything.
    pub landed: Landed,
    /// What happened, for people: a phrase of ours that is the same for the same cause. Where the remote explains a
    /// refusal, its words follow, cleaned and cut.
    pub message: String,
    /// How long the remote asks to be left alone: 1 s to 15 min.
    pub retry_after: Option<Duration>,
    /// With [`Trouble::CredentialsRejected`] alone: what was rejected.
    pub rejection: Option<Rejection>,
}

impl Fault {
    /// A call without a readable answer.
    #[must_use]
    pub fn new(trouble: Trouble, landed: Landed, message: impl Into<String>) -> Self {
        Self { trouble, landed, message: message.into(), retry_after: None, rejection: None }
    }
}

/// The answer to a [`Call`] about the line `expected`.
///
/// A success is a 200 or 201 with a whole object of that very line. It says what the remote showed when it answered, and
/// is no proof that a change has taken effect.
pub fn line(call: Call, expected: &Id, reply: &Reply<'_>) -> Result<Remote, Fault> {
    classify(call, reply, || {
        let remote = body::line(reply).ok_or("is not the object of a line")?;
        if remote.deployment == *expected { Ok(remote) } else { Err("is about another line") }
    })
}

/// The answer to [`Call::List`].
pub fn page(reply: &Reply<'_>) -> Result<Page, Fault> {
    classify(Call::List, reply, || body::page(reply).ok_or("is not a page of lines"))
}

fn classify<T>(call: Call, reply: &Reply<'_>, read: impl FnOnce() -> Result<T, &'static str>) -> Result<T, Fault> {
    match reply.status {
        200 | 201 => read().map_err(|problem| {
            let message = format!("the remote's answer (HTTP {}) {problem}", reply.status);
            Fault::new(Trouble::UnexpectedResponse, call.in_doubt(), message)
        }),
        _ => Err(failure(call, reply)),
    }
}

/// The fault behind every answer that is no success: by HTTP status first, then by `error.code`.
fn failure(call: Call, reply: &Reply<'_>) -> Fault {
    let told = explanation::read(reply);
    let code = told.code.as_deref();
    let (trouble, phrase) = match reply.status {
        401 | 403 => (
            Trouble::CredentialsRejected,
            match rejection(reply.status, code) {
                Rejection::Key => "the remote refused the API key",
                Rejection::Permission => "the remote does not allow the API key to do this",
            },
        ),
        404 | 410 => (Trouble::NotFound, "the remote knows no such line"),
        408 | 425 => (Trouble::Unavailable, "the remote did not take the request"),
        409 => (Trouble::Conflict, "the remote says that this clashes with its present state"),
        429 if code == Some("insufficient_quota_error") => {
            (Trouble::QuotaExhausted, "the remote says that the account's credits are used up")
        }
        429 => (Trouble::RateLimited, TOO_MANY),
        400..=499 => (Trouble::Refused, "the remote refused the request"),
        503 if code == Some("rate_limit_exceeded_error") => (Trouble::RateLimited, TOO_MANY),
        500..=599 => (Trouble::Unavailable, "the remote failed"),
        300..=399 => (Trouble::UnexpectedResponse, "the remote answered with a redirect, and none is followed"),
        _ => (Trouble::UnexpectedResponse, "the remote's answer has an unexpected status"),
    };
    let mut message = format!("{phrase} (HTTP {})", reply.status);
    // A text that changes from try to try would change the object's status each time, and so would a text about time.
    let explains = matches!(reply.status, 400..=499) && !matches!(trouble, Trouble::RateLimited | Trouble::Unavailable);
    if let Some(words) = told.message.filter(|_| explains) {
        message.push_str(": ");
        message.push_str(&words);
    }
    Fault {
        trouble,
        landed: match reply.status {
            // Timed out, too early, clashing with a call that may be this very one: the request was seen, no more is known.
            408 | 409 | 425 => call.in_doubt(),
            400..=499 => Landed::No,
            _ => call.in_doubt(),
        },
        message,
        retry_after: match trouble {
            Trouble::RateLimited | Trouble::QuotaExhausted | Trouble::Unavailable => retry_after::read(reply),
            _ => None,
        },
        rejection: (trouble == Trouble::CredentialsRejected).then(|| rejection(reply.status, code)),
    }
}

const TOO_MANY: &str = "the remote says that there were too many requests";

/// A 403 with a code of its own is about the permission; everything else about the key.
fn rejection(status: u16, code: Option<&str>) -> Rejection {
    match (status, code) {
        (403, Some(code)) if code != "invalid_api_key_error" => Rejection::Permission,
        _ => Rejection::Key,
    }
}

#[cfg(test)]
mod tests;
