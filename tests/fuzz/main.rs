//! Fuzzing: bytes that nobody would write, each read also by a naive oracle. `make fuzz` tries as many as you like; `cargo fuzz` in `fuzz/` looks
//! for new paths through the code with the same checks and the same corpus.

mod json;
mod manifests;
mod mutate;
mod replies;
mod texts;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;
use std::{env, fs, thread};

use mutate::Random;
use replies::Read;
use sarvam_operator::core::line::State;

/// How many answers are tried, unless `FUZZ_REPLIES` says otherwise.
const REPLIES: u64 = 200_000;

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name)
        .map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

/// The committed inputs of one target, each with its name.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = files.map(|file| file.expect("a readable folder"));
    files
        .map(|file| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("a file")))
        .collect()
}

/// What came of some answers.
#[derive(Debug, Default)]
struct Tally {
    active: u64,
    paused: u64,
    unknown: u64,
    pages: u64,
    faults: u64,
}

impl Tally {
    fn count(&mut self, read: Read) {
        *match read {
            Read::Line(State::Active) => &mut self.active,
            Read::Line(State::Paused) => &mut self.paused,
            Read::Line(State::Unknown) => &mut self.unknown,
            Read::Page => &mut self.pages,
            Read::Fault => &mut self.faults,
        } += 1;
    }

    fn add(mut self, other: &Self) -> Self {
        self.active += other.active;
        self.paused += other.paused;
        self.unknown += other.unknown;
        self.pages += other.pages;
        self.faults += other.faults;
        self
    }
}

#[test]
fn what_is_in_the_corpus_is_read_as_it_is_named() {
    for (name, bytes) in corpus("replies") {
        let read = replies::check(&bytes);
        let named = match name.split('-').next() {
            Some("active") => Read::Line(State::Active),
            Some("paused") => Read::Line(State::Paused),
            Some("unknown") => Read::Line(State::Unknown),
            Some("page") => Read::Page,
            _ => Read::Fault,
        };
        assert_eq!(read, named, "{name}");
    }
}

/// What a person or `cargo fuzz` has found once; `replies` has a test of its own, by the names.
#[test]
fn what_is_in_the_other_corpora_breaks_no_rule() {
    for (name, bytes) in corpus("manifests") {
        println!("manifests/{name}");
        manifests::check(str::from_utf8(&bytes).expect("a manifest is text"));
    }
    for (name, bytes) in corpus("texts") {
        println!("texts/{name}");
        texts::check(&bytes);
    }
}

/// A try: an answer of the corpus, changed; its number and the seed make it.
fn try_one(corpus: &[(String, Vec<u8>)], seed: u64, number: u64) -> (Vec<u8>, Option<State>) {
    let random = &mut Random::new(seed, number);
    let (name, bytes) = random.one(corpus);
    let mut bytes = bytes.clone();
    if random.below(2) == 0 {
        mutate::knowingly(&mut bytes, &random.one(corpus).1, random);
        return (bytes, None);
    }
    mutate::blindly(&mut bytes, random);
    // Chance alone makes no `paused` of an `active`.
    let never = match name.split('-').next() {
        Some("active") => Some(State::Paused),
        Some("paused") => Some(State::Active),
        _ => None,
    };
    (bytes, never)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

/// 0 panics, 0 misreads, in as many answers as `FUZZ_REPLIES` says. `FUZZ_SEED` makes others; without it they are the same each time.
#[test]
fn no_answer_is_misread() {
    let (replies, seed) = (setting("FUZZ_REPLIES", REPLIES), setting("FUZZ_SEED", 1));
    let corpus: Vec<_> = corpus("replies").into_iter().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let start = Instant::now();
    let work = |thread: u64| {
        let mut tally = Tally::default();
        for number in (thread..replies).step_by(usize::try_from(threads).expect("few threads")) {
            let (bytes, never) = try_one(&corpus, seed, number);
            match catch_unwind(AssertUnwindSafe(|| replies::check(&bytes))) {
                Ok(read) => {
                    assert!(
                        never.is_none_or(|never| read != Read::Line(never)),
                        "try {number} of seed {seed}: {read:?} of {}",
                        bytes.escape_ascii()
                    );
                    tally.count(read);
                }
                // With these bytes as a file in fuzz/corpus/replies it is tried each time.
                Err(panic) => {
                    panic!("try {number} of seed {seed}: {}\nprintf '{}'", words(&*panic), bytes.escape_ascii())
                }
            }
        }
        tally
    };
    let tally = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let tallies =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| panic!("{}", words(&*panic))));
        tallies.fold(Tally::default(), |all, tally| all.add(&tally))
    });
    println!(
        "{replies} answers of seed {seed} in {:.1} s: 0 panics, 0 misreads; {tally:?}",
        start.elapsed().as_secs_f64()
    );
    // Where nothing is read, nothing is misread.
    let enough = replies / 200;
    assert!([tally.active, tally.paused, tally.unknown, tally.pages].iter().all(|reads| *reads >= enough), "{tally:?}");
}
