//! What a proof must say, and which of two errors is told.

use super::*;

#[tokio::test]
async fn each_check_of_a_proof_has_its_error_at_each_endpoint() {
    let (host, key) = (host(), Prover::new(1));
    let (header, now) = (key.header(), START);
    let as_header = |changes: Value| but(&header, changes);
    let claims = json!({});
    let other = Prover::new(2);
    let with_private = but(&key.jwk(), json!({ "d": "AAAA" }));
    let no_claim = |name: &str| json!({ name: null });
    // The header, changes of the claims, and what is said.
    let cases: Vec<(Value, Value, &str)> = vec![
        (as_header(json!({ "typ": "JWT" })), claims.clone(), "the typ of the DPoP proof is not dpop+jwt"),
        (as_header(json!({ "typ": null })), claims.clone(), "the typ of the DPoP proof is not dpop+jwt"),
        (
            as_header(json!({ "alg": "none" })),
            claims.clone(),
            "the header of the DPoP proof has an alg or crit that is not supported",
        ),
        (
            as_header(json!({ "alg": "HS256" })),
            claims.clone(),
            "the header of the DPoP proof has an alg or crit that is not supported",
        ),
        (
            as_header(json!({ "crit": ["exp"] })),
            claims.clone(),
            "the header of the DPoP proof has an alg or crit that is not supported",
        ),
        (
            as_header(json!({ "jwk": null })),
            claims.clone(),
            "the jwk of the DPoP proof is not a public key for its alg",
        ),
        (
            as_header(json!({ "jwk": with_private })),
            claims.clone(),
            "the jwk of the DPoP proof is not a public key for its alg",
        ),
        (as_header(json!({ "jwk": other.jwk() })), claims.clone(), "the signature of the DPoP proof is wrong"),
        (header.clone(), no_claim("jti"), "a claim of the DPoP proof is missing or invalid"),
        (header.clone(), no_claim("htm"), "a claim of the DPoP proof is missing or invalid"),
        (header.clone(), no_claim("htu"), "a claim of the DPoP proof is missing or invalid"),
        (header.clone(), no_claim("iat"), "a claim of the DPoP proof is missing or invalid"),
        (header.clone(), json!({ "jti": "a".repeat(257) }), "a claim of the DPoP proof is missing or invalid"),
        (header.clone(), json!({ "htm": "PUT" }), "the htm of the DPoP proof is another method"),
        (header.clone(), json!({ "htu": "https://evil.example/x" }), "the htu of the DPoP proof is another URL"),
        (header.clone(), json!({ "iat": now - 61 }), "the iat of the DPoP proof is too old or in the future"),
        (header.clone(), json!({ "iat": now + 6 }), "the iat of the DPoP proof is too old or in the future"),
    ];
    let send = send_of(DPOP_CLIENT);
    let grant = ready(&host, DPOP_CLIENT, &key).await;
    let tokens = log_in_again(&host, &key).await;
    let (access_token, refresh_token) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    for (header, changes, said) in cases {
        let at = |path| key.sign(&header, &but(&key.claims(&host, path), changes.clone()));
        let calls = host.store_calls(async {
            assert_invalid(&host.post_with(SEND, &send, &[&at(SEND)]).await, said);
            assert_invalid(&host.post_with(TOKEN, &grant, &[&at(TOKEN)]).await, said);
            assert_invalid(&refresh(&host, DPOP_CLIENT, refresh_token, &at(TOKEN)).await, said);
            let hash = payload(&key.proof_with(&host, access_token, json!({})))["ath"].clone();
            let of_this = but(&key.claims(&host, "/userinfo"), json!({ "htm": "GET", "ath": hash }));
            let proof = key.sign(&header, &but(&of_this, changes.clone()));
            let reply = host.userinfo_with("DPoP", access_token, &[&proof]).await;
            let challenge = format!(r#"DPoP error="invalid_dpop_proof", algs="{ALGORITHMS}""#);
            assert_reply(&reply, 401, &invalid(said), &[("WWW-Authenticate", &challenge)]);
        });
        assert_eq!(calls.await.0, 0, "{said}");
    }
    // Two headers, and one that is too long.
    let proof = key.proof(&host, TOKEN, json!({}));
    for proofs in [vec![&*proof, &*proof], vec![""], vec!["a.b.c"]] {
        assert_invalid(&host.post_with(TOKEN, &grant, &proofs).await, "the DPoP proof is malformed");
    }
    let long = key.proof(&host, TOKEN, json!({ "x": "a".repeat(4096) }));
    assert_invalid(&host.post_with(TOKEN, &grant, &[&long]).await, "the DPoP proof is malformed");
    assert_invalid(&host.post_with(TOKEN, &grant, &[]).await, "a DPoP proof is required");
    assert_invalid(&host.post_with(SEND, &send, &[]).await, "a DPoP proof is required");
    // Nothing was charged, and the code is as good as before.
    assert_eq!(host.post_with(TOKEN, &grant, &[&proof]).await.status(), 200);
}

/// Logs another user in, after the time that a send has to wait.
async fn log_in_again(host: &Host, key: &Prover) -> Value {
    let send = but(&send_of(DPOP_CLIENT), json!({ "phone_number": "13699999998" }));
    let (code, sent) = host.send_with(&send, &key.proof(host, SEND, json!({}))).await;
    let grant = but(&grant_of(&send, &code, &sent), json!({ "auto_signup": true }));
    let reply = host.post_with(TOKEN, &grant, &[&key.proof(host, TOKEN, json!({}))]).await;
    read(&reply).1
}

/// The error of a request with a bad proof and with none.
async fn errors_of_bad_proofs(host: &Host, path: &str, body: &Value) -> [Value; 2] {
    let bad = Prover::new(1).proof(host, path, json!({ "htm": "GET" }));
    let both = async { [host.post_with(path, body, &[&bad]).await, host.post_with(path, body, &[]).await] };
    let (calls, replies) = host.store_calls(both).await;
    assert_eq!(calls, 0);
    replies.map(|reply| read(&reply).1["error"].clone())
}

#[tokio::test]
async fn the_error_of_a_proof_comes_after_that_of_the_client_and_before_all_others() {
    let client = |id: &str| {
        let client = Client::public(ClientId::new(id).unwrap()).with_dpop(DpopPolicy::Required);
        client.with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
    };
    let directory = sample_directory()
        .with_client(client("WITHOUT_ANY_RIGHT").with_grants([]))
        .with_client(client("WITH_CHALLENGE").with_sending().with_required_code_challenge());
    let settings = settings(|settings| settings.dpop = DpopSupport::On);
    let (host, key) = (Host::with_directory(settings, signing_key(), directory), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    host.advance(secs(30));
    let grant = ready(&host, DPOP_CLIENT, &key).await;
    host.advance(secs(30));
    let of_web = json!({ "client_id": "DPOP_WEB_CLIENT_ID", "client_secret": "WRONG" });
    // The changes of a request, the error with a bad proof or none, and the error with a good proof.
    let of_client = [
        (json!({ "client_id": "UNKNOWN" }), "invalid_client", "invalid_client"),
        (json!({ "client_secret": "NOT_EXPECTED" }), "invalid_client", "invalid_client"),
        (of_web, "invalid_client", "invalid_client"),
        (json!({ "client_id": "WITHOUT_ANY_RIGHT" }), "invalid_dpop_proof", "unauthorized_client"),
    ];
    let of_send = [
        (json!({ "usage": 1 }), "invalid_request", "invalid_request"),
        (json!({ "phone_number": "x" }), "malformed_phone_number", "malformed_phone_number"),
        (json!({ "client_id": "WITH_CHALLENGE" }), "invalid_dpop_proof", "invalid_request"),
        (json!({ "auth_source_id": "UNKNOWN" }), "invalid_dpop_proof", "invalid_auth_source"),
    ];
    let of_grant = [
        (json!({ "otp": 1 }), "invalid_request", "invalid_request"),
        (json!({ "grant_type": "x" }), "unsupported_grant_type", "unsupported_grant_type"),
        (json!({ "auth_source_id": "UNKNOWN" }), "invalid_dpop_proof", "invalid_auth_source"),
        (json!({ "otp_token": "x" }), "invalid_dpop_proof", "invalid_grant"),
        (json!({ "phone_number": NOBODY }), "invalid_dpop_proof", "invalid_request"),
        (json!({ "scope": "admin" }), "invalid_dpop_proof", "invalid_scope"),
    ];
    let of_refresh = [
        (json!({ "refresh_token": 1 }), "invalid_request", "invalid_request"),
        (json!({ "refresh_token": "x" }), "invalid_dpop_proof", "invalid_grant"),
        (json!({ "scope": "admin" }), "invalid_dpop_proof", "invalid_scope"),
    ];
    for (path, body, others) in [
        (SEND, send_of(DPOP_CLIENT), &of_send[..]),
        (TOKEN, grant, &of_grant),
        (TOKEN, refresh_of(DPOP_CLIENT, text(&tokens, "refresh_token")), &of_refresh),
    ] {
        for (changes, bad, good) in of_client.iter().chain(others) {
            let body = but(&body, changes.clone());
            assert_eq!(errors_of_bad_proofs(&host, path, &body).await, [*bad, *bad], "{path} {changes}");
            let reply = host.post_with(path, &body, &[&key.proof(&host, path, json!({}))]).await;
            assert_eq!(read(&reply).1["error"], *good, "{path} {changes}");
        }
    }
}

/// The faults that a proof can have, in the order in which they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Form,
    Type,
    Algorithm,
    Key,
    Signature,
    Claims,
    Method,
    Url,
    Time,
    TokenHash,
    OtherKey,
    Nonce,
}

const FAULTS: [(Fault, &str); 12] = [
    (Fault::Form, "the DPoP proof is malformed"),
    (Fault::Type, "the typ of the DPoP proof is not dpop+jwt"),
    (Fault::Algorithm, "the header of the DPoP proof has an alg or crit that is not supported"),
    (Fault::Key, "the jwk of the DPoP proof is not a public key for its alg"),
    (Fault::Signature, "the signature of the DPoP proof is wrong"),
    (Fault::Claims, "a claim of the DPoP proof is missing or invalid"),
    (Fault::Method, "the htm of the DPoP proof is another method"),
    (Fault::Url, "the htu of the DPoP proof is another URL"),
    (Fault::Time, "the iat of the DPoP proof is too old or in the future"),
    (Fault::TokenHash, "the ath of the DPoP proof is missing or of another access token"),
    (Fault::OtherKey, "the key of the DPoP proof is not the key of the access token"),
    (Fault::Nonce, ""),
];

/// A proof with these claims, but for its faults.
fn faulty(key: &Prover, claims: &Value, faults: [Fault; 2]) -> String {
    let has = |fault| faults.contains(&fault);
    let other = Prover::new(2);
    let key = if has(Fault::OtherKey) { &other } else { key };
    let changes = |of_header: bool| {
        let all = [
            (Fault::Type, true, "typ", json!("JWT")),
            (Fault::Algorithm, true, "alg", json!("none")),
            (Fault::Key, true, "jwk", json!(null)),
            (Fault::Claims, false, "jti", json!(null)),
            (Fault::Method, false, "htm", json!("PUT")),
            (Fault::Url, false, "htu", json!("https://evil.example/x")),
            (Fault::Time, false, "iat", json!(START - 1000)),
            (Fault::TokenHash, false, "ath", json!(null)),
            (Fault::Nonce, false, "nonce", json!(null)),
        ];
        let those = all.into_iter().filter(|(fault, is_header, ..)| has(*fault) && *is_header == of_header);
        Value::Object(those.map(|(_, _, name, value)| (name.to_owned(), value)).collect())
    };
    let signer = if has(Fault::Signature) { &Prover::new(3) } else { key };
    let proof = signer.sign(&but(&key.header(), changes(true)), &but(claims, changes(false)));
    if has(Fault::Form) { format!("{proof}.") } else { proof }
}

#[tokio::test]
async fn of_two_faults_of_a_proof_the_first_is_told() {
    let (host, key) = (host(), Prover::new(1));
    let send = send_of(NONCE_CLIENT);
    let reply = host.post_with(SEND, &send, &[&key.proof(&host, SEND, json!({}))]).await;
    let nonce = reply.header("DPoP-Nonce").unwrap().to_owned();
    let proof = |path: &str| but(&key.claims(&host, path), json!({ "nonce": nonce }));
    let (code, sent) = host.send_with(&send, &key.sign(&key.header(), &proof(SEND))).await;
    let grant = grant_of(&send, &code, &sent);
    let tokens = read(&host.post_with(TOKEN, &grant, &[&key.sign(&key.header(), &proof(TOKEN))]).await).1;
    let access_token = text(&tokens, "access_token");
    let refresh = refresh_of(NONCE_CLIENT, text(&tokens, "refresh_token"));
    let of_use = payload(&key.proof_with(&host, access_token, json!({ "nonce": nonce })));
    for (first, (fault, said)) in FAULTS.into_iter().enumerate() {
        for (other, _) in FAULTS.into_iter().skip(first) {
            let faults = [fault, other];
            let told = |reply: &Reply| {
                let (status, body) = read(reply);
                let error = if fault == Fault::Nonce { "use_dpop_nonce" } else { "invalid_dpop_proof" };
                assert_eq!((&body["error"], status), (&json!(error), reply.status()), "{faults:?}");
                if fault != Fault::Nonce {
                    assert_eq!(body["error_description"], said, "{faults:?}");
                }
                status
            };
            let used = faulty(&key, &of_use, faults);
            assert_eq!(told(&host.userinfo_with("DPoP", access_token, &[&used]).await), 401);
            // The other endpoints read no token, and have no key to compare.
            if faults.iter().any(|fault| matches!(fault, Fault::TokenHash | Fault::OtherKey)) {
                continue;
            }
            for (path, body) in [(SEND, &send), (TOKEN, &grant), (TOKEN, &refresh)] {
                let proof = faulty(&key, &proof(path), faults);
                assert_eq!(told(&host.post_with(path, body, &[&proof]).await), 400);
            }
        }
    }
}

#[tokio::test]
async fn at_a_resource_the_proof_is_checked_before_the_token() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    let access_token = text(&tokens, "access_token");
    host.advance(secs(30));
    let bearer = host.log_in(json!({})).await;
    let (signed, _) = access_token.rsplit_once('.').unwrap();
    let altered = format!("{signed}.{}", "A".repeat(86));
    let of_token = "the access token is refused";
    for token in ["x", &*altered, text(&bearer, "access_token"), text(&tokens, "id_token")] {
        let calls = host.store_calls(async {
            let bad = key.proof_with(&host, token, json!({ "htm": "POST" }));
            let without_hash = key.proof_with(&host, token, json!({ "ath": null }));
            for (proofs, said) in [
                (vec![&*bad], "the htm of the DPoP proof is another method"),
                (vec![], "a DPoP proof is required"),
                (vec![&*without_hash], of_token),
                (vec![&*key.proof_with(&host, token, json!({}))], of_token),
            ] {
                let reply = host.userinfo_with("DPoP", token, &proofs).await;
                assert_eq!((reply.status(), &read(&reply).1["error_description"]), (401, &json!(said)), "{token}");
            }
        });
        assert_eq!(calls.await.0, 0);
    }
    host.advance(secs(24 * 60 * 60));
    for (changes, said) in
        [(json!({ "iat": START }), "the iat of the DPoP proof is too old or in the future"), (json!({}), of_token)]
    {
        let proof = key.proof_with(&host, access_token, changes);
        let reply = host.userinfo_with("DPoP", access_token, &[&proof]).await;
        assert_eq!((reply.status(), &read(&reply).1["error_description"]), (401, &json!(said)));
    }
}
