//! Each promise that a scenario quotes stands in a document, or in the documentation of the crate, word by word.

use std::fs;

use crate::files::{files, root};

#[test]
fn the_promises_that_scenarios_quote_are_written_somewhere() {
    let mut written = String::new();
    for document in ["README.md", "SECURITY.md", "UPGRADING.md", "ARCHITECTURE.md", "host/README.md"] {
        written += &plain(&fs::read_to_string(root().join(document)).unwrap());
    }
    for source in files(&root().join("src"), "rs") {
        for paragraph in comments(&fs::read_to_string(source).unwrap()) {
            written += &plain(&paragraph);
        }
    }
    let (mut quotes, mut missing) = (0, Vec::new());
    for scenario in files(&root().join("tests/scenarios/promises"), "rs") {
        for paragraph in comments(&fs::read_to_string(&scenario).unwrap()) {
            // Every second part is between quotation marks.
            for quote in paragraph.split('"').skip(1).step_by(2).flat_map(|quote| quote.split("[…]")) {
                let quote = plain(quote);
                let quote = quote.trim_matches([' ', '.', ',']);
                quotes += 1;
                if !written.contains(quote) {
                    missing.push(format!("{}: {quote}", scenario.display()));
                }
            }
        }
    }
    assert!(quotes > 100, "{quotes} quotes");
    assert!(missing.is_empty(), "no longer written anywhere:\n{}", missing.join("\n"));
}

/// Each block of comment lines, without what marks them.
fn comments(source: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in source.lines() {
        let line = line.trim_start();
        match line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            Some(text) => blocks.last_mut().unwrap().push_str(&format!("{text} ")),
            None if blocks.last().unwrap().is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks
}

/// A text without marks and targets of links, and with one space between words.
fn plain(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        words += before;
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    words += rest;
    let marks = ['`', '*', '[', ']'];
    words.replace(marks, "").split_whitespace().map(|word| format!("{word} ")).collect()
}
