//! What an error says to a person.

use std::{error::Error, iter::successors};

/// An error with all that caused it: a transport's own text seldom names the reason. Some repeat what their cause says; it is said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    successors(error.source(), |&error| error.source()).map(ToString::to_string).fold(
        error.to_string(),
        |said, cause| {
            if said.ends_with(&cause) { said } else { format!("{said}: {cause}") }
        },
    )
}
