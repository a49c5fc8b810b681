//! What support staff see of users and sessions and do for them with `otp-grant-host admin`, beside hosts that run on
//! the same store, and how it is recorded.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use otp_grant_stores_support::postgres::Postgres;
use serde_json::{Value, json};
use support::admin::{EMAIL, admin, config, done, log_in, logged_in, recorded, refresh, userinfo, with_table};
use support::{Folder, Host, command};

#[test]
fn support_works_on_sqlite_beside_two_hosts() {
    let folder = Folder::new("admin-sqlite");
    let (records, users) = (folder.file("records.db"), folder.file("users.db"));
    let sql = |statement: &str| {
        let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()";
        let output = Command::new("python3").args(["-c", script, users.to_str().unwrap(), statement]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let [store, table] = [&records, &users].map(|file| format!("sqlite:{}", file.display()));
    serves_support("admin-sqlite-host", &store, &table, sql);
}

#[test]
fn support_works_on_postgres_beside_two_hosts() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let sql = |statement: &str| {
        let output = Command::new("psql").args([&url, "-c", statement]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    serves_support("admin-postgres-host", &url, &url, sql);
}

/// Two hosts on one store and one table, and what support does beside them.
fn serves_support(name: &str, store: &str, users: &str, mut sql: impl FnMut(&str)) {
    let folder = Folder::new(&format!("{name}-audit"));
    let audit = folder.file("audit.jsonl");
    let text = with_table(store, users, &audit);
    let hosts = [Host::configured(&format!("{name}-a"), &text), Host::configured(&format!("{name}-b"), &text)];
    let file = hosts[0].folder.file("host.toml");
    let mut tokens = [logged_in(&hosts[0], EMAIL), logged_in(&hosts[1], EMAIL)];
    let subject = userinfo(&hosts[1], &tokens[0]).unwrap();
    let refreshed = |tokens: &mut [Value; 2]| [0, 1].map(|number| refresh(&hosts[1 - number], &mut tokens[number]));
    let get = |arguments: &[&str]| done(&file, &[&["users"], arguments].concat());

    let user = json!({
        "subject": subject, "status": "active", "phone_number": null, "email": "a***@example.com",
        "tokens_valid_after": null, "is_test": false,
    });
    assert_eq!(get(&["list"]), json!({ "users": [user], "next": null }));
    assert_eq!((recorded(&audit)["outcome"].clone(), recorded(&audit).get("addresses_shown")), ("done".into(), None));
    assert_eq!(get(&["show", EMAIL, "--show-addresses"])["email"], EMAIL);
    assert_eq!(
        (&recorded(&audit)["addresses_shown"], &recorded(&audit)["subject"]),
        (&true.into(), &(*subject).into())
    );
    assert_eq!(get(&["show", &subject]), user);
    let shown = admin(&file, &["users", "show", &subject]).1;
    assert!(shown.contains(&format!("subject:       {subject}\nstatus:        active\n")), "{shown}");

    // A locked user is out at once, on both hosts, and back when the lock is lifted.
    assert_eq!(get(&["lock", &subject]), json!({ "subject": subject, "status": "locked", "changed": true }));
    assert_eq!((refreshed(&mut tokens), log_in(&hosts[1], EMAIL).status), ([400, 400], 400));
    assert!(hosts.iter().all(|host| userinfo(host, &tokens[0]).is_none()));
    assert_eq!(get(&["lock", &subject])["changed"], false);
    assert_eq!((&recorded(&audit)["changed"], &recorded(&audit)["outcome"]), (&false.into(), &"done".into()));
    assert_eq!(get(&["unlock", &subject, "--reason", "ticket 4711"])["changed"], true);
    assert_eq!(refreshed(&mut tokens), [200, 200]);

    // A sign-out ends what both hosts began, and nothing that begins after it.
    let before = now();
    let set = get(&["sign-out", &subject])["tokens_valid_after"].as_u64().unwrap();
    assert!((before..=now()).contains(&set), "{before} {set}");
    assert_eq!(refreshed(&mut tokens), [400, 400]);
    assert!(hosts.iter().all(|host| userinfo(host, &tokens[1]).is_none()));
    tokens = [logged_in(&hosts[0], EMAIL), logged_in(&hosts[1], EMAIL)];
    assert_eq!(refreshed(&mut tokens), [200, 200]);
    // So does one whose instant is that of an earlier one, set by a clock ahead: the sessions know that instant.
    let ahead = now() + 4_000;
    sql(&format!("UPDATE otp_grant_users SET tokens_valid_after = {ahead}"));
    tokens = [logged_in(&hosts[0], EMAIL), logged_in(&hosts[1], EMAIL)];
    assert_eq!(refreshed(&mut tokens), [200, 200]);
    assert_eq!(get(&["sign-out", &subject])["tokens_valid_after"], ahead + 1);
    assert_eq!(refreshed(&mut tokens), [400, 400]);

    // What your service has decided is not undone.
    sql("UPDATE otp_grant_users SET status = 'frozen'");
    for verb in ["lock", "unlock"] {
        let (code, answer, error) = admin(&file, &["users", verb, &subject]);
        assert_eq!((code, &*answer), (3, ""));
        assert!(error.lines().last().unwrap().starts_with("the user is frozen, and only "), "{error}");
        assert_eq!(
            (&recorded(&audit)["outcome"], &recorded(&audit)["subject"]),
            (&"refused".into(), &(*subject).into())
        );
    }
    // Whoever is not there is not there, and an address in place of a subject is in no record.
    for (verb, text) in [("lock", "nobody"), ("unlock", EMAIL), ("sign-out", "nobody"), ("show", "bob@example.com")] {
        let (code, _, error) = admin(&file, &["users", verb, text]);
        assert_eq!(code, 3, "{error}");
        assert!(error.lines().last().unwrap().starts_with("no user has this subject"), "{error}");
        let line = recorded(&audit);
        let is_hashed = line["address"].as_str().is_some_and(|key| key.len() == 43) && line.get("subject").is_none();
        assert!(if text == "nobody" { line["subject"] == "nobody" } else { is_hashed }, "{line}");
    }
    assert_eq!(admin(&file, &["users", "lock", "m\u{fc}ller"]).0, 2);

    // Pages have every user once.
    for number in 0..7 {
        let status = if number % 2 == 0 { "active" } else { "locked" };
        sql(&format!(
            "INSERT INTO otp_grant_users (subject, status, phone_number) VALUES ('user-{number}', '{status}', '+861361234567{number}')"
        ));
    }
    let mut seen = Vec::new();
    let mut after = Value::from("");
    while let Some(text) = after.as_str() {
        let page = get(&["list", "--prefix", "user-", "--limit", "3", "--after", text]);
        seen.extend(page["users"].as_array().unwrap().iter().map(|user| user["subject"].as_str().unwrap().to_owned()));
        after = page["next"].clone();
    }
    assert_eq!(seen, (0..7).map(|number| format!("user-{number}")).collect::<Vec<_>>());
    let locked = get(&["list", "--status", "locked", "--prefix", "user"]);
    assert_eq!(locked["users"].as_array().unwrap().len(), 3);
    assert_eq!(locked["users"][0]["phone_number"], "+***********71");
    let listed = admin(&file, &["users", "list", "--limit", "2", "--prefix", "user-"]).1;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("SUBJECT  STATUS") && lines[2].starts_with("user-1   locked"), "{listed}");
    assert!(listed.ends_with("There are more: --after 'user-1'\n"), "{listed}");
    sql("ALTER TABLE otp_grant_users DROP COLUMN is_test");
    assert_eq!(get(&["show", "user-1"])["is_test"], false);
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_session_is_ended_by_the_name_that_the_log_has() {
    let folder = Folder::new("admin-session");
    let audit = folder.file("audit.jsonl");
    let store = format!("sqlite:{}", folder.file("records.db").display());
    let text = format!("{}audit.file = \"{}\"\n", config(&store), audit.display());
    let host = Host::configured("admin-session-host", &text);
    let file = host.folder.file("host.toml");
    let (mut first, mut second) = (logged_in(&host, EMAIL), logged_in(&host, EMAIL));
    assert!(host.logged("session="));
    let log = host.log();
    let line = log.lines().find(|line| line.contains("logged in")).unwrap();
    let session = line.split("session=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(done(&file, &["sessions", "end", session]), json!({ "ended": true, "subject": "ada" }));
    assert_eq!((refresh(&host, &mut first), refresh(&host, &mut second)), (400, 200));
    let line = recorded(&audit);
    assert_eq!((&line["session"], &line["subject"], &line["changed"]), (&session.into(), &"ada".into(), &true.into()));
    assert_eq!(done(&file, &["sessions", "end", session]), json!({ "ended": false, "subject": null }));
    assert_eq!(recorded(&audit)["changed"], false);
    let with_a_hyphen = format!("-{}A", "h".repeat(41));
    assert_eq!(done(&file, &["sessions", "end", &with_a_hyphen])["ended"], false);
    let (code, _, error) = admin(&file, &["sessions", "end", "ada"]);
    assert!(code == 2 && error.lines().last().unwrap().starts_with("SESSION_ID: "), "{error}");
    // Users that are listed in the file can't be changed from here.
    let (code, _, error) = admin(&file, &["users", "list"]);
    let said = error.lines().last().unwrap();
    assert!(code == 2 && said.starts_with("users.table: ") && said.contains(file.to_str().unwrap()), "{said}");
    assert_eq!((&recorded(&audit)["outcome"], &recorded(&audit)["command"]), (&"refused".into(), &"users list".into()));
}

#[test]
fn what_can_not_be_recorded_is_not_done() {
    let folder = Folder::new("admin-audit");
    let (audit, records, users) = (folder.file("audit.jsonl"), folder.file("records.db"), folder.file("users.db"));
    let text = with_table("memory", &format!("sqlite:{}", users.display()), &audit);
    let host = Host::configured("admin-audit-host", &text);
    let file = host.folder.file("host.toml");
    let subject = userinfo(&host, &logged_in(&host, EMAIL)).unwrap();

    // A command is recorded before it begins, and when it has ended. The log has it also where only errors are logged.
    let lock = ["users", "lock", &*subject, "--reason", "a \"ticket\"", "--log-level", "error"];
    let (code, _, log) = admin(&file, &lock);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("audit: admin") && log.contains("outcome=\"done\"") && log.contains(&subject), "{log}");
    let lines: Vec<Value> =
        std::fs::read_to_string(&audit).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect::<Vec<_>>(), ["begun", "done"]);
    assert_eq!((&lines[0]["id"], &lines[0]["subject"]), (&lines[1]["id"], &(*subject).into()));
    assert_eq!((&lines[1]["command"], &lines[1]["reason"]), (&"users lock".into(), &"a \"ticket\"".into()));
    let uid = Command::new("id").arg("-u").output().unwrap().stdout;
    assert_eq!(lines[1]["uid"].to_string(), String::from_utf8(uid).unwrap().trim());
    assert!(lines[1]["user"].is_string() && lines[1]["time"].as_str().unwrap().ends_with('Z'), "{}", lines[1]);
    assert_eq!(std::fs::metadata(&audit).unwrap().permissions().mode() & 0o777, 0o600);
    // With sudo, the account that called it is recorded.
    let as_sudo = ["admin", "users", "show", &subject, "--log", "json", "--config", file.to_str().unwrap()];
    let output = command(&as_sudo).env("SUDO_USER", "ada").output().unwrap();
    let line: Value = serde_json::from_slice(output.stderr.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((&line["sudo_user"], &line["command"]), (&"ada".into(), &"users show".into()));
    assert_eq!(recorded(&audit)["sudo_user"], "ada");
    for reason in ["", "two\nlines", &"long".repeat(51)] {
        assert_eq!(admin(&file, &["users", "show", &subject, "--reason", reason]).0, 2);
    }

    let is_locked = || {
        done(&folder.write("plain.toml", &text.replace("audit.file", "#")), &["users", "show", &subject])["status"]
            == "locked"
    };
    let refused = |text: &str| {
        let file = folder.write("other.toml", text);
        let (code, answer, error) = admin(&file, &["users", "unlock", &subject]);
        assert_eq!((code, &*answer), (2, ""), "{error}");
        let said = error.lines().last().unwrap();
        assert!(said.starts_with("audit.file: ") && error.contains("outcome=\"refused\""), "{error}");
        assert!(is_locked());
        said.to_owned()
    };
    let elsewhere = |path: &str| text.replace(audit.to_str().unwrap(), path);
    refused(&elsewhere("nowhere/audit.jsonl"));
    assert!(refused(&elsewhere("/dev/full")).ends_with("not a file"));
    std::fs::set_permissions(&audit, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(refused(&text).contains("other accounts can change it"));
    std::fs::set_permissions(&audit, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A file that can be opened, and is as large as files can be.
    let full = folder.file("full.jsonl");
    std::fs::write(&full, vec![b'\n'; 8 << 20]).unwrap();
    std::fs::set_permissions(&full, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = folder.write("full.toml", &elsewhere(full.to_str().unwrap()));
    let unlock = command(&["admin", "users", "unlock", &subject, "--config", file.to_str().unwrap()]);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""])
        .arg(unlock.get_program())
        .args(unlock.get_args())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.lines().last().unwrap().starts_with("audit.file: "), "{error}");
    assert!(is_locked());

    // Failures are recorded as well.
    let gone = folder.write("gone.toml", &with_table("memory", &format!("sqlite:{}", records.display()), &audit));
    let (code, answer, error) = admin(&gone, &["users", "unlock", &subject]);
    assert_eq!((code, &*answer), (1, ""), "{error}");
    assert!(error.lines().last().unwrap().starts_with("users.table: "), "{error}");
    assert_eq!(recorded(&audit)["outcome"], "failed");
    // Records in memory are out of reach, and the table is not.
    let file = host.folder.file("host.toml");
    let (code, _, error) = admin(&file, &["addresses", "unlock", EMAIL]);
    assert!(code == 2 && error.lines().last().unwrap().starts_with("store: records in memory"), "{error}");
    assert_eq!(recorded(&audit)["address"].as_str().unwrap().len(), 43);
    assert_eq!(done(&file, &["users", "unlock", &subject])["changed"], true);
    assert!(!std::fs::read_to_string(&audit).unwrap().contains('@'));
}
