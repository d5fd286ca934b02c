//! The whole controller in a simulated world: `docs/correctness.md` says what is simulated. A failure prints the command that replays it.

mod away;
mod case;
mod crowd;
mod cuts;
mod network;
#[path = "../scenarios/stage/rules.rs"]
mod rules;
mod story;
mod sweeps;
mod trouble;
mod world;

use case::Case;

/// Replays `SEED`, or else a few runs, each twice: they must go the same way to the letter. With `RUST_LOG=sarvam_operator=debug`, the
/// operator tells each step of the protocol.
#[test]
fn replay() {
    let seed = std::env::var("SEED").ok();
    let cases = match &seed {
        Some(seed) => vec![seed.parse::<Case>().unwrap_or_else(|error| panic!("{error}"))],
        None => sweeps::some(40),
    };
    if seed.is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().init();
    }
    for case in cases {
        let [first, second] = [(); 2].map(|()| case.play(true));
        if seed.is_some() {
            println!("{}", first.trace);
        }
        let diverged = first.trace.lines().zip(second.trace.lines()).find(|(first, second)| first != second);
        assert_eq!(diverged, None, "SEED={case} went two ways");
        assert_eq!(first.trace, second.trace, "SEED={case} went two ways");
        assert_eq!(first.failure, None, "SEED={case}");
    }
}
