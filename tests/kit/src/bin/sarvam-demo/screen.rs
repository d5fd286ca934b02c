//! What the demo prints, for a terminal or a file.

use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, Stdout, Write, stdin, stdout};
use std::time::Instant;

/// How wide prose gets. Commands and their output stay as they are.
const WIDTH: usize = 96;

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Cyan,
    Green,
}

/// The standard output. Where nobody reads it any more, what is printed goes nowhere.
pub struct Screen {
    out: Stdout,
    colours: bool,
}

impl Screen {
    /// In colour on a terminal, unless `NO_COLOR` says no.
    pub fn new() -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let out = stdout();
        let colours = wanted && out.is_terminal();
        Self { out, colours }
    }

    /// Whether somebody sits there who can press Ctrl-C.
    pub fn has_person() -> bool {
        stdin().is_terminal() && stdout().is_terminal()
    }

    /// Begins a step of the story.
    pub fn title(&self, text: &str) {
        self.print(&format!("\n{}\n", self.styled(text, Style::Bold)));
    }

    /// Leaves a line empty.
    pub fn gap(&self) {
        self.print("\n");
    }

    /// Says something in whole sentences.
    pub fn say(&self, text: &str) {
        self.print(&format!("{}\n", wrapped(text)));
    }

    /// Shows a command before it runs.
    pub fn command(&self, text: &str) {
        self.print(&format!("\n{} {}\n", self.styled("$", Style::Cyan), self.styled(text, Style::Bold)));
    }

    /// Shows what a command wrote.
    pub fn output(&self, text: &str) {
        let text = text.trim_end();
        if !text.is_empty() {
            self.print(&format!("{text}\n"));
        }
    }

    /// Shows what happened at the remote.
    pub fn remote(&self, lines: &[String]) {
        self.print("\n");
        for line in lines {
            self.print(&format!("{} {line}\n", self.styled("remote |", Style::Green)));
        }
    }

    /// Waits for something, and says for what and how long it took.
    pub async fn wait<T>(&self, what: impl Display, waiting: impl Future<Output = T>) -> T {
        self.print(&format!("{what} ... "));
        let started = Instant::now();
        let came = waiting.await;
        self.print(&format!("{:.1} s\n", started.elapsed().as_secs_f64()));
        came
    }

    fn print(&self, text: &str) {
        let mut out = self.out.lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    fn styled(&self, text: &str, style: Style) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Cyan => "36",
            Style::Green => "32",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
