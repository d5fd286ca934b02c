//! The election among whole processes, each with a runtime and a clock of its own, over a network that the test rules.

mod world;

use std::time::Duration;

use tokio::time::{Instant, advance};

use super::Leadership;
use world::{Fate, Random, TICK, Verb, WIND_UP, World};

const LEASE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(2);
/// What a few requests over the test's network take.
const REQUESTS: Duration = Duration::from_secs(2);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_first_process_leads_at_once_and_the_second_stands_by() {
    let mut world = World::calm();
    let first = world.start();
    let took = world.until(REQUESTS, "a leader", |world| world.leader() == Some(first));
    assert!(took < REQUESTS);
    assert_eq!(world.terms(first), [true], "the Lease was created");
    let second = world.start();
    world.run(secs(120));
    assert_eq!(world.leader(), Some(first));
    assert_eq!(world.terms(first), [true], "one uninterrupted term");
    assert!(world.terms(second).is_empty());
}

#[test]
fn a_dead_leaders_lease_is_taken_after_its_whole_duration_and_not_before() {
    let mut world = World::calm();
    let first = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(first));
    let second = world.start();
    world.run(secs(30));
    world.kill(first);
    world.until(LEASE + INTERVAL + REQUESTS, "a successor", |world| world.leader() == Some(second));
    let [.., renewed, taken] = world.writes() else {
        panic!("two writes at least");
    };
    assert!(*taken >= *renewed + LEASE, "taken at {taken:?}, renewed at {renewed:?}");
    assert_eq!(world.terms(second), [false]);
    assert_eq!(world.transitions(), Some(1));
}

/// The leader's clock is slow, the standby's is fast, and the standby saw the last renewal early, at least for one of the
/// moments it may have started at. A long lease makes the difference larger than what requests take.
#[test]
fn a_term_is_over_in_time_also_by_a_slow_clock() {
    let lease = 10 * LEASE;
    for head_start in 0..20 {
        let mut world = World::calm();
        world.lease_duration = lease;
        let mut rates = [976, 1024].into_iter();
        world.rate = Box::new(move || rates.next().expect("two processes"));
        let leader = world.start();
        world.run(secs(20 + head_start));
        let standby = world.start();
        world.run(secs(60));
        world.cut_off(leader, 2 * lease);
        world.until(2 * lease, "a successor", |world| world.leader() == Some(standby));
    }
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once() {
    let mut world = World::calm();
    let first = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(first));
    let second = world.start();
    world.run(secs(10));
    world.release(first);
    world.tick();
    assert_eq!(world.remaining(first), Duration::ZERO, "over before it is given up");
    world.until(INTERVAL + 2 * REQUESTS, "a successor", |world| world.leader() == Some(second));
    assert_eq!(world.terms(second), [false]);
}

/// Whatever keeps the renewals from being acknowledged, the term is over when the lease runs out, and not before: the
/// leader tries for as long as it may. Every standby waits for longer, which `World` checks at each tick.
#[test]
fn a_term_that_can_not_be_renewed_ends_in_time() {
    let cases = [
        ("429", Fate::refused(429)),
        ("403", Fate::refused(403)),
        ("500", Fate::refused(500)),
        ("500 though it landed", Fate::prompt().answering(500)),
        ("hang", Fate::lost()),
        ("lost replies", Fate::prompt().unanswered()),
    ];
    for (name, fate) in cases {
        let mut world = World::calm();
        let leader = world.start();
        world.until(REQUESTS, name, |world| world.leader() == Some(leader));
        let standby = world.start();
        world.run(secs(10));
        let left = world.remaining(leader);
        world.rule(move |call| if call.process == leader { fate } else { Fate::prompt() });
        let lasted = world.until(LEASE, name, |world| world.leader().is_none());
        assert!(lasted <= left + TICK, "{name}: {left:?} were left, it lasted {lasted:?}");
        assert!(lasted + INTERVAL + REQUESTS >= left, "{name}: {left:?} were left, gave up after {lasted:?}");
        if name != "lost replies" && name != "500 though it landed" {
            world.until(LEASE, name, |world| world.leader() == Some(standby));
        }
    }
}

#[test]
fn one_lost_reply_neither_ends_nor_lengthens_a_term() {
    let mut world = World::calm();
    let leader = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(leader));
    let mut renewals = 0;
    world.rule(move |call| {
        renewals += u32::from(call.verb == Verb::Update);
        if renewals == 1 && call.verb == Verb::Update { Fate::prompt().unanswered() } else { Fate::prompt() }
    });
    let before = world.writes().len();
    world.until(2 * INTERVAL, "the write that no reply tells of", |world| world.writes().len() > before);
    let left = world.remaining(leader);
    world.run(secs(4));
    assert_eq!(world.remaining(leader), left.saturating_sub(secs(4)), "not lengthened");
    world.run(secs(60));
    assert_eq!(world.terms(leader), [true], "not ended");
    assert_eq!(world.leader(), Some(leader));
}

#[test]
fn a_renewal_counts_from_before_it_was_sent() {
    let reply = secs(4);
    let mut world = World::calm();
    let leader = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(leader));
    world.rule(move |_| Fate::prompt().answered_after(reply));
    world.run(secs(10));
    for _ in 0..100 {
        world.tick();
        let left = world.remaining(leader);
        assert!(!left.is_zero() && left + reply <= LEASE, "{left:?}");
    }
}

#[test]
fn a_term_that_is_over_writes_nothing_more() {
    let mut world = World::calm();
    let leader = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(leader));
    world.cut_off(leader, LEASE);
    world.until(LEASE, "the end of the term", |world| world.leader().is_none());
    let before = world.writes().len();
    world.run(WIND_UP);
    assert_eq!(world.writes().len(), before);
    world.until(INTERVAL + REQUESTS, "a new term", |world| world.leader() == Some(leader));
    assert_eq!(world.terms(leader), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn leadership_that_is_over_stays_so() {
    type Ending = fn(&Leadership);
    let endings: [(&str, Duration, Ending); 3] = [
        ("its time is over", secs(10), |_| {}),
        ("its time is over and was seen to be", secs(10), |leadership| {
            assert!(leadership.remaining().is_zero());
        }),
        ("it was ended", secs(3), Leadership::end),
    ];
    for (name, time, end) in endings {
        let leadership = Leadership::until(Instant::now() + secs(9));
        assert!(leadership.extend(Instant::now() + secs(10)), "{name}");
        advance(time).await;
        end(&leadership);
        assert!(!leadership.extend(Instant::now() + secs(10)), "{name}");
        assert_eq!(leadership.clone().remaining(), Duration::ZERO, "{name}");
        leadership.ended().await;
    }
}

#[test]
fn a_leader_whose_record_was_taken_away_ends_its_term_at_the_next_renewal() {
    type Theft = fn(&mut World);
    let cases: [(&str, Theft); 3] = [
        ("deleted", World::delete),
        ("made again from a copy", World::restore_from_a_copy),
        ("another's name", |world| world.write_holder("thief")),
    ];
    for (name, steal) in cases {
        let mut world = World::calm();
        let leader = world.start();
        world.until(REQUESTS, name, |world| world.leader() == Some(leader));
        world.run(secs(10));
        steal(&mut world);
        let lost = world.until(INTERVAL + REQUESTS, name, |world| world.leader().is_none());
        let won = world.until(LEASE + WIND_UP + INTERVAL + REQUESTS, name, |world| world.leader() == Some(leader));
        assert!(lost + won >= LEASE, "{name}: back after {:?}", lost + won);
        assert_eq!(world.terms(leader), [true, false], "{name}: never again the first");
    }
}

/// A frozen leader that thaws finds its term over, also when a reply to its last renewal lies waiting and nobody else has
/// taken the lease.
#[test]
fn a_leader_frozen_past_its_lease_has_lost_it() {
    for standbys in [0, 1] {
        let mut world = World::calm();
        let leader = world.start();
        world.until(REQUESTS, "a leader", |world| world.leader() == Some(leader));
        for _ in 0..standbys {
            world.start();
        }
        world.run(secs(10));
        let before = world.writes().len();
        world.until(2 * INTERVAL, "a renewal that lands, its reply on the way", |world| world.writes().len() > before);
        let old = world.leadership(leader);
        world.freeze(leader, secs(40));
        world.until(secs(41), "the thaw", |world| !world.is_frozen(leader));
        assert_eq!(world.ask(leader, &old), Duration::ZERO);
        world.run(secs(10));
        assert_eq!(world.ask(leader, &old), Duration::ZERO, "over for good");
        assert_eq!(world.leader().is_some_and(|now| now == leader), standbys == 0);
    }
}

#[test]
fn other_peoples_edits_of_the_lease_do_not_end_a_term() {
    let mut world = World::calm();
    let leader = world.start();
    world.until(REQUESTS, "a leader", |world| world.leader() == Some(leader));
    for _ in 0..60 {
        world.touch();
        world.run(secs(1));
    }
    assert_eq!(world.terms(leader), [true]);
    assert_eq!(world.leader(), Some(leader));
}

/// Lost, late and refused requests, frozen, killed and leaving processes, clocks of unequal rate, edits and deletions. At
/// each tick `World` asserts that no two processes are valid.
#[test]
fn never_two_leaders_whatever_the_network_and_the_processes_do() {
    const SEEDS: u64 = 200;
    let mut successions = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut world = World::stormy(seed);
        for _ in 0..3 {
            world.start();
        }
        while world.now() < secs(90) {
            let process = random.below(3);
            match random.below(400) {
                0..3 => world.freeze(process, random.ticks(150)),
                3..5 => world.cut_off(process, random.ticks(150)),
                5 if world.has_a_lease() => world.replace(process),
                6 => world.release(process),
                7..10 => world.touch(),
                10 if world.all_know_the_lease() => world.delete(),
                _ => {}
            }
            world.tick();
        }
        world.become_calm();
        world.until(secs(90), &format!("a leader after the storm of seed {seed}"), |world| world.leader().is_some());
        successions += world.transitions().unwrap_or_default();
    }
    assert!(
        successions > i32::try_from(SEEDS).expect("small"),
        "a storm that moves nobody tests nothing: {successions}"
    );
}
