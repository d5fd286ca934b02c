//! Stories: what people, and the world, do around the operator. `stories.txt` has them.

use std::sync::LazyLock;
use std::time::Duration;

use sarvam_testkit::simulator::LineState;

/// One story.
pub struct Story {
    pub name: &'static str,
    pub lines: Vec<(&'static str, LineState)>,
    pub with_secret: bool,
    pub with_workspace: bool,
    /// The Workspace's `requestsPerSecond`.
    pub rate: u32,
    /// In the order of their times.
    pub steps: Vec<Step>,
    pub ends: Vec<End>,
}

/// Something that happens, in the words of its line.
pub struct Step {
    /// From the start of the first operator.
    pub at: Duration,
    pub words: Vec<&'static str>,
}

/// What must be so at last.
pub enum End {
    /// The object's Ready condition has this reason.
    Says(&'static str, &'static str),
    /// The line has this version of its agent.
    Version(&'static str, i64),
    /// The line is in this state at the remote.
    Line(&'static str, LineState),
}

/// Every story, in the order of the file.
pub static STORIES: LazyLock<Vec<Story>> = LazyLock::new(|| {
    let text = include_str!("stories.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stories: Vec<Story> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["story", name] = words[..] {
            stories.push(Story::new(name));
            continue;
        }
        stories.last_mut().expect("a story begins with its name").read(&words);
    }
    stories
});

impl Story {
    /// One in which nothing happens, with a good key.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            lines: Vec::new(),
            with_secret: true,
            with_workspace: true,
            rate: 50,
            steps: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// One with so many lines, which answer.
    pub fn crowd(name: &'static str, count: usize) -> Self {
        let line = |n| (&*format!("dep-{n}").leak(), LineState::Active);
        Self { lines: (0..count).map(line).collect(), ..Self::new(name) }
    }

    /// The story of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        STORIES.iter().find(|story| story.name == name)
    }

    fn read(&mut self, words: &[&'static str]) {
        match *words {
            ["line", id, state] => self.lines.push((id, self::state(state))),
            ["without", "secret"] => self.with_secret = false,
            ["without", "workspace"] => self.with_workspace = false,
            ["rate", rate] => self.rate = rate.parse().expect("a number"),
            ["at", seconds, ref step @ ..] => {
                let at = Duration::from_secs_f64(seconds.parse().expect("seconds"));
                self.steps.push(Step { at, words: step.to_vec() });
            }
            ["end", "line", id, state] => self.ends.push(End::Line(id, self::state(state))),
            ["end", "version", id, version] => self.ends.push(End::Version(id, version.parse().expect("a number"))),
            ["end", object, reason] => self.ends.push(End::Says(object, reason)),
            _ => panic!("{}: no story has a line {words:?}", self.name),
        }
    }
}

/// A line's state by its word.
pub fn state(word: &str) -> LineState {
    match word {
        "active" => LineState::Active,
        "paused" => LineState::Paused,
        _ => panic!("{word} is no state of a line"),
    }
}
