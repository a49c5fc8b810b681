//! Records of earlier and of later versions: `tests/records` has one of each format and kind.
//!
//! This version uses records of earlier versions as if it had written them. It keeps the unknown members of a later
//! version's record. Where only a later version can decide, it answers with 503 and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use otp_grant::dpop::DpopSupport;
use otp_grant::id::{RecordKey, SessionId, Tag};
use otp_grant::jwt::Audience;
use otp_grant::server::{KeyringCheck, KeyringError};
use otp_grant::store::{Record, RecordBody, Swap};
use otp_grant::time::Timestamp;
use otp_grant::wire::Unavailable;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

/// A record that some version wrote, under its key, with what clients presented to that version.
struct Written {
    at: u64,
    key: RecordKey,
    record: Value,
    presented: Value,
}

impl Written {
    fn read(path: &Path) -> Self {
        let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        Self {
            at: file["at"].as_u64().unwrap(),
            key: serde_json::from_value(file["key"].clone()).unwrap(),
            record: file["record"].clone(),
            presented: file["presented"].clone(),
        }
    }

    fn of(name: &str) -> Self {
        Self::read(&folder().join(name))
    }

    fn record(&self) -> Record {
        serde_json::from_value(self.record.clone()).unwrap()
    }

    /// The state in the record.
    fn state(&mut self) -> &mut Value {
        self.record["body"].as_object_mut().unwrap().values_mut().next().unwrap()
    }

    /// This record as a later version keeps it: every structure has members that this version does not know.
    fn with_unknown_members(mut self) -> Self {
        add_members(self.state());
        self
    }

    /// This record with a state on which only a later version can decide.
    fn of_format(mut self, format: u32) -> Self {
        let body = self.record["body"].as_object().unwrap().clone();
        let (kind, state) = body.into_iter().next().unwrap();
        self.record["body"] = json!({ format!("{kind}.{format}"): state });
        self
    }

    /// A record of a kind that this version does not have.
    fn of_another_kind(mut self) -> Self {
        self.record["body"] = json!({ "another_kind": { "c": [1, -1, 0.5, null, true, "text", {}] } });
        self
    }

    /// A host of this version, whose store has the record.
    fn host(&self) -> Host {
        let host = Host::new();
        host.clock.set(Timestamp::from_unix_millis(self.at));
        let Ok(swap) = pollster::block_on(host.store.inner.swap(&self.key, None, &self.record()));
        assert_eq!(swap, Swap::Stored);
        host
    }

    /// The record that the store of a host has under this key.
    fn stored(&self, host: &Host) -> Value {
        let Ok(record) = pollster::block_on(host.store.inner.load(&self.key));
        serde_json::to_value(record.unwrap()).unwrap()
    }

    fn presented(&self, name: &str) -> &str {
        text(&self.presented, name)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../records")
}

/// Adds members to this structure and to the structures inside it.
fn add_members(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(add_members);
            members.insert("later".to_owned(), later());
            members.insert("0".to_owned(), Value::Null);
        }
        Value::Array(values) => values.iter_mut().for_each(add_members),
        _ => {}
    }
}

fn later() -> Value {
    json!({ "c": [1, -1, 0.5, u64::MAX, i64::MIN, null, true, "\u{0}é"], "": {} })
}

/// How many structures have all members that a later version gave them.
fn with_later_members(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let is_whole = members.get("later") == Some(&later()) && members.get("0") == Some(&Value::Null);
            usize::from(is_whole) + members.values().map(with_later_members).sum::<usize>()
        }
        Value::Array(values) => values.iter().map(with_later_members).sum(),
        _ => 0,
    }
}

/// The names of versions that wrote a record of each kind in the folder.
const VERSIONS: [&str; 2] = ["2026-11-26", "2026-11-28"];

fn each(kind: &str) -> impl Iterator<Item = Written> {
    VERSIONS.map(|version| Written::of(&format!("{version}/{kind}.json"))).into_iter()
}

#[test]
fn records_of_earlier_versions_are_written_as_they_were_read() {
    let mut read = 0;
    // All but the later ones, of which there is no version yet.
    let versions = fs::read_dir(folder()).unwrap().map(|version| version.unwrap().path());
    for version in versions.filter(|version| !version.ends_with("later")) {
        for file in fs::read_dir(version).unwrap() {
            let written = Written::read(&file.unwrap().path());
            assert_eq!(serde_json::to_value(written.record()).unwrap(), written.record);
            let body = written.record().body;
            assert_eq!(RecordBody::from_bytes(&body.to_bytes().unwrap()), Ok(body));
            read += 1;
        }
    }
    assert_eq!(read, 19);
}

#[tokio::test]
async fn a_code_that_an_earlier_version_sent_logs_in() {
    for written in each("authenticator") {
        let host = written.host();
        // One guess was wrong.
        let (status, said) = host.token(&but(&written.presented, json!({ "otp": "000000" }))).await;
        assert_eq!((status, &said["attempts_remaining"]), (400, &json!(3)), "{said}");
        assert_eq!(host.token(&written.presented).await.0, 200);
        assert_eq!(host.token(&written.presented).await.0, 400);
    }
}

/// The record of a code that was asked for with a code challenge. The version before did not know of challenges.
#[tokio::test]
async fn a_code_that_was_asked_for_with_a_challenge_logs_in_with_its_verifier() {
    let written = Written::of("2026-11-29/authenticator_asked.json");
    let host = written.host();
    assert_eq!(serde_json::to_value(written.record()).unwrap(), written.record);
    let unknown = error(400, "invalid_grant", "Unknown or expired otp_token");
    assert_eq!(host.token(&but(&written.presented, json!({ "code_verifier": null }))).await, unknown);
    let (status, said) = host.token(&but(&written.presented, json!({ "otp": "000000" }))).await;
    assert_eq!((status, &said["attempts_remaining"]), (400, &json!(3)), "{said}");
    assert_eq!(host.token(&written.presented).await.0, 200);
}

/// The record of a number whose two messages are counted, and the record of its block, where a neighbour has a message.
#[tokio::test]
async fn messages_that_were_counted_are_settled_by_a_login() {
    for with_more in [false, true] {
        let written = |kind: &str| {
            let written = Written::of(&format!("2026-11-29/{kind}.json"));
            if with_more { written.with_unknown_members() } else { written }
        };
        let (number, block) = (written("authenticator_counted"), written("destination"));
        let off = number.host();
        let Ok(swap) = off.store.inner.swap(&block.key, None, &block.record()).await;
        assert_eq!(swap, Swap::Stored);
        assert_eq!(serde_json::to_value(block.record()).unwrap(), block.record);
        let on = settings(|settings| settings.send_guard.mode = otp_grant::guard::GuardMode::Enforce);
        let host = off.beside(on, signing_key(), keyring());
        assert_eq!(host.token(&number.presented).await.0, 200);
        let stored = block.stored(&host);
        // Of three messages two are left, of which one is verified.
        assert_eq!(stored["body"]["destination"]["h"], "AgE");
        assert_eq!(with_later_members(&stored), usize::from(with_more));
        assert!(number.stored(&host)["body"]["authenticator"].get("m").is_none());
    }
}

/// The record of a number that knows a device: a code that was sent with its token, and a wrong guess with it.
#[tokio::test]
async fn a_device_that_was_remembered_logs_in_with_its_own_code() {
    for with_more in [false, true] {
        let written = Written::of("2026-11-29/authenticator_with_a_device.json");
        let written = if with_more { written.with_unknown_members() } else { written };
        let host = written.host();
        assert_eq!(serde_json::to_value(written.record()).unwrap(), written.record);
        let address = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
        let state = host.server.call_explain(&address).await.unwrap();
        assert_eq!((state.guesses.left, state.devices.len(), state.devices[0].guesses.left), (Some(25), 1, Some(9)));
        assert_eq!(host.token(&written.presented).await.0, 200);
        let state = host.server.call_explain(&address).await.unwrap();
        // The success has forgiven the guesses of its own code.
        assert_eq!(state.devices[0].guesses.left, Some(10));
        // The record, its device and its challenge.
        assert_eq!(with_later_members(&written.stored(&host)), if with_more { 3 } else { 0 });
    }
}

/// Format 3 of sessions: the refresh token of a test identity.
#[tokio::test]
async fn the_session_of_a_test_identity_is_refreshed_and_marked() {
    let written = Written::of("2026-11-29/session_of_a_test_identity.json");
    let host = written.host();
    assert_eq!(serde_json::to_value(written.record()).unwrap(), written.record);
    let user = User::new(Subject::new("TEST_USER_ID").unwrap(), UserStatus::Active);
    host.directory.inner.put_user(user.clone());
    assert_eq!(host.refresh(written.presented("refresh_token")).await.0, 400);
    host.directory.inner.put_user(user.as_test_subject());
    let (status, said) = host.refresh(written.presented("refresh_token")).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(payload(text(&said, "access_token"))["amr"], json!(["test"]));
    assert!(written.stored(&host)["body"]["session.3"].is_object());
}

#[tokio::test]
async fn a_code_that_an_earlier_version_has_seen_spent_stays_spent() {
    for written in each("authenticator_spent") {
        assert_eq!(written.host().token(&written.presented).await.0, 400);
    }
}

#[tokio::test]
async fn a_session_of_an_earlier_version_goes_on() {
    for written in each("session") {
        let host = written.host();
        assert!(!host.is_active(written.presented("revoked_access_token")).await);
        assert!(host.is_active(written.presented("access_token")).await);
        let (status, said) = host.refresh(written.presented("refresh_token")).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(host.refresh(text(&said, "refresh_token")).await.0, 200);
        // A second use of the token that was superseded before is a theft.
        assert_eq!(host.refresh(written.presented("superseded")).await.0, 400);
        assert!(!host.is_active(text(&said, "access_token")).await);
    }
}

/// One record is a code of letters that shares its guesses with another code. The other record is a session that knows
/// of a sign-out, of hosts with two secrets.
#[tokio::test]
async fn records_with_every_member_are_gone_on_with() {
    for with_more in [false, true] {
        let written = |kind: &str| {
            let written = Written::of(&format!("2026-11-28/{kind}_every_member.json"));
            if with_more { written.with_unknown_members() } else { written }
        };
        let code = written("authenticator");
        let host = code.host();
        // Two guesses at the other code were also compared with this code.
        let (status, said) = host.token(&but(&code.presented, json!({ "otp": "22222222" }))).await;
        assert_eq!((status, &said["attempts_remaining"]), (400, &json!(2)), "{said}");
        assert_eq!(host.token(&code.presented).await.0, 200);
        assert_eq!(with_later_members(&code.stored(&host)), if with_more { 3 } else { 0 });

        let session = written("session");
        let host = session.host();
        assert!(!host.is_active(session.presented("revoked_access_token")).await);
        assert_eq!(host.refresh(session.presented("refresh_token")).await.0, 200);
        assert_eq!(host.refresh(session.presented("superseded")).await.0, 400);
        assert_eq!(with_later_members(&session.stored(&host)), if with_more { 2 } else { 0 });
    }
}

#[tokio::test]
async fn a_session_that_an_earlier_version_has_ended_stays_ended() {
    for written in each("session_signed_out") {
        let host = written.host();
        assert_eq!(host.refresh(written.presented("refresh_token")).await.0, 400);
        assert!(!host.is_active(written.presented("refresh_token")).await);
    }
}

#[tokio::test]
async fn a_host_agrees_with_the_secrets_that_an_earlier_version_has_announced() {
    let written = Written::of("2026-11-28/keys_in_use.json");
    assert_eq!(written.host().server.call_check_keyring().await, Ok(KeyringCheck::Agrees));
}

/// "A record written with only today's features states nothing new."
#[tokio::test]
async fn a_login_writes_no_member_more_than_the_version_before() {
    let [_, before] = VERSIONS;
    let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let mut written = Written::of(&format!("{before}/session.json"));
    let host = written.host();
    host.refresh(written.presented("refresh_token")).await;
    let stored = written.stored(&host);
    assert_eq!(names(&stored["body"]), ["session"]);
    let expected = names(written.state());
    assert!(names(&stored["body"]["session"]).iter().all(|name| expected.contains(name) || name == "w"));
}

#[tokio::test]
async fn a_login_keeps_the_members_of_a_later_version() {
    for written in each("authenticator").map(Written::with_unknown_members) {
        let host = written.host();
        assert_eq!(with_later_members(&written.stored(&host)), 2);
        let (status, _) = host.token(&but(&written.presented, json!({ "otp": "000000" }))).await;
        assert_eq!((status, with_later_members(&written.stored(&host))), (400, 2));
        assert_eq!(host.token(&written.presented).await.0, 200);
        assert_eq!(with_later_members(&written.stored(&host)), 2);
        assert_ne!(written.stored(&host), written.record);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_the_members_of_a_later_version() {
    for written in each("authenticator").map(Written::with_unknown_members) {
        let host = written.host();
        host.clock.set_back(secs(60));
        assert_eq!(host.token(&written.presented).await.0, 400);
        // The challenges have ended, and their members with them.
        assert_eq!(with_later_members(&written.stored(&host)), 1);
        assert_ne!(written.stored(&host), written.record);
    }
}

#[tokio::test]
async fn a_refresh_a_revocation_and_a_theft_keep_the_members_of_a_later_version() {
    for written in each("session").map(Written::with_unknown_members) {
        let host = written.host();
        let kept = || with_later_members(&written.stored(&host));
        assert_eq!(kept(), 2);
        assert_eq!(host.refresh(written.presented("refresh_token")).await.0, 200);
        assert_eq!(kept(), 2);
        assert_eq!(host.revoke(written.presented("access_token"), &[]).await.status(), 200);
        assert_eq!(kept(), 2);
        assert_eq!(host.refresh(written.presented("superseded")).await.0, 400);
        assert_eq!(kept(), 2);
        assert!(written.stored(&host)["body"]["session"]["d"].is_string());
    }
}

#[tokio::test]
async fn secrets_that_are_announced_keep_the_members_of_a_later_version() {
    let written = Written::of("2026-11-28/keys_in_use.json").with_unknown_members();
    let host = written.host();
    host.advance(secs(3600));
    assert_eq!(host.server.call_check_keyring().await, Ok(KeyringCheck::Agrees));
    assert_eq!(with_later_members(&written.stored(&host)), 1);
    host.server.call_announce_new_keyring().await.unwrap();
    assert_eq!(with_later_members(&written.stored(&host)), 1);
    // All keys are forgotten by now.
    host.advance(secs(400 * 24 * 3600));
    assert_eq!(host.server.call_check_keyring().await, Ok(KeyringCheck::Agrees));
    assert_eq!(with_later_members(&written.stored(&host)), 1);
    assert_ne!(written.stored(&host), written.record);
}

/// Records of an address on which this version can't decide.
fn undecidable(kind: &str) -> Vec<Written> {
    let later = |version: &str| Written::of(&format!("{version}/{kind}.json"));
    let of_each = |version| {
        // Only a later version knows what a raised format means for the state. This version need not be able to read
        // it.
        let mut unreadable = later(version).of_format(4);
        *unreadable.state() = json!({ "c": "another type" });
        let with_more = later(version).with_unknown_members().of_format(u32::MAX);
        [later(version).of_format(4), with_more, unreadable, later(version).of_another_kind()]
    };
    let mut all: Vec<Written> = VERSIONS.into_iter().flat_map(of_each).collect();
    let lowest = if kind == "session" { 4 } else { 2 };
    all.push(Written::of(&format!("later/{kind}.{lowest}.json")));
    all.push(Written::of(&format!("later/{kind}_of_another_kind.json")));
    all
}

fn assert_untouched(written: &Written, host: &Host) {
    assert_eq!(written.stored(host), written.record);
    let told = host.counters.told.lock().unwrap();
    let faulted: Vec<&String> = told.iter().filter(|event| event.starts_with("Faulted")).collect();
    assert!(!faulted.is_empty(), "the operator was not told");
    assert!(faulted.iter().all(|event| event.contains("Later") || event.contains("UnknownKind")), "{faulted:?}");
}

#[tokio::test]
async fn no_login_is_decided_on_a_later_format() {
    for written in undecidable("authenticator") {
        let host = written.host();
        assert_eq!(host.token(&written.presented).await.0, 503);
        let wrong = but(&written.presented, json!({ "otp": "000000" }));
        assert_eq!(host.token(&wrong).await.0, 503);
        let send =
            but(&written.presented, json!({ "grant_type": null, "otp_token": null, "otp": null, "scope": null }));
        let (status, said) = host.refused_send(&send).await;
        assert_eq!(status, 503, "{said}");
        host.clock.set_back(secs(3600));
        assert_eq!(host.token(&written.presented).await.0, 503);
        host.advance(secs(7200));
        assert_eq!(host.refused_send(&send).await.0, 503);
        assert_untouched(&written, &host);
    }
}

#[tokio::test]
async fn no_refresh_revocation_or_introspection_is_decided_on_a_later_format() {
    for written in undecidable("session") {
        let host = written.host();
        for token in ["refresh_token", "superseded"] {
            assert_eq!(host.refresh(written.presented(token)).await.0, 503);
        }
        for token in ["refresh_token", "superseded", "access_token", "revoked_access_token"] {
            let token = written.presented(token);
            assert_eq!(host.revoke(token, &[]).await.status(), 503);
            assert_eq!(host.introspect(token, &[]).await.status(), 503);
        }
        assert_eq!(host.userinfo(written.presented("access_token")).await.status(), 503);
        let checked =
            host.server.call_check_access_token(written.presented("access_token"), Audience::EveryClient).await;
        assert!(checked.is_err());
        assert_untouched(&written, &host);
    }
}

#[tokio::test]
async fn no_host_ends_a_session_of_a_later_format() {
    for written in undecidable("session") {
        let host = written.host();
        let session = payload(written.presented("access_token"))["sid"].clone();
        let session: SessionId = serde_json::from_value(session).unwrap();
        assert_eq!(host.server.call_revoke_session(&session).await.err(), Some(Unavailable));
        assert_untouched(&written, &host);
    }
}

#[tokio::test]
async fn no_secrets_are_announced_in_a_later_format() {
    let written = || Written::of("2026-11-28/keys_in_use.json");
    for written in [written().of_format(2), written().of_another_kind(), Written::of("later/keys_in_use.2.json")] {
        let host = written.host();
        assert_eq!(host.server.call_check_keyring().await, Err(KeyringError::Unavailable));
        assert_eq!(host.server.call_announce_new_keyring().await, Err(Unavailable));
        assert_untouched(&written, &host);
    }
}

/// Another process writes in between: the record becomes one of a later format while a request of this version is under
/// way.
#[tokio::test]
async fn what_a_later_version_writes_meanwhile_is_not_overwritten() {
    for written in each("session") {
        let host = written.host();
        let later = Written::of("later/session.4.json");
        let mut raised = later.record();
        raised.tag = Tag::from_bytes([7; Tag::LEN]);
        host.store.yields.store(1, std::sync::atomic::Ordering::SeqCst);
        let raise = async {
            let Ok(swap) = host.store.inner.swap(&written.key, Some(written.record().tag), &raised).await;
            assert_eq!(swap, Swap::Stored);
        };
        let (answer, ()) = futures::join!(host.refresh(written.presented("refresh_token")), raise);
        assert_eq!(answer.0, 503);
        assert_eq!(written.stored(&host), serde_json::to_value(&raised).unwrap());
    }
}

#[tokio::test]
async fn the_operator_is_told_which_format_a_record_has() {
    let written = Written::of("2026-11-28/session.json").of_format(4);
    let host = written.host();
    assert_eq!(host.refresh(written.presented("refresh_token")).await.0, 503);
    let told = host.counters.told.lock().unwrap().join("\n");
    assert!(told.contains("format: 4"), "{told}");
}

/// Records go through every format that can carry them, also records of a later version.
#[test]
fn json_cbor_and_named_message_pack_carry_the_records_of_every_version() {
    for kind in ["authenticator", "authenticator_spent", "session", "session_signed_out", "used"] {
        let written = || -> Vec<Written> {
            // The first version used no assertions.
            if kind == "used" { vec![Written::of("2026-11-28/used.json")] } else { each(kind).collect() }
        };
        let each = || written().into_iter();
        let whole = |written: Written| [written.record()];
        let mut records: Vec<Record> = each().flat_map(whole).collect();
        records.extend(each().map(Written::with_unknown_members).flat_map(whole));
        records.extend(each().map(|written| written.with_unknown_members().of_format(4)).flat_map(whole));
        records.extend(each().map(Written::of_another_kind).flat_map(whole));
        for record in records {
            let expected = serde_json::to_value(&record).unwrap();
            let same =
                |read: Record| assert_eq!((serde_json::to_value(&read).unwrap(), &read), (expected.clone(), &record));
            same(serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap());
            same(serde_json::from_value(expected.clone()).unwrap());
            let mut cbor = Vec::new();
            ciborium::into_writer(&record, &mut cbor).unwrap();
            same(ciborium::from_reader(&*cbor).unwrap());
            same(rmp_serde::from_slice(&rmp_serde::to_vec_named(&record).unwrap()).unwrap());
            let body = RecordBody::from_bytes(&record.body.to_bytes().unwrap()).unwrap();
            same(Record::new(record.tag, record.delete_after, body));
        }
    }
}

#[test]
fn what_is_not_a_body_is_an_error_that_says_nothing_of_it() {
    for bytes in ["", "null", "\"session\"", "{}", r#"{"session":{"secret":1}}"#, r#"{"session":1,"secret":2}"#] {
        let error = RecordBody::from_bytes(bytes.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "not the body of a record");
        assert_eq!(format!("{error:?}"), "InvalidRecord(())");
    }
}

#[test]
fn a_body_says_its_kind_and_debug_nothing_of_what_a_later_version_keeps() {
    let body = Written::of("2026-11-28/session.json").with_unknown_members().record().body;
    assert_eq!(body.kind(), "session");
    let later = Written::of("2026-11-28/session.json").of_format(4).record().body;
    assert_eq!(later.kind(), "session");
    assert!(!format!("{later:?}").contains("TENANT_CLIENT_ID"));
    assert_eq!(Written::of("2026-11-28/session.json").of_another_kind().record().body.kind(), "another_kind");
}

/// Format 2 of sessions: the refresh token of a public client that has proved a key.
#[tokio::test]
async fn a_session_with_a_key_is_refreshed_with_its_key_alone() {
    let written = Written::of("2026-11-28/session_with_a_key.json");
    let off = written.host();
    let on = off.beside(settings(|settings| settings.dpop = DpopSupport::On), signing_key(), keyring());
    let refresh = json!({
        "grant_type": "refresh_token", "client_id": DPOP_CLIENT, "refresh_token": written.presented("refresh_token"),
    });
    assert_eq!(off.token(&refresh).await.0, 400);
    assert_eq!(written.stored(&off), written.record);
    let [thief, owner] = [2, 1].map(Prover::new);
    for (key, status) in [(&thief, 400), (&owner, 200)] {
        // A proof that the stored session has not seen.
        let proof = key.proof(&on, "/oauth2/token", json!({ "jti": "a proof of this version" }));
        assert_eq!(on.post_with("/oauth2/token", &refresh, &[&proof]).await.status(), status);
    }
    assert!(written.stored(&on)["body"]["session.2"].is_object());
}
