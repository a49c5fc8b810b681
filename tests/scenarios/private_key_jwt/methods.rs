//! Requests with assertions, and the methods that a client and a server have.

use super::*;

#[tokio::test]
async fn a_client_id_in_the_body_names_the_same_client() {
    let host = host();
    for (id, expected) in [(KEYED, 200), ("KEYED_TWIN", 401), (CLIENT, 401), ("NOBODY", 401), ("\u{7f}", 401)] {
        let assertion = good(&host);
        let parameters = [&[("client_id", id)], &*members(&assertion)].concat();
        let reply = introspect_with(&host, &parameters, None).await;
        assert_eq!(reply.status(), expected, "{id}");
        if expected == 401 {
            assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
        }
    }
}

#[tokio::test]
async fn a_second_method_in_the_same_request_is_a_malformed_request() {
    let host = host();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{KEYED}:")));
    let assertion = good(&host);
    for (more, authorization) in [
        (vec![("client_secret", CLIENT_SECRET)], None),
        (vec![("client_id", CLIENT), ("client_secret", CLIENT_SECRET)], None),
        (vec![], Some(basic.as_str())),
        (vec![], Some("Basic broken")),
        (vec![("client_id", KEYED)], Some("")),
    ] {
        let parameters = [&*more, &*members(&assertion)].concat();
        let reply = introspect_with(&host, &parameters, authorization).await;
        let said = "the body has a client_assertion besides other client credentials";
        assert_eq!(read(&reply), error(400, "invalid_request", said), "{more:?}");
        assert!(reply.header("WWW-Authenticate").is_none());
    }
    // Nothing of it was used.
    assert_eq!(present(&host, &assertion).await, authenticated());
}

#[tokio::test]
async fn the_two_members_stand_together_and_the_type_is_known() {
    let host = host();
    let assertion = good(&host);
    for (parameters, said) in [
        (vec![("client_assertion", assertion.as_str())], "client_assertion_type is missing"),
        (vec![("client_assertion_type", TYPE)], "client_assertion is missing"),
        (vec![("client_id", KEYED), ("client_assertion_type", TYPE)], "client_assertion is missing"),
        (
            vec![
                ("client_assertion", assertion.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
            ],
            "client_assertion_type is not valid",
        ),
        (
            [members(&assertion), vec![("client_assertion", assertion.as_str())]].concat(),
            "client_assertion is given twice",
        ),
    ] {
        let reply = introspect_with(&host, &parameters, None).await;
        assert_eq!(read(&reply), error(400, "invalid_request", said));
    }
    for wrong in [json!(1), json!(["x"]), json!({}), json!(true), json!("")] {
        for name in ["client_assertion", "client_assertion_type"] {
            let body =
                but(&with_assertion(&sms_send(PHONE), &assertion), json!({ "client_secret": null, name: wrong }));
            assert_eq!(host.refused_send(&body).await.1["error"], "invalid_request", "{name} {wrong}");
        }
    }
}

#[tokio::test]
async fn every_refusal_is_the_same() {
    let host = host();
    let other_key = signed_by(ES256, &json!({ "alg": "ES256" }), claims(&host).to_string());
    let used = good(&host);
    assert_eq!(present(&host, &used).await, authenticated());
    let unknown = sign(&but(&claims(&host), json!({ "iss": "NOBODY", "sub": "NOBODY" })));
    let of_secret = sign(&but(&claims(&host), json!({ "iss": CLIENT, "sub": CLIENT })));
    let of_public = sign(&but(&claims(&host), json!({ "iss": PUBLIC_CLIENT, "sub": PUBLIC_CLIENT })));
    let expired = sign(&but(&claims(&host), json!({ "exp": 1 })));
    let nobody = sign(&but(&claims(&host), json!({ "sub": null })));
    for assertion in [other_key, used, unknown, of_secret, of_public, expired, nobody, "garbage".to_owned()] {
        let reply = introspect_with(&host, &members(&assertion), None).await;
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
        let body = with_assertion(&json!({ "auth_source_id": SMS_SOURCE, "phone_number": PHONE }), &assertion);
        let Err(reply) = host.try_send(&body).await else { panic!("sent") };
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
    }
    let told = host.counters.told.lock().unwrap();
    assert_eq!(told.iter().filter(|event| event.starts_with("ClientRefused")).count(), 16);
}

#[tokio::test]
async fn a_client_with_a_key_has_no_secret() {
    let host = host();
    let bare = [("client_id", KEYED)];
    assert_eq!(introspect_with(&host, &bare, None).await.status(), 401);
    let secret = [("client_id", KEYED), ("client_secret", CLIENT_SECRET)];
    assert_eq!(introspect_with(&host, &secret, None).await.status(), 401);
    for password in ["", CLIENT_SECRET] {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{KEYED}:{password}")));
        let reply = introspect_with(&host, &[], Some(&basic)).await;
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[("WWW-Authenticate", "Basic")]);
    }
}

#[tokio::test]
async fn a_pinned_method_is_the_only_one() {
    let host = host();
    for (id, by_header, by_body) in [("BASIC_ONLY", 200, 401), ("POST_ONLY", 401, 200), (CLIENT, 200, 200)] {
        let secret = if id == CLIENT { CLIENT_SECRET } else { "PINNED_SECRET" };
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
        assert_eq!(introspect_with(&host, &[], Some(&basic)).await.status(), by_header, "{id}");
        let body = [("client_id", id), ("client_secret", secret)];
        assert_eq!(introspect_with(&host, &body, None).await.status(), by_body, "{id}");
        let wrong = [("client_id", id), ("client_secret", "WRONG")];
        assert_eq!(introspect_with(&host, &wrong, None).await.status(), 401, "{id}");
        assert_eq!(introspect_with(&host, &[("client_id", id)], None).await.status(), 401, "{id}");
    }
}

#[test]
fn a_method_must_fit_the_credentials() {
    use ClientAuthMethod::{ClientSecretBasic, ClientSecretPost, None as NoMethod, PrivateKeyJwt};
    let id = || ClientId::new("client").unwrap();
    let secret = || Client::confidential(id(), ClientSecret::digest("secret"));
    let public_client = || Client::public(id());
    let keyed = || keyed("client", [public(ED25519)]);
    for method in [ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, NoMethod] {
        assert_eq!((method.as_str().parse(), method.to_string().as_str()), (Ok(method), method.as_str()));
        let is_secret = matches!(method, ClientSecretBasic | ClientSecretPost);
        for (client, fits) in
            [(secret(), is_secret), (public_client(), method == NoMethod), (keyed(), method == PrivateKeyJwt)]
        {
            match client.with_auth_method(method) {
                Ok(client) => assert!(fits && client.auth_method() == Some(method)),
                Err(AuthMethodMismatch) => assert!(!fits, "{method}"),
            }
        }
    }
    assert_eq!("tls_client_auth".parse::<ClientAuthMethod>(), Err(UnknownAuthMethod));
    assert_eq!(secret().auth_method(), None);
    assert_eq!((public_client().auth_method(), keyed().auth_method()), (Some(NoMethod), Some(PrivateKeyJwt)));
    assert!(keyed().is_confidential() && secret().is_confidential() && !public_client().is_confidential());
}

#[test]
fn keys_of_clients_have_at_most_4096_bits_and_there_is_one() {
    let rsa = |bytes: usize| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = 1;
        let jwk = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#, BASE64URL.encode(modulus));
        PublicKeySet::new([PublicKey::from_jwk(jwk.as_bytes()).unwrap()]).unwrap()
    };
    let made = |keys| Client::private_key_jwt(ClientId::new("client").unwrap(), keys).err();
    assert_eq!((made(rsa(256)), made(rsa(512))), (None, None));
    assert_eq!((made(rsa(513)), made(rsa(1024))), (Some(KeyError::RsaTooLarge), Some(KeyError::RsaTooLarge)));
    assert_eq!(made(PublicKeySet::default()), Some(KeyError::NoPublicKey));
}

#[tokio::test]
async fn a_server_that_accepts_no_assertions_refuses_them() {
    let off = Host::with_directory(Settings::default(), signing_key(), directory());
    let assertion = good(&off);
    let reply = introspect_with(&off, &members(&assertion), None).await;
    assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
    assert_eq!(off.directory.calls.lock().unwrap().len(), 0);
    // Not ignored: the public client would otherwise be served.
    let send = but(
        &with_assertion(&sms_send(PHONE), &assertion),
        json!({ "client_id": PUBLIC_CLIENT, "client_secret": null }),
    );
    assert_eq!(off.refused_send(&send).await, refused());
    assert_eq!(off.store.calls.load(SeqCst), 0);
    assert!(!off.server.get_metadata().body().windows(15).any(|part| part == b"private_key_jwt"));
    assert!(!off.server.get_metadata().body().windows(12).any(|part| part == b"auth_signing"));
}

#[test]
fn the_metadata_names_the_method_and_its_algorithms() {
    let host = host();
    for reply in [host.server.get_metadata(), host.server.get_openid_configuration()] {
        let (_, said) = read(&reply);
        let both = json!(["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]);
        assert_eq!(said["token_endpoint_auth_methods_supported"], both);
        assert_eq!(said["revocation_endpoint_auth_methods_supported"], both);
        let confidential = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
        assert_eq!(said["introspection_endpoint_auth_methods_supported"], confidential);
        for endpoint in ["token", "revocation", "introspection"] {
            let algorithms = &said[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
            assert_eq!(*algorithms, json!(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]));
        }
    }
    let without = settings(|settings| {
        settings.client_assertions = true;
        (settings.endpoints.revocation, settings.endpoints.introspection) = (None, None);
    });
    let (_, said) = read(&Host::with(without).server.get_metadata());
    for endpoint in ["revocation", "introspection"] {
        assert!(said.get(format!("{endpoint}_endpoint_auth_signing_alg_values_supported")).is_none());
    }
}
