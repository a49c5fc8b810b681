//! Comments are within the width that `rustfmt.toml` sets. rustfmt leaves them as they are.

use std::fs;
use std::path::Path;

use crate::files::{files, root};

#[test]
fn comments_are_within_the_width_of_the_code() {
    let settings = fs::read_to_string(root().join("rustfmt.toml")).unwrap();
    let width = settings.lines().find_map(|line| line.strip_prefix("max_width = ")).unwrap().parse().unwrap();
    let files = files(root(), "rs");
    assert!(files.len() > 400, "{} files", files.len());
    let wide: Vec<String> = files.iter().flat_map(|file| wider_than(width, file)).collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// The lines of a file that are comments and too wide. A row of a table and code can't be broken.
fn wider_than(width: usize, file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut is_code = false;
    let mut wide = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let comment = ["///", "//!", "//"].iter().find_map(|mark| line.trim_start().strip_prefix(mark));
        let Some(comment) = comment.map(str::trim_start) else {
            is_code = false;
            continue;
        };
        is_code ^= comment.starts_with("```");
        if !is_code && !comment.starts_with('|') && line.chars().count() > width {
            wide.push(format!("{}:{}", file.display(), number + 1));
        }
    }
    wide
}
