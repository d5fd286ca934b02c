//! Links lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::markdown::{files, prose, read};

#[test]
fn every_link_leads_somewhere() {
    let broken: Vec<_> = files().iter().flat_map(|file| broken(file)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_document_can_be_found() {
    let index = targets("docs/README.md");
    for file in files().iter().filter(|file| file.starts_with("docs/") && *file != "docs/README.md") {
        assert!(index.iter().any(|(_, target, _)| target == Path::new(file)), "docs/README.md has no link to {file}");
    }
}

/// A sentence for each link of a document that leads nowhere.
fn broken(file: &str) -> Vec<String> {
    let mut broken = vec![];
    for (link, target, anchor) in targets(file) {
        if !target.exists() {
            broken.push(format!("{file} links to {link}, and there is no such file"));
        } else if !anchor.is_empty() {
            let text = prose(&read(target.to_str().expect("a path in ASCII")));
            let mut headings = text.lines().filter(|line| line.starts_with('#')).map(slug);
            if !headings.any(|slug| slug == anchor) {
                broken.push(format!("{file} links to {link}, and there is no such heading"));
            }
        }
    }
    broken
}

/// The links of a document to files of the repository: as written, the file, the heading.
fn targets(file: &str) -> Vec<(String, PathBuf, String)> {
    let text: String = prose(&read(file)).split('`').step_by(2).collect();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to);
    let local = links.filter(|link| !link.starts_with("https://") && !link.starts_with("mailto:"));
    let target = |link: &str| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { PathBuf::from(file) } else { Path::new(file).with_file_name(path) };
        (link.to_owned(), plain(&target), anchor.to_owned())
    };
    local.map(target).collect()
}

/// The path without its `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
        plain
    })
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
