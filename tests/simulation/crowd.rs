//! What ten thousand lines on one account cost, by count: no busy machine moves that.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::case::{paused_runtime, set_up, step};
use crate::story::Story;
use crate::world::World;

const LINES: usize = 10_000;
/// How many of them are not as asked when the operator starts.
const DIFFERING: usize = 50;
/// The list has a hundred lines a page.
const PAGES: usize = LINES / 100;
const CYCLE: Duration = Duration::from_mins(1);

/// How often each kind of request was made.
type Counts = BTreeMap<&'static str, usize>;

/// A kind, and how what it is about begins.
const KINDS: [(&str, &str); 7] = [
    ("page", "GET remote "),
    ("look", "GET remote/"),
    ("call", "PUT remote/"),
    ("read", "GET voice/deployments/"),
    ("status", "PATCH voice/deployments/"),
    ("event", "POST voice/events"),
    ("workspace", "PATCH voice/workspaces/"),
];

/// The requests since there were `before` of all kinds, and how many there are now.
fn count(world: &World, before: usize) -> (Counts, usize) {
    let seams = world.seams();
    let mut counts = Counts::new();
    for (_, gist) in &seams[before..] {
        if let Some((kind, _)) = KINDS.iter().find(|(_, begin)| gist.starts_with(begin)) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    (counts, seams.len())
}

#[test]
fn ten_thousand_lines_cost_a_hundred_reads_a_cycle() {
    let story = Story { rate: 20, ..Story::crowd("crowd", LINES) };
    paused_runtime().block_on(async {
        let world = World::new(1, BTreeMap::new(), false);
        set_up(&world, &story);
        step(&world, &story, &["workspace", "sync", "60s"]);
        for (n, (id, _)) in story.lines.iter().enumerate() {
            step(&world, &story, &["create", id, id, if n < DIFFERING { "paused" } else { "active" }]);
        }
        world.start_operator();

        sleep(3 * CYCLE).await;
        let (mut start, before) = count(&world, 0);
        println!("the start: {start:?}");
        let statuses = start.remove("status").unwrap_or_default();
        assert!((LINES..=LINES + DIFFERING).contains(&statuses), "{statuses} status writes");
        // Pages while lines take their places, and the count of those that are as asked while it grows.
        assert!(start.remove("page") < Some(4 * PAGES) && start.remove("workspace") < Some(PAGES));
        // A look and a quorum read before each call, and a look after it. No other line was looked at by itself. An Event tells of the
        // first Ready of each, and of the Workspace's.
        let differing = [("call", DIFFERING), ("read", DIFFERING), ("look", 2 * DIFFERING)];
        assert_eq!(start, differing.into_iter().chain([("event", LINES + 1)]).collect());

        sleep(3 * CYCLE).await;
        let (idle, before) = count(&world, before);
        println!("three cycles at rest: {idle:?}");
        // A cycle is a little shorter than the sync interval, by a share that differs from Workspace to Workspace.
        assert_eq!(idle.keys().collect::<Vec<_>>(), [&"page"]);
        assert!((3 * PAGES..4 * PAGES).contains(&idle["page"]), "{idle:?}");

        step(&world, &story, &["edit", story.lines[LINES / 2].0, "paused=true"]);
        sleep(CYCLE / 4).await;
        let (mut edit, _) = count(&world, before);
        println!("an edit: {edit:?}");
        edit.remove("page");
        assert_eq!(edit, ["call", "look", "status", "event"].map(|kind| (kind, 1)).into());
    });
}
