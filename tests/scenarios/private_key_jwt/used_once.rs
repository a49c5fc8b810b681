//! An assertion is good for one request, whatever happens beside it.

use super::*;

#[tokio::test]
async fn a_malformed_request_comes_before_the_assertion_and_uses_nothing() {
    let host = host();
    let grant = ready_grant(&host).await;
    let assertion = good(&host);
    let body = with_assertion(&grant, &assertion);
    for member in ["otp", "otp_token", "phone_number", "auth_source_id", "grant_type"] {
        assert_eq!(host.token(&but(&body, json!({ member: null }))).await.1["error"], "invalid_request", "{member}");
    }
    let (status, said) = host.token(&but(&body, json!({ "grant_type": "password" }))).await;
    assert_eq!((status, &said["error"]), (400, &json!("unsupported_grant_type")));
    // A refused assertion before a grant that the client may not use.
    let without_grants = |changes: Value| {
        let id = json!({ "iss": "KEYED_WITHOUT_GRANTS", "sub": "KEYED_WITHOUT_GRANTS" });
        with_assertion(&grant, &sign(&but(&but(&claims(&host), id), changes)))
    };
    assert_eq!(host.token(&without_grants(json!({ "aud": "x" }))).await, refused());
    let used_up = without_grants(json!({}));
    assert_eq!(host.token(&used_up).await, error(400, "unauthorized_client", ""));
    assert_eq!(host.token(&used_up).await, refused());
    // The assertion of the malformed requests is still good.
    assert_eq!(host.token(&body).await.0, 200);
}

#[tokio::test]
async fn an_assertion_is_good_for_one_request_at_any_endpoint() {
    let host = host();
    let grant = ready_grant(&host).await;
    let assertion = good(&host);
    assert_eq!(host.token(&but(&with_assertion(&grant, &assertion), json!({ "otp": "000000" }))).await.0, 400);
    assert_eq!(present(&host, &assertion).await, refused());
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await, refused());
    // The same identifier in another assertion, and another spelling of the same claims.
    let mut again = claims(&host);
    again["jti"] = payload(&assertion)["jti"].clone();
    again["exp"] = json!(host.clock.now().as_unix_secs() + 250);
    assert_eq!(present(&host, &sign(&again)).await, refused());
    // Each client has identifiers of its own.
    (again["iss"], again["sub"]) = (json!("KEYED_TWIN"), json!("KEYED_TWIN"));
    assert_eq!(present(&host, &sign(&again)).await, authenticated());
    assert_eq!(host.token(&with_assertion(&grant, &good(&host))).await.0, 200);
}

#[tokio::test]
async fn an_attacker_can_not_use_up_the_assertion_of_a_client() {
    let host = host();
    let claims = claims(&host);
    // Everything is right but the signature, or one claim.
    let forged = signed_by(ES256, &json!({ "alg": "EdDSA" }), claims.to_string());
    assert_eq!(present(&host, &forged).await, refused());
    assert_eq!(present(&host, &wrong(&sign(&claims))).await, refused());
    assert_eq!(present(&host, &sign(&but(&claims, json!({ "aud": "https://other.example.com" })))).await, refused());
    assert_eq!(host.store.calls.load(SeqCst), 0);
    assert_eq!(present(&host, &sign(&claims)).await, authenticated());
}

#[tokio::test]
async fn of_fifty_parallel_uses_one_is_served() {
    for yields in 0..4 {
        let host = host();
        host.store.yields.store(yields, SeqCst);
        let assertion = good(&host);
        let answers = join_all((0..50).map(|_| present(&host, &assertion))).await;
        assert_eq!(answers.iter().filter(|answer| **answer == authenticated()).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == refused()).count(), 49);
    }
}

#[tokio::test]
async fn of_fifty_parallel_logins_with_one_assertion_one_gets_tokens() {
    let host = host();
    let grant = with_assertion(&ready_grant(&host).await, &good(&host));
    host.store.yields.store(2, SeqCst);
    let answers = join_all((0..50).map(|_| host.token(&grant))).await;
    assert_eq!(answers.iter().filter(|answer| answer.0 == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == refused()).count(), 49);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_uses_on_four_threads_one_is_served() {
    let host = Arc::new(host());
    let assertion = Arc::new(good(&host));
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let (host, assertion) = (host.clone(), assertion.clone());
            tokio::spawn(async move { present(&host, &assertion).await })
        })
        .collect();
    let mut served = 0;
    for answer in uses {
        served += usize::from(answer.await.unwrap() == authenticated());
    }
    assert_eq!(served, 1);
}

#[tokio::test]
async fn one_fault_of_the_store_is_resolved_and_a_lasting_one_is_a_503() {
    for mishap in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Slow] {
        let host = host();
        let assertion = good(&host);
        host.store.fault(0, mishap);
        assert_eq!(present(&host, &assertion).await, authenticated(), "{mishap:?}");
        host.store.heal();
        assert_eq!(present(&host, &assertion).await, refused(), "{mishap:?}");
    }
    let unavailable = error(503, "temporarily_unavailable", "Temporarily unavailable. It is safe to try again.");
    for first in [Mishap::FailBefore, Mishap::FailAfter] {
        let host = host();
        let assertion = good(&host);
        host.store.fault(0, first);
        host.store.fault(1, Mishap::FailBefore);
        assert_eq!(present(&host, &assertion).await, unavailable, "{first:?}");
        // Whether it was used is unknown to the client. A new assertion is good in any case.
        let expected = if first == Mishap::FailBefore { authenticated() } else { refused() };
        assert_eq!(present(&host, &assertion).await, expected, "{first:?}");
        assert_eq!(present(&host, &good(&host)).await, authenticated());
    }
    let host = host();
    let (assertion, grant) = (good(&host), ready_grant(&host).await);
    host.store.down.store(true, SeqCst);
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await, unavailable);
    host.store.down.store(false, SeqCst);
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await.0, 200);
}

#[tokio::test]
async fn a_record_that_only_a_later_version_may_decide_on_is_a_503() {
    let host = host();
    let assertion = good(&host);
    assert_eq!(present(&host, &assertion).await, authenticated());
    let (key, record) = host.store.inner.records().into_iter().next().unwrap();
    let mut later = serde_json::to_value(&record).unwrap();
    later["body"] = json!({ "used.2": later["body"]["used"] });
    later["tag"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    let later = serde_json::from_value(later).unwrap();
    let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &later).await;
    assert_eq!(swap, Swap::Stored);
    assert_eq!(present(&host, &assertion).await.0, 503);
    assert_eq!(present(&host, &good(&host)).await, authenticated());
}

#[tokio::test]
async fn an_assertion_costs_one_call_of_the_store_more() {
    let host = host();
    let send = json!({ "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let (calls, sent) = host.store_calls(host.send(&with_assertion(&send, &good(&host)))).await;
    assert_eq!(calls, 3, "send");
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent.otp_token, "otp": sent.code }));
    let (calls, (status, tokens)) = host.store_calls(host.token(&with_assertion(&grant, &good(&host)))).await;
    assert_eq!((calls, status), (5, 200), "login");
    let assertion = good(&host);
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"] });
    let (calls, (status, _)) = host.store_calls(host.token(&with_assertion(&refresh, &assertion))).await;
    assert_eq!((calls, status), (3, 200), "refresh");
    let (calls, answer) = host.store_calls(present(&host, &good(&host))).await;
    assert_eq!((calls, answer), (1, authenticated()), "introspection of garbage");
    // One swap meets the record, and one load says that another request wrote it.
    let (calls, answer) = host.store_calls(present(&host, &assertion)).await;
    assert_eq!((calls, answer), (2, refused()), "a replay");
    let (calls, answer) = host.store_calls(present(&host, &wrong(&assertion))).await;
    assert_eq!((calls, answer), (0, refused()), "a forged one");
}

/// The record is kept until no host accepts the assertion any more, by its own clock.
#[tokio::test]
async fn the_record_outlives_the_assertion_on_every_clock() {
    let host = host();
    let claims = claims(&host);
    let exp = claims["exp"].as_u64().unwrap();
    assert_eq!(present(&host, &sign(&claims)).await, authenticated());
    let (_, record) = host.store.inner.records().into_iter().next().unwrap();
    assert_eq!(record.body.kind(), "used");
    assert_eq!(record.delete_after, Timestamp::from_unix_secs(exp + 10));
    // Nothing readable is at rest.
    let stored = serde_json::to_string(&host.store.inner.records()).unwrap();
    for secret in [text(&claims, "jti"), KEYED, PHONE] {
        assert!(!stored.contains(secret), "{stored}");
    }
    assert!(stored.len() < 256, "{} bytes", stored.len());
    // Until its last moment, and after it.
    for now in [exp + 4, exp + 5, exp + 3600] {
        host.clock.set(Timestamp::from_unix_secs(now));
        assert_eq!(present(&host, &sign(&claims)).await, refused(), "{now}");
    }
}

/// A swap that waits until the record of the first use is deleted must not be a second use.
#[tokio::test]
async fn a_request_that_outlasts_its_assertion_is_refused() {
    let host = host();
    let assertion = good(&host);
    host.store.yields.store(3, SeqCst);
    let (answer, ()) = futures::join!(present(&host, &assertion), async { host.advance(secs(65)) });
    assert_eq!(answer, refused());
}

#[tokio::test]
async fn another_process_on_the_same_store_refuses_a_replay() {
    let host = host();
    let beside = host.beside(on(), signing_key(), keyring());
    let assertion = good(&host);
    assert_eq!(present(&host, &assertion).await, authenticated());
    assert_eq!(present(&beside, &assertion).await, refused());
}

/// The records in `tests/records`, as `record_versions` has those of the other kinds.
#[tokio::test]
async fn a_use_that_another_version_has_stored_counts() {
    let read = |name: &str| -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../records").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let written = read("2026-11-28/used.json");
    let with_more = |mut record: Value| {
        record["body"]["used"]["later"] = json!([1, { "x": null }]);
        record
    };
    for (record, expected) in [
        (None, 200),
        (Some(written["record"].clone()), 401),
        (Some(with_more(written["record"].clone())), 401),
        (Some(read("later/used.2.json")["record"].clone()), 503),
    ] {
        let host = host();
        host.clock.set(Timestamp::from_unix_millis(written["at"].as_u64().unwrap()));
        let key = serde_json::from_value(written["key"].clone()).unwrap();
        if let Some(record) = &record {
            let stored = serde_json::from_value(record.clone()).unwrap();
            let Ok(swap) = host.store.inner.swap(&key, None, &stored).await;
            assert_eq!(swap, Swap::Stored);
        }
        let (status, said) = present(&host, text(&written["presented"], "client_assertion")).await;
        assert_eq!(status, expected, "{said}");
        let stored = serde_json::to_value(&host.store.inner.records()[0].1).unwrap();
        assert!(record.is_none_or(|record| record == stored));
    }
}
