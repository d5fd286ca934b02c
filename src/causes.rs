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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn each_cause_is_said_once() {
        let table: [(&[&'static str], _); 4] = [
            (&["no connection"], "no connection"),
            (&["no connection", "refused"], "no connection: refused"),
            (&["service: no connection", "no connection", "refused"], "service: no connection: refused"),
            (&["a", "b", "a"], "a: b: a"),
        ];
        for (links, expected) in table {
            let error = links.iter().rev().fold(None, |cause, link| Some(Box::new(Said(link, cause)))).unwrap();
            assert_eq!(chain(&*error), expected);
        }
    }
}
