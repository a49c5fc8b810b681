//! Checks `docs/requirements.md`. Every specification has its table, and every row has a proof or a reason. Every test
//! that a row names exists and runs. The counts and the list of unmet requirements are those of the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The specifications that need a table, in this order. The name of a specification ends at the colon of its heading.
const SPECIFICATIONS: [&str; 15] = [
    "RFC 6749",
    "RFC 6750",
    "RFC 7009",
    "RFC 7519",
    "RFC 7523",
    "RFC 7636",
    "RFC 7662",
    "RFC 8414",
    "RFC 8725",
    "RFC 9068",
    "RFC 9449",
    "RFC 9700",
    "OpenID Connect Core",
    "NIST SP 800-63B-4",
    "OWASP ASVS 5.0",
];
const HEADER: [&str; 4] = ["§", "requirement", "how it is met", "proof"];
const SUMMARY_HEADER: [&str; 6] = ["specification", "proved", "host", "does not apply", "not met", "rows"];
const STRENGTHS: [&str; 3] = ["MUST", "SHALL", "REQUIRED"];
/// Where tests live.
const FOLDERS: [&str; 4] = ["tests/", "src/", "host/", "stores/"];

/// The outcome of a row, in the order of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Proved,
    Host,
    DoesNotApply,
    NotMet,
}

/// The first words of each kind of reason. A proof begins with a test.
const REASONS: [(&str, Kind); 3] =
    [("host: ", Kind::Host), ("does not apply: ", Kind::DoesNotApply), ("NOT MET: ", Kind::NotMet)];

#[derive(Debug)]
struct Row {
    specification: &'static str,
    section: String,
    kind: Kind,
    tests: Vec<String>,
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Tells whether a text has words outside backticks.
fn in_words(text: &str) -> bool {
    text.split('`').step_by(2).flat_map(str::chars).filter(|character| character.is_alphabetic()).count() >= 3
}

/// Reads the rows of all tables. An error names the wrong line and the reason.
fn rows(document: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut found = Vec::new();
    let mut current = None;
    let mut in_table = false;
    for (index, line) in document.lines().enumerate() {
        let wrong = |why: &str| Err(format!("line {}: {why}: {line}", index + 1));
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.split(':').next().unwrap_or_default();
            current = SPECIFICATIONS.into_iter().find(|known| *known == name);
            found.extend(current);
            in_table = false;
            continue;
        }
        let Some(specification) = current else { continue };
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let Some(cells) = cells(line) else { return wrong("a row has no end") };
        if cells == HEADER || cells == ["---"; 4] {
            in_table = true;
            continue;
        }
        let [section, requirement, _, proof] = cells.as_slice() else { return wrong("a row has four cells") };
        if !in_table {
            return wrong("a table begins with its header");
        }
        if section.is_empty() || requirement.is_empty() {
            return wrong("no section or no requirement");
        }
        if !STRENGTHS.iter().any(|strength| requirement.contains(strength)) {
            return wrong("neither MUST nor SHALL nor REQUIRED");
        }
        if proof.matches('`').count() % 2 != 0 {
            return wrong("a backtick too many");
        }
        let is_test = |text: &&str| FOLDERS.iter().any(|folder| text.starts_with(folder)) && text.contains("::");
        let tests: Vec<String> = quoted(proof).filter(is_test).map(str::to_owned).collect();
        let reason = REASONS.iter().find_map(|(begin, kind)| Some((proof.strip_prefix(begin)?, *kind)));
        let kind = match reason {
            Some((reason, kind)) if in_words(reason) => kind,
            Some(_) => return wrong("no reason"),
            None => {
                let listed = tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
                if tests.is_empty() || listed != *proof {
                    return wrong("neither a list of tests nor a reason");
                }
                Kind::Proved
            }
        };
        rows.push(Row { specification, section: (*section).to_owned(), kind, tests });
    }
    if found != SPECIFICATIONS {
        return Err(format!("the specifications are {found:?} instead of {SPECIFICATIONS:?}"));
    }
    match SPECIFICATIONS.into_iter().find(|name| !rows.iter().any(|row| row.specification == *name)) {
        Some(empty) => Err(format!("{empty} has no row")),
        None => Ok(rows),
    }
}

/// The lines of the section with this heading.
fn section<'d>(document: &'d str, heading: &str) -> Vec<&'d str> {
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).collect()
}

/// The summary that follows from the rows.
fn summary(rows: &[Row]) -> String {
    let mut table = String::new();
    for (line, name) in SPECIFICATIONS.into_iter().map(Some).chain([None]).enumerate() {
        let counted: Vec<&Row> = rows.iter().filter(|row| name.is_none_or(|name| row.specification == name)).collect();
        let of = |kind| counted.iter().filter(|row| row.kind == kind).count();
        let (proved, host, other, not_met) =
            (of(Kind::Proved), of(Kind::Host), of(Kind::DoesNotApply), of(Kind::NotMet));
        let end = if line == 0 { "" } else { "\n" };
        let name = name.unwrap_or("all");
        write!(table, "{end}| {name} | {proved} | {host} | {other} | {not_met} | {} |", counted.len()).unwrap();
    }
    table
}

fn check_summary(document: &str, rows: &[Row]) -> Result<(), String> {
    let lines = section(document, "## Summary");
    let table: Vec<&str> = lines.into_iter().filter(|line| line.starts_with('|')).collect();
    let has_header = table.first().and_then(|line| cells(line)).is_some_and(|cells| cells == SUMMARY_HEADER);
    let expected = summary(rows);
    let said = table.get(2..).unwrap_or_default().join("\n");
    if has_header && said == expected { Ok(()) } else { Err(format!("the summary has to be\n{expected}")) }
}

/// The list of unmet requirements names each such row, in the order of the rows, and no other.
fn check_not_met(document: &str, rows: &[Row]) -> Result<(), String> {
    let lines = section(document, "## Not met");
    let items = lines.iter().filter_map(|line| line.strip_prefix("- "));
    let said: Vec<&str> = items.map(|item| item.split(": ").next().unwrap_or_default()).collect();
    let not_met = rows.iter().filter(|row| row.kind == Kind::NotMet);
    let expected: Vec<String> = not_met.map(|row| format!("{} §{}", row.specification, row.section)).collect();
    if said == expected { Ok(()) } else { Err(format!("not met are {expected:?}, and said to be {said:?}")) }
}

/// The names of the tests of a Rust file that run: `name`, or `tests::name` inside the module of that name.
fn tests_of_rust(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut module = "";
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines() {
        let code = line.trim();
        if line.starts_with("mod tests {") {
            module = "tests::";
        } else if line == "}" {
            module = "";
        }
        if code.starts_with("#[") {
            let name = code.trim_start_matches("#[").split(['(', ']', ' ']).next().unwrap_or_default();
            is_test |= matches!(name, "test" | "tokio::test" | "actix_web::test");
            is_ignored |= name == "ignore";
        } else if !code.starts_with("//") && !code.is_empty() {
            let signature = code.trim_start_matches("async ");
            let name = signature.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next());
            tests.extend(name.filter(|_| is_test && !is_ignored).map(|name| format!("{module}{name}")));
            (is_test, is_ignored) = (false, false);
        }
    }
    tests
}

/// The functions of a Python script that the script calls, at its outermost level or in another of its functions.
fn checks_of_python(source: &str) -> BTreeSet<String> {
    let defined = source.lines().filter_map(|line| line.strip_prefix("def ")?.split('(').next());
    let is_called = |name: &&str| {
        let call = format!("{name}(");
        source.lines().any(|line| line.trim_start().starts_with(&call))
    };
    defined.filter(is_called).map(str::to_owned).collect()
}

fn check_tests(root: &Path, rows: &[Row]) -> Result<(), String> {
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        for test in &row.tests {
            let place = format!("{} §{}", row.specification, row.section);
            let (file, name) = test.split_once("::").ok_or(format!("{place}: no name in {test}"))?;
            if !files.contains_key(file) {
                let source =
                    fs::read_to_string(root.join(file)).map_err(|error| format!("{place}: {file}: {error}"))?;
                let is_python = Path::new(file).extension().is_some_and(|extension| extension == "py");
                files.insert(file, if is_python { checks_of_python(&source) } else { tests_of_rust(&source) });
            }
            if !files.get(file).is_some_and(|tests| tests.contains(name)) {
                return Err(format!("{place}: there is no test {name} in {file}, or it is ignored"));
            }
        }
    }
    Ok(())
}

fn check(document: &str) -> Result<Vec<Row>, String> {
    let rows = rows(document)?;
    check_tests(&root(), &rows)?;
    check_summary(document, &rows)?;
    check_not_met(document, &rows)?;
    Ok(rows)
}

/// The folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/requirements.md")).unwrap()
}

#[test]
fn every_row_has_a_proof_that_exists_or_a_reason() {
    let rows = check(&document()).unwrap_or_else(|why| panic!("docs/requirements.md: {why}"));
    assert!(rows.len() > 100 && rows.iter().flat_map(|row| &row.tests).count() > rows.len());
}

#[test]
fn what_is_wrong_is_noticed() {
    let good = document();
    let first = |prefix: &str| good.lines().find(|line| line.starts_with(prefix)).unwrap();
    // A row of each kind, and ways to break it.
    let proved = first("| 2.2 | ");
    let host = first("| 4.1.2 | ");
    let other = first("| 2.3.2 | ");
    let not_met = first("| 8.5 | MUST register");
    let with_proof = |row: &str, proof: &str| {
        let mut parts: Vec<&str> = row.split('|').collect();
        let proof = format!(" {proof} ");
        let at = parts.len() - 2;
        *parts.get_mut(at).unwrap() = &proof;
        parts.join("|")
    };
    let test = "tests/scenarios/token_contract.rs::row_3_client_authentication";
    for (old, new, why) in [
        (proved, with_proof(proved, ""), "neither a list of tests nor a reason"),
        (proved, with_proof(proved, "it is obvious"), "neither a list of tests nor a reason"),
        (proved, with_proof(proved, &format!("`{test}` and more")), "neither a list of tests nor a reason"),
        (proved, with_proof(proved, test), "neither a list of tests nor a reason"),
        (proved, with_proof(proved, &format!("`{test}")), "a backtick too many"),
        (proved, with_proof(proved, "`row_3_client_authentication`"), "neither a list of tests nor a reason"),
        (proved, with_proof(proved, "`tests/scenarios/token_contract.rs::row_3`"), "there is no test row_3 in"),
        (proved, with_proof(proved, "`tests/scenarios/token_contract.rs::post`"), "there is no test post in"),
        (proved, with_proof(proved, "`tests/no_such_file.rs::row_3`"), "tests/no_such_file.rs"),
        (proved, with_proof(proved, "`src/jwt/jws.rs::headers_are_read_strictly`"), "there is no test headers_are"),
        (proved, with_proof(proved, "`tests/interop/check_tokens.py::no_check`"), "there is no test no_check"),
        (proved, with_proof(proved, "`host/tests/configuration.rs::users_in_a_postgres`"), "there is no test users"),
        (proved, proved.replacen("MUST NOT", "may not", 1), "neither MUST nor SHALL nor REQUIRED"),
        (proved, proved.replacen("| 2.2 |", "| |", 1), "no section or no requirement"),
        (proved, format!("{proved} |"), "a row has four cells"),
        (proved, proved.trim_end_matches('|').to_owned(), "a row has no end"),
        (proved, String::new(), "a table begins with its header"),
        (&format!("{proved}\n"), String::new(), "the summary has to be"),
        (proved, format!("{proved}\n{proved}"), "the summary has to be"),
        (host, with_proof(host, "host: "), "a list of tests nor a reason"),
        (host, with_proof(host, "host: `x`"), "no reason"),
        (host, with_proof(host, "host: keeps `tests/x.rs::y` in mind"), "tests/x.rs"),
        (host, with_proof(host, "does not apply: nothing"), "the summary has to be"),
        (other, with_proof(other, "not applicable"), "neither a list of tests nor a reason"),
        (not_met, not_met.replacen("| 8.5 |", "| 8.6 |", 1), "not met are"),
        ("- RFC 7519 §8: ", "- RFC 7519: ".to_owned(), "not met are"),
        ("## RFC 8725: ", "## RFC 8726: ".to_owned(), "the specifications are"),
        ("## RFC 8725: ", "### RFC 8725: ".to_owned(), "the specifications are"),
        ("## RFC 6750: ", "## RFC 6749: ".to_owned(), "the specifications are"),
    ] {
        assert!(good.contains(old));
        let refused = check(&good.replacen(old, &new, 1)).err();
        assert!(refused.as_ref().is_some_and(|said| said.contains(why)), "{new}: {refused:?} instead of {why}");
    }
    // A table without rows, or without its header.
    let (before, rest) = good.split_once("## RFC 7009: ").unwrap();
    let (of_7009, after) = rest.split_once("\n## ").unwrap();
    let without_rows: Vec<&str> = of_7009.lines().filter(|line| !line.starts_with('|')).collect();
    let empty = format!("{before}## RFC 7009: {}\n## {after}", without_rows.join("\n"));
    assert_eq!(check(&empty).err().as_deref(), Some("RFC 7009 has no row"));
    let headless: Vec<&str> = of_7009.lines().filter(|line| cells(line).is_none_or(|cells| cells != HEADER)).collect();
    let headless =
        format!("{before}## RFC 7009: {}\n## {after}", headless.join("\n").replacen("|---|---|---|---|\n", "", 1));
    assert!(check(&headless).err().is_some_and(|said| said.contains("a table begins with its header")));
}

#[test]
fn what_the_security_policy_points_at_is_there() {
    let root = root();
    let policy = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let files: BTreeSet<&str> = quoted(&policy).filter(|text| text.ends_with(".rs")).collect();
    assert!(files.len() > 10);
    for file in files {
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!tests_of_rust(&source).is_empty(), "{file} has no tests");
    }
    assert!(policy.contains("(docs/requirements.md)"));
    // Reports go to the repository of the manifest.
    assert!(policy.contains(&format!("({})", env!("CARGO_PKG_REPOSITORY"))));
}

#[test]
fn only_what_is_run_is_a_test() {
    let source = "\
        /// Not a test: #[test]\n\
        fn helper() {}\n\
        // #[test]\n\
        fn commented_out() {}\n\
        #[test]\n\
        #[ignore = \"slow\"]\n\
        fn ignored() {}\n\
        #[ignore]\n\
        #[tokio::test(flavor = \"multi_thread\")]\n\
        async fn ignored_as_well() {}\n\
        #[tokio::test(flavor = \"multi_thread\")]\n\
        // Why.\n\
        #[allow(clippy::panic)]\n\
        async fn waits() {}\n\
        proptest! {\n    #[test]\n    fn holds_for_all(x in 0..1) {}\n}\n\
        #[test]\n\
        const NOT_A_FUNCTION: u8 = 0;\n\
        fn after_it() {}\n\
        mod tests {\n    #[test]\n    fn inside() {}\n}\n";
    let tests = tests_of_rust(source);
    assert_eq!(tests.iter().map(String::as_str).collect::<Vec<_>>(), ["holds_for_all", "tests::inside", "waits"]);
    let script = "def used(x):\n    pass\n\ndef unused():\n    pass\n\nused(1)\n";
    assert_eq!(checks_of_python(script).iter().collect::<Vec<_>>(), ["used"]);
}
