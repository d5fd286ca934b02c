//! Every watch is cut every few seconds, while lines are edited, drift, and their objects are deleted and made again.

use std::ops::RangeInclusive;
use std::time::Duration;

use sarvam_testkit::lock;
use sarvam_testkit::oracle::Asks;
use tokio::time::sleep;

use crate::case::{all_synced, judge_run, paused_runtime, step_of, world_of};
use crate::story::Story;
use crate::trouble::{Ending, Seam};

/// How long a watch lasts, in milliseconds.
const LASTS: RangeInclusive<u64> = 2000..=5000;

/// What is done about a line in each round, and how many calls it takes.
const DEEDS: [&[(&str, usize)]; 5] = [
    &[],
    &[("edit LINE paused=true", 1), ("edit LINE paused=false", 1)],
    &[("dashboard LINE paused", 1)],
    &[("delete LINE", 0), ("create LINE LINE paused", 1), ("delete LINE", 0), ("create LINE LINE active", 1)],
    &[("delete LINE", 0), ("dashboard LINE paused", 0), ("create LINE LINE active", 1), ("delete LINE", 0)],
];
const ROUNDS: usize = 4;

/// How often watches must have been cut for a run to count.
const ENOUGH: usize = 50;

/// How long it may take until all is as asked: two sync intervals, and the longest that an edit waits.
const LIMIT: Duration = Duration::from_secs(90);

/// One way to cut them.
struct Cuts {
    ending: Ending,
    /// How many lists a cut leads to at most.
    lists: usize,
    /// How many lines each of the deeds is about, and the time from one deed to the next.
    lines: usize,
    pace: Duration,
    /// How long an edit, or a new object, waits for its call at most.
    reacts: Duration,
}

const BUSY: Duration = Duration::from_secs(1);
const CALM: Duration = Duration::from_secs(90);

const CUTS: [Cuts; 4] = [
    Cuts { ending: Ending::Whole, lists: 0, lines: 15, pace: BUSY, reacts: Duration::from_millis(200) },
    // What failed is tried again after 0.8 s, and up to as long again by chance.
    Cuts { ending: Ending::Broken, lists: 0, lines: 15, pace: BUSY, reacts: Duration::from_secs(2) },
    Cuts { ending: Ending::Gone, lists: 1, lines: 15, pace: BUSY, reacts: Duration::from_secs(2) },
    // Where no event comes between two failures, after twice as long each time, up to 5 s in the end.
    Cuts { ending: Ending::Broken, lists: 0, lines: 1, pace: CALM, reacts: Duration::from_secs(6) },
];

async fn play(cuts: &Cuts) {
    let Cuts { ending, pace, .. } = *cuts;
    let story = Story::crowd("cuts", DEEDS.len() * cuts.lines);
    let world = world_of(&story);
    *lock(&world.cuts) = Some((LASTS, ending));
    world.start_operator();
    all_synced(&world, &story, LIMIT).await;
    let (asked, edited) = (world.seams().len(), lock(&world.edits).len());

    let lines = || story.lines.iter().map(|(id, _)| *id).zip(DEEDS.iter().cycle());
    let deeds = |deeds: &'static [(&str, usize)]| deeds.iter().cycle().take(ROUNDS);
    for round in 0..ROUNDS {
        for (id, all) in lines() {
            if let Some((words, _)) = deeds(all).nth(round) {
                step_of(&world, &story, id, words);
                sleep(pace).await;
            }
        }
    }
    all_synced(&world, &story, LIMIT).await;

    let changes = world.changes();
    for (id, all) in lines() {
        let made = changes.iter().filter(|(_, line)| line == id).count();
        let calls: usize = deeds(all).map(|(_, calls)| calls).sum();
        assert_eq!(made, calls, "{ending:?}: calls for {id}: {all:?}");
        if all.is_empty() {
            assert_eq!(world.asked_about(id, asked), [""; 0], "{ending:?}: nobody touched it");
        }
    }
    let edits = lock(&world.edits).split_off(edited);
    let waited = edits.iter().filter(|edit| edit.asks != Asks::Nothing).map(|edit| {
        let call = changes.iter().find(|(at, line)| *at >= edit.at && *line == edit.line);
        call.expect("each edit has its call").0 - edit.at
    });
    let longest = waited.max().unwrap();

    let seams = world.seams();
    let count = |is_one: fn(&(Seam, String)) -> bool| seams.iter().filter(|seam| is_one(seam)).count();
    let cut = count(|(_, gist)| gist == "CUT");
    let lists = count(|(_, gist)| ["GET /deployments", "GET /workspaces"].contains(&gist.as_str()));
    let watches = count(|(seam, _)| *seam == Seam::Watch);
    println!(
        "{ending:?}, a deed in {pace:?}: {cut} cuts, {watches} watches, {lists} lists; no edit waited longer than {longest:?}"
    );
    assert!(longest <= cuts.reacts, "{ending:?}: an edit waited for {longest:?}");
    // The first list and watch of each kind, and what every cut leads to: a watch that is refused comes before a list. Now and then what one
    // cut makes of the history meets the other kind's watch just before it begins.
    let met = cut * cuts.lists / 10;
    assert!(lists <= 2 + cut * cuts.lists + met, "{ending:?}: {lists} lists after {cut} cuts");
    assert!(watches <= 2 + cut * (1 + cuts.lists) + met, "{ending:?}: {watches} watches after {cut} cuts");
    assert!(cut > ENOUGH && lists >= cut * cuts.lists / 2, "{ending:?}: {lists} lists after {cut} cuts");
    judge_run(&story, &world).unwrap();
}

#[test]
fn watches_that_are_cut_every_few_seconds_lose_no_edit() {
    for cuts in &CUTS {
        paused_runtime().block_on(play(cuts));
    }
}
