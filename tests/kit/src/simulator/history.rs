//! What happened at the remote, in order, with times.

use std::time::Instant;

use jiff::Timestamp;

use super::call::Route;
use super::line::{Action, Line, LineState};

/// The fields that the remote's documentation asks a pause for, in its words.
const NEED_A_PAUSE: [&str; 2] = ["app_version", "connection_configs"];

/// Number of a call, from 1, in the order of arrival.
pub type CallId = u64;

/// One thing that happened. The history only grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When, on the clock of this process.
    pub at: Instant,
    /// When, on the wall.
    pub wall: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A call of the API came in whole.
    Arrived(Arrival),
    /// A call took effect. `None` is a line that isn't there: before a create, after a delete.
    Applied {
        /// The call.
        call: CallId,
        /// The line.
        line: String,
        /// Its state before.
        from: Option<LineState>,
        /// Its state after; equal to `from` for an update of the configuration, of which [`What::Configured`] tells.
        to: Option<LineState>,
    },
    /// A reply was handed to the connection.
    Replied {
        /// The call.
        call: CallId,
        /// HTTP status.
        status: u16,
    },
    /// The connection was closed without a reply: by the simulator, or by the client that had waited long enough.
    NoReply {
        /// The call.
        call: CallId,
        /// Who closed it.
        closed_by: ClosedBy,
    },
    /// What comes before this one changed the line's configuration, all or a part of it.
    Configured {
        /// The line.
        line: String,
        /// The call; `None` is somebody at the dashboard.
        call: Option<CallId>,
        /// Its state, which stays.
        state: LineState,
        /// The fields that changed, in the remote's words.
        changed: Vec<&'static str>,
        /// The line before it.
        before: Box<Line>,
        /// The line after it.
        after: Box<Line>,
    },
    /// Something outside the API changed a line: a person at the dashboard, or the test's own setting up.
    Dashboard {
        /// The line.
        line: String,
        /// Who did it.
        who: String,
        /// Its state before; `None` before it was added.
        from: Option<LineState>,
        /// Its state after; `None` once it was removed.
        to: Option<LineState>,
    },
    /// A key became valid or stopped being so. Keys are told by name only.
    Key {
        /// The key's name.
        name: String,
        /// Whether it is valid now.
        valid: bool,
    },
    /// A request that is no call of the API: a client that built a wrong path.
    Stray {
        /// HTTP method.
        method: String,
        /// Path as sent.
        path: String,
    },
}

impl What {
    /// Whether a caller could notice it: a call changed, of a line that answered, what the remote's documentation asks a pause for.
    #[must_use]
    pub fn changed_an_answering_line(&self) -> bool {
        let Self::Configured { call: Some(_), state: LineState::Active, changed, .. } = self else { return false };
        changed.iter().any(|field| NEED_A_PAUSE.contains(field))
    }
}

/// A call as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Its number.
    pub call: CallId,
    /// Which call.
    pub route: Route,
    /// Organisation in the path.
    pub org: String,
    /// Workspace in the path.
    pub workspace: String,
    /// Deployment id in the path.
    pub line: Option<String>,
    /// What a status call asks for, where its body can be read.
    pub action: Option<Action>,
    /// The body as sent.
    pub body: String,
    /// The name of the key that it carries, also of one that was revoked; `None` for no key or one never seen.
    pub key: Option<String>,
}

/// Who closed a connection that got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The simulator, by a fault or because it stopped.
    Simulator,
    /// The client.
    Client,
}
