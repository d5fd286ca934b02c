//! What the remote itself says about when it wants calls again.

use std::time::Duration;

use tokio::time::Instant;

use super::Held;
use crate::core::{classify::Fault, line::Trouble};

/// The first and the longest pause after a rate limit that came without `Retry-After`.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_mins(1);

/// The pause after the credits are used up: waiting doesn't bring them back, but somebody may.
const QUOTA_PAUSE: Duration = Duration::from_mins(10);

/// A gate for all calls of the key.
#[derive(Default)]
pub(super) struct Gate {
    held: Option<Held>,
    /// Rate limits in a row.
    strikes: u32,
}

impl Gate {
    /// Why and until when it is closed.
    pub fn closed(&self, now: Instant) -> Option<Held> {
        self.held.filter(|held| now < held.until)
    }

    /// Learns from an answer: a rate limit, or a `Retry-After`, closes it. True where it is a new rate limit: calls that
    /// were in flight together are one sign, not many.
    pub fn learn(&mut self, fault: Option<&Fault>, now: Instant) -> bool {
        let is_open = self.closed(now).is_none();
        let trouble = fault.map(|fault| fault.trouble);
        let asked = fault.and_then(|fault| fault.retry_after);
        let is_new = is_open && trouble == Some(Trouble::RateLimited);
        let pause = match trouble {
            _ if is_new => {
                let back_off = FIRST_BACK_OFF * 2_u32.saturating_pow(self.strikes.min(16));
                self.strikes = self.strikes.saturating_add(1);
                Some(asked.unwrap_or(back_off.min(LAST_BACK_OFF)))
            }
            Some(Trouble::RateLimited) => asked,
            Some(Trouble::QuotaExhausted) => Some(asked.unwrap_or_default().max(QUOTA_PAUSE)),
            _ => {
                if is_open {
                    self.strikes = 0;
                }
                asked
            }
        };
        if let (Some(trouble), Some(pause)) = (trouble, pause) {
            let held = Held { until: now + pause, trouble };
            if self.held.is_none_or(|known| known.until < held.until) {
                self.held = Some(held);
            }
        }
        is_new
    }
}
