//! Tokens that are bound to a key of the client (RFC 9449): what a proof must say, what is bound, and what a thief can
//! do without the key.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use futures::future::join_all;
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::jwt::{AccessTokenError, Audience};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::store::Swap;
use otp_grant::wire::PresentedAccessToken;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const SEND: &str = "/otp/send";
const TOKEN: &str = "/oauth2/token";
const UNKNOWN: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired otp_token"}"#;
const REFUSED: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired refresh_token"}"#;
const ALGORITHMS: &str = "ES256 EdDSA Ed25519 PS256 RS256";

fn host() -> Host {
    Host::with(settings(|settings| settings.dpop = DpopSupport::On))
}

fn send_of(client: &str) -> Value {
    json!({ "client_id": client, "auth_source_id": SMS_SOURCE, "phone_number": PHONE })
}

fn grant_of(send: &Value, code: &str, sent: &Value) -> Value {
    but(send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }))
}

fn refresh_of(client: &str, token: &str) -> Value {
    json!({ "grant_type": "refresh_token", "client_id": client, "refresh_token": token })
}

/// The grant of a code that was sent to a client with this key.
async fn ready(host: &Host, client: &str, key: &Prover) -> Value {
    let send = send_of(client);
    let (code, sent) = host.send_with(&send, &key.proof(host, SEND, json!({}))).await;
    grant_of(&send, &code, &sent)
}

async fn log_in(host: &Host, client: &str, key: &Prover) -> Value {
    let grant = ready(host, client, key).await;
    let reply = host.post_with(TOKEN, &grant, &[&key.proof(host, TOKEN, json!({}))]).await;
    assert_eq!(reply.status(), 200, "{:?}", read(&reply).1);
    read(&reply).1
}

async fn refresh(host: &Host, client: &str, token: &str, proof: &str) -> Reply {
    host.post_with(TOKEN, &refresh_of(client, token), &[proof]).await
}

fn invalid(description: &str) -> String {
    format!(r#"{{"error":"invalid_dpop_proof","error_description":"{description}"}}"#)
}

#[track_caller]
fn assert_invalid(reply: &Reply, description: &str) {
    assert_reply(reply, 400, &invalid(description), &[]);
}

#[tokio::test]
async fn a_login_with_a_key_gives_tokens_that_are_bound_to_it() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    assert_eq!(tokens["token_type"], "DPoP");
    let claims = payload(text(&tokens, "access_token"));
    assert_eq!(claims["cnf"], json!({ "jkt": key.thumbprint() }));
    assert!(payload(text(&tokens, "id_token")).get("cnf").is_none());

    let access_token = text(&tokens, "access_token");
    let reply = host.userinfo_with("DPoP", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
    assert_eq!((reply.status(), read(&reply).1["sub"].as_str()), (200, Some("MOCK_USER_ID")));
    let reply = refresh(&host, DPOP_CLIENT, text(&tokens, "refresh_token"), &key.proof(&host, TOKEN, json!({}))).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("DPoP")));
    assert_eq!(reply.header("DPoP-Nonce"), None);
}

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
async fn store_calls_are_the_same_with_a_key_as_without() {
    let (host, key) = (host(), Prover::new(1));
    let send = send_of(DPOP_CLIENT);
    let proof = key.proof(&host, SEND, json!({}));
    let (calls, (code, sent)) = host.store_calls(host.send_with(&send, &proof)).await;
    assert_eq!(calls, 2, "send");
    let grant = grant_of(&send, &code, &sent);
    let proof = key.proof(&host, TOKEN, json!({}));
    let (calls, reply) = host.store_calls(host.post_with(TOKEN, &grant, &[&proof])).await;
    assert_eq!((calls, reply.status()), (4, 200), "login");
    let tokens = read(&reply).1;
    let proof = key.proof(&host, TOKEN, json!({}));
    let refreshed = refresh(&host, DPOP_CLIENT, text(&tokens, "refresh_token"), &proof);
    let (calls, reply) = host.store_calls(refreshed).await;
    assert_eq!((calls, reply.status()), (2, 200), "refresh");
}

#[tokio::test]
async fn metadata_lists_the_algorithms_where_proofs_are_on() {
    let listed =
        |host: &Host| read(&host.server.get_openid_configuration()).1["dpop_signing_alg_values_supported"].clone();
    assert_eq!(listed(&Host::new()), Value::Null);
    assert_eq!(listed(&host()), json!(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]));
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

// ---- A client whose policy changes ----

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
