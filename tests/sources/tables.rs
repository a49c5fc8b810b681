//! The rows of tables are lines of their own. A row that was broken, or joined to a heading, is not shown as a row.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn each_row_of_a_table_is_one_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let listed = Command::new("git").args(["ls-files", "*.md", "*.rs"]).current_dir(root).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let mut broken = Vec::new();
    for name in names.lines().filter(|name| root.join(name).exists()) {
        let is_document = name.ends_with(".md");
        let text = fs::read_to_string(root.join(name)).unwrap();
        let mut is_code = false;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let Some(line) = (if is_document { Some(line) } else { comment.map(str::trim) }) else { continue };
            is_code ^= line.starts_with("```");
            let is_joined =
                line.contains("|---|") || (line.starts_with("# ") || line.starts_with("## ")) && line.contains(" | ");
            let is_row = line.starts_with('|') && line.ends_with('|');
            if !is_code && (line.starts_with('|') && !is_row || is_joined && !is_row) {
                broken.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(names.lines().count() > 300, "{} files", names.lines().count());
    assert!(broken.is_empty(), "broken rows: {}", broken.join(", "));
}
