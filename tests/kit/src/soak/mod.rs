//! Minutes of edits and of trouble of every kind, on real parts: what `make soak` runs, and a short one that is a test.
//!
//! Two real operators with windows of seconds, a real etcd and kube-apiserver, a simulated remote. Lines are edited without end, objects are
//! deleted and made again, and somebody uses the dashboard; calls fail in every way that the simulator knows; operators are killed,
//! frozen and cut off, servers die, keys change, wall clocks jump. All that stays within what the protocol assumes: the longest freeze, the
//! latest call. In the end the oracle judges: a status that lied is a bug; so is a line that was wrong for long when nothing but the
//! operator can be to blame, which `spells.rs` says.
//!
//! A seed gives the same edits, faults and pauses in the same order. When they meet which call is up to the machine.

mod absence;
mod lines;
mod operator;
mod pace;
mod remote;
mod report;
mod spells;

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join3};
use tokio::time::sleep;

use crate::error::{Because, Error, Result};
use crate::random::Random;
use crate::simulator::Switches;

use absence::Absences;
use lines::{Hand, Lines};
use operator::Operator;
use remote::{Trouble, weather};
pub use report::Report;

/// How many edit at once, each lines of their own, and how many faults of calls there are at once.
const EDITORS: usize = 4;
/// The longest pause of who edits between two edits.
const EDIT_PAUSE: u64 = 1000;
/// The longest pause between two faults of calls.
const FAULT_PAUSE: u64 = 4000;
/// How long the weather at the remote stays.
const WEATHER: Duration = Duration::from_secs(7);

/// What a soak is like.
pub struct Soak {
    /// The operator's program.
    pub operator: PathBuf,
    /// How long the trouble goes on.
    pub length: Duration,
    /// What chance begins with.
    pub seed: u64,
    /// How many lines there are.
    pub lines: u16,
    /// Where what explains a failure is written.
    pub folder: PathBuf,
}

impl Soak {
    /// Soaks, and judges.
    ///
    /// Fails when a part could not be had, or an operator ended by itself.
    pub async fn run(&self) -> Result<Report> {
        say(&format!("seed {}; starting etcd, kube-apiserver, the remote and two operators", self.seed));
        if operator::library().is_none() {
            say("wall clocks are not stepped: libfaketime is not installed (apt-get install faketime)");
        }
        let mut lines = Lines::new().await?;
        let url = lines.remote.url();
        let start = |number| Operator::start(&self.operator, number, &lines.plane, &lines.namespace, &url);
        let mut operators = [start(0)?, start(1)?];
        let mut hands = join_all((0..self.lines).map(async |number| lines.line(number).await)).await;
        let first = lines.are_as_asked(&hands).await;
        lines.began = Instant::now();

        let ended = match first {
            Ok(()) => {
                say(&format!("{} lines are Ready; {} s of trouble", self.lines, self.length.as_secs()));
                self.stir(&lines, &mut operators, &mut hands).await?;
                say("calm; every line is edited once more");
                lines.are_as_asked(&hands).await
            }
            failed => failed,
        };
        let report = Report::new(self, &lines, ended.err(), operators.each_ref().map(Operator::output));
        if !report.failures(true).is_empty() {
            report.write(&self.folder).because(self.folder.display())?;
        }
        Ok(report)
    }

    /// All of it at once, until the time is over; then all that is wrong is put right, and each line edited once more.
    async fn stir(&self, lines: &Lines, operators: &mut [Operator; 2], hands: &mut [Hand]) -> Result<()> {
        let mut random = Random::new(self.seed);
        let until = Instant::now() + self.length;
        let share = hands.len().div_ceil(EDITORS);
        let names: Vec<String> = hands.iter().map(|hand| hand.name.clone()).collect();

        let mut editing = Vec::new();
        for hands in hands.chunks_mut(share) {
            editing.push(edit(lines, hands, random.fork(), until));
        }
        let mut failing = Vec::new();
        for names in names.chunks(share) {
            failing.push(fail(lines, names, random.fork(), until));
        }
        let changing = change_weather(lines, random.fork(), until);
        let mut absences =
            Absences::new(random.fork(), (self.length / 12).clamp(Duration::from_secs(4), Duration::from_secs(24)));
        let absences = async {
            absences.calm().await;
            while Instant::now() < until {
                absences.next(lines, operators).await?;
                absences.calm().await;
            }
            Ok::<_, Error>(())
        };
        let over = Cell::new(false);
        let stirred = async {
            let calls = async {
                futures::join!(join_all(failing), changing);
                Ok::<_, Error>(())
            };
            let edits = async {
                join_all(editing).await;
                Ok(())
            };
            let stirred = try_join3(edits, calls, absences).await;
            over.set(true);
            stirred.map(|_| ())
        };
        let (stirred, ()) = tokio::join!(stirred, tell(lines, until, &over));
        stirred?;
        lines.remote.clear_faults();
        lines.remote.switch(|switches| *switches = Switches::default());
        join_all(hands.iter_mut().map(|hand| lines.flip(hand))).await;
        Ok(())
    }
}

/// Edits these lines without end.
async fn edit(lines: &Lines, hands: &mut [Hand], mut random: Random, until: Instant) {
    while Instant::now() < until {
        let place = random.below(hands.len() as u64);
        let hand = &mut hands[usize::try_from(place).expect("it is less than a length")];
        match random.below(40) {
            0 => lines.make_again(hand, &mut random).await,
            1..6 => lines.use_dashboard(hand),
            _ => lines.flip(hand).await,
        }
        sleep(random.millis(EDIT_PAUSE)).await;
    }
}

/// Has the calls of one of these lines fail, then of another.
async fn fail(lines: &Lines, names: &[String], mut random: Random, until: Instant) {
    while Instant::now() < until {
        sleep(random.millis(FAULT_PAUSE)).await;
        let line = random.pick(names);
        let trouble = Trouble::any(&mut random);
        let longest = u64::try_from(pace::SPELL.as_millis()).unwrap_or_default();
        lines.happened(trouble.kind);
        let spell = lines.spells.begin(trouble.kind, trouble.nature, Some(line));
        lines.remote.inject(trouble.of(line));
        sleep(random.millis(longest)).await;
        lines.remote.clear_faults_of(line);
        lines.spells.end(spell);
    }
}

/// Changes what the remote's documentation leaves open.
async fn change_weather(lines: &Lines, mut random: Random, until: Instant) {
    while Instant::now() < until {
        lines.remote.switch(|switches| weather(&mut random, switches));
        sleep(WEATHER).await;
    }
}

/// Shows how far it is: in place on a terminal, else now and then.
async fn tell(lines: &Lines, until: Instant, over: &Cell<bool>) {
    const JUDGED: u32 = 5;
    const TOLD: u32 = 30;
    let terminal = stderr().is_terminal();
    let mut lie = Duration::ZERO;
    let mut second: u32 = 0;
    while !over.get() {
        if second.is_multiple_of(JUDGED) {
            lie = lines.verdict().lie.total();
        }
        if terminal || second.is_multiple_of(TOLD) {
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            let faults = lines.spells.all().len();
            let text = format!(
                "{left:4} s left, {} edits, {faults} faults, {:.3} s of lies",
                lines.edits().len(),
                lie.as_secs_f64()
            );
            if terminal {
                let _ = write!(stderr(), "\r{text}   ");
            } else {
                say(&text);
            }
        }
        second += 1;
        sleep(Duration::from_secs(1)).await;
    }
    if terminal {
        let _ = writeln!(stderr());
    }
}

/// libtest would keep it back if it were printed with `eprintln!`.
fn say(text: &str) {
    let _ = writeln!(stderr(), "soak: {text}");
}
