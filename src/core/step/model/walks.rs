//! How far each check goes, and what it must find.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    bounds::{Bounds, NONE},
    check::Check,
    properties::STRAYS,
    variants::{VARIANTS, Variant},
};

/// How many states one run comes upon at most, breadth first: what lies further costs minutes and gigabytes. `MODEL_STEPS` sets
/// another number: `make model` a larger one, and `make mutants` a smaller one.
fn steps() -> usize {
    std::env::var("MODEL_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(600_000)
}

/// The same for a variant, which must be caught by then.
const VARIANT_STEPS: usize = 3_000_000;

/// What a walk found: each property that is broken, and the number of events on the way there.
type Violations = Vec<(&'static str, usize)>;

/// Walks breadth first, until something is found; with one thread always the same way.
fn walk(check: Check, threads: usize, most: usize) -> Violations {
    let (variant, bounds, started) = (check.variant, check.bounds, Instant::now());
    let checker = check.checker().threads(threads).finish_when(HasDiscoveries::Any).target_state_count(most);
    let checker = checker.spawn_bfs().join();
    let mut violations = Vec::new();
    for (name, path) in checker.discoveries() {
        if variant == Variant::Real {
            println!("{name}: {path}");
        }
        violations.push((name, path.into_actions().len()));
    }
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    let extent = if states < most { "all of it" } else { "the nearest" };
    println!(
        "{variant:?} {bounds:?}: {states} states, {unique} unique, depth {depth}, {extent}, {:.1} seconds, {} violations {violations:?}",
        started.elapsed().as_secs_f64(),
        violations.len(),
    );
    violations
}

#[test]
fn the_protocol_holds() {
    let worlds = [
        Bounds { edits: 1, losses: 1, crashes: 1, ..NONE },
        Bounds { edits: 2, losses: 1, ..NONE },
        Bounds { edits: 1, losses: 1, freezes: 1, ..NONE },
        Bounds { edits: 1, losses: 1, handovers: 1, ..NONE },
        Bounds { edits: 1, losses: 1, deletions: 1, ..NONE },
        Bounds { edits: 1, losses: 1, flips: 1, ..NONE },
        Bounds { edits: 1, flips: 4, ..NONE },
        Bounds { edits: 1, losses: 1, panics: 1, ..NONE },
        Bounds { edits: 1, touches: 1, obstacles: 1, ..NONE },
        Bounds { edits: 1, losses: 1, suspends: 2, ..NONE },
        Bounds { configs: 2, losses: 1, ..NONE },
        Bounds { configs: 1, edits: 1, losses: 1, ..NONE },
        Bounds { configs: 1, crashes: 1, losses: 1, ..NONE },
        Bounds { configs: 1, handovers: 1, losses: 1, ..NONE },
        Bounds { configs: 1, freezes: 1, ..NONE },
        Bounds { configs: 1, flips: 1, losses: 1, ..NONE },
        Bounds { configs: 1, edits: 1, refusals: 1, ..NONE },
        Bounds { edits: 1, losses: 1, pages: 1, ..NONE },
        Bounds { edits: 1, flips: 1, pages: 2, ..NONE },
        Bounds { edits: 2, losses: 1, lags: 1, ..NONE },
        Bounds { edits: 2, pages: 1, lags: 1, ..NONE },
        Bounds { edits: 1, losses: 1, rotations: 1, ..NONE },
        Bounds { configs: 1, edits: 1, rotations: 1, ..NONE },
        Bounds { edits: 1, losses: 1, deletions: 1, heirs: 1, ..NONE },
        Bounds { edits: 1, losses: 1, swaps: 1, ..NONE },
        Bounds { edits: 1, crashes: 1, swaps: 2, ..NONE },
        Bounds { deletions: 1, pages: 1, swaps: 1, ..NONE },
    ];
    let real = |bounds| Check::new(Variant::Real, bounds);
    let special = [
        Check { restored: true, ..real(Bounds { edits: 1, deletions: 1, ..NONE }) },
        Check { paused_at_first: true, ..real(Bounds { configs: 1, losses: 1, ..NONE }) },
        Check { replaced_at_first: true, ..real(Bounds { edits: 1, losses: 1, swaps: 1, ..NONE }) },
    ];
    for check in worlds.map(real).into_iter().chain(special) {
        assert_eq!(walk(check, 2, steps()), []);
    }
}

/// Any two of all that may happen, in one world.
#[test]
fn the_largest_bound() {
    let bounds = Bounds {
        edits: 2,
        configs: 2,
        refusals: 1,
        touches: 2,
        suspends: 2,
        deletions: 2,
        flips: 2,
        swaps: 2,
        crashes: 2,
        panics: 2,
        freezes: 2,
        handovers: 2,
        losses: 2,
        obstacles: 2,
        rotations: 2,
        pages: 2,
        lags: 2,
        heirs: 1,
    };
    let largest = Check { faults: 2, follow_every: 1024, ..Check::new(Variant::Real, bounds) };
    assert_eq!(walk(largest, 2, steps()), []);
}

/// The check can tell: without any one rule it finds the fault, and the documentation says after how many events.
#[test]
fn no_rule_can_be_left_out() {
    let (_, table) =
        include_str!("../../../../docs/protocol.md").split_once("\n| Variant |").expect("there is a table");
    let mut rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    for (variant, bounds, expected) in VARIANTS {
        let follow_every = if expected == STRAYS { 1 } else { u64::MAX };
        let violations = walk(Check { follow_every, ..Check::new(variant, bounds) }, 1, VARIANT_STEPS);
        let events = violations.iter().find(|(property, _)| *property == expected).map(|(_, events)| *events);
        let cells: Vec<_> = rows.next().unwrap_or_default().trim_matches('|').split('|').map(str::trim).collect();
        let found = [format!("`{variant:?}`"), expected.to_owned(), events.expect("it is caught").to_string()];
        let told = [0, 4, 5].map(|column| cells.get(column).copied().unwrap_or_default());
        assert_eq!(found, told, "what catches it, after how many events; and the table of docs/protocol.md");
    }
    assert_eq!(rows.next(), None, "the table of docs/protocol.md has a row that nobody looks for");
}
