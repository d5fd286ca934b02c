//! The points that the remote's documentation leaves open, a switch each.

use std::time::Duration;

/// How the remote behaves where its documentation is silent. The defaults are the plainest reading.
/// All can be changed while the simulator runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Switches {
    /// Pause when paused, resume when active.
    pub same_state: Answer,
    /// PATCH of a line that is active.
    pub update_while_active: Answer,
    /// DELETE of a line that is active.
    pub delete_while_active: Answer,
    /// DELETE of a line that was deleted before: accepted, or refused as not found.
    pub second_delete: Answer,
    /// HTTP status of a create: 200 or 201.
    pub created: u16,
    /// HTTP status for a missing or unknown key: 401 or 403.
    pub bad_key: u16,
    /// The shape of an error's body.
    pub error_form: ErrorForm,
    /// The body of a 404.
    pub not_found: NotFoundBody,
    /// A create or update with a name that another line of the workspace has. Refused is 409.
    pub name_clash: Answer,
    /// A create or update with a number that another line of the workspace has. Refused is 409.
    pub number_clash: Answer,
    /// What PATCH does with a list.
    pub lists: Lists,
    /// Whether written values come back in one form: `9:00` as `09:00`, days in the order of the week.
    pub normalise: bool,
    /// How long after its clean reply a change of a line's state or configuration takes effect. Zero: before the reply.
    pub apply_after: Duration,
    /// Whether the 200 of a status call or an update shows the line from before it, as the documented example does.
    pub reply_shows_old_state: bool,
    /// Get and list show the lines as they were this long ago. At most one minute.
    pub read_lag: Duration,
    /// Whether a status call moves `updated_at` and `updated_by`.
    pub updated_at: UpdatedAt,
    /// How `status` is shown.
    pub shown_status: ShownStatus,
    /// Whether objects carry fields that the documentation doesn't have.
    pub unknown_fields: bool,
    /// The account's rate limit; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// The form of `next_page_uri` and `prev_page_uri`.
    pub page_uri: PageUri,
    /// The highest committed `app_version`; a higher one is refused with 422.
    pub highest_app_version: i64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            same_state: Answer::Accepted,
            update_while_active: Answer::Accepted,
            delete_while_active: Answer::Accepted,
            second_delete: Answer::Refused,
            created: 200,
            bad_key: 403,
            error_form: ErrorForm::Sarvam,
            not_found: NotFoundBody::LikeOthers,
            name_clash: Answer::Accepted,
            number_clash: Answer::Refused,
            lists: Lists::Replace,
            normalise: false,
            apply_after: Duration::ZERO,
            reply_shows_old_state: false,
            read_lag: Duration::ZERO,
            updated_at: UpdatedAt::Moves,
            shown_status: ShownStatus::Plain,
            unknown_fields: false,
            rate_limit: None,
            page_uri: PageUri::Relative,
            highest_app_version: 99,
        }
    }
}

/// Whether the remote takes a call that its documentation neither allows nor forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Accepted,
    /// A 4xx: 409 for clashes, 404 for a second delete, 422 otherwise.
    Refused,
}

/// The shape of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error": {"message", "code"}}`.
    Sarvam,
    /// `{"detail": …}`, a list of places for a bad request and a sentence otherwise.
    FastApi,
}

/// The body of a 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFoundBody {
    /// In the form of the other errors.
    LikeOthers,
    /// No body.
    Empty,
    /// A proxy's HTML page.
    Html,
}

/// What PATCH does with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// The new list takes the old one's place.
    Replace,
    /// New items are added to the old ones.
    Merge,
}

/// Whether a status call counts as an update of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatedAt {
    /// `updated_at` and `updated_by` tell of it.
    Moves,
    /// They tell only of changed configuration.
    Stays,
}

/// How `status` is shown in every object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownStatus {
    /// `active` or `paused`.
    Plain,
    /// `null`.
    Null,
    /// The field isn't there.
    Absent,
    /// A word that the documentation doesn't have.
    Unknown(String),
}

/// The form of the page links in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageUri {
    /// Path and query.
    Relative,
    /// With scheme and host.
    Absolute,
}

/// A token bucket for the whole account, every workspace and key together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens in a full bucket.
    pub burst: f64,
    /// What a 429 says about when to come back.
    pub retry_after: RetryAfter,
}

/// The header `Retry-After` of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not there.
    Absent,
    /// Whole seconds, rounded up.
    Seconds,
    /// An HTTP date, rounded up to the next second.
    Date,
}
