//! Names that the remote gives, checked before they become part of a URL.

use std::fmt;
use std::sync::Arc;

/// The most characters an [`Id`] has.
pub const MAX_LENGTH: usize = 128;

/// One id of the remote (organisation, workspace or deployment): `^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`.
///
/// What passes needs no escaping in a URL and can't climb out of its path segment. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

/// The text is no [`Id`]; says the rule, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 128 letters (a-z, A-Z), digits, '-' or '_', and begins with a letter or a digit")]
pub struct InvalidId;

impl Id {
    /// Checks the text.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = text.bytes();
        let first = bytes.next().ok_or(InvalidId)?;
        let valid = text.len() <= MAX_LENGTH
            && first.is_ascii_alphanumeric()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if valid { Ok(Self(text.into())) } else { Err(InvalidId) }
    }

    /// The id as the remote writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line, wherever it is named from: what the protocol keeps its memory by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    /// The organisation that the workspace belongs to.
    pub org: Id,
    /// The workspace that the deployment belongs to.
    pub workspace: Id,
    /// The deployment itself.
    pub deployment: Id,
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.org, self.workspace, self.deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_in_a_path_is_an_id() {
        let longest = "a".repeat(MAX_LENGTH);
        for text in ["a", "7", "dep-a1b2c3d4", "conn_exotel-001", "A-", longest.as_str()] {
            assert_eq!(Id::new(text).map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let too_long = "a".repeat(MAX_LENGTH + 1);
        for text in [
            "",
            ".",
            "..",
            "-a",
            "_a",
            "a/b",
            "a\\b",
            "a b",
            " a",
            "a\n",
            "a\tb",
            "a?x=1",
            "a#f",
            "%2e%2e",
            "a.b",
            "a:b",
            "a\0",
            "é",
            "а",
            "\u{feff}a",
            too_long.as_str(),
        ] {
            assert_eq!(Id::new(text), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn a_line_prints_as_its_path() {
        let id = |text| Id::new(text).unwrap();
        let line = LineId { org: id("org-1"), workspace: id("ws-1"), deployment: id("dep-1") };
        assert_eq!(line.to_string(), "org-1/ws-1/dep-1");
    }
}
