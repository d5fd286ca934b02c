//! How the commands print: tables as kubectl draws them, and progress on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::config::Format;

/// Columns, each as wide as its longest cell and three spaces apart. The first row is the heads.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// `result` as YAML or JSON; `None`: a table is asked for.
///
/// # Errors
/// A sentence, where it can't be written so.
pub fn document(format: Format, result: &impl Serialize) -> Result<Option<String>, String> {
    let text = match format {
        Format::Table => return Ok(None),
        Format::Yaml => serde_saphyr::to_string(result).map_err(|error| error.to_string()),
        Format::Json => serde_json::to_string_pretty(result).map(|text| text + "\n").map_err(|error| error.to_string()),
    };
    text.map(Some).map_err(|error| format!("The result can't be written: {error}."))
}

/// A bar on stderr, drawn only on a terminal and gone when it is dropped.
#[must_use]
pub fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(what);
    // The template is a constant, and valid: a test draws it.
    bar.with_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

const TEMPLATE: &str = "{msg}  {wide_bar} {pos}/{len}  {eta} left";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["A", "LONG", "C"]), row(["é", "x", "1"]), row(["aaa", "", ""])]);
        assert_eq!(text, "A     LONG   C\né     x      1\naaa\n");
    }

    #[test]
    fn the_progress_bar_has_a_valid_template() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
