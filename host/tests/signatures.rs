//! Tokens that AWS-LC signs. The core verifies with ring, and has to accept them, whatever file the key came from.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use otp_grant::SigningKey;
use otp_grant::jwt::{Algorithm, PublicKeySet, jws};
use support::{Folder, Host, JSON, command, root};

#[test]
fn tokens_verify_whatever_file_the_key_came_from() {
    for (file, algorithm) in KEY_FILES {
        let path = root().join("tests/keys").join(file);
        let pem = std::fs::read_to_string(&path).unwrap();
        let key_id = SigningKey::from_pem(&pem).unwrap().key_id().to_owned();
        let name = file.trim_end_matches(".pem");
        verifies(&Host::demo_with(name, &["--key", path.to_str().unwrap()]), &key_id, algorithm);

        // What stands in the file, in the configuration.
        let inside: String = pem.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().join("\n");
        verifies(&Host::configured(&format!("{name}-inside"), &config(&inside, "")), &key_id, algorithm);
    }
}

#[test]
fn tokens_verify_with_a_key_that_was_made() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519] {
        let name = algorithm.as_str();
        let host = Host::demo_with(&format!("made-{name}"), &["--alg", name]);
        let key_id = host.get("/oauth2/jwks").json()["keys"][0]["kid"].as_str().unwrap().to_owned();
        verifies(&host, &key_id, algorithm);
    }
}

#[test]
fn the_configuration_chooses_among_the_algorithms_of_a_key() {
    let pem = |file: &str| std::fs::read_to_string(root().join("tests/keys").join(file)).unwrap();
    let (rsa, p256, ed25519) = (pem("rsa2048_pkcs8.pem"), pem("es256_pkcs8.pem"), pem("ed25519_pkcs8.pem"));
    let chosen = |key: &str, name: &str| {
        config(key, "").replace("\n[signing]\n", &format!("\n[signing]\nalgorithm = \"{name}\"\n"))
    };
    for (key, algorithm) in [(&rsa, Algorithm::PS256), (&rsa, Algorithm::RS256), (&ed25519, Algorithm::Ed25519)] {
        let key_id = SigningKey::from_pem(key).unwrap().key_id().to_owned();
        let host = Host::configured(&format!("chosen-{algorithm}"), &chosen(key, algorithm.as_str()));
        verifies(&host, &key_id, algorithm);
    }
    let folder = Folder::new("algorithms");
    for (key, name, error) in [
        (&p256, "PS256", "the key cannot have this algorithm"),
        (&rsa, "EdDSA", "the key cannot have this algorithm"),
        (&rsa, "PS384", "the key is of a kind, curve, algorithm, use or format that is not supported"),
        (&rsa, "none", "the key is of a kind, curve, algorithm, use or format that is not supported"),
    ] {
        let file = folder.write("host.toml", &chosen(key, name));
        let output = command(&["--check", "--config", file.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.ends_with(&format!("signing.algorithm: {error}\n")), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn the_next_key_is_published_and_the_active_one_signs() {
    let [active, next] = ["es256_pkcs8.pem", "rsa2048_pkcs1.pem"]
        .map(|file| std::fs::read_to_string(root().join("tests/keys").join(file)).unwrap());
    let key_id = |pem: &str| SigningKey::from_pem(pem).unwrap().key_id().to_owned();
    let host = Host::configured("next", &config(&active, &format!("\"\"\"{next}\"\"\"")));
    verifies(&host, &key_id(&active), Algorithm::ES256);
    let keys = PublicKeySet::from_json(host.get("/oauth2/jwks").body.as_bytes()).unwrap();
    assert_eq!(keys.find(&key_id(&next)).unwrap().algorithm(), Algorithm::RS256);
}

#[test]
fn a_key_is_refused_for_what_is_wrong_with_it() {
    let folder = Folder::new("keys");
    let pem = |file: &str| std::fs::read_to_string(root().join("tests/keys").join(file)).unwrap();
    let good = pem("ed25519_pkcs8.pem");
    let rsa = pem("rsa2048_pkcs8.pem");
    for (text, error) in [
        (String::new(), "the key is malformed"),
        (
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into(),
            "the PEM file has no unencrypted private key",
        ),
        (format!("{good}{good}"), "the PEM file has more than one private key"),
        (pem("rsa1024_pkcs8.pem"), "the RSA key has fewer than 2048 bits, or a public exponent below 65537"),
        (rsa.replacen(&rsa[200..204], "AAAA", 1), "the key is malformed"),
    ] {
        let file = folder.write("key.pem", &text);
        let output = command(&["--demo", "--check", "--key", file.to_str().unwrap()]).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("--key: {error}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Logs in; both tokens have to name the key and verify with it.
fn verifies(host: &Host, key_id: &str, algorithm: Algorithm) {
    let common = r#""client_id":"TENANT_SPA_CLIENT_ID","auth_source_id":"MOCK_SMS_OTP_AUTH_SOURCE_ID","phone_number":"13612345678""#;
    let sent = host.post("/otp/send", JSON, &format!("{{{common}}}")).json();
    let (otp_token, otp) = (sent["otp_token"].as_str().unwrap(), host.last_code());
    let (uri, sign_up) = (otp_grant::settings::SMS_GRANT_TYPE, r#""auto_signup":true"#);
    let grant = format!(r#"{{{common},"grant_type":"{uri}","otp_token":"{otp_token}","otp":"{otp}",{sign_up}}}"#);
    let tokens = host.post("/oauth2/token", JSON, &grant).json();

    let keys = PublicKeySet::from_json(host.get("/oauth2/jwks").body.as_bytes()).unwrap();
    let key = keys.find(key_id).unwrap();
    assert_eq!(key.algorithm(), algorithm);
    let key = PublicKeySet::new([key.clone()]).unwrap();
    for name in ["access_token", "id_token"] {
        jws::verify(tokens[name].as_str().unwrap(), &key).unwrap();
    }
}

/// A host with the demo's names, which signs with a key.
fn config(key: &str, published: &str) -> String {
    let master = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
    format!(
        r#"
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{master}", sealing = "{master}" }}
delivery = {{ outbox = "outbox" }}
addresses = {{ country_code = "86" }}
auth_sources.MOCK_SMS_OTP_AUTH_SOURCE_ID = {{ channel = "sms" }}
[signing]
active = """{key}"""
published = [{published}]
[clients.TENANT_SPA_CLIENT_ID]
public = true
may_send = true
auth_sources = ["MOCK_SMS_OTP_AUTH_SOURCE_ID"]
"#
    )
}

const KEY_FILES: [(&str, Algorithm); 4] = [
    ("rsa2048_pkcs8.pem", Algorithm::RS256),
    ("rsa2048_pkcs1.pem", Algorithm::RS256),
    ("es256_pkcs8.pem", Algorithm::ES256),
    ("ed25519_pkcs8.pem", Algorithm::EdDSA),
];
