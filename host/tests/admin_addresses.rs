//! What support staff see of addresses and do for them with `otp-grant-host admin addresses`, beside a host that runs.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::admin::{EMAIL, admin, config, logged_in, recorded, with_table};
use support::{Folder, Host, JSON, Reply, command};

#[test]
fn a_locked_address_is_explained_and_unlocked() {
    let records = Folder::new("admin-records");
    let text = config(&format!("sqlite:{}", records.file("records.db").display()));
    let host = Host::configured("admin", &text);
    let file = host.folder.file("host.toml");
    assert_eq!(explain(&file)["guesses"]["left"], 3, "an address without a record has used up nothing");

    let sent = send(&host);
    let code = host.last_code();
    let wrong = format!("{}{}", &code[..5], if code.ends_with('0') { '1' } else { '0' });
    for _ in 0..3 {
        assert_eq!(redeem(&host, &sent, &wrong).status, 400);
    }
    let refused = send(&host);
    assert_eq!((refused.status, &refused.json()["error"]), (400, &"email_rate_limit_exceeded".into()));
    assert_eq!(redeem(&host, &sent, &code).status, 400, "not even the right code");

    let state = explain(&file);
    assert_eq!((&state["is_locked"], &state["guesses"]["left"]), (&true.into(), &0.into()));
    assert!(state["guesses"]["available_at"].is_u64(), "{state}");
    assert_eq!(
        (state["challenges"].as_array().unwrap().len(), &state["challenges"][0]["guesses_left"]),
        (1, &2.into())
    );
    let (exit, answer, _) = admin(&file, &["addresses", "explain", EMAIL]);
    assert!(exit == 0 && answer.contains("\nThe address is LOCKED until "), "{answer}");
    assert!(answer.contains("UTC (in 23 h 59 min)") && answer.contains("messages left: 49"), "{answer}");
    assert!(!answer.contains(&code) && !answer.contains("ada"), "{answer}");

    let (exit, answer, log) = admin(&file, &["addresses", "unlock", EMAIL]);
    assert!(exit == 0 && answer.starts_with("The address has all its guesses"), "{answer}");
    assert!(log.contains("address unlocked") && !log.contains("ada@"), "{log}");
    assert_eq!(explain(&file)["is_locked"], false);
    assert_eq!(explain(&file)["challenges"][0]["guesses_left"], 2, "the guesses of each code still count");
    let tokens = redeem(&host, &send(&host), &host.last_code());
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert!(tokens.json()["device_token"].is_string());
    assert!(host.logged("device remembered"));

    let state = explain(&file);
    assert_eq!((state["devices"].as_array().unwrap().len(), &state["devices"][0]["guesses"]["left"]), (1, &10.into()));
    let (_, answer, _) = admin(&file, &["addresses", "explain", EMAIL]);
    assert!(answer.contains("The address is not locked.\n") && answer.contains("Devices: 1\n"), "{answer}");
    assert_eq!(admin(&file, &["addresses", "forget-devices", EMAIL, "--json"]).1, "{\"devices_forgotten\":true}\n");
    assert_eq!(explain(&file)["devices"], Value::Array(Vec::new()));
}

#[test]
fn what_cannot_be_asked_is_said_with_an_exit_code() {
    let folder = Folder::new("admin-errors");
    let check = |text: &str, arguments: &[&str], code: i32, error: &str| {
        let file = folder.write("host.toml", text);
        let (exit, answer, said) = admin(&file, arguments);
        assert!(said.lines().last().unwrap_or_default().starts_with(error), "{error} {said}");
        assert_eq!((exit, &*answer), (code, ""), "{error}");
        assert!(!said.contains("ada@"), "{said}");
    };
    let records = folder.file("records.db");
    let good = config(&format!("sqlite:{}", records.display()));
    let explain = ["addresses", "explain", EMAIL];
    check(&config("memory"), &explain, 2, "store: records in memory belong to the process of the host");
    check(&config("sqlite:nowhere/records.db"), &explain, 1, "store: ");
    check(&config("redis://127.0.0.1:1"), &explain, 1, "store: ");
    // No host has made the table yet, and this command makes none.
    check(&good, &explain, 1, "store: ");
    drop(Host::configured("admin-errors-host", &good));
    check(&good, &["addresses", "explain", "ada@"], 2, "ADDRESS: ");
    check(&good, &["addresses", "unlock", "12"], 2, "ADDRESS: ");
    check(&good, &["addresses", "explain", EMAIL, "--demo"], 2, "admin: either --config FILE or --demo");
    let other = "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=";
    let keys =
        good.replace("index = \"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=\"", &format!("index = \"{other}\""));
    check(&keys, &explain, 2, "keys.index: the other processes on this store have another key");
    let said = |arguments: &[&str]| command(arguments).output().unwrap();
    assert_eq!(said(&["admin", "addresses", "explain", EMAIL]).status.code(), Some(2));
    assert_eq!(said(&["admin", "addresses", "explain"]).status.code(), Some(2));
    assert_eq!(said(&["admin", "addresses", "explain", EMAIL, "--demo"]).status.code(), Some(2));
    let without_issuer =
        said(&["admin", "addresses", "explain", EMAIL, "--demo", "--secret", other, "--store", "sqlite:records.db"]);
    let error = String::from_utf8(without_issuer.stderr).unwrap();
    assert!(without_issuer.status.code() == Some(2) && error.contains("--issuer: "), "{error}");
    for ignored in ["--check", "--new-keys"] {
        assert_eq!(
            said(&[ignored, "admin", "addresses", "explain", EMAIL, "--demo"]).status.code(),
            Some(2),
            "{ignored}"
        );
    }
    let help = |arguments: &[&str]| String::from_utf8(said(arguments).stdout).unwrap();
    for (noun, words) in [
        (&["admin", "--help"][..], &["users", "sessions", "addresses", "--config", "--reason", "Exits with 0"][..]),
        (&["admin", "addresses", "--help"], &["explain", "unlock", "forget-devices"]),
        (&["admin", "users", "--help"], &["list", "show", "lock", "unlock", "sign-out"]),
        (&["admin", "sessions", "--help"], &["end"]),
    ] {
        let text = help(noun);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    assert!(String::from_utf8(said(&["--help"]).stdout).unwrap().contains("admin"));
}

#[test]
fn an_address_comes_from_standard_input_also() {
    let folder = Folder::new("admin-input");
    let [records, users] = ["records.db", "users.db"].map(|name| format!("sqlite:{}", folder.file(name).display()));
    let host = Host::configured("admin-input-host", &with_table(&records, &users, &folder.file("audit.jsonl")));
    logged_in(&host, EMAIL);
    let file = host.folder.file("host.toml");
    for (arguments, input, expected) in [
        (["addresses", "explain", "-"], "Ada@Example.com\n", "\"is_locked\":false"),
        (["addresses", "unlock", "-"], EMAIL, "\"unlocked\":true"),
        (["users", "show", "-"], EMAIL, "\"email\":\"a***@example.com\""),
    ] {
        let arguments = [&["admin"], &arguments[..], &["--json", "--config", file.to_str().unwrap()]].concat();
        let mut child = command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{arguments:?}");
    }
    // The key of the record is the one of the log, by which support finds what happened.
    let key = recorded(&folder.file("audit.jsonl"));
    assert_eq!(key["command"], "users show");
    admin(&file, &["addresses", "explain", EMAIL]);
    let key = recorded(&folder.file("audit.jsonl"))["address"].as_str().unwrap().to_owned();
    assert!(host.log().contains(&format!("address={key}")), "{key}");
}

fn explain(file: &Path) -> Value {
    let (code, answer, error) = admin(file, &["addresses", "explain", EMAIL, "--json"]);
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&answer).unwrap()
}

fn send(host: &Host) -> Reply {
    let body = format!(r#"{{"client_id":"app","auth_source_id":"mail","email":"{EMAIL}"}}"#);
    host.post("/otp/send", JSON, &body)
}

fn redeem(host: &Host, sent: &Reply, code: &str) -> Reply {
    let (uri, token) = ("http://tencentciam.com/oauth2/grant-type/otp/email", sent.json()["otp_token"].clone());
    let body = format!(
        r#"{{"grant_type":"{uri}","client_id":"app","auth_source_id":"mail","email":"{EMAIL}","otp_token":{token},"otp":"{code}","remember_device":true}}"#
    );
    host.post("/oauth2/token", JSON, &body)
}
