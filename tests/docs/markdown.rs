//! The documents, and what is in them.

use std::{fs, path::Path};

/// Every document: those beside the README and those in docs/.
pub fn files() -> Vec<String> {
    let mut files: Vec<String> = ["", "docs/"].into_iter().flat_map(markdown_in).collect();
    files.sort();
    files
}

fn markdown_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(".").join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned());
    names
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"))
        .map(|name| format!("{folder}{name}"))
        .collect()
}

/// A document's text.
pub fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The text without its code blocks.
pub fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its first fence, counted from one.
    pub line: usize,
    /// What stands after the fence: `sh`, `yaml`.
    pub language: String,
    /// Why it can't be run here, from a comment `<!-- not run: … -->` on the line above.
    pub not_run: Option<String>,
    /// What is between the fences.
    pub code: String,
}

/// The blocks of a text, in order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = vec![];
    let mut open: Option<Block> = None;
    let mut above = "";
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let not_run = above.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
                let (language, not_run) = (language.to_owned(), not_run.map(str::to_owned));
                open = Some(Block { line: number, language, not_run, code: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.code.extend([line, "\n"]),
            (None, None) => {}
        }
        above = line;
    }
    blocks
}

#[test]
fn blocks_have_a_line_a_language_and_a_reason() {
    let text = "a\n```sh\none\ntwo\n```\n<!-- not run: no wire -->\n```sh\nthree\n```\n<!-- not run: far above -->\n\n```yaml\n```\n";
    let block = |line, language: &str, not_run: Option<&str>, code: &str| Block {
        line,
        language: language.to_owned(),
        not_run: not_run.map(str::to_owned),
        code: code.to_owned(),
    };
    let expected =
        [block(2, "sh", None, "one\ntwo\n"), block(7, "sh", Some("no wire"), "three\n"), block(12, "yaml", None, "")];
    assert_eq!(blocks(text), expected);
}

#[test]
fn every_block_says_what_it_is() {
    const LANGUAGES: [&str; 7] = ["console", "lua", "mermaid", "promql", "sh", "text", "yaml"];
    for file in files() {
        for block in blocks(&read(&file)) {
            let (line, language) = (block.line, &block.language);
            assert!(
                LANGUAGES.contains(&language.as_str()),
                "{file}:{line}: a block is one of {LANGUAGES:?}, sh for commands that the test runs, console to show output; not {language:?}"
            );
        }
    }
}
