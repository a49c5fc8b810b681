//! The rows of tables are lines of their own. A row that was broken, or joined to a heading, is not shown as a row.

use std::fs;

use crate::files::{files, root};

#[test]
fn each_row_of_a_table_is_one_line() {
    let (documents, sources) = (files(root(), "md"), files(root(), "rs"));
    assert!(documents.len() > 20 && sources.len() > 400, "{} documents, {} sources", documents.len(), sources.len());
    let mut broken = Vec::new();
    for path in documents.iter().chain(&sources) {
        let is_document = path.extension().unwrap() == "md";
        let mut is_code = false;
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let line = line.trim();
            let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let Some(line) = (if is_document { Some(line) } else { comment.map(str::trim) }) else { continue };
            is_code ^= line.starts_with("```");
            if !is_code && is_broken(line) {
                broken.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "broken rows: {}", broken.join(", "));
}

/// Whether a line has a part of a table, and is no row.
fn is_broken(line: &str) -> bool {
    let is_heading = line.starts_with("# ") || line.starts_with("## ");
    let has_row = line.starts_with('|') || line.contains("|---|") || is_heading && line.contains(" | ");
    has_row && !(line.starts_with('|') && line.ends_with('|'))
}
