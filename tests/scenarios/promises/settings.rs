//! What settings, policies and keys promise.

use super::*;

/// `Settings::body_limit`: "The size of the largest body that the server reads, in bytes."
#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_byte_more_is_not() {
    let host = hosted(settings(|s| s.body_limit = 700), 240);
    let send = sms_send(PHONE).to_string();
    for (length, is_read) in [(701, false), (700, true)] {
        let body = format!("{send:<length$}");
        assert_eq!(host.server.post_send(json_request(&body, None)).await.is_ok(), is_read, "{length}");
    }
}

/// `CodePolicy::with_token_validity`: "It can be longer than the validity of the code, because a resend renews […]."
#[tokio::test]
async fn a_resend_renews_the_token_and_not_the_code() {
    let code = CodePolicy::new(7, secs(100)).unwrap().with_token_validity(secs(900)).unwrap();
    let host = Host::with_directory(small(), es256(), directory(&code));
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(40));
    let second = host.send(&sms_send(PHONE)).await;
    let told = |sent: &Sent| ["expires_in", "code_expires_in", "code_length"].map(|name| sent.reply[name].clone());
    assert_eq!((told(&first), told(&second)), ([json!(900), json!(100), json!(7)], [json!(900), json!(60), json!(7)]));
}

/// `Client::with_grants`: "Without `Grant::RefreshToken` the client gets no refresh token." `Client::public`: "The
/// client may not send codes unless `Client::with_sending` allows it."
#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token_and_a_silent_one_sends_nothing() {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending().with_auth_source(sms);
    let inner = sample_directory().with_client(client.with_grants([Grant::OtpSms]));
    let host = Host::with_directory(Settings::default(), es256(), inner);
    let said = host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await;
    assert!(said["refresh_token"].is_null() && said["access_token"].is_string());
    for usage in [None, Some(Usage::Signup)] {
        let send = but(&by_spa(&sms_send(NOBODY)), json!({ "client_id": "SILENT_SPA_CLIENT_ID" }));
        let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
        let (calls, said) = host.store_calls(host.refused_send(&send)).await;
        assert_eq!((calls, said), (0, error(400, "unauthorized_client", "")));
    }
}

/// `Keyring`: "Changing it forgets every session and every spent budget." "If a secret has leaked, drop it at once. The
/// otp_tokens and refresh tokens that it sealed are then refused without asking the store."
#[tokio::test]
async fn another_index_secret_forgets_and_a_dropped_sealing_secret_refuses() {
    let key = |byte| MasterKey::from_bytes(&[byte; 33]).unwrap();
    for (index, sealing, forgets) in [(9, 8, true), (7, 9, false)] {
        let host = hosted(small(), 240).beside(small(), es256(), Keyring::new(&key(7), &key(8)));
        let token = tokens_of(&host.log_in(json!({})).await).0;
        host.advance(secs(10));
        let send = by_spa(&email_send(EMAIL));
        let sent = host.send(&send).await;
        let changed = host.beside(small(), es256(), Keyring::new(&key(index), &key(sealing)));
        let (calls, refused) = changed.store_calls(changed.refresh(&token)).await;
        assert_eq!(refused.0, 400);
        if forgets {
            // The address has not been sent to.
            let again = changed.send(&send).await;
            assert_eq!(present(&changed, &send, &again, &again.code).await, Outcome::In);
            continue;
        }
        assert_eq!(calls, 0);
        assert_eq!(changed.store_calls(present(&changed, &send, &sent, &sent.code)).await, (0, Outcome::Gone));
        // When a code is lost, a send in the first half of its time brings a code that works.
        changed.advance(secs(10));
        let again = changed.send(&send).await;
        assert_eq!(present(&changed, &send, &again, &again.code).await, Outcome::In);
    }
}
