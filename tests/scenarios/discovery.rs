//! Both metadata documents, whole. The server serves everything that they name, and they name nothing more (contract
//! section 7, RFC 8414, OpenID Connect Discovery).

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::jwt::{Algorithm, SigningKeys};
use otp_grant::server::ConfigError;
use otp_grant::settings::{EMAIL_GRANT_TYPE, Endpoints, SMS_GRANT_TYPE};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const OAUTH: &str = concat!(
    r#"{"issuer":"https://sample.portal.example.com","#,
    r#""token_endpoint":"https://sample.portal.example.com/oauth2/token","#,
    r#""jwks_uri":"https://sample.portal.example.com/oauth2/jwks","#,
    r#""otp_send_endpoint":"https://sample.portal.example.com/otp/send","#,
    r#""revocation_endpoint":"https://sample.portal.example.com/oauth2/revoke","#,
    r#""introspection_endpoint":"https://sample.portal.example.com/oauth2/introspect","#,
    r#""scopes_supported":["openid"],"response_types_supported":[],"#,
    r#""grant_types_supported":["http://tencentciam.com/oauth2/grant-type/otp/sms","#,
    r#""http://tencentciam.com/oauth2/grant-type/otp/email","refresh_token"],"#,
    r#""token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"],"#,
    r#""revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"],"#,
    r#""introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"]}"#,
);
const OPENID_ADDS: &str = concat!(
    r#","userinfo_endpoint":"https://sample.portal.example.com/userinfo","#,
    r#""subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"],"#,
    r#""claims_supported":["sub","iss","aud","azp","exp","iat","jti","auth_time","amr","sid"],"#,
    r#""claim_types_supported":["normal"],"claims_parameter_supported":false,"#,
    r#""request_parameter_supported":false,"request_uri_parameter_supported":false}"#,
);
const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");
const OWN_SMS: &str = "https://own.example.com/otp/sms";
const OWN_EMAIL: &str = "https://own.example.com/otp/email";

type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;

fn build(issuer: &str, settings: Settings, keys: impl Into<SigningKeys>) -> Result<Server, ConfigError> {
    AuthorizationServer::builder(Issuer::new(issuer).unwrap(), keyring(), keys)
        .settings(settings)
        .build(MemoryStore::new(), MemoryDirectory::new())
}

fn ed25519() -> SigningKey {
    other_key(Algorithm::EdDSA)
}

fn with_endpoints(endpoints: Endpoints) -> Result<Server, ConfigError> {
    build(ISSUER, settings(|s| s.endpoints = endpoints), ed25519())
}

fn documents<S: Store, D: Directory>(server: &AuthorizationServer<S, D>) -> [Value; 2] {
    [server.get_metadata(), server.get_openid_configuration()].map(|reply| read(&reply).1)
}

/// Checks a whole document that clients may cache: no header forbids it.
#[track_caller]
fn assert_document(reply: &Reply, max_age: u64, body: &str) {
    assert_eq!((reply.status(), std::str::from_utf8(reply.body()).unwrap()), (200, body));
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    let cache_control = format!("public, max-age={max_age}");
    assert_eq!(headers, [("Cache-Control", &*cache_control), ("Content-Type", "application/json;charset=UTF-8")]);
}

#[test]
fn both_documents_of_a_server_with_default_settings() {
    let host = Host::new();
    assert_document(&host.server.get_metadata(), 300, OAUTH);
    let openid = format!("{}{OPENID_ADDS}", OAUTH.strip_suffix('}').unwrap());
    assert_document(&host.server.get_openid_configuration(), 300, &openid);
}

#[test]
fn documents_and_key_set_may_be_cached_for_as_long_as_configured() {
    for (max_age, said) in [(secs(0), 0), (secs(1), 1), (secs(86_400), 86_400), (secs(60) / 8, 7)] {
        let server = build(ISSUER, settings(|s| s.key_set_max_age = max_age), ed25519()).unwrap();
        for reply in [server.get_metadata(), server.get_openid_configuration(), server.get_jwks()] {
            let body = String::from_utf8(reply.body().to_vec()).unwrap();
            assert_document(&reply, said, &body);
        }
    }
}

#[test]
fn the_issuer_is_the_configured_one_byte_for_byte_and_everything_lies_below_it() {
    for (issuer, base, oauth_path, openid_path) in [
        ("https://a.example", "https://a.example", "", ""),
        ("https://a.example/", "https://a.example", "", ""),
        ("https://A.example:443", "https://A.example:443", "", ""),
        ("https://a.example/t/1", "https://a.example/t/1", "/t/1", "/t/1"),
        ("https://a.example/t/", "https://a.example/t", "/t", "/t"),
        ("https://a.example/T%20x", "https://a.example/T%20x", "/T%20x", "/T%20x"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "", ""),
        ("http://[::1]:8080/t", "http://[::1]:8080/t", "/t", "/t"),
    ] {
        let server = build(issuer, Settings::default(), ed25519()).unwrap();
        assert_eq!(server.issuer().as_str(), issuer);
        let metadata_path = format!("/.well-known/oauth-authorization-server{oauth_path}");
        assert_eq!(server.issuer().metadata_path(), metadata_path);
        let configuration_path = format!("{openid_path}/.well-known/openid-configuration");
        assert_eq!(server.issuer().openid_configuration_path(), configuration_path);
        for document in documents(&server) {
            assert_eq!(document["issuer"], issuer);
            assert_eq!(document["token_endpoint"], format!("{base}/oauth2/token"));
            let urls = document.as_object().unwrap().iter();
            let urls: Vec<_> = urls.filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri")).collect();
            assert!(urls.len() >= 5);
            for (name, url) in urls {
                let url = url.as_str().unwrap();
                assert!(url.starts_with(issuer) && !url[base.len()..].contains("//"), "{name}: {url}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_come_from_the_issuer_that_the_documents_name() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    for document in documents(&host.server) {
        for token in ["access_token", "id_token"] {
            assert_eq!(payload(text(&said, token))["iss"], document["issuer"]);
        }
    }
}

#[test]
fn endpoints_are_named_where_they_are_served() {
    let path = |path: &str| Some(path.to_owned());
    let endpoints = with(Endpoints::default(), |e| {
        e.otp_send = path("/a");
        e.token = "/b/".to_owned();
        e.revocation = path("/c.d");
        e.introspection = path("/e/f%20g");
        e.userinfo = path("/~h");
        e.jwks = "/".to_owned();
    });
    let server = with_endpoints(endpoints).unwrap();
    for (index, document) in documents(&server).into_iter().enumerate() {
        for (name, path) in [
            ("otp_send_endpoint", "/a"),
            ("token_endpoint", "/b/"),
            ("revocation_endpoint", "/c.d"),
            ("introspection_endpoint", "/e/f%20g"),
            ("jwks_uri", "/"),
        ] {
            assert_eq!(document[name], format!("{ISSUER}{path}"));
        }
        // RFC 8414 knows no userinfo.
        assert_eq!(document.get("userinfo_endpoint"), [None, Some(&json!(format!("{ISSUER}/~h")))][index]);
    }
}

#[test]
fn an_endpoint_that_is_not_served_is_not_named() {
    let [oauth, openid] = documents(&with_endpoints(Endpoints::default()).unwrap());
    for (endpoints, gone) in [
        (with(Endpoints::default(), |e| e.otp_send = None), &["otp_send_endpoint"][..]),
        (
            with(Endpoints::default(), |e| e.revocation = None),
            &["revocation_endpoint", "revocation_endpoint_auth_methods_supported"],
        ),
        (
            with(Endpoints::default(), |e| e.introspection = None),
            &["introspection_endpoint", "introspection_endpoint_auth_methods_supported"],
        ),
        (with(Endpoints::default(), |e| e.userinfo = None), &["userinfo_endpoint"]),
    ] {
        let removed = gone.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<Value>();
        let expected = [but(&oauth, removed.clone()), but(&openid, removed)];
        assert_eq!(documents(&with_endpoints(endpoints).unwrap()), expected, "{gone:?}");
    }
}

#[test]
fn what_is_no_path_is_refused_when_the_server_is_built() {
    let refused = |endpoints: Endpoints| with_endpoints(endpoints).err() == Some(ConfigError::Endpoint);
    for bad in [
        "",
        "oauth2/token",
        "https://evil.example/",
        "/a b",
        "/a?b",
        "/a?",
        "/a#b",
        "/a\"",
        "/a\\b",
        "/a<b>",
        "/é",
        "/a\n",
        "/a\0",
        " /a",
    ] {
        let some = || Some(bad.to_owned());
        assert!(refused(with(Endpoints::default(), |e| e.token = bad.to_owned())), "{bad:?}");
        assert!(refused(with(Endpoints::default(), |e| e.jwks = bad.to_owned())), "{bad:?}");
        assert!(refused(with(Endpoints::default(), |e| e.otp_send = some())), "{bad:?}");
        assert!(refused(with(Endpoints::default(), |e| e.revocation = some())), "{bad:?}");
        assert!(refused(with(Endpoints::default(), |e| e.introspection = some())), "{bad:?}");
        assert!(refused(with(Endpoints::default(), |e| e.userinfo = some())), "{bad:?}");
    }
    // No host can serve two endpoints at one path.
    for twice in ["/otp/send", "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/userinfo"] {
        assert!(refused(with(Endpoints::default(), |e| e.jwks = twice.to_owned())), "{twice}");
    }
    assert!(refused(with(Endpoints::default(), |e| {
        e.userinfo = Some("/x".into());
        e.otp_send = Some("/x".into());
    })));
    assert!(
        with_endpoints(with(Endpoints::default(), |e| {
            e.userinfo = None;
            e.jwks = "/userinfo".into();
        }))
        .is_ok()
    );
}

#[test]
fn a_path_has_the_characters_of_rfc_3986_only() {
    // A router's path with a parameter is an easy mistake.
    for bad in ["/{tenant}/token", "/a|b", "/a^b", "/a`b", "/a[b]", "/a%", "/a%2", "/a%zz"] {
        let built = with_endpoints(with(Endpoints::default(), |e| e.token = bad.to_owned()));
        assert_eq!(built.err(), Some(ConfigError::Endpoint), "{bad}");
    }
}

#[test]
fn the_algorithms_are_those_of_all_keys_that_are_published() {
    let rsa = || SigningKey::from_pem(RSA).unwrap();
    let p256 = || SigningKey::generate(Algorithm::ES256).unwrap();
    let publishing = |active: SigningKey, others: &[SigningKey]| {
        let others = others.iter().map(|key| key.public_key().clone());
        others.fold(SigningKeys::new(active), |keys, key| keys.publishing(key).unwrap())
    };
    for (keys, algorithms) in [
        (publishing(rsa(), &[]), &["RS256"][..]),
        (publishing(ed25519(), &[]), &["EdDSA"]),
        (publishing(p256(), &[p256()]), &["ES256"]),
        (publishing(rsa(), &[p256()]), &["ES256", "RS256"]),
        (
            publishing(ed25519(), &[rsa(), p256(), SigningKey::generate(Algorithm::EdDSA).unwrap()]),
            &["ES256", "EdDSA", "RS256"],
        ),
        (publishing(rsa().with_algorithm(Algorithm::PS256).unwrap(), &[]), &["PS256"]),
        (
            publishing(
                rsa().with_algorithm(Algorithm::PS256).unwrap().with_key_id("next").unwrap(),
                &[rsa(), ed25519().with_algorithm(Algorithm::Ed25519).unwrap()],
            ),
            &["Ed25519", "PS256", "RS256"],
        ),
    ] {
        let [oauth, openid] = documents(&build(ISSUER, Settings::default(), keys).unwrap());
        assert_eq!(openid["id_token_signing_alg_values_supported"], json!(algorithms));
        assert_eq!(oauth.get("id_token_signing_alg_values_supported"), None);
    }
}

#[test]
fn scopes_and_claims_are_those_of_the_host() {
    let settings = settings(|s| {
        s.scopes_supported = Scope::parse("openid profile email").unwrap();
        s.claims_supported = ["name", "email", "tier"].map(str::to_owned).to_vec();
    });
    let [oauth, openid] = documents(&build(ISSUER, settings, ed25519()).unwrap());
    assert_eq!(oauth["scopes_supported"], json!(["openid", "profile", "email"]));
    assert_eq!(openid["scopes_supported"], oauth["scopes_supported"]);
    let claims = ["sub", "iss", "aud", "azp", "exp", "iat", "jti", "auth_time", "amr", "sid", "name", "email", "tier"];
    assert_eq!(openid["claims_supported"], json!(claims));
    assert_eq!(oauth.get("claims_supported"), None);
}

#[tokio::test]
async fn the_claims_of_an_id_token_are_all_named() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let mut claims: Vec<_> = payload(text(&said, "id_token")).as_object().unwrap().keys().cloned().collect();
    let named = documents(&host.server)[1]["claims_supported"].clone();
    let mut named: Vec<String> = serde_json::from_value(named).unwrap();
    named.sort_unstable();
    claims.sort_unstable();
    assert_eq!(named, claims);
}

#[test]
fn a_grant_type_that_is_taken_or_empty_cannot_be_configured() {
    for bad in ["refresh_token", "", SMS_GRANT_TYPE, EMAIL_GRANT_TYPE] {
        for channel in [Channel::Sms, Channel::Email] {
            let built = build(ISSUER, settings(|s| s.grant_types.push((bad.to_owned(), channel))), ed25519());
            assert_eq!(built.err(), Some(ConfigError::GrantType), "{bad}");
        }
    }
    let twice = settings(|s| {
        s.grant_types.push((OWN_SMS.to_owned(), Channel::Sms));
        s.grant_types.push((OWN_SMS.to_owned(), Channel::Email));
    });
    assert_eq!(build(ISSUER, twice, ed25519()).err(), Some(ConfigError::GrantType));
}

#[tokio::test]
async fn every_grant_type_that_is_named_is_served() {
    let settings = || {
        settings(|s| {
            s.grant_types.push((OWN_SMS.to_owned(), Channel::Sms));
            s.grant_types.push((OWN_EMAIL.to_owned(), Channel::Email));
        })
    };
    let host = Host::with(settings());
    let named = documents(&host.server);
    let all = [SMS_GRANT_TYPE, EMAIL_GRANT_TYPE, OWN_SMS, OWN_EMAIL, "refresh_token"];
    let email = but(
        &sms_send(PHONE),
        json!({ "phone_number": null, "email": EMAIL, "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID" }),
    );
    for document in named {
        assert_eq!(document["grant_types_supported"], json!(all));
        for grant_type in document["grant_types_supported"].as_array().unwrap() {
            match grant_type.as_str().unwrap() {
                "refresh_token" => {
                    let said = host.log_in(json!({})).await;
                    assert_eq!(host.refresh(text(&said, "refresh_token")).await.0, 200);
                }
                SMS_GRANT_TYPE | OWN_SMS => drop(host.log_in(json!({ "grant_type": grant_type })).await),
                _ => drop(host.log_in_by(&email, json!({ "grant_type": grant_type })).await),
            }
        }
    }
    // The server refuses grant types that the document does not name.
    for grant_type in ["authorization_code", "client_credentials", "password", "https://own.example.com/otp"] {
        let (status, said) = host.token(&json!({ "grant_type": grant_type, "client_id": "TENANT_CLIENT_ID" })).await;
        assert_eq!((status, said), error(400, "unsupported_grant_type", ""));
    }
}

/// The statuses of the token, introspection and revocation endpoints for one way of authentication.
async fn statuses_by(method: &str) -> [u16; 3] {
    let host = Host::new();
    let basic = format!("Basic {}", BASE64_STANDARD.encode("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"));
    let (client, secret, authorization) = match method {
        "client_secret_basic" => ("", "", Some(basic.as_str())),
        "client_secret_post" => ("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET", None),
        _ => ("TENANT_SPA_CLIENT_ID", "", None),
    };
    let owner = match method {
        "none" => json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }),
        _ => json!({}),
    };
    let said = host.log_in_by(&but(&sms_send(PHONE), owner), json!({})).await;
    let changes = [("client_id", client), ("client_secret", secret)];
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", text(&said, "refresh_token"))];
    let token = host.server.post_token(form_request(&form(&refresh, &changes), authorization)).await;
    let asked = form(&[("token", text(&said, "access_token"))], &changes);
    let introspection = host.server.post_introspect(form_request(&asked, authorization)).await;
    if introspection.status() == 200 {
        assert_eq!(read(&introspection).1["active"], true);
    } else {
        assert_reply(&introspection, 401, r#"{"error":"invalid_client"}"#, &[]);
    }
    let revocation = host.server.post_revoke(form_request(&asked, authorization)).await;
    // The token was really revoked.
    assert_eq!(host.userinfo(text(&said, "access_token")).await.status(), 401);
    [token, introspection, revocation].map(|reply| reply.status())
}

#[tokio::test]
async fn every_authentication_method_that_is_named_works_and_no_other() {
    let [_, openid] = documents(&Host::new().server);
    let endpoints = ["token", "introspection", "revocation"];
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        for (endpoint, status) in endpoints.into_iter().zip(statuses_by(method).await) {
            let named = &openid[format!("{endpoint}_endpoint_auth_methods_supported")];
            let is_named = named.as_array().unwrap().contains(&json!(method));
            assert_eq!(status, if is_named { 200 } else { 401 }, "{method} at {endpoint}");
        }
    }
}
