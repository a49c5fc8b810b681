//! The layers of the crate: a module imports only from modules below it, no file imports in a circle, and I/O stays
//! outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the top layer to the lowest.
const WINGS: [&str; 28] = [
    "testing",
    "exchange",
    "server",
    "flow",
    "settings",
    "memory",
    "jwt",
    "store",
    "observer",
    "wire",
    "directory",
    "session",
    "message",
    "otp",
    "guard",
    "secret",
    "dpop",
    "grant",
    "address",
    "scope",
    "entropy",
    "used_once",
    "id",
    "erased",
    "change",
    "unknown_members",
    "time",
    "base64url",
];

/// Files that may use a clock, a lock or the system's random bytes.
const PORT_IMPLEMENTATIONS: [&str; 3] = ["time/clock", "memory", "exchange/mailbox"];

/// Files that may await beside the flows and the modules above them: they implement a port or call one.
const WAITING: [&str; 6] =
    ["memory", "memory/directory", "store/erased", "directory/erased", "jwt/signer", "jwt/signing_key"];

/// A file of `src`, without its tests.
struct Source {
    /// Its path below `src`, without `.rs` and without a last `mod`.
    name: String,
    code: String,
}

impl Source {
    fn wing(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.code.lines().map(str::trim).filter(|line| !line.starts_with("//"))
    }

    /// The modules that the file imports from, as the longest path of lower-case names.
    fn imports(&self) -> BTreeSet<String> {
        let parent = self.name.rsplit_once('/').map_or("", |(parent, _)| parent).replace('/', "::");
        let code: String = self.lines().filter(|line| !line.starts_with("pub use")).collect::<Vec<_>>().join(" ");
        let code = code.replace("super::", &format!("crate::{parent}::"));
        let paths = code.split("crate::").skip(1).map(|path| {
            let path: String = path.chars().take_while(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | ':')).collect();
            path.trim_end_matches(':').replace("::", "/")
        });
        paths.filter(|path| !path.is_empty()).collect()
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name == *name)
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let source = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        Source { name: name.trim_end_matches("/mod").to_owned(), code }
    };
    paths.iter().map(source).filter(|source| source.name != "lib").collect()
}

fn height(wing: &str) -> usize {
    WINGS.iter().rev().position(|known| *known == wing).unwrap_or_else(|| panic!("{wing} is not in the list of wings"))
}

#[test]
fn a_wing_imports_only_from_those_below_it() {
    let mut imports = 0;
    for source in sources() {
        for used in source.imports() {
            let wing = used.split('/').next().unwrap();
            assert!(height(wing) <= height(source.wing()), "{} imports {used}, which is above it", source.name);
            imports += 1;
        }
    }
    assert!(imports > 200, "the imports were not found");
}

#[test]
fn files_do_not_import_in_a_circle() {
    let sources = sources();
    let files: BTreeSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    // An import names a file, or an item in a file.
    let file = |path: &str| {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).rfind(|path| files.contains(path)).map(str::to_owned)
    };
    let mut left: BTreeMap<&str, BTreeSet<String>> = sources
        .iter()
        .map(|source| {
            let mut used: BTreeSet<String> = source.imports().iter().filter_map(|path| file(path)).collect();
            used.remove(&source.name);
            (source.name.as_str(), used)
        })
        .collect();
    // A file that imports no remaining file is in no circle.
    loop {
        let free: Vec<&str> = left.iter().filter(|(_, used)| used.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
            for used in left.values_mut() {
                used.remove(name);
            }
        }
    }
    assert!(left.is_empty(), "a circle is among these: {left:?}");
}

#[test]
fn no_clock_socket_file_thread_or_runtime_in_the_core() {
    let refused = [
        "SystemTime",
        "Instant",
        "std::net",
        "std::fs",
        "std::io",
        "std::thread",
        "std::env",
        "std::process",
        "Mutex",
        "RwLock",
        "static mut",
        "tokio",
        "async_std",
        "block_on",
    ];
    for source in sources() {
        if source.is_one_of(&PORT_IMPLEMENTATIONS) || ["memory", "testing"].contains(&source.wing()) {
            continue;
        }
        for line in source.lines() {
            for word in refused {
                assert!(!line.contains(word), "{} touches {word}: {line}", source.name);
            }
        }
    }
}

#[test]
fn rules_do_not_wait() {
    for source in sources() {
        let waits = source.lines().any(|line| line.contains(".await") || line.contains("async "));
        let may_wait =
            source.is_one_of(&WAITING) || ["testing", "exchange", "server", "flow", "store"].contains(&source.wing());
        assert!(!waits || may_wait, "{} waits", source.name);
    }
}

#[test]
fn verdicts_are_opened_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let commit = fs::read_to_string(root.join("flow/commit.rs")).unwrap();
    let elsewhere: usize = sources().iter().map(|source| source.code.matches(".open_stored()").count()).sum();
    assert_eq!(elsewhere, commit.matches(".open_stored()").count());
    assert_eq!(elsewhere, 3);
}

#[test]
fn secrets_are_compared_in_constant_time_alone() {
    let secret = sources().into_iter().find(|source| source.name == "secret").unwrap();
    let comparisons = secret.code.matches("fn matches(").count();
    assert_eq!((comparisons, secret.code.matches(".ct_eq(").count()), (2, 2), "each comparison is one of `subtle`");
    for early in ["==", "!=", ".eq(", ".ne(", ".cmp(", "starts_with"] {
        assert!(!secret.lines().any(|line| line.contains(early)), "{early} ends at the first difference");
    }
}
