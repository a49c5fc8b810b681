//! README 2, and `Settings::repeat_answer_within`: a code logs in once, and when a request can be repeated.

use super::*;

/// README 2: "Of fifty parallel requests with the right code, one gets tokens and the others are refused."
#[tokio::test]
async fn fifty_requests_by_all_messages_of_a_code_and_at_two_hosts_log_in_once() {
    for yields in 0..5 {
        for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::ResetPassword)] {
            let host = hosted(Settings::default(), 60);
            let other = beside(&host, Settings::default());
            let first = host.send(&send).await;
            host.advance(secs(30));
            let second = host.send(&send).await;
            assert_eq!(first.code, second.code);
            host.store.yields.store(yields, SeqCst);
            let (hosts, sent) = ([&host, &other], [&first, &second]);
            let requests = (0..50).map(|number| {
                let sent = sent[number / 2 % 2];
                present(hosts[number % 2], &send, sent, &sent.code)
            });
            let outcomes = join_all(requests).await;
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::In).count(), 1, "{outcomes:?}");
            assert_eq!(host.counters.logins.load(SeqCst), 1);
        }
    }
}

/// `Settings::repeat_answer_within`: "For how long a right code is answered again, where the answer was lost."
/// "Its tokens are of the *same* session."
#[tokio::test]
async fn a_repeated_answer_is_of_the_same_session_until_the_instant_its_window_ends() {
    for window in [1, 17, 60] {
        for (late, send) in [(false, sms_send(PHONE)), (true, by_spa(&email_send(EMAIL)))] {
            let settings = settings(|s| s.repeat_answer_within = secs(window));
            let (host, log) = listening(hosted(settings.clone(), 120), settings, es256());
            let sent = host.send(&send).await;
            let body = grant(&send, &sent, &sent.code);
            let (status, first) = host.token(&body).await;
            assert_eq!(status, 200);
            host.advance(secs(window) - MILLI);
            if late {
                host.advance(MILLI);
                assert_eq!(host.token(&body).await, error(400, "invalid_grant", GONE));
                continue;
            }
            let (status, again) = host.token(&body).await;
            assert_eq!(status, 200, "{again}");
            let session = |said: &Value| payload(text(said, "access_token"))["sid"].clone();
            assert_eq!(session(&first), session(&again));
            assert_eq!((log.count("LoggedIn"), log.count("LoginRepeated")), (1, 1));
            // The client can use both answers.
            for said in [&first, &again] {
                assert!(
                    host.is_active(text(said, "access_token")).await
                        && host.is_active(text(said, "refresh_token")).await
                );
            }
        }
    }
}

/// `Settings::repeat_answer_within`: "The answer goes to the same client, for the same otp_token and code."
#[tokio::test]
async fn an_answer_is_not_repeated_for_another_otp_token_code_or_client() {
    let settings = || settings(|s| s.repeat_answer_within = secs(40));
    let host = hosted(settings(), 120);
    let send = sms_send(PHONE);
    let first = host.send(&send).await;
    host.advance(secs(30));
    let second = host.send(&send).await;
    assert_eq!(present(&host, &send, &first, &first.code).await, Outcome::In);
    assert_ne!(miss(&host, &send, &first).await, Outcome::In);
    assert_ne!(present(&host, &by_spa(&send), &first, &first.code).await, Outcome::In);
    assert_eq!(present(&host, &send, &first, &first.code).await, Outcome::In);
    // Another message with the same code has another otp_token.
    assert_ne!(present(&host, &send, &second, &second.code).await, Outcome::In);
}

/// `Settings::repeat_answer_within`: "It is repeated only while no refresh has used the session and nothing of the
/// session was revoked."
#[tokio::test]
async fn an_answer_is_not_repeated_once_its_session_was_refreshed_or_signed_out() {
    for use_of_session in ["refresh", "sign-out", "host", "everywhere", "access token", "locked"] {
        let host = hosted(settings(|s| s.repeat_answer_within = secs(40)), 120);
        let send = sms_send(PHONE);
        let sent = host.send(&send).await;
        let body = grant(&send, &sent, &sent.code);
        let (_, said) = host.token(&body).await;
        host.advance(secs(6));
        let (token, access) = tokens_of(&said);
        let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
        match use_of_session {
            "refresh" => drop(refresh(&host, &token).await),
            "sign-out" => assert_eq!(host.revoke(&token, &[]).await.status(), 200),
            "host" => {
                let sid = payload(&access)["sid"].as_str().unwrap().to_owned();
                host.server.call_revoke_session(&SessionId::try_from(sid).unwrap()).await.unwrap();
            }
            "everywhere" => {
                host.directory.inner.put_user(user.with_tokens_valid_after(host.clock.now()));
            }
            "access token" => assert_eq!(host.revoke(&access, &[]).await.status(), 200),
            _ => host.directory.inner.put_user(User::new(user.subject, UserStatus::Locked)),
        }
        let (status, said) = host.token(&body).await;
        assert_eq!(status, 400, "{use_of_session}: {said}");
        assert_eq!(host.counters.logins.load(SeqCst), 1);
    }
}

/// `Settings::repeat_answer_within`: "It is repeated only while no refresh has used the session and nothing of the
/// session was revoked."
#[tokio::test]
async fn an_answer_is_repeated_though_its_access_token_was_used() {
    let host = hosted(settings(|s| s.repeat_answer_within = secs(40)), 120);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    let body = grant(&send, &sent, &sent.code);
    let (_, said) = host.token(&body).await;
    assert_eq!(host.userinfo(text(&said, "access_token")).await.status(), 200);
    assert_eq!(host.token(&body).await.0, 200);
}

/// `Settings::repeat_answer_within`: "Each repetition is charged as a guess before its code is compared. If the code
/// was right, the guess is given back"
#[tokio::test]
async fn repetitions_are_charged_like_guesses_and_given_back() {
    let host = hosted(with(small(), |s| s.repeat_answer_within = secs(50)), 120);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    for _ in 0..20 {
        assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    }
    assert_eq!(host.store.inner.len(), 2, "one address, one session");
    // At most three wrong texts are compared, however many come. The right one then comes after the last guess.
    host.store.yields.store(2, SeqCst);
    join_all((0..30).map(|_| miss(&host, &send, &sent))).await;
    assert!(compared(&host) <= 3, "{}", compared(&host));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
}

/// README 2: "Of fifty parallel requests with the right code, one gets tokens and the others are refused. A host can
/// allow the answer to be repeated […]. A repeated answer has new access and ID tokens, and the same refresh token."
#[tokio::test]
async fn fifty_requests_whose_answers_may_be_repeated_begin_one_session() {
    for yields in 0..4 {
        let host = hosted(settings(|s| s.repeat_answer_within = secs(9)), 120);
        let send = by_spa(&sms_send(PHONE));
        let sent = host.send(&send).await;
        let body = grant(&send, &sent, &sent.code);
        host.store.yields.store(yields, SeqCst);
        let answers = join_all((0..50).map(|_| host.token(&body))).await;
        let granted = answers.iter().filter(|(status, _)| *status == 200);
        let sessions: BTreeSet<String> =
            granted.map(|(_, said)| payload(text(said, "access_token"))["sid"].to_string()).collect();
        assert_eq!(sessions.len(), 1);
        assert_eq!(host.counters.logins.load(SeqCst), 1);
    }
}

/// `Settings::repeat_answer_within`: "At most 60 seconds. Defaults to zero, which is never"
#[tokio::test]
async fn an_answer_is_repeated_for_a_minute_at_most_and_never_by_default() {
    for (window, builds) in [(secs(60), true), (secs(60) + MILLI, false)] {
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), es256())
            .settings(settings(|s| s.repeat_answer_within = window))
            .build(MemoryStore::new(), sample_directory());
        assert_eq!(server.is_ok(), builds, "{window:?}");
    }
    let host = Host::new();
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
}

/// `grant`: a 400 `invalid_grant` turns into a success where "a guess of the address becomes free while the code is
/// valid".
#[tokio::test]
async fn a_code_that_was_refused_for_want_of_guesses_works_when_there_are_some() {
    let host = hosted(
        with(small(), |s| {
            s.guesses_per_challenge = guesses(9);
            s.guesses_per_address = quota(2, 60);
        }),
        280,
    );
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    for _ in 0..2 {
        assert!(matches!(miss(&host, &send, &sent).await, Outcome::Wrong(_)));
    }
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
    host.advance(secs(61));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
}

/// `grant`: "A 400 `invalid_grant` turns into a success only where the directory or the time changes": "The code of
/// `User not found` works with `auto_signup`, or once the user exists." "The code or refresh token of a user who may
/// not log in works once the user may log in again."
#[tokio::test]
async fn a_refresh_token_of_a_user_who_was_not_found_works_when_they_are() {
    let host = Host::new();
    let token = tokens_of(&host.log_in(json!({})).await).0;
    let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
    host.directory.inner.remove_user(&user.subject);
    assert_eq!(host.refresh(&token).await.1["error"], "invalid_grant");
    host.directory.inner.put_user(user);
    assert_eq!(host.refresh(&token).await.0, 200);
}
