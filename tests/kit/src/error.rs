use std::fmt;

/// What went wrong with a real part, in words for the person who reads the failed test.
///
/// `Debug` prints the text as it is, so that `unwrap` shows a server's log with its line ends.
pub struct Error(String);

/// What every fallible function of the kit's real parts returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says what was tried, before what came of it.
pub trait Because<T> {
    /// Turns any error into one that begins with `tried`.
    fn because(self, tried: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Because<T> for std::result::Result<T, E> {
    fn because(self, tried: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error(format!("{tried}: {cause}")))
    }
}
