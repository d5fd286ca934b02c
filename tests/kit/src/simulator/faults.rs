//! Faults, scripted by route, line and call number.

use std::time::Duration;

use super::call::Route;

/// One scripted fault. It takes the place of, or bends, the answer to the calls that it matches.
#[derive(Debug, Clone)]
pub struct Fault {
    route: Route,
    line: Option<String>,
    calls: Calls,
    effect: Effect,
}

/// Which of the matching calls a fault takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    Every,
    /// The next n that no earlier fault takes.
    Next(u64),
    /// The nth, from 1, of all that match since the fault was injected.
    Nth(u64),
}

impl Fault {
    /// Every call on `route`, until the faults are cleared. The methods narrow it.
    #[must_use]
    pub fn on(route: Route, effect: Effect) -> Self {
        Self { route, line: None, calls: Calls::Every, effect }
    }

    /// Only calls that name this line.
    #[must_use]
    pub fn line(mut self, deployment_id: impl Into<String>) -> Self {
        self.line = Some(deployment_id.into());
        self
    }

    /// Only the next `n` matching calls that no earlier fault takes.
    #[must_use]
    pub fn next(mut self, n: u64) -> Self {
        self.calls = Calls::Next(n);
        self
    }

    /// Only the next matching call.
    #[must_use]
    pub fn once(self) -> Self {
        self.next(1)
    }

    /// Only the `n`th matching call, counted from 1 since the fault was injected.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.calls = Calls::Nth(n);
        self
    }
}

/// What happens to a call instead of, or beside, a clean answer.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Answered with this; nothing is done.
    Refuse(Refusal),
    /// Done and answered this much later, also when the client has gone by then.
    Delay(Duration),
    /// Nothing is done; no answer until the client goes.
    Hang,
    /// Nothing is done; the connection is closed without a reply.
    Drop,
    /// Done `after` the call came, also when the client has gone by then; meanwhile, at once, `then`.
    /// A lost reply is `after` zero and [`Then::Drop`].
    Apply {
        /// From the call's arrival to its effect.
        after: Duration,
        /// What the client sees.
        then: Then,
    },
    /// Of an update these fields alone are done, in the remote's words; of another call nothing. The reply tells of all.
    /// No field is a call that is accepted and never applied.
    Part {
        /// What is done.
        fields: Vec<&'static str>,
        /// What the client sees.
        then: Then,
    },
    /// Done; the reply is damaged on its way.
    Corrupt(Corruption),
    /// Answered with this status and `Location`; nothing is done.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to, as it stands in the header.
        location: String,
    },
    /// Answered with this status and an error body that repeats the API key; nothing is done.
    EchoKey(u16),
}

/// What a client sees of a call whose effect is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A clean reply.
    Reply,
    /// A closed connection.
    Drop,
    /// Nothing.
    Hang,
}

/// A reply given as it stands.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// HTTP status, 200 to 999.
    pub status: u16,
    /// Body, sent as it is.
    pub body: String,
    /// Headers beside `Content-Type: application/json`.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// A refusal in Sarvam's form.
    #[must_use]
    pub fn new(status: u16, code: &str) -> Self {
        let error = serde_json::json!({"error": {"message": "scripted by the test", "code": code}});
        Self { status, body: error.to_string(), headers: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Damage to a reply. The call itself is done.
#[derive(Debug, Clone)]
pub enum Corruption {
    /// No body.
    Empty,
    /// Half of the promised `Content-Length`, then a closed connection.
    Truncated,
    /// A proxy's HTML page under the same status.
    Html,
    /// The object of another line.
    WrongId,
    /// `status` is an object.
    WrongType,
    /// `status` is a word that the documentation doesn't have.
    UnknownStatus,
    /// `status` is null.
    NullStatus,
    /// Valid JSON of at least this many bytes, chunked, so that no `Content-Length` warns of it.
    Huge(usize),
    /// One byte of the body each time this passes.
    SlowBody(Duration),
    /// One byte each time this passes, from the first of the status line.
    SlowHeaders(Duration),
    /// Bytes that are neither UTF-8 nor JSON.
    Garbage,
    /// JSON nested a hundred thousand deep.
    DeepJson,
}

/// The faults in force, in the order in which they were injected.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Armed>);

#[derive(Debug)]
struct Armed {
    fault: Fault,
    matched: u64,
    taken: u64,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.0.push(Armed { fault, matched: 0, taken: 0 });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts the call with every fault that it matches; the first that is due takes it.
    pub(super) fn take(&mut self, route: Route, line: Option<&str>) -> Option<Effect> {
        let mut taken = None;
        for armed in &mut self.0 {
            let fault = &armed.fault;
            let here = fault.line.is_none() || fault.line.as_deref() == line;
            if !(here && fault.route.covers(route)) {
                continue;
            }
            armed.matched += 1;
            let due = match fault.calls {
                Calls::Every => true,
                Calls::Next(n) => armed.taken < n,
                Calls::Nth(n) => armed.matched == n,
            };
            if due && taken.is_none() {
                armed.taken += 1;
                taken = Some(fault.effect.clone());
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_takes_the_calls_it_names() {
        let refuse = || Effect::EchoKey(400);
        let status = || Fault::on(Route::Status, refuse());
        // Each case: the fault, the calls as route and line, and which of them it takes.
        let (a, b) = (Some("a"), Some("b"));
        let calls = [(Route::Status, a), (Route::Get, a), (Route::Status, b), (Route::Status, a), (Route::List, None)];
        let cases = [
            ("every", status(), vec![0, 2, 3]),
            ("next two", status().next(2), vec![0, 2]),
            ("third", status().nth(3), vec![3]),
            ("one line", status().line("a"), vec![0, 3]),
            ("one line once", status().line("b").once(), vec![2]),
            ("any", Fault::on(Route::Any, refuse()), vec![0, 1, 2, 3, 4]),
            ("any of a line", Fault::on(Route::Any, refuse()).line("a").nth(2), vec![1]),
        ];
        for (name, fault, expected) in cases {
            let mut faults = Faults::default();
            faults.inject(fault);
            let taken: Vec<usize> =
                (0..calls.len()).filter(|&i| faults.take(calls[i].0, calls[i].1).is_some()).collect();
            assert_eq!(taken, expected, "{name}");
        }
    }

    #[test]
    fn faults_queue_up() {
        let mut faults = Faults::default();
        faults.inject(Fault::on(Route::Status, Effect::Drop).once());
        faults.inject(Fault::on(Route::Any, Effect::Hang).once());
        let mut next = || faults.take(Route::Status, Some("a"));
        assert!(matches!(next(), Some(Effect::Drop)));
        assert!(matches!(next(), Some(Effect::Hang)));
        assert!(next().is_none());
    }
}
