//! What the settings and the policy of a client change.

use super::*;

#[tokio::test]
async fn a_client_that_needs_a_nonce_is_told_it_and_gets_the_next_one_with_each_answer() {
    let (host, key) = (host(), Prover::new(1));
    let send = send_of(NONCE_CLIENT);
    let reply = host.post_with(SEND, &send, &[&key.proof(&host, SEND, json!({}))]).await;
    let nonce = reply.header("DPoP-Nonce").unwrap().to_owned();
    assert_reply(&reply, 400, r#"{"error":"use_dpop_nonce"}"#, &[("DPoP-Nonce", &nonce)]);
    // Without a proof, that is what is said.
    assert_invalid(&host.post_with(SEND, &send, &[]).await, "a DPoP proof is required");

    let (code, sent) = host.send_with(&send, &key.proof(&host, SEND, json!({ "nonce": nonce }))).await;
    // Each answer has the next nonce, and it is as good as the one of the error.
    host.advance(secs(30));
    let elsewhere = but(&send, json!({ "phone_number": "13699999998" }));
    let proof = key.proof(&host, SEND, json!({ "nonce": nonce }));
    let reply = host.post_with(SEND, &elsewhere, &[&proof]).await;
    assert_eq!(reply.status(), 200);
    let nonce = reply.header("DPoP-Nonce").unwrap();
    let grant = grant_of(&send, &code, &sent);
    for bad in [json!({}), json!({ "nonce": "AAAAAAAAAAAAAAAAAAAAAA" }), json!({ "nonce": format!("{nonce}A") })] {
        let reply = host.post_with(TOKEN, &grant, &[&key.proof(&host, TOKEN, bad)]).await;
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("use_dpop_nonce")));
    }
    let reply = host.post_with(TOKEN, &grant, &[&key.proof(&host, TOKEN, json!({ "nonce": nonce }))]).await;
    assert_eq!((reply.status(), reply.header("DPoP-Nonce").is_some()), (200, true));
    let tokens = read(&reply).1;
    let access_token = text(&tokens, "access_token");
    let reply = host.userinfo_with("DPoP", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
    let challenge = format!(r#"DPoP error="use_dpop_nonce", algs="{ALGORITHMS}""#);
    assert_eq!((reply.status(), reply.header("WWW-Authenticate")), (401, Some(&*challenge)));
    let nonce = reply.header("DPoP-Nonce").unwrap();
    let proof = key.proof_with(&host, access_token, json!({ "nonce": nonce }));
    assert_eq!(host.userinfo_with("DPoP", access_token, &[&proof]).await.status(), 200);
    // A nonce is good for two to three minutes, and at its issuer alone.
    host.advance(secs(240));
    let proof = key.proof(&host, TOKEN, json!({ "nonce": nonce }));
    let reply = refresh(&host, NONCE_CLIENT, text(&tokens, "refresh_token"), &proof).await;
    assert_eq!(read(&reply).1["error"], "use_dpop_nonce");
}

#[tokio::test]
async fn where_proofs_are_off_the_header_changes_nothing() {
    let on = host();
    for (host, client) in [(&Host::new(), "DPOP_ACCEPTED_CLIENT_ID"), (&on, PUBLIC_CLIENT)] {
        let send = send_of(client);
        let sent = host.send(&send).await;
        let grant = grant_of(&send, &sent.code, &sent.reply);
        let (calls, reply) = host.store_calls(host.post_with(TOKEN, &grant, &["garbage", "garbage"])).await;
        assert_eq!((calls, reply.status()), (4, 200));
        let tokens = read(&reply).1;
        assert_eq!(tokens["token_type"], "Bearer");
        assert!(payload(text(&tokens, "access_token")).get("cnf").is_none());
        let stored = format!("{:?}", host.store.inner.records());
        assert!(!stored.contains("proven_key: Some"), "{stored}");
    }
    // A client that must prove a key is refused where nobody reads proofs.
    let (off, key) = (Host::new(), Prover::new(1));
    let reply = off.post_with(SEND, &send_of(DPOP_CLIENT), &[&key.proof(&off, SEND, json!({}))]).await;
    assert_invalid(&reply, "a DPoP proof is required");
}

#[tokio::test]
async fn metadata_lists_the_algorithms_where_proofs_are_on() {
    let listed =
        |host: &Host| read(&host.server.get_openid_configuration()).1["dpop_signing_alg_values_supported"].clone();
    assert_eq!(listed(&Host::new()), Value::Null);
    assert_eq!(listed(&host()), json!(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]));
}

/// A host with a public client of this policy, and what the hosts of that client have stored until now.
async fn host_with(policy: DpopPolicy, stored: Option<&Host>) -> Host {
    let client = Client::public(ClientId::new(CHANGED).unwrap())
        .with_sending()
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
        .with_dpop(policy);
    let settings = settings(|settings| settings.dpop = DpopSupport::On);
    let host = Host::with_directory(settings, signing_key(), sample_directory().with_client(client));
    for (key, record) in stored.map(|host| host.store.inner.records()).unwrap_or_default() {
        let Ok(swap) = host.store.inner.swap(&key, None, &record).await;
        assert_eq!(swap, Swap::Stored);
    }
    host
}

const CHANGED: &str = "CHANGED_CLIENT_ID";

#[tokio::test]
async fn a_proof_that_is_needed_is_good_once_in_every_mode() {
    let key = Prover::new(1);
    let before = host_with(DpopPolicy::Accepted, None).await;
    let tokens = log_in(&before, CHANGED, &key).await;
    before.advance(secs(30));
    let grant = ready(&before, CHANGED, &key).await;
    let off = host_with(DpopPolicy::Off, Some(&before)).await;
    off.advance(secs(30));

    let used = key.proof(&off, TOKEN, json!({}));
    let reply = refresh(&off, CHANGED, text(&tokens, "refresh_token"), &used).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("Bearer")));
    let next = text(&read(&reply).1, "refresh_token").to_owned();
    assert_invalid(&refresh(&off, CHANGED, &next, &used).await, "the DPoP proof was used before");
    assert_eq!(refresh(&off, CHANGED, &next, &key.proof(&off, TOKEN, json!({}))).await.status(), 200);

    let used = key.proof(&off, TOKEN, json!({}));
    let guess = but(&grant, json!({ "otp": wrong(text(&grant, "otp")) }));
    assert_eq!(read(&off.post_with(TOKEN, &guess, &[&used]).await).1["attempts_remaining"], 4);
    assert_invalid(&off.post_with(TOKEN, &guess, &[&used]).await, "the DPoP proof was used before");
    let reply = off.post_with(TOKEN, &grant, &[&key.proof(&off, TOKEN, json!({}))]).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("Bearer")));

    // Where nothing needs a key, proofs are ignored: at a code that was asked for without one, and in this session.
    off.advance(secs(60));
    let ignored = key.proof(&off, TOKEN, json!({}));
    let unbound = ready(&off, CHANGED, &key).await;
    for left in [4, 3] {
        let guess = but(&unbound, json!({ "otp": wrong(text(&unbound, "otp")) }));
        assert_eq!(read(&off.post_with(TOKEN, &guess, &[&ignored]).await).1["attempts_remaining"], left);
    }
    assert_eq!(off.post_with(TOKEN, &unbound, &[&ignored]).await.status(), 200);
    let mut token = text(&read(&reply).1, "refresh_token").to_owned();
    for _ in 0..2 {
        let reply = refresh(&off, CHANGED, &token, &ignored).await;
        assert_eq!(reply.status(), 200);
        token = text(&read(&reply).1, "refresh_token").to_owned();
    }
}

#[tokio::test]
async fn a_retry_does_not_bind_what_its_first_answer_did_not_bind() {
    let (host, key) = (host(), Prover::new(1));
    let client = "DPOP_ACCEPTED_CLIENT_ID";
    let tokens = host.log_in_by(&send_of(client), json!({})).await;
    let first = refresh_of(client, text(&tokens, "refresh_token"));
    let successor = text(&read(&host.post_with(TOKEN, &first, &[]).await).1, "refresh_token").to_owned();
    // The successor needs no key. An answer of type DPoP would say that it does.
    let retry = host.post_with(TOKEN, &first, &[&key.proof(&host, TOKEN, json!({}))]).await;
    assert_reply(&retry, 400, REFUSED, &[]);
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
    // A retry of the same kind gets the successor, which can be bound.
    let retry = host.post_with(TOKEN, &first, &[]).await;
    assert_eq!((retry.status(), text(&read(&retry).1, "refresh_token")), (200, &*successor));
    let reply = refresh(&host, client, &successor, &key.proof(&host, TOKEN, json!({}))).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("DPoP")));
    let bound = refresh_of(client, text(&read(&reply).1, "refresh_token"));
    assert_reply(&host.post_with(TOKEN, &bound, &[]).await, 400, REFUSED, &[]);
}
