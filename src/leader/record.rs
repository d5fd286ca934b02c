//! What a Lease says, when it may be taken, and what to write into it: pure functions of values.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

use super::Settings;

/// What a deleted Lease is made again with: no process's identity, so everyone waits it out.
const UNKNOWN_HOLDER: &str = "unknown-after-deletion";

/// What to do about a Lease that somebody wants to hold.
#[derive(Debug, PartialEq)]
pub(super) enum Next<'s> {
    /// Leave it: its holder may still be valid for this long.
    Wait(Duration),
    /// Create it. Nobody can have led before.
    Create,
    /// It was deleted, and who led may not know yet. Put a record in its place that all must wait out.
    Restore(&'s Lease),
    /// Write this process's name into it.
    Take(&'s Lease),
}

/// The Lease as this process last saw it, and since when it has been so.
pub(super) struct Sighting {
    /// The Lease; or, where there is none any more, the last one that was seen.
    lease: Option<Lease>,
    exists: bool,
    /// When an answer that showed it so was first read. The write itself was earlier.
    since: Instant,
    /// How long it must stay so before it may be taken: until its holder has surely given up.
    patience: Duration,
    /// Whether it is the Lease that this process first saw or last wrote, not one made in its place.
    original: bool,
}

impl Sighting {
    /// What an answer read at `now` shows (`None`: no such Lease), after what was seen before.
    pub fn new(previous: Option<Self>, found: Option<Lease>, settings: &Settings, now: Instant) -> Self {
        let (last, original, since) = match previous {
            Some(previous) => (previous.lease, previous.original, previous.since),
            None => (None, true, now),
        };
        let Some(lease) = found else {
            return Self { lease: last, exists: false, since: now, patience: Duration::ZERO, original };
        };
        let (unchanged, original) = match &last {
            Some(last) => {
                (last.metadata.resource_version == lease.metadata.resource_version, original && is_same(last, &lease))
            }
            None => (false, true),
        };
        let patience = match holder(&lease) {
            None => Duration::ZERO,
            // Nobody else can have held it since. One made in its place proves nothing: it may be a copy, or what this
            // process once asked for and comes only now.
            Some(holder) if holder == settings.identity && original => Duration::ZERO,
            Some(_) => duration(&lease).unwrap_or(settings.lease_duration),
        };
        Self { lease: Some(lease), exists: true, since: if unchanged { since } else { now }, patience, original }
    }

    /// What a write by this process shows, once it is acknowledged.
    pub const fn written(lease: Lease, now: Instant) -> Self {
        Self { lease: Some(lease), exists: true, since: now, patience: Duration::ZERO, original: true }
    }

    /// What a process that wants to lead does at `now`.
    pub fn next(&self, now: Instant) -> Next<'_> {
        let waited = now.saturating_duration_since(self.since);
        let left = self.patience.saturating_sub(waited);
        match &self.lease {
            None => Next::Create,
            Some(last) if !self.exists => Next::Restore(last),
            Some(_) if !left.is_zero() => Next::Wait(left),
            Some(lease) => Next::Take(lease),
        }
    }

    /// Who holds it.
    pub fn holder(&self) -> Option<&str> {
        self.lease.as_ref().filter(|_| self.exists).and_then(holder)
    }
}

/// Whether two records are of one Lease, not of one deleted and one made in its place.
pub(super) fn is_same(one: &Lease, other: &Lease) -> bool {
    one.metadata.uid == other.metadata.uid
}

/// Who holds a lease. `None`: nobody, it was given up.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    let identity = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!identity.is_empty()).then_some(identity)
}

/// How long its holder asked others to wait.
fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// The record that takes or renews the lease at `now`: the one that was found, with whatever else people keep in it, in
/// this process's name. It carries the `resourceVersion` and the `uid` that were found, so the API server swaps only that.
pub(super) fn claimed(found: Option<&Lease>, settings: &Settings, now: MicroTime) -> Lease {
    let mut lease = found.cloned().unwrap_or_default();
    lease.metadata.name = Some(settings.name.clone());
    lease.metadata.namespace = Some(settings.namespace.clone());
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(&settings.identity) {
        spec.holder_identity = Some(settings.identity.clone());
        spec.acquire_time = Some(now.clone());
        spec.lease_transitions = Some(match found {
            None => 0,
            Some(_) => spec.lease_transitions.unwrap_or(0).saturating_add(1),
        });
    }
    spec.renew_time = Some(now);
    let seconds = settings.lease_duration.as_millis().div_ceil(1000);
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    lease
}

/// The record that stands in for a deleted one: it keeps everyone waiting as long as the last holder may count on.
pub(super) fn restored(last: &Lease, settings: &Settings, now: MicroTime) -> Lease {
    let nobody = Settings {
        identity: UNKNOWN_HOLDER.to_owned(),
        lease_duration: duration(last).unwrap_or_default().max(settings.lease_duration),
        ..settings.clone()
    };
    let spec = last.spec.clone();
    claimed(Some(&Lease { spec, ..Lease::default() }), &nobody, now)
}

/// The record with nobody holding it.
pub(super) fn vacated(mut lease: Lease, now: MicroTime) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.renew_time = Some(now);
    lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use kube::api::ObjectMeta;

    const OWN: Duration = Duration::from_secs(15);

    fn settings() -> Settings {
        Settings { identity: "me".to_owned(), lease_duration: OWN, ..Settings::new("ns", "name") }
    }

    fn lease(version: &str, holder: Option<&str>, seconds: Option<i32>) -> Lease {
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.to_owned()),
                uid: Some("uid".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: seconds,
                lease_transitions: Some(4),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Each case is what successive looks, some seconds apart, showed, and what to do at the last of them.
    #[test]
    fn a_lease_is_taken_once_nobody_can_hold_it() {
        enum Want {
            Wait(u64),
            Create,
            Restore,
            Take,
        }
        use Want::{Create, Restore, Take, Wait};
        let shown = |version, holder, seconds| Some(lease(version, holder, seconds));
        let other = |version| shown(version, Some("other"), Some(15));
        let mine = |uid: &str| {
            let mut mine = lease("8", Some("me"), Some(15));
            mine.metadata.uid = Some(uid.to_owned());
            Some(mine)
        };
        let cases = [
            ("never there", vec![(0, None)], Create),
            ("still never there", vec![(0, None), (9, None)], Create),
            ("held", vec![(0, other("1"))], Wait(15)),
            ("unchanged", vec![(0, other("1")), (6, other("1"))], Wait(9)),
            ("all but unchanged for long enough", vec![(0, other("1")), (14, other("1"))], Wait(1)),
            ("unchanged for long enough", vec![(0, other("1")), (15, other("1"))], Take),
            ("renewed", vec![(0, other("1")), (14, other("2"))], Wait(15)),
            ("the holder's duration counts", vec![(0, shown("1", Some("other"), Some(40)))], Wait(40)),
            ("no duration", vec![(0, shown("1", Some("other"), None))], Wait(15)),
            ("a negative duration", vec![(0, shown("1", Some("other"), Some(-1)))], Wait(15)),
            ("given up", vec![(0, shown("1", Some(""), Some(15)))], Take),
            ("no holder", vec![(0, shown("1", None, None))], Take),
            ("mine, a reply was lost", vec![(0, None), (5, mine("uid"))], Take),
            ("mine, after a term", vec![(0, other("1")), (5, mine("uid"))], Take),
            (
                "mine, from a copy, and seen twice",
                vec![(0, other("1")), (5, mine("copy")), (7, mine("copy"))],
                Wait(13),
            ),
            ("mine, made late after a deletion", vec![(0, other("1")), (5, mine("late"))], Wait(15)),
            ("deleted", vec![(0, other("1")), (20, None)], Restore),
            ("deleted for a while", vec![(0, other("1")), (20, None), (28, None)], Restore),
        ];
        let start = Instant::now();
        for (name, looks, want) in cases {
            let mut seen = None;
            let mut now = start;
            for (second, found) in looks {
                now = start + Duration::from_secs(second);
                seen = Some(Sighting::new(seen, found, &settings(), now));
            }
            let next = seen.as_ref().expect("every case has a look").next(now);
            match want {
                Wait(seconds) => {
                    assert_eq!(next, Next::Wait(Duration::from_secs(seconds)), "{name}");
                }
                Create => assert_eq!(next, Next::Create, "{name}"),
                Restore => assert!(matches!(next, Next::Restore(_)), "{name}: {next:?}"),
                Take => assert!(matches!(next, Next::Take(_)), "{name}: {next:?}"),
            }
        }
    }

    #[test]
    fn a_restored_lease_keeps_everyone_waiting() {
        let now = Instant::now();
        for (last_seconds, wait) in [(Some(5), 15), (Some(40), 40), (None, 15)] {
            let last = lease("1", Some("me"), last_seconds);
            let mut made = restored(&last, &settings(), MicroTime(jiff::Timestamp::UNIX_EPOCH));
            assert_eq!((&made.metadata.uid, &made.metadata.resource_version), (&None, &None));
            made.metadata.uid = Some("new".to_owned());
            let seen = Sighting::new(None, Some(made), &settings(), now);
            assert_eq!(seen.next(now), Next::Wait(Duration::from_secs(wait)), "{last_seconds:?}");
        }
    }

    #[test]
    fn a_claim_tells_a_new_holder_from_a_renewal() {
        let at = |second| MicroTime(jiff::Timestamp::constant(second, 0));
        let acquired = |holder: &str| {
            let mut found = lease("7", Some(holder), Some(30));
            found.metadata.labels = Some([("kept".to_owned(), "yes".to_owned())].into());
            found.spec.get_or_insert_default().acquire_time = Some(at(1));
            found
        };
        let cases = [
            ("created", None, 0, at(9)),
            ("taken over", Some(acquired("other")), 5, at(9)),
            ("taken after a release", Some(acquired("")), 5, at(9)),
            ("renewed", Some(acquired("me")), 4, at(1)),
        ];
        for (name, found, transitions, acquire_time) in cases {
            let lease = claimed(found.as_ref(), &settings(), at(9));
            let spec = lease.spec.clone().expect("a spec");
            assert_eq!(holder(&lease), Some("me"), "{name}");
            assert_eq!(spec.lease_transitions, Some(transitions), "{name}");
            assert_eq!(spec.acquire_time, Some(acquire_time), "{name}");
            assert_eq!(spec.renew_time, Some(at(9)), "{name}");
            assert_eq!(spec.lease_duration_seconds, Some(15), "{name}");
            if let Some(found) = found {
                assert_eq!(lease.metadata.resource_version, found.metadata.resource_version, "{name}");
                assert_eq!(lease.metadata.uid, found.metadata.uid, "{name}");
                assert_eq!(lease.metadata.labels, found.metadata.labels, "{name}");
            }
        }
    }

    #[test]
    fn the_record_never_says_less_than_the_leader_counts_on() {
        for (millis, seconds) in [(1000, 1), (1001, 2), (14_999, 15), (15_000, 15)] {
            let settings = Settings { lease_duration: Duration::from_millis(millis), ..settings() };
            let lease = claimed(None, &settings, MicroTime(jiff::Timestamp::UNIX_EPOCH));
            assert_eq!(duration(&lease), Some(Duration::from_secs(seconds)), "{millis} ms");
        }
    }
}
