//! What is bound to a key, and what a thief can do without it.

use super::*;

#[tokio::test]
async fn an_otp_token_is_worth_nothing_without_the_key_that_it_was_requested_with() {
    let host = host();
    let (key, thief) = (Prover::new(1), Prover::new(2));
    for client in [DPOP_CLIENT, "DPOP_ACCEPTED_CLIENT_ID"] {
        let grant = ready(&host, client, &key).await;
        let calls = host.store_calls(async {
            let reply = host.post_with(TOKEN, &grant, &[&thief.proof(&host, TOKEN, json!({}))]).await;
            assert_reply(&reply, 400, UNKNOWN, &[]);
            if client != DPOP_CLIENT {
                assert_reply(&host.post_with(TOKEN, &grant, &[]).await, 400, UNKNOWN, &[]);
            }
        });
        assert_eq!(calls.await.0, 0);
        assert_eq!(host.post_with(TOKEN, &grant, &[&key.proof(&host, TOKEN, json!({}))]).await.status(), 200);
        host.advance(secs(30));
    }
}

#[tokio::test]
async fn a_send_shares_its_code_with_the_same_key_alone() {
    let host = host();
    let (key, other) = (Prover::new(1), Prover::new(2));
    let mut codes = Vec::new();
    for (key, proofs) in [(&key, true), (&other, true), (&key, true), (&key, false)] {
        let send = send_of("DPOP_ACCEPTED_CLIENT_ID");
        let proof = key.proof(&host, SEND, json!({}));
        let code = match proofs {
            true => host.send_with(&send, &proof).await.0,
            false => host.send(&send).await.code,
        };
        codes.push(code);
        host.advance(secs(30));
    }
    assert_eq!(codes[0], codes[2]);
    assert!(codes[0] != codes[1] && codes[0] != codes[3] && codes[1] != codes[3]);
}

#[tokio::test]
async fn a_key_that_comes_only_with_the_code_binds_the_tokens() {
    let (host, key) = (host(), Prover::new(1));
    let send = send_of("DPOP_ACCEPTED_CLIENT_ID");
    let sent = host.send(&send).await;
    let grant = grant_of(&send, &sent.code, &sent.reply);
    let reply = host.post_with(TOKEN, &grant, &[&key.proof(&host, TOKEN, json!({}))]).await;
    let tokens = read(&reply).1;
    assert_eq!((reply.status(), &tokens["token_type"]), (200, &json!("DPoP")));
    let refresh_token = text(&tokens, "refresh_token");
    assert_reply(
        &host.post_with(TOKEN, &refresh_of("DPOP_ACCEPTED_CLIENT_ID", refresh_token), &[]).await,
        400,
        REFUSED,
        &[],
    );
}

#[tokio::test]
async fn fifty_parallel_uses_of_one_proof_are_one_login_and_one_refresh() {
    for yields in 0..=3 {
        let (host, key) = (host(), Prover::new(1));
        let grant = ready(&host, DPOP_CLIENT, &key).await;
        let proof = key.proof(&host, TOKEN, json!({}));
        let once = [&*proof];
        host.store.yields.store(yields, SeqCst);
        let replies = join_all((0..50).map(|_| host.post_with(TOKEN, &grant, &once))).await;
        let statuses: Vec<u16> = replies.iter().map(Reply::status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{yields}: {statuses:?}");
        for reply in replies.iter().filter(|reply| reply.status() != 200) {
            assert_invalid(reply, "the DPoP proof was used before");
        }
        let tokens = read(replies.iter().find(|reply| reply.status() == 200).unwrap()).1;

        let proof = key.proof(&host, TOKEN, json!({}));
        let refresh_token = text(&tokens, "refresh_token");
        let replies = join_all((0..50).map(|_| refresh(&host, DPOP_CLIENT, refresh_token, &proof))).await;
        let successors: BTreeSet<String> =
            replies.iter().map(|reply| text(&read(reply).1, "refresh_token").to_owned()).collect();
        assert_eq!(successors.len(), 1, "{yields}: one refresh, and its repetition within the retry window");
        assert_eq!(host.counters.logins.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn one_proof_pays_for_one_guess() {
    for yields in 0..=3 {
        let (host, key) = (host(), Prover::new(1));
        let grant = ready(&host, DPOP_CLIENT, &key).await;
        let wrong = but(&grant, json!({ "otp": wrong(text(&grant, "otp")) }));
        let proof = key.proof(&host, TOKEN, json!({}));
        let once = [&*proof];
        host.store.yields.store(yields, SeqCst);
        let replies = join_all((0..20).map(|_| host.post_with(TOKEN, &wrong, &once))).await;
        let compared = replies.iter().filter(|reply| read(reply).1["error"] == "invalid_grant").count();
        assert_eq!(compared, 1, "{yields}");
        assert_eq!(host.counters.wrong_codes.load(SeqCst), 1, "{yields}");
        // The replays were charged nothing: four guesses are left.
        for left in (0..4).rev() {
            let reply = host.post_with(TOKEN, &wrong, &[&key.proof(&host, TOKEN, json!({}))]).await;
            assert_eq!(read(&reply).1["attempts_remaining"], left);
        }
    }
}

#[tokio::test]
async fn a_refresh_token_of_a_public_client_needs_its_key_in_every_mode() {
    let host = host();
    let (key, thief) = (Prover::new(1), Prover::new(2));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let refresh_token = text(&tokens, "refresh_token");
    let by_thief = refresh(&host, DPOP_CLIENT, refresh_token, &thief.proof(&host, TOKEN, json!({}))).await;
    assert_reply(&by_thief, 400, REFUSED, &[]);
    assert!(host.counters.told.lock().unwrap().last().unwrap().starts_with("KeyNotProven"));
    // The host has switched proofs off meanwhile.
    let off = host.beside(Settings::default(), signing_key(), keyring());
    assert_eq!(off.post_with(TOKEN, &refresh_of("DPOP_CLIENT_ID", refresh_token), &[]).await.status(), 400);
    // The session goes on.
    let reply = refresh(&host, DPOP_CLIENT, refresh_token, &key.proof(&host, TOKEN, json!({}))).await;
    assert_eq!(reply.status(), 200);
    let second = text(&read(&reply).1, "refresh_token").to_owned();
    // A superseded token of the bound generations, without the key, ends nothing either.
    host.advance(secs(11));
    let reply = refresh(&host, DPOP_CLIENT, refresh_token, &thief.proof(&host, TOKEN, json!({}))).await;
    assert_reply(&reply, 400, REFUSED, &[]);
    assert_eq!(refresh(&host, DPOP_CLIENT, &second, &key.proof(&host, TOKEN, json!({}))).await.status(), 200);
    // With the key it is a theft of both.
    host.advance(secs(11));
    let reply = refresh(&host, DPOP_CLIENT, refresh_token, &key.proof(&host, TOKEN, json!({}))).await;
    assert_reply(&reply, 400, REFUSED, &[]);
    assert_eq!(host.counters.reuses.load(SeqCst), 1);
}

#[tokio::test]
async fn a_thief_who_binds_a_stolen_token_to_a_key_of_their_own_is_found_out() {
    let host = host();
    let (owner, thief) = (Prover::new(1), Prover::new(2));
    let client = "DPOP_ACCEPTED_CLIENT_ID";
    let tokens = host.log_in_by(&send_of(client), json!({})).await;
    let stolen = text(&tokens, "refresh_token");
    let reply = refresh(&host, client, stolen, &thief.proof(&host, TOKEN, json!({}))).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("DPoP")));
    let of_thief = text(&read(&reply).1, "refresh_token").to_owned();
    // Within the retry window the owner gets no successor without the thief's key.
    assert_reply(&host.post_with(TOKEN, &refresh_of(client, stolen), &[]).await, 400, REFUSED, &[]);
    assert_reply(&refresh(&host, client, stolen, &owner.proof(&host, TOKEN, json!({}))).await, 400, REFUSED, &[]);
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
    host.advance(secs(11));
    assert_reply(&host.post_with(TOKEN, &refresh_of(client, stolen), &[]).await, 400, REFUSED, &[]);
    assert_eq!(host.counters.reuses.load(SeqCst), 1);
    assert_reply(&refresh(&host, client, &of_thief, &thief.proof(&host, TOKEN, json!({}))).await, 400, REFUSED, &[]);
}

#[tokio::test]
async fn a_confidential_client_can_change_its_key() {
    let host = host();
    let (key, next) = (Prover::new(1), Prover::new(2));
    let send = but(&send_of("DPOP_WEB_CLIENT_ID"), json!({ "client_secret": "DPOP_WEB_CLIENT_ID_SECRET" }));
    let (code, sent) = host.send_with(&send, &key.proof(&host, SEND, json!({}))).await;
    let reply = host.post_with(TOKEN, &grant_of(&send, &code, &sent), &[&key.proof(&host, TOKEN, json!({}))]).await;
    let tokens = read(&reply).1;
    assert_eq!(payload(text(&tokens, "access_token"))["cnf"]["jkt"], key.thumbprint());
    let body = but(
        &refresh_of("DPOP_WEB_CLIENT_ID", text(&tokens, "refresh_token")),
        json!({ "client_secret": "DPOP_WEB_CLIENT_ID_SECRET" }),
    );
    let proof = next.proof(&host, TOKEN, json!({}));
    let reply = host.post_with(TOKEN, &body, &[&proof]).await;
    let refreshed = read(&reply).1;
    assert_eq!(payload(text(&refreshed, "access_token"))["cnf"]["jkt"], next.thumbprint());
    // The proof is good once, also with the successor.
    let body = but(&body, json!({ "refresh_token": refreshed["refresh_token"] }));
    assert_invalid(&host.post_with(TOKEN, &body, &[&proof]).await, "the DPoP proof was used before");
    assert_eq!(host.post_with(TOKEN, &body, &[&next.proof(&host, TOKEN, json!({}))]).await.status(), 200);
}

/// A client whose answer was lost asks again with a fresh proof of the same key. A repetition is bound as the first
/// answer was.
#[tokio::test]
async fn a_login_is_repeated_for_the_key_that_its_session_is_bound_to() {
    let repeating = || settings(|s| (s.dpop, s.repeat_answer_within) = (DpopSupport::On, secs(20)));
    let (key, other) = (Prover::new(1), Prover::new(2));
    let send = send_of("DPOP_ACCEPTED_CLIENT_ID");
    for (first, other_kinds) in [(Some(&key), [Some(&other), None]), (None, [Some(&key), Some(&other)])] {
        let host = Host::with(repeating());
        // The otp_token is bound to no key, so that the session alone decides.
        let sent = host.send(&send).await;
        let grant = grant_of(&send, &sent.code, &sent.reply);
        let by = async |prover: Option<&Prover>| {
            let proof = prover.map(|prover| prover.proof(&host, TOKEN, json!({})));
            host.post_with(TOKEN, &grant, &proof.iter().map(|proof| &**proof).collect::<Vec<_>>()).await
        };
        let (status, tokens) = read(&by(first).await);
        assert_eq!((status, &tokens["token_type"]), (200, &json!(if first.is_some() { "DPoP" } else { "Bearer" })));
        for prover in other_kinds {
            assert_reply(&by(prover).await, 400, UNKNOWN, &[]);
        }
        let (status, again) = read(&by(first).await);
        assert_eq!((status, &again["token_type"]), (200, &tokens["token_type"]));
        let claims = |tokens: &Value| payload(text(tokens, "access_token"));
        assert_eq!(claims(&again)["sid"], claims(&tokens)["sid"]);
        assert_eq!(claims(&again).get("cnf"), claims(&tokens).get("cnf"));
    }
}

#[tokio::test]
async fn a_session_remembers_eight_proofs_and_refuses_what_is_older() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    let mut used = Vec::new();
    for _ in 0..12 {
        host.advance(secs(2));
        let proof = key.proof(&host, TOKEN, json!({}));
        let reply = refresh(&host, DPOP_CLIENT, &token, &proof).await;
        assert_eq!(reply.status(), 200);
        token = text(&read(&reply).1, "refresh_token").to_owned();
        used.push(proof);
        for proof in &used {
            assert_invalid(&refresh(&host, DPOP_CLIENT, &token, proof).await, "the DPoP proof was used before");
        }
    }
    // A proof that arrives far out of order is refused, and a new one is not.
    let late = key.proof(&host, TOKEN, json!({ "iat": START + 1 }));
    assert_invalid(&refresh(&host, DPOP_CLIENT, &token, &late).await, "the DPoP proof was used before");
    assert_eq!(refresh(&host, DPOP_CLIENT, &token, &key.proof(&host, TOKEN, json!({}))).await.status(), 200);
}

#[tokio::test]
async fn the_proof_of_a_login_is_no_proof_for_a_refresh() {
    let (host, key) = (host(), Prover::new(1));
    let grant = ready(&host, DPOP_CLIENT, &key).await;
    let proof = key.proof(&host, TOKEN, json!({}));
    let tokens = read(&host.post_with(TOKEN, &grant, &[&proof]).await).1;
    let reply = refresh(&host, DPOP_CLIENT, text(&tokens, "refresh_token"), &proof).await;
    assert_invalid(&reply, "the DPoP proof was used before");
}

#[tokio::test]
async fn revocation_needs_no_proof() {
    let (host, key) = (host(), Prover::new(1));
    for kind in ["refresh_token", "access_token"] {
        let tokens = log_in(&host, DPOP_CLIENT, &key).await;
        let changes = [("client_id", DPOP_CLIENT), ("client_secret", "")];
        assert_eq!(host.revoke(text(&tokens, kind), &changes).await.status(), 200);
        let access_token = text(&tokens, "access_token");
        let reply = host.userinfo_with("DPoP", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
        let challenge = format!(r#"DPoP error="invalid_token", algs="{ALGORITHMS}""#);
        let body = r#"{"error":"invalid_token","error_description":"the access token is refused"}"#;
        assert_reply(&reply, 401, body, &[("WWW-Authenticate", &challenge)]);
        host.advance(secs(30));
    }
}
