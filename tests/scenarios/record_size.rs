//! The largest sizes of serialized records.

use otp_grant::Settings;
use otp_grant::dpop::DpopSupport;
use otp_grant::settings::{SMS_GRANT_TYPE, danger};
use otp_grant_tests::*;
use serde_json::json;

fn sizes(host: &Host) -> (usize, usize) {
    let (mut authenticator, mut session) = (0, 0);
    for (_, record) in host.store.inner.records() {
        let size = serde_json::to_string(&record).unwrap().len();
        match record.body.kind() {
            "authenticator" => authenticator = size,
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
        // When no guess is left, the server sends no more codes.
        let Ok(sent) = host.try_send(&sms_send(PHONE)).await else { break };
        let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
        for _ in 0..round % 6 {
            host.token(&guess).await;
        }
    }
    let (authenticator, _) = sizes(&host);
    println!("authenticator {authenticator} bytes");
    assert!(authenticator < 4096, "{authenticator}");
}

#[tokio::test]
async fn the_record_of_a_session_stays_small_for_ever() {
    // With a moving clock tokens expire and leave the list. With a clock that stands still they never leave it.
    for pause in [secs(100), secs(0)] {
        let host = Host::new();
        let said = host.log_in(json!({ "scope": "openid profile email offline_access" })).await;
        let (mut token, mut access) = (text(&said, "refresh_token").to_owned(), String::new());
        let (mut largest, mut revoked) = (0, Vec::new());
        for refresh in 0..10_000 {
            host.advance(pause);
            // A scope without openid saves a signature. The session keeps its own scope.
            let (status, said) = host.refresh_with(&token, &[("scope", "profile")]).await;
            assert_eq!(status, 200, "refresh {refresh}: {said}");
            text(&said, "refresh_token").clone_into(&mut token);
            text(&said, "access_token").clone_into(&mut access);
            if refresh % 10 == 0 {
                assert_eq!(host.revoke(&access, &[]).await.status(), 200);
                largest = largest.max(sizes(&host).1);
                revoked.push(access.clone());
            }
        }
        println!("session at most {largest} bytes");
        assert!(largest > 0 && largest < 512, "{largest}");
        assert_eq!(revoked.len(), 1000);
        assert!(host.is_active(&access).await && host.is_active(&token).await);
        for token in &revoked {
            assert!(!host.is_active(token).await);
        }
        // The record does not grow when the session ends.
        assert_eq!(host.revoke(&token, &[]).await.status(), 200);
        let (_, signed_out) = sizes(&host);
        println!("signed out {signed_out} bytes");
        assert!(signed_out < 512, "{signed_out}");
    }
}

/// A session remembers its latest proofs in constant space, and each challenge its own.
#[tokio::test]
async fn the_records_of_a_client_with_a_key_are_bounded() {
    let on = settings(|settings| settings.dpop = DpopSupport::On);
    let (host, key) = (Host::with(danger::without_send_quotas(on)), Prover::new(1));
    let send = json!({ "client_id": DPOP_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let proof = |path: &str| key.proof(&host, path, json!({}));
    let (code, sent) = host.send_with(&send, &proof("/otp/send")).await;
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }));
    let guess = but(&grant, json!({ "otp": wrong(&code) }));
    assert_eq!(host.post_with("/oauth2/token", &guess, &[&proof("/oauth2/token")]).await.status(), 400);
    let said = read(&host.post_with("/oauth2/token", &grant, &[&proof("/oauth2/token")]).await).1;
    let (authenticator, session) = sizes(&host);
    println!("authenticator {authenticator} bytes, session {session} bytes");
    assert!(authenticator < 512 && session < 512, "{authenticator} {session}");

    let (mut token, mut largest) = (text(&said, "refresh_token").to_owned(), 0);
    for refresh in 0..1000 {
        host.advance(secs(1 + refresh % 3));
        let body = json!({ "client_id": DPOP_CLIENT, "grant_type": "refresh_token", "refresh_token": token });
        let reply = host.post_with("/oauth2/token", &body, &[&proof("/oauth2/token")]).await;
        assert_eq!(reply.status(), 200, "{refresh}");
        text(&read(&reply).1, "refresh_token").clone_into(&mut token);
        largest = largest.max(sizes(&host).1);
    }
    println!("session at most {largest} bytes");
    assert!(largest < 768, "{largest}");

    let mut largest = 0;
    for round in 0..100 {
        // Each key gets a code of its own.
        let key = Prover::new(round);
        let reply = host.post_with("/otp/send", &send, &[&key.proof(&host, "/otp/send", json!({}))]).await;
        if reply.status() != 200 {
            break;
        }
        let grant = but(
            &send,
            json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": read(&reply).1["otp_token"], "otp": "000000" }),
        );
        for _ in 0..round % 6 {
            let _ = host.post_with("/oauth2/token", &grant, &[&key.proof(&host, "/oauth2/token", json!({}))]).await;
        }
        largest = largest.max(sizes(&host).0);
    }
    println!("authenticator {largest} bytes");
    assert!(largest > 0 && largest < 4096, "{largest}");
}
