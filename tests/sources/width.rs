//! Comments are within the width that `rustfmt.toml` sets. rustfmt leaves them as they are.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn comments_are_within_the_width_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let settings = fs::read_to_string(root.join("rustfmt.toml")).unwrap();
    let width = settings.lines().find_map(|line| line.strip_prefix("max_width = ")).unwrap().parse().unwrap();
    let mut files = Vec::new();
    walk(root, &mut files);
    assert!(files.len() > 400, "{} files", files.len());
    let wide: Vec<String> = files.iter().flat_map(|file| wider_than(width, file)).collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
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
