//! Bound tokens at userinfo, at introspection and at routes of the host.

use super::*;

#[tokio::test]
async fn a_bound_token_is_refused_wherever_no_proof_is_seen() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let access_token = text(&tokens, "access_token");
    let every = Audience::EveryClient;
    assert_eq!(host.server.verify_access_token(access_token, every).err(), Some(AccessTokenError::KeyBound));
    let verifier = otp_grant::jwt::AccessTokenVerifier::new(
        Issuer::new(ISSUER).unwrap(),
        host.server.key_set().clone(),
        Default::default(),
    );
    let now = otp_grant::time::Clock::now(&host.clock);
    assert_eq!(verifier.verify(access_token, every, now).err(), Some(AccessTokenError::KeyBound));
    let refused = host.server.check_access_token(access_token, every).await.unwrap_err();
    assert_eq!(refused, AccessTokenCheckError::Refused(AccessTokenError::KeyBound));
    let reply = host.userinfo_with("Bearer", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
    assert_eq!(reply.status(), 401);
    assert!(reply.header("WWW-Authenticate").unwrap().starts_with(r#"DPoP error="invalid_token""#));
    // A bearer token is no bound token.
    host.advance(secs(30));
    let bearer = host.log_in(json!({})).await;
    let bearer = text(&bearer, "access_token");
    let reply = host.userinfo_with("DPoP", bearer, &[&key.proof_with(&host, bearer, json!({}))]).await;
    assert_eq!((reply.status(), read(&reply).1["error"].as_str()), (401, Some("invalid_token")));
    assert_eq!(host.userinfo_with("Bearer", bearer, &[]).await.status(), 200);
}

#[tokio::test]
async fn at_a_resource_the_proof_is_for_the_token_and_by_its_key() {
    let (host, key, thief) = (host(), Prover::new(1), Prover::new(2));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let access_token = text(&tokens, "access_token");
    let wrong_hash = "the ath of the DPoP proof is missing or of another access token";
    for (proof, said) in [
        (key.proof_with(&host, "another token", json!({})), wrong_hash),
        (key.proof_with(&host, access_token, json!({ "ath": null })), wrong_hash),
        (
            thief.proof_with(&host, access_token, json!({})),
            "the key of the DPoP proof is not the key of the access token",
        ),
        (key.proof_with(&host, access_token, json!({ "htm": "POST" })), "the htm of the DPoP proof is another method"),
    ] {
        let reply = host.userinfo_with("DPoP", access_token, &[&proof]).await;
        assert_eq!((reply.status(), read(&reply).1["error_description"].as_str()), (401, Some(said)));
    }
    let reply = host.userinfo_with("DPoP", access_token, &[]).await;
    assert_eq!(read(&reply).1["error_description"], "a DPoP proof is required");
    // A proof is good for as long as it is in time, unless the settings are strict.
    let proof = key.proof_with(&host, access_token, json!({}));
    for _ in 0..2 {
        let (calls, reply) = host.store_calls(host.userinfo_with("DPoP", access_token, &[&proof])).await;
        assert_eq!((calls, reply.status()), (1, 200));
    }
    let strict = host.beside(settings(|settings| settings.dpop = DpopSupport::Strict), signing_key(), keyring());
    let (calls, reply) = strict.store_calls(strict.userinfo_with("DPoP", access_token, &[&proof])).await;
    assert_eq!((calls, reply.status()), (2, 200));
    let reply = strict.userinfo_with("DPoP", access_token, &[&proof]).await;
    assert_eq!(read(&reply).1["error_description"], "the DPoP proof was used before");
    for yields in 0..=3 {
        let proof = key.proof_with(&host, access_token, json!({}));
        let once = [&*proof];
        strict.store.yields.store(yields, SeqCst);
        let replies = join_all((0..50).map(|_| strict.userinfo_with("DPoP", access_token, &once))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status() == 200).count(), 1, "{yields}");
    }
}

#[tokio::test]
async fn an_api_of_the_host_checks_token_and_proof_together() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let access_token = text(&tokens, "access_token");
    let url = "https://api.example.com/orders";
    let proof = |htu: &str| key.proof_with(&host, access_token, json!({ "htu": htu, "htm": "PUT" }));
    let authorization = format!("DPoP {access_token}");
    for (htu, accepted) in [(url, true), ("https://api.example.com/orders?a=b", true), (ISSUER, false)] {
        let proof = proof(htu);
        let request = Request::new("PUT", "/orders").header("authorization", &authorization).header("dpop", &proof);
        let presented = request.access_token(url).unwrap();
        assert!(matches!(presented, PresentedAccessToken::Dpop(..)));
        let checked = host.server.check_access_token(presented, Audience::EveryClient).await;
        assert_eq!(checked.is_ok(), accepted, "{htu}");
        if let Ok(claims) = checked {
            assert_eq!(String::from(claims.key.unwrap()), key.thumbprint());
        }
    }
}

#[tokio::test]
async fn a_bound_token_without_the_scope_is_told_so_by_the_challenge_of_its_kind() {
    let (host, key) = (host(), Prover::new(1));
    let grant = but(&ready(&host, DPOP_CLIENT, &key).await, json!({ "scope": "profile" }));
    let tokens = read(&host.post_with(TOKEN, &grant, &[&key.proof(&host, TOKEN, json!({}))]).await).1;
    let access_token = text(&tokens, "access_token");
    let reply = host.userinfo_with("DPoP", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
    let challenge = format!(r#"DPoP error="insufficient_scope", scope="openid", algs="{ALGORITHMS}""#);
    assert_eq!((reply.status(), reply.header("WWW-Authenticate")), (403, Some(&*challenge)));

    // An API of the host answers in the same way.
    let header = format!("DPoP {access_token}");
    let url = format!("{ISSUER}/orders");
    let proof = key.proof_with(&host, access_token, json!({ "htm": "GET", "htu": url }));
    let request = Request::new("GET", "/orders").header("Authorization", header.as_bytes());
    let request = request.header("DPoP", proof.as_bytes());
    let claims = host.server.check_access_token(request.access_token(&url).unwrap(), Audience::EveryClient).await;
    let reply = Reply::from(claims.unwrap().require_scope(&Scope::parse("orders").unwrap()).unwrap_err());
    let challenge = format!(r#"DPoP error="insufficient_scope", scope="orders", algs="{ALGORITHMS}""#);
    assert_eq!((reply.status(), reply.header("WWW-Authenticate")), (403, Some(&*challenge)));
}

#[tokio::test]
async fn introspection_tells_the_key_and_asks_for_no_proof() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let changes = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_ID_SECRET")];
    let said = read(&host.introspect(text(&tokens, "access_token"), &changes).await).1;
    assert_eq!((&said["active"], &said["token_type"]), (&json!(true), &json!("DPoP")));
    assert_eq!(said["cnf"], json!({ "jkt": key.thumbprint() }));
}

#[tokio::test]
async fn a_request_without_a_token_is_asked_for_either_kind() {
    let challenge = format!(r#"Bearer, DPoP algs="{ALGORITHMS}""#);
    for none in ["", "Basic YTpi", "DPoPs token", "DPo token", "Bearer", "Bearer ", "DPoP  ", "token"] {
        let request = Request::new("GET", "/orders").header("Authorization", none).header("DPoP", "a proof");
        let reply = Reply::from(request.access_token("https://api.example.com/orders").unwrap_err());
        assert_eq!((reply.status(), reply.header("WWW-Authenticate")), (401, Some(&*challenge)), "{none}");
    }
}
