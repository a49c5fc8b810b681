//! What an assertion must say.

use super::*;

#[tokio::test]
async fn the_client_is_issuer_and_subject() {
    let host = host();
    for name in ["iss", "sub"] {
        for other in [json!(null), json!("KEYED_TWIN"), json!(CLIENT), json!([KEYED]), json!(1), json!("")] {
            let given = if other.is_null() { json!({ name: null }) } else { json!({ name: other }) };
            assert!(!is_good(&host, given).await, "{name} {other}");
        }
    }
    // The twin has the same key, but says that it is another client.
    assert!(is_good(&host, json!({ "iss": "KEYED_TWIN", "sub": "KEYED_TWIN" })).await);
    assert!(is_good(&host, json!({})).await);
}

#[tokio::test]
async fn an_assertion_for_anything_but_the_issuer_is_refused() {
    let host = host();
    let shapes = [
        json!(format!("{ISSUER}/oauth2/token")),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!("https://other.portal.example.com"),
        json!([ISSUER, "https://other.portal.example.com"]),
        json!([ISSUER, ISSUER]),
        json!([format!("{ISSUER}/oauth2/token")]),
        json!([]),
        json!([[ISSUER]]),
        json!({ "issuer": ISSUER }),
        json!(true),
        json!(""),
        json!(&ISSUER[..ISSUER.len() - 1]),
        json!(KEYED),
    ];
    for audience in shapes {
        assert!(!is_good(&host, json!({ "aud": audience })).await, "{audience}");
    }
    assert!(!is_good(&host, json!({ "aud": null })).await);
    let null = claims(&host).to_string().replace(&format!("\"{ISSUER}\""), "null");
    assert_eq!(present(&host, &signed_by(ED25519, &json!({ "alg": "EdDSA" }), null)).await, refused());
    assert!(is_good(&host, json!({ "aud": [ISSUER] })).await);
    assert!(is_good(&host, json!({ "aud": ISSUER })).await);
}

#[tokio::test]
async fn the_registered_key_decides_the_algorithm() {
    let host = host();
    let of_many = |host: &Host| but(&claims(host), json!({ "iss": MANY_KEYS, "sub": MANY_KEYS })).to_string();
    for (pem, id, algorithm) in [(ED25519, "ed", "EdDSA"), (ES256, "ec", "ES256"), (RSA, "rsa", "RS256")] {
        let header = json!({ "alg": algorithm, "kid": id });
        assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, authenticated(), "{algorithm}");
        for other in ["none", "HS256", "RS256", "ES256", "EdDSA", "ES384", ""] {
            let header = json!({ "alg": other, "kid": id });
            let expected = if other == algorithm { authenticated() } else { refused() };
            assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, expected, "{algorithm} {other}");
        }
        // Another key than the named one.
        for other in ["ed", "ec", "rsa", "unknown"].into_iter().filter(|other| *other != id) {
            let header = json!({ "alg": algorithm, "kid": other });
            assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, refused(), "{id} {other}");
        }
        // A client with several keys must say which.
        let header = json!({ "alg": algorithm });
        assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, refused(), "{id}");
    }
    // An assertion without a signature.
    let header = BASE64URL.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{header}.{}.", BASE64URL.encode(claims(&host).to_string()));
    assert_eq!(present(&host, &unsigned).await, refused());
    // The key by its name, where the client has one.
    let header = json!({ "alg": "EdDSA", "kid": public(ED25519).key_id() });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, authenticated());
    let header = json!({ "alg": "EdDSA", "kid": "another" });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused());
}

#[tokio::test]
async fn a_key_in_the_header_is_refused_even_where_it_is_the_registered_one() {
    let host = host();
    let jwk = |pem| serde_json::from_str::<Value>(&public(pem).to_jwk()).unwrap();
    // An attacker's key.
    let header = json!({ "alg": "ES256", "jwk": jwk(ES256) });
    assert_eq!(present(&host, &signed_by(ES256, &header, claims(&host).to_string())).await, refused());
    for (name, value) in [
        ("jwk", jwk(ED25519)),
        ("jwk", json!(null)),
        ("jku", json!("https://keys.example.com/jwks")),
        ("x5u", json!("https://keys.example.com/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let header = json!({ "alg": "EdDSA", name: value });
        assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused(), "{name}");
    }
    // A member that means nothing here is ignored (RFC 7515 section 4).
    let header = json!({ "alg": "EdDSA", "cty": "x", "https://example.com/": {} });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, authenticated());
}

#[tokio::test]
async fn the_type_is_of_a_client_authentication_or_of_any_jwt_or_absent() {
    let host = host();
    for (typ, expected) in [
        ("client-authentication+jwt", true),
        ("Client-Authentication+JWT", true),
        ("application/client-authentication+jwt", true),
        ("JWT", true),
        ("jwt", true),
        ("application/jwt", true),
        ("at+jwt", false),
        ("dpop+jwt", false),
        ("client-authentication", false),
        ("text/client-authentication+jwt", false),
        ("application/application/jwt", false),
        (" JWT", false),
        ("", false),
    ] {
        let header = json!({ "alg": "EdDSA", "typ": typ });
        let expected = if expected { authenticated() } else { refused() };
        assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, expected, "{typ:?}");
    }
    let header = json!({ "alg": "EdDSA", "typ": 1 });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused());
}

/// Clocks may differ by 5 seconds.
#[tokio::test]
async fn an_assertion_expires_and_lives_for_five_minutes_at_most() {
    let host = host();
    let now = host.clock.now().as_unix_secs();
    for (exp, expected) in [
        (json!(now + 1), true),
        (json!(now + 300), true),
        (json!(now + 305), true),
        (json!(now + 306), false),
        (json!(f64::from(u32::try_from(now).unwrap()) + 305.5), false),
        (json!(f64::from(u32::try_from(now).unwrap()) + 304.5), true),
        (json!(now + 3600), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
        (json!(now), true),
        (json!(now - 4), true),
        (json!(now - 5), false),
        (json!(now - 3600), false),
        (json!(0), false),
        (json!(-1), false),
        (json!((now + 60).to_string()), false),
        (json!([now + 60]), false),
    ] {
        assert_eq!(is_good(&host, json!({ "exp": exp })).await, expected, "{exp}");
    }
    assert!(!is_good(&host, json!({ "exp": null })).await);
    // To the millisecond.
    let early = sign(&but(&claims(&host), json!({ "exp": now + 60 })));
    host.clock.set(Timestamp::from_unix_millis((now + 65) * 1000 - 1));
    assert_eq!(present(&host, &early).await, authenticated());
    let late = sign(&but(&claims(&host), json!({ "exp": now + 60 })));
    host.advance(std::time::Duration::from_millis(1));
    assert_eq!(present(&host, &late).await, refused());
}

#[tokio::test]
async fn an_assertion_is_refused_before_its_time() {
    let host = host();
    let now = host.clock.now().as_unix_secs();
    for (nbf, expected) in [
        (json!(now - 3600), true),
        (json!(0), true),
        (json!(now), true),
        (json!(now + 5), true),
        (json!(now + 6), false),
        (json!("0"), false),
        (json!(-1), false),
        (json!(false), false),
    ] {
        assert_eq!(is_good(&host, json!({ "nbf": nbf })).await, expected, "{nbf}");
    }
}

#[tokio::test]
async fn the_time_of_issue_is_a_number_and_may_be_absent() {
    let host = host();
    for (iat, expected) in
        [(json!(0), true), (json!(1.5), true), (json!(-7), true), (json!("1"), false), (json!([1]), false)]
    {
        assert_eq!(is_good(&host, json!({ "iat": iat })).await, expected, "{iat}");
    }
    assert!(is_good(&host, json!({ "iat": null })).await);
}

#[tokio::test]
async fn an_assertion_has_an_identifier() {
    let host = host();
    for (jti, expected) in [
        (json!("x"), true),
        (json!("é".repeat(128)), true),
        (json!("x".repeat(256)), true),
        (json!("x".repeat(257)), false),
        (json!("é".repeat(129)), false),
        (json!(""), false),
        (json!(7), false),
    ] {
        assert_eq!(is_good(&host, json!({ "jti": jti })).await, expected, "{jti}");
    }
    assert!(!is_good(&host, json!({ "jti": null })).await);
}

#[tokio::test]
async fn claims_are_read_strictly() {
    let host = host();
    let header = json!({ "alg": "EdDSA" });
    let text = claims(&host).to_string();
    let twice =
        ["sub", "aud", "exp", "jti", "x"].map(|name| text.replacen('{', &format!("{{\"{name}\":1,\"{name}\":1,"), 1));
    for payload in twice.iter().map(String::as_str).chain(["", "null", "[]", "{}", "\"text\""]) {
        assert_eq!(present(&host, &signed_by(ED25519, &header, payload)).await, refused(), "{payload}");
    }
    let whole = signed_by(ED25519, &header, &text);
    for broken in
        ["", ".", "..", "...", "a.b.c", &whole[1..], &format!("{whole}="), &format!("{whole}.x"), &wrong(&whole)]
    {
        // A form value that is empty counts as absent.
        let expected = if broken.is_empty() { 400 } else { 401 };
        assert_eq!(present(&host, broken).await.0, expected, "{broken}");
    }
    assert_eq!(present(&host, &whole).await, authenticated());
}

#[tokio::test]
async fn each_issuer_takes_its_own_assertions() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let other = "https://other.portal.example.com";
    let servers = [ISSUER, other].map(|issuer| {
        AuthorizationServer::builder(Issuer::new(issuer).unwrap(), keyring(), signing_key())
            .settings(on())
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .build(store.clone(), directory())
            .unwrap()
    });
    let now = clock.now().as_unix_secs();
    let of = |audience: &str| {
        sign(&json!({ "iss": KEYED, "sub": KEYED, "aud": audience, "exp": now + 60, "jti": "the same" }))
    };
    let present = async |server: &AuthorizationServer<_, _>, assertion: &str| {
        let body = urlencoded(&[&[("token", "unknown")], &*members(assertion)].concat());
        server.post_introspect(form_request(&body, None)).await.status()
    };
    for (server, own, foreign) in [(&servers[0], ISSUER, other), (&servers[1], other, ISSUER)] {
        assert_eq!(present(server, &of(foreign)).await, 401);
        // The same `jti` at the other issuer is another assertion.
        assert_eq!(present(server, &of(own)).await, 200);
        assert_eq!(present(server, &of(own)).await, 401);
    }
}
