//! The API server is away for ten minutes, and nobody else is: people edit objects, and somebody is at the dashboard.

use std::time::Duration;

use sarvam_testkit::clock;
use tokio::time::sleep;

use crate::case::{all_synced, judge_run, paused_runtime, step, step_of, world_of};
use crate::story::Story;
use crate::trouble::Reply;
use crate::world::FLAGS;

const AWAY: Duration = Duration::from_mins(10);

/// How long it may take until all is as asked and every object says so. The operator takes its lease within 2 s, and no new Ready is
/// claimed before the take-over window of 42 s is over; meanwhile the calls, and a look after each, stand in line for the budget.
const CATCHES_UP: Duration = Duration::from_mins(1);

/// What is done about a line meanwhile, and how many calls it takes when the API server is back. An edit that a new leader finds goes
/// out at once, also where the line happens to be as it asks: it may be about to change, by a call of the leader before.
const CASES: [(&[&str], usize); 10] = [
    (&[], 0),
    (&["dashboard LINE paused"], 1),
    (&["dashboard LINE paused", "dashboard LINE active"], 0),
    (&["edit LINE paused=true"], 1),
    (&["edit LINE paused=true", "edit LINE paused=false", "edit LINE paused=true"], 1),
    (&["edit LINE paused=true", "edit LINE paused=false"], 1),
    (&["edit LINE paused=true", "dashboard LINE paused"], 1),
    (&["delete LINE", "dashboard LINE paused"], 0),
    (&["delete LINE", "create LINE LINE active"], 0),
    (&["delete LINE", "create LINE LINE paused"], 1),
];
const TURNS: u32 = 3;

/// How many lines each case has.
const EACH: usize = 12;

/// How many more lines are edited just before: more than there are calls until the lease is over.
const WAITING: usize = 60;

async fn away(seen: Reply) {
    let story = Story { rate: 5, ..Story::crowd("away", WAITING + CASES.len() * EACH) };
    let world = world_of(&story);
    world.start_operator();
    all_synced(&world, &story, CATCHES_UP).await;
    let before = world.seams().len();

    let (waiting, others) = story.lines.split_at(WAITING);
    for (id, _) in waiting {
        step(&world, &story, &["edit", id, "paused=true"]);
    }
    sleep(Duration::from_secs(1)).await;
    let gone = clock::now();
    world.away.send_replace(Some(seen));
    let cases = || others.iter().map(|(id, _)| *id).zip(CASES.iter().cycle());
    for turn in 0..TURNS {
        for (id, (words, _)) in cases() {
            if let Some(words) = words.get(turn as usize) {
                step_of(&world, &story, id, words);
            }
            sleep(AWAY / TURNS / u32::try_from(others.len()).unwrap()).await;
        }
    }
    let meanwhile = world.changes();
    world.away.send_replace(None);

    let last = meanwhile.last().unwrap().0 - gone;
    assert!(
        last + FLAGS.remote.call_timeout < FLAGS.lease_duration,
        "{seen:?}: a call that the lease may not outlive, after {last:?}"
    );
    assert!(
        !last.is_zero() && meanwhile.len() < WAITING,
        "{seen:?}: no edit waited for its turn when the lease was over"
    );
    let took = all_synced(&world, &story, CATCHES_UP).await;
    let changes = world.changes();
    let (sooner, later) = (meanwhile.len(), changes.len() - meanwhile.len());
    println!(
        "{seen:?}: {sooner} calls, the last {last:?} after it was gone; {later} when it was back, and all said after {took:?}"
    );
    let made = |id: &str| changes.iter().filter(|(_, line)| line == id).count();
    for (id, _) in waiting {
        assert_eq!(made(id), 1, "{seen:?}: calls for {id}, edited just before");
    }
    for (id, (words, calls)) in cases() {
        assert_eq!(made(id), *calls, "{seen:?}: calls for {id}: {words:?}");
        if words.is_empty() {
            assert_eq!(world.asked_about(id, before), [""; 0], "{seen:?}: nobody touched it");
        }
    }
    judge_run(&story, &world).unwrap();
}

#[test]
fn while_the_api_server_is_away_nothing_is_changed_and_then_all_is_caught_up() {
    for seen in [Reply::Broken, Reply::Status(503), Reply::Nothing] {
        paused_runtime().block_on(away(seen));
    }
}
