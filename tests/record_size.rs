//! How large a record gets, serialized.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has to fail loudly")]

mod support;

use otp_grant::{RecordBody, Settings, danger};
use serde_json::json;
use support::*;

fn sizes(host: &Host) -> (usize, usize) {
    let (mut authenticator, mut session) = (0, 0);
    for (_, record) in host.store.inner.records() {
        let size = serde_json::to_string(&record).unwrap().len();
        match record.body {
            RecordBody::Authenticator(_) => authenticator = size,
            _ => session = size,
        }
    }
    (authenticator, session)
}

#[tokio::test]
async fn the_records_of_a_login_are_small() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    host.token(&but(&grant, json!({ "otp": wrong(&sent.code) }))).await;
    assert_eq!(host.token(&grant).await.0, 200);
    let (authenticator, session) = sizes(&host);
    println!("authenticator {authenticator} bytes, session {session} bytes");
    assert!(authenticator < 512 && session < 512, "{authenticator} {session}");
}

#[tokio::test]
async fn the_record_of_an_address_under_siege_is_bounded() {
    let host = Host::with(danger::without_send_quotas(Settings::default()));
    for round in 0..100 {
        let sent = host.send(&sms_send(PHONE)).await;
        let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
        for _ in 0..round % 6 {
            host.token(&guess).await;
        }
    }
    let (authenticator, _) = sizes(&host);
    println!("authenticator {authenticator} bytes");
    assert!(authenticator < 4096, "{authenticator}");
}
