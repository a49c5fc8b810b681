//! The layers of the crate: a file imports only from its own row and the rows above it; I/O stays outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a check that fails has to fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each row, with the modules that live there.
const ROWS: [(&str, &[&str]); 7] = [
    ("words", &["base64url", "time", "secret", "id", "address", "scope", "grant", "user"]),
    ("wire", &["wire", "error", "request", "reply"]),
    (
        "rules",
        &[
            "decision",
            "authenticator",
            "challenge",
            "session",
            "meter",
            "client",
            "claims",
            "revoked_tokens",
            "keys_in_use",
            "unknown",
        ],
    ),
    (
        "keys",
        &[
            "key_file",
            "keyring",
            "sealed",
            "code",
            "jws",
            "jwk",
            "signer",
            "signing_key",
            "signing_keys",
            "access_token",
        ],
    ),
    ("ports", &["clock", "entropy", "store", "directory", "observer"]),
    ("flows", &["flow", "config", "endpoints", "metadata", "builder", "server", "route"]),
    ("outside", &["conformance", "http", "memory", "trace"]),
];

/// Where a clock, a lock or the system's random bytes may be touched.
const PORT_IMPLEMENTATIONS: [&str; 2] = ["clock", "memory"];

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let module = |path: &PathBuf| {
        let first = path.strip_prefix(&root).unwrap().iter().next().unwrap();
        first.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    };
    paths.iter().map(|path| (module(path), code(path))).filter(|(module, _)| module != "lib").collect()
}

fn row(module: &str) -> usize {
    ROWS.iter().position(|(_, modules)| modules.contains(&module)).unwrap_or_else(|| panic!("{module} has no row"))
}

fn lines_of_code(source: &str) -> impl Iterator<Item = &str> {
    source.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn a_file_imports_only_from_its_own_row_and_those_above() {
    let mut imports = 0;
    for (module, source) in sources() {
        for line in lines_of_code(&source) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').collect();
                if used.is_empty() {
                    continue;
                }
                assert!(row(&used) <= row(&module), "{module} imports {used} from a row below: {line}");
                imports += 1;
            }
        }
    }
    assert!(imports > 100, "the imports were not found");
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
    for (module, source) in sources() {
        if PORT_IMPLEMENTATIONS.contains(&module.as_str()) {
            continue;
        }
        for line in lines_of_code(&source) {
            for word in refused {
                assert!(!line.contains(word), "{module} touches {word}: {line}");
            }
        }
    }
}

#[test]
fn rules_do_not_wait() {
    for (module, source) in sources() {
        let waits = lines_of_code(&source).any(|line| line.contains(".await") || line.contains("async "));
        let waits_for_a_signer = ["signer", "signing_key"].contains(&&*module);
        assert!(!waits || waits_for_a_signer || row(&module) >= 4, "{module} waits");
    }
}

#[test]
fn verdicts_are_opened_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let commit = fs::read_to_string(root.join("flow/commit.rs")).unwrap();
    let elsewhere: usize = sources().iter().map(|(_, source)| source.matches(".open_stored()").count()).sum();
    assert_eq!(elsewhere, commit.matches(".open_stored()").count());
    assert_eq!(elsewhere, 3);
}

#[test]
fn secrets_are_compared_in_constant_time_alone() {
    let (_, secret) = sources().into_iter().find(|(module, _)| module == "secret").unwrap();
    let comparisons = secret.matches("fn matches(").count();
    assert_eq!((comparisons, secret.matches(".ct_eq(").count()), (2, 2), "each comparison is one of `subtle`");
    for early in ["==", "!=", ".eq(", ".ne(", ".cmp(", "starts_with"] {
        assert!(!lines_of_code(&secret).any(|line| line.contains(early)), "{early} ends at the first difference");
    }
}
