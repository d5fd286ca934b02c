//! One state for all that differ in nothing that counts: times are kept by how long ago they were and versions by their order.

use super::{CALL, Call, LAG, LONGEST_BACKOFF, NOW, Note, PAST, Pending, Replica, World};
use crate::{
    step::{Told, Version},
    time::Time,
};

impl World {
    /// Every version that anything in the world knows of.
    pub(super) fn versions(&self) -> Vec<u8> {
        let mut versions: Vec<u8> =
            self.object.iter().chain(&self.before).chain(&self.heir).map(|stored| stored.version).collect();
        versions.extend(self.writes.iter().map(|write| write.version));
        for replica in &self.replicas {
            versions.push(u8::try_from(replica.memory.newest.0).unwrap());
            versions.extend(replica.memory.object.as_ref().map(|object| u8::try_from(object.version.0).unwrap()));
            versions.extend(replica.queue.iter().filter_map(|note| match note {
                Note::Applied(stored) => Some(stored.version),
                Note::Deleted(_) => None,
            }));
            match replica.pending {
                Pending::Reading(Some(Some(stored))) => versions.push(stored.version),
                Pending::Telling(_, Some(Told::Written(version, _)))
                | Pending::Sending { beside: Some((_, Some(Told::Written(version, _)))), .. } => {
                    versions.push(u8::try_from(version.0).unwrap());
                }
                _ => {}
            }
        }
        versions
    }

    /// One state for all that differ only in how long ago things were and in how large the versions are.
    pub(super) fn canonical(mut self) -> Self {
        let mut ranks = self.versions();
        ranks.push(0);
        ranks.sort_unstable();
        ranks.dedup();
        let rank = |version: &mut u8| *version = u8::try_from(ranks.binary_search(version).unwrap_or(0)).unwrap();
        let rank64 = |version: &mut Version| {
            let mut small = u8::try_from(version.0).unwrap();
            rank(&mut small);
            version.0 = u64::from(small);
        };
        for stored in self.object.iter_mut().chain(&mut self.before).chain(&mut self.heir) {
            rank(&mut stored.version);
        }
        for write in &mut self.writes {
            rank(&mut write.version);
        }
        for replica in &mut self.replicas {
            rank64(&mut replica.memory.newest);
            if let Some(object) = &mut replica.memory.object {
                rank64(&mut object.version);
            }
            for note in &mut replica.queue {
                if let Note::Applied(stored) = note {
                    rank(&mut stored.version);
                }
            }
            match &mut replica.pending {
                Pending::Reading(Some(Some(stored))) => rank(&mut stored.version),
                Pending::Telling(_, Some(Told::Written(version, _)))
                | Pending::Sending { beside: Some((_, Some(Told::Written(version, _)))), .. } => rank64(version),
                _ => {}
            }
            replica.canonical_times();
        }
        let by_content = |call: &Call| (call.does, call.owner, call.landed, call.answered, call.life);
        self.calls.sort_unstable_by_key(by_content);
        if self.left.lags == 0 {
            self.past.clear();
        }
        self
    }

    pub(super) fn age(&mut self) {
        for replica in &mut self.replicas {
            let memory = &mut replica.memory;
            let mut times = vec![
                &mut memory.doubts.pause,
                &mut memory.doubts.resume,
                &mut memory.read_at,
                &mut memory.look_at,
                &mut memory.hold,
                &mut memory.contest.until,
            ];
            times.push(&mut memory.doubts.patches);
            times.extend(memory.doubts.patch.iter_mut().map(|(_, until)| until));
            times.extend(memory.settling.iter_mut().map(|(_, until)| until));
            times.extend(memory.obstacle.iter_mut().map(|(_, since)| since));
            times.extend(memory.failing.iter_mut().map(|failing| &mut failing.since));
            times.extend(memory.seen.iter_mut().map(|seen| &mut seen.began));
            match &mut replica.pending {
                Pending::Idle(until) => times.push(until),
                Pending::Looking { began, .. } => times.push(began),
                _ => {}
            }
            if let Some(page) = &mut replica.page {
                times.push(&mut page.began);
                page.age = if page.row.is_some() { 0 } else { page.age.saturating_add(1).min(2) };
            }
            for time in times {
                if *time != Time::NEVER {
                    time.0 = time.0.saturating_sub(1);
                }
            }
            replica.age =
                if matches!(replica.pending, Pending::Idle(_)) { 0 } else { replica.age.saturating_add(1).min(2) };
        }
        for call in &mut self.calls {
            call.life = call.life.saturating_sub(1);
        }
        for past in &mut self.past {
            past.ended += 1;
        }
        self.past.retain(|past| past.ended <= CALL + LAG);
    }
}

impl Replica {
    /// Past moments count by their order only: those of looks and doubts by rank, the others not at all.
    fn canonical_times(&mut self) {
        let memory = &mut self.memory;
        for time in [&mut memory.read_at, &mut memory.look_at, &mut memory.hold, &mut memory.contest.until] {
            *time = (*time).max(PAST);
        }
        // No run lasts until it is calm again.
        memory.contest.at = PAST;
        memory.failures = memory.failures.min(LONGEST_BACKOFF);
        memory.contest.rounds = memory.contest.rounds.min(LONGEST_BACKOFF);
        if let Pending::Idle(until) = &mut self.pending {
            *until = (*until).max(PAST);
        }
        if let Some((_, until)) = &mut memory.settling {
            *until = (*until).max(PAST);
        }
        if let Some((_, since)) = &mut memory.obstacle {
            *since = (*since).max(Time(PAST.0 - 1));
        }
        if let Some(failing) = &mut memory.failing {
            failing.since = PAST;
        }
        for since in [&mut memory.rollout.down_since, &mut memory.rollout.counts_from].into_iter().flatten() {
            *since = PAST;
        }
        let mut ranked = vec![&mut memory.doubts.pause, &mut memory.doubts.resume, &mut memory.doubts.patches];
        ranked.extend(memory.doubts.patch.iter_mut().map(|(_, until)| until));
        ranked.extend(memory.seen.iter_mut().map(|seen| &mut seen.began));
        if let Pending::Looking { began, .. } = &mut self.pending {
            ranked.push(began);
        }
        ranked.extend(self.page.iter_mut().map(|page| &mut page.began));
        let mut past: Vec<u64> = ranked.iter().map(|time| time.0).filter(|time| *time < NOW.0).collect();
        past.sort_unstable();
        past.dedup();
        for time in ranked {
            if let Ok(rank) = past.binary_search(&time.0) {
                time.0 = NOW.0 - (past.len() - rank) as u64;
            }
        }
    }
}
