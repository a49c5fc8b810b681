//! README 10: what answers tell.

use super::*;

/// README 10: "Until the right code is presented, neither the replies nor the calls to the store and the directory
/// depend on whether the user exists. Other clients can't tell whether the user has just logged in."
#[tokio::test]
async fn a_send_and_guesses_do_not_tell_whether_the_owner_has_just_logged_in() {
    // To another client than the owner's.
    for own in [sms_send(PHONE), email_send(EMAIL)] {
        let mut traces = Vec::new();
        for logs_in in [false, true] {
            let host = hosted(small(), 240);
            let sent = host.send(&own).await;
            if logs_in {
                assert_eq!(present(&host, &own, &sent, &sent.code).await, Outcome::In);
            }
            host.advance(secs(40));
            host.directory.calls.lock().unwrap().clear();
            let send = by_spa(&own);
            let (calls, attack) = host.store_calls(host.send(&send)).await;
            let mut trace = vec![format!("{calls} {}", but(&attack.reply, json!({ "otp_token": null })))];
            for _ in 0..4 {
                trace.push(format!("{:?}", host.store_calls(miss(&host, &send, &attack)).await));
            }
            host.advance(secs(10));
            let (calls, again) = host.store_calls(host.send(&send)).await;
            trace.push(format!("{calls} {}", but(&again.reply, json!({ "otp_token": null }))));
            trace.push(format!("{:?}", host.directory.calls.lock().unwrap()));
            traces.push(trace);
        }
        assert_eq!(traces[0], traces[1], "{own}");
    }
}

/// README 10: "depend on whether the user exists", for every usage and channel
#[tokio::test]
async fn no_purpose_or_channel_tells_whether_there_is_a_user() {
    for usage in [None, Some(Usage::Signup), Some(Usage::UpdateUserinfo), Some(Usage::ResetPassword)] {
        for addresses in [[sms_send(PHONE), sms_send(NOBODY)], [email_send(EMAIL), email_send("nobody@example.com")]] {
            let traces = addresses.map(|send| {
                let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
                pollster::block_on(async {
                    let host = hosted(small(), 240);
                    let (calls, sent) = host.store_calls(host.send(&send)).await;
                    let mut trace = format!("{calls} {}", but(&sent.reply, json!({ "otp_token": null })));
                    for _ in 0..5 {
                        trace += &format!("{:?}", host.store_calls(miss(&host, &send, &sent)).await);
                    }
                    trace += &format!("{:?}", host.refused_send(&send).await);
                    trace + &format!("{:?}", host.directory.calls.lock().unwrap())
                })
            });
            assert_eq!(traces[0], traces[1], "{usage:?}");
        }
    }
}

/// README 10: "Errors never repeat what a request says."
#[tokio::test]
async fn no_member_of_any_request_comes_back_in_an_error() {
    let host = hosted(small(), 240);
    let marker = "Marker7Xy";
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    let grant =
        but(&grant(&send, &sent, &sent.code), json!({ "scope": "openid", "auto_signup": false, "otp": "000000" }));
    let mut replies = Vec::new();
    for body in [&send, &grant, &but(&send, json!({ "usage": "login" }))] {
        for name in body.as_object().unwrap().keys() {
            for value in [json!(marker), json!([marker]), json!({ marker: marker })] {
                let bytes = but(body, json!({ name.as_str(): value, marker: marker })).to_string();
                replies.push(host.server.post_token(json_request(&bytes, None)).await);
                if let Err(reply) = host.server.post_send(json_request(&bytes, None)).await {
                    replies.push(reply);
                }
            }
        }
    }
    for name in ["client_id", "client_secret", "token", "token_type_hint", "refresh_token", "scope", "grant_type"] {
        let body = form(&[("token", "x"), ("grant_type", "refresh_token"), ("refresh_token", "x")], &[(name, marker)]);
        let request = form_request(&body, None);
        replies.extend([host.server.post_token(request).await, host.server.post_revoke(request).await]);
        replies.extend([host.server.post_introspect(request).await, host.server.post_userinfo(request).await]);
        let authorization = format!("Basic {marker}");
        replies.push(host.server.post_token(form_request(&body, Some(&authorization))).await);
        let authorization = format!("Bearer {marker}");
        replies.push(host.server.post_userinfo(form_request("", Some(&authorization))).await);
    }
    for reply in replies {
        let whole = format!("{:?} {}", reply.headers().collect::<Vec<_>>(), String::from_utf8_lossy(reply.body()));
        assert!(!whole.contains(marker), "{whole}");
    }
}

/// `revoke_session`: "A session that is unknown or over is a success." `introspect`: "A client learns about its
/// own tokens only." and `Client`: "It has no effect on a public client"
#[tokio::test]
async fn a_client_learns_of_its_own_tokens_only() {
    let id = ClientId::new("PUBLIC_API").unwrap();
    let inner = sample_directory().with_client(Client::public(id).with_introspection_of_every_token());
    let host = Host::with_directory(Settings::default(), es256(), inner);
    let (token, access) = tokens_of(&host.log_in(json!({})).await);
    let api = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_ID_SECRET")];
    let other = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
    let public = [("client_id", "PUBLIC_API"), ("client_secret", "")];
    let says = async |token: &str, client: &[(&str, &str)]| read(&host.introspect(token, client).await);
    assert_eq!(says(&access, &api).await.1["active"], true);
    assert_eq!(says(&token, &api).await.1, json!({ "active": false }));
    assert_eq!(says(&access, &other).await.1, json!({ "active": false }));
    assert_eq!(says(&access, &public).await.0, 401);
    let sid = SessionId::try_from(payload(&access)["sid"].as_str().unwrap().to_owned()).unwrap();
    for _ in 0..2 {
        host.server.call_revoke_session(&sid).await.unwrap();
        assert!(!host.is_active(&token).await);
    }
    let unknown = Host::new();
    unknown.server.call_revoke_session(&sid).await.unwrap();
}

/// README 10: "Other clients can't tell whether the user has just logged in", by a message that was sent before the
/// login
#[tokio::test]
async fn a_message_that_was_sent_before_a_login_does_not_tell_of_it() {
    let mut traces = Vec::new();
    for logs_in in [false, true] {
        let host = hosted(small(), 240);
        let own = sms_send(PHONE);
        let sent = host.send(&own).await;
        host.advance(secs(10));
        let send = by_spa(&own);
        let attack = host.send(&send).await;
        if logs_in {
            assert_eq!(present(&host, &own, &sent, &sent.code).await, Outcome::In);
        }
        traces.push(host.store_calls(miss(&host, &send, &attack)).await);
    }
    assert_eq!(traces[0], traces[1]);
}
