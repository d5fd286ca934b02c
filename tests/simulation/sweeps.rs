//! What can go wrong, tried everywhere it can: at each seam of each story.

use std::collections::BTreeMap;

use crate::case::{Case, Outcome};
use crate::story::{STORIES, Story};
use crate::trouble::{Seam, TROUBLES, Trouble, What};

/// How many failures are told of.
const SHOWN: usize = 50;

/// After how many runs a long run tells how far it is.
const TOLD: usize = 1000;

/// How often the same thing, such as a renewal of the lease, is struck in one story. A long run strikes it each time.
const REPEATS: usize = 2;

/// Whether this is a long run, which leaves nothing out.
fn is_long() -> bool {
    std::env::var("SIMULATION").as_deref() == Ok("long")
}

/// The seed of what is sampled, and of every run: `SIMULATION_SEED`, or 1.
fn seed() -> u64 {
    std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// The seams of a story in which nothing goes wrong.
fn seams(story: &'static Story) -> Vec<(usize, Seam)> {
    let outcome = Case::clean(story, seed()).play(false);
    assert_eq!(outcome.failure, None, "SEED={} with nothing going wrong", Case::clean(story, seed()));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_new = |gist: String| {
        let count = seen.entry(gist).or_default();
        *count += 1;
        is_long() || *count <= REPEATS
    };
    let all = outcome.seams.into_iter().enumerate();
    all.filter_map(|(number, (seam, gist))| is_new(gist).then_some((number, seam))).collect()
}

/// Every story with one trouble of these at one seam.
fn singles(wanted: impl Fn(&Trouble) -> bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for story in STORIES.iter() {
        for (number, seam) in seams(story) {
            let fitting = TROUBLES.iter().filter(|trouble| trouble.fits(seam) && wanted(trouble));
            cases.extend(fitting.map(|trouble| Case::clean(story, seed()).with(number, trouble)));
        }
    }
    cases
}

/// So many of them, by the seed; in a long run all.
fn sample(mut cases: Vec<Case>, count: usize) -> Vec<Case> {
    println!("there are {} cases", cases.len());
    if !is_long() {
        fastrand::Rng::with_seed(seed()).shuffle(&mut cases);
        cases.truncate(count);
    }
    cases
}

/// Some cases with two troubles each, on schedules of their own.
fn pairs(count: usize) -> Vec<Case> {
    let mut chance = fastrand::Rng::with_seed(seed());
    let mut singles = singles(|_| true);
    chance.shuffle(&mut singles);
    let with_another = |single: &Case| {
        let first = Case { seed: chance.u64(..1 << 32), ..single.clone() };
        // What follows the first trouble is another run: its seams are its own.
        let seams: Vec<_> =
            first.play(false).seams.into_iter().enumerate().skip(first.troubles[0].0 + 1).take(40).collect();
        let (number, (seam, _)) = chance.choice(&seams)?;
        let fitting: Vec<_> = TROUBLES.iter().filter(|trouble| trouble.fits(*seam)).collect();
        Some(first.with(*number, chance.choice(fitting)?))
    };
    singles.iter().cycle().take(count).filter_map(with_another).collect()
}

/// A few cases of all kinds.
pub fn some(count: usize) -> Vec<Case> {
    let mut cases: Vec<_> = STORIES.iter().map(|story| Case::clean(story, seed())).collect();
    fastrand::Rng::with_seed(seed()).shuffle(&mut cases);
    cases.truncate(count / 2);
    cases.extend(pairs(count / 2));
    cases
}

/// Plays them all. Each that fails is told at once, with the command that replays it; the first of them is shown whole.
fn play(name: &str, cases: &[Case]) {
    assert!(!cases.is_empty(), "{name}: nothing was tried");
    let mut failed = 0;
    for (number, case) in cases.iter().enumerate() {
        if is_long() && number.is_multiple_of(TOLD) {
            println!("{name}: {number} of {} runs, at {case}", cases.len());
        }
        let Some(failure) = case.play(false).failure else { continue };
        failed += 1;
        if failed == 1 {
            println!("{}", case.play(true).trace);
        }
        if failed <= SHOWN {
            println!("{failure}\n  SEED='{case}' cargo test --test simulation replay -- --nocapture\n");
        }
    }
    assert_eq!(failed, 0, "{name}: so many of {} runs failed: see above", cases.len());
    println!("{name}: {} runs", cases.len());
}

#[test]
fn a_crash_at_any_await_point_leaves_nothing_wrong() {
    play("crashes", &sample(singles(|trouble| matches!(trouble.what, What::Crash(_))), 700));
}

#[test]
fn any_fault_of_the_remote_leaves_nothing_wrong() {
    play("faults of the remote", &sample(singles(|trouble| matches!(trouble.what, What::Remote(_))), 500));
}

#[test]
fn any_fault_of_the_api_server_leaves_nothing_wrong() {
    play("faults of the API server", &sample(singles(|trouble| matches!(trouble.what, What::Api(_))), 400));
}

/// Sieve's patterns: a stale state (held, frozen, again), an unobserved one (gone, skipped, cut), and, by the crashes between two
/// writes, an intermediate one.
#[test]
fn a_stale_or_unobserved_state_leaves_nothing_wrong() {
    play("views", &sample(singles(|trouble| matches!(trouble.what, What::Deliver(_))), 450));
}

#[test]
fn any_two_troubles_leave_nothing_wrong() {
    play("pairs", &pairs(if is_long() { 20_000 } else { 300 }));
}

/// An Event goes out beside the write of its status, before anybody knows what becomes of that.
#[test]
fn an_event_is_told_once_whatever_becomes_of_the_write_of_its_status() {
    let stories = ["pause", "pause-and-resume", "two-edits-in-a-second", "drift", "delete-and-create-the-same"];
    let calm = |name| Case::clean(Story::named(name).expect("a story"), seed());
    // So slow that the status says what is being done, before and after the line is paused for it.
    let slow = Trouble::named("slow").expect("a trouble");
    let change = calm("new-version");
    let sends = change.play(false).seams.into_iter().position(|(seam, _)| seam == Seam::Send).expect("a call");
    for calm in stories.map(calm).into_iter().chain([change.with(sends, slow)]) {
        let Outcome { failure, seams, events, .. } = calm.play(false);
        assert_eq!(failure, None, "SEED={calm}");
        let is_status = |gist: &str| gist.contains("/deployments/") && gist.contains("Ready=");
        let writes: Vec<_> = seams.iter().enumerate().filter(|(_, (_, gist))| is_status(gist)).collect();
        assert!(!writes.is_empty() && !events.is_empty(), "SEED={calm}");
        for (number, (seam, gist)) in writes {
            let answered = |trouble: &&Trouble| matches!(trouble.what, What::Api(_)) && trouble.fits(*seam);
            for trouble in TROUBLES.iter().filter(answered) {
                let case = calm.with(number, trouble);
                assert_eq!(case.play(false).events, events, "SEED={case}: {gist}");
            }
        }
    }
}
