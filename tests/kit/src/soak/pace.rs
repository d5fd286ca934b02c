//! The operators' windows and pauses in a soak: short ones, so that minutes hold many of them.

use std::time::Duration;

/// `--lease-duration`.
pub const LEASE: Duration = Duration::from_secs(3);
/// `--call-timeout`.
pub const CALL: Duration = Duration::from_secs(1);
/// `--doubt-window`. No fault lets a call land later than two seconds after its sender gave up.
pub const DOUBT: Duration = Duration::from_secs(3);
/// `--settle-window`. No fault lets an answered call land later than [`LATE`].
pub const SETTLE: Duration = Duration::from_secs(1);
/// `--read-lag`. No look is older than [`LATE`].
pub const LAG: Duration = Duration::from_millis(500);
/// `--freeze-window`: longer than any freeze.
pub const FREEZE: Duration = Duration::from_secs(8);
/// The Workspace's `syncInterval`.
pub const SYNC: Duration = Duration::from_secs(5);
/// The operator's first pause between tries, and the longest.
pub const RETRY: Duration = Duration::from_secs(1);
/// The longest.
pub const RETRY_CAP: Duration = Duration::from_mins(5);

/// How far the remote is behind at most, where its documentation leaves that open.
pub const LATE: Duration = Duration::from_millis(300);
/// The longest outage of a process or a server: two leases.
pub const OUTAGE: Duration = Duration::from_secs(6);
/// The longest fault of one line's calls.
pub const SPELL: Duration = Duration::from_millis(2500);
/// How long all may take to be as asked in the end: the take-over window, and time for a crowded machine.
pub const SETTLED: Duration = Duration::from_mins(2);
