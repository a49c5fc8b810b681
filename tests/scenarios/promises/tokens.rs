//! README 4 and 5: what records and tokens tell.

use super::*;

/// README 4: "It has no codes, no tokens, no phone numbers and no e-mail addresses."
#[tokio::test]
async fn a_dump_tells_no_code_of_ten_letters_and_none_of_the_tokens() {
    let code = CodePolicy::new(10, secs(240)).unwrap().with_alphabet("ABCDEFGHJKLMNPQRSTUVWXYZ23456789").unwrap();
    let settings = with(small(), |s| {
        s.code = code.clone();
        s.repeat_answer_within = secs(30);
    });
    let host = Host::with_directory(settings, es256(), directory(&code));
    let sends =
        [by_spa(&email_send("Ada.Lovelace+notes@example.org")), purpose(&sms_send("+491701234567"), Usage::Signup)];
    let mut secrets: Vec<String> =
        ["ada.lovelace", "notes", "example.org", "1701234567", "MOCK_USERNAME"].map(str::to_owned).into();
    for send in &sends {
        let sent = host.send(send).await;
        secrets.extend([sent.code.clone(), sent.otp_token.clone()]);
        miss(&host, send, &sent).await;
    }
    let send = email_send(EMAIL);
    let sent = host.send(&send).await;
    let (_, said) = host.token(&grant(&send, &sent, &sent.code)).await;
    let (token, _) = tokens_of(&said);
    let (_, again) = host.refresh(&token).await;
    for said in [&said, &again] {
        for name in ["access_token", "refresh_token", "id_token"] {
            secrets.extend(text(said, name).split('.').map(str::to_owned));
        }
    }
    let dump = serde_json::to_string(&host.store.inner.records()).unwrap().to_lowercase();
    for secret in secrets {
        let head = secret.to_lowercase();
        assert!(!dump.contains(&head[..head.len().min(24)]), "{secret}");
    }
}

/// README 5: "No record is loaded for a forged token."
#[tokio::test]
async fn tokens_of_a_server_with_other_secrets_and_another_key_cost_no_call_of_the_store() {
    let host = hosted(Settings::default(), 240);
    let other = Keyring::new(&MasterKey::from_bytes(&[3; 32]).unwrap(), &MasterKey::from_bytes(&[4; 40]).unwrap());
    let foreign = host.beside(Settings::default(), other_key(Algorithm::EdDSA), other);
    let send = by_spa(&sms_send(PHONE));
    let sent = foreign.send(&send).await;
    let said = foreign.log_in_by(&email_send(EMAIL), json!({ "grant_type": EMAIL_GRANT_TYPE })).await;
    let (token, access) = tokens_of(&said);
    for usage in [None, Some(Usage::Signup)] {
        let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
        assert_eq!(host.store_calls(present(&host, &send, &sent, &sent.code)).await, (0, Outcome::Gone));
    }
    assert_eq!(host.store_calls(host.refresh(&token)).await.0, 0);
    for token in [&token, &access] {
        assert_eq!(host.store_calls(host.is_active(token)).await, (0, false));
        assert_eq!(host.store_calls(async { host.revoke(token, &[]).await.status() }).await.0, 0);
        assert_eq!(host.store_calls(async { host.userinfo(token).await.status() }).await, (0, 401));
        let check = host.store_calls(host.server.call_check_access_token(token, Audience::EveryClient)).await;
        assert!(check.0 == 0 && check.1.is_err());
    }
    assert!(foreign.is_active(&token).await);
}

/// `UserClaims`: "Adds a claim, or replaces the claim of this name." "Shows the names but not the values"
/// `Directory::user_claims`: "The server filters the standard claims by `scope` afterwards"
#[tokio::test]
async fn a_claim_is_replaced_not_shown_in_debug_output_and_filtered_by_the_scope() {
    let claims = UserClaims::new().with("nickname", "Ada").with("nickname", "Countess").with("email", "a@example.org");
    let shown = format!("{claims:?}");
    assert!(shown.contains("nickname") && !shown.contains("Countess") && !shown.contains("example.org"));
    let host = Host::new();
    host.directory.inner.put_claims(Subject::new("MOCK_USER_ID").unwrap(), claims);
    for (scope, nickname, email) in [
        ("openid", Value::Null, Value::Null),
        ("openid profile", json!("Countess"), Value::Null),
        ("openid email", Value::Null, json!("a@example.org")),
    ] {
        let said = host.log_in(json!({ "scope": scope })).await;
        let (_, userinfo) = read(&host.userinfo(text(&said, "access_token")).await);
        assert_eq!((&userinfo["nickname"], &userinfo["email"]), (&nickname, &email), "{scope}");
    }
}
