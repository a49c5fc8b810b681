//! Keys from every kind of file: tokens verify with `ring` under the `kid` that the core would give, and bad files are
//! refused as the core refuses them.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use otp_grant::jwt::{Algorithm, KeyError, KeyFile, PublicKeySet, jws};
use otp_grant::{
    Address, AddressPolicy, AuthSource, AuthSourceId, AuthorizationServer, Channel, Client, ClientId, Delivery, Issuer,
    Keyring, MasterKey, MemoryDirectory, MemoryStore, Request, Scope, SigningKey, Subject, User, UserStatus,
};
use pollster::block_on;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

#[test]
fn tokens_verify_whatever_file_the_key_came_from() {
    for (pem, algorithm) in FILES {
        let core = SigningKey::from_pem(pem).unwrap();
        let inside = inside(pem);
        let der = base64(&inside);
        for key in [
            block_on(otp_grant_aws_lc::from_pem(pem)),
            block_on(otp_grant_aws_lc::from_base64(&inside)),
            block_on(otp_grant_aws_lc::from_der(&der)),
        ] {
            let key = key.unwrap();
            assert_eq!((key.algorithm(), key.key_id()), (algorithm, core.key_id()));
            assert_eq!(key.public_key(), core.public_key());
            tokens_verify(key);
        }
    }
}

#[test]
fn tokens_verify_with_the_algorithm_that_was_chosen() {
    use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
    for (pem, own) in FILES {
        let file = KeyFile::from_pem(pem).unwrap();
        for algorithm in [RS256, PS256, ES256, EdDSA, Ed25519] {
            let core = SigningKey::from_pem(pem).unwrap().with_algorithm(algorithm);
            match (block_on(otp_grant_aws_lc::from_key_file(&file, algorithm)), core) {
                (Ok(key), Ok(core)) => {
                    assert_eq!((key.algorithm(), key.public_key()), (algorithm, core.public_key()));
                    tokens_verify(key);
                }
                (Err(error), Err(expected)) => {
                    assert_eq!((error, expected), (KeyError::AlgorithmMismatch, KeyError::AlgorithmMismatch));
                    assert_ne!(own, algorithm);
                }
                (key, core) => panic!("{own} {algorithm}: {key:?} {core:?}"),
            }
        }
    }
    let rsa1024 = KeyFile::from_pem(include_str!("../../../tests/keys/rsa1024_pkcs8.pem")).unwrap();
    let refused = block_on(otp_grant_aws_lc::from_key_file(&rsa1024, PS256));
    assert_eq!(refused.unwrap_err(), KeyError::RsaTooSmall);
}

#[test]
fn tokens_verify_with_a_key_that_was_made() {
    use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
    for algorithm in [RS256, PS256, ES256, EdDSA, Ed25519] {
        let [one, other] = [(), ()].map(|()| block_on(otp_grant_aws_lc::generate(algorithm)).unwrap());
        assert_eq!(one.algorithm(), algorithm);
        assert_ne!(one.key_id(), other.key_id());
        tokens_verify(one);
    }
}

#[test]
fn what_other_programs_write_is_read() {
    // Earlier versions of ring wrote the public key in a string of bits of its own.
    let by_ring = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let (private, public) = by_ring.as_ref().split_at(by_ring.as_ref().len() - 35);
    assert_eq!((&private[..2], &public[..3]), (&[0x30, 0x51][..], &[0x81, 0x21, 0][..]));
    let by_earlier_ring = [&[0x30, 0x53], &private[2..], &[0xa1, 0x23, 3, 0x21, 0], &public[3..]].concat();
    for der in [by_ring.as_ref(), &by_earlier_ring] {
        tokens_verify(block_on(otp_grant_aws_lc::from_der(der)).unwrap());
    }
    for size in [KeySize::Rsa3072, KeySize::Rsa4096] {
        let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(size).unwrap().as_der().unwrap();
        tokens_verify(block_on(otp_grant_aws_lc::from_der(der.as_ref())).unwrap());
    }
}

#[test]
fn a_bad_file_is_refused_for_the_reason_that_the_core_gives() {
    let [(rsa, _), _, (ed25519, _), (p256, _), _] = FILES;
    let without_public = include_str!("../../../tests/keys/es256_without_public_pkcs8.pem");
    let rsa1024 = include_str!("../../../tests/keys/rsa1024_pkcs8.pem");
    let damaged = rsa.replacen(&rsa[200..204], "AAAA", 1);
    for (pem, error) in [
        ("", KeyError::NoPrivateKey),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", KeyError::NoPrivateKey),
        (&[ed25519, rsa].concat(), KeyError::SeveralPrivateKeys),
        (&p256.replace("PRIVATE", "OPENSSH PRIVATE"), KeyError::Unsupported),
        (without_public, KeyError::PublicKeyMissing),
        (rsa1024, KeyError::RsaTooSmall),
        (&damaged, KeyError::Malformed),
    ] {
        assert_eq!(SigningKey::from_pem(pem).unwrap_err(), error);
        assert_eq!(block_on(otp_grant_aws_lc::from_pem(pem)).unwrap_err(), error);
    }
    for text in ["", "?", "AAAA", &inside(rsa1024), &inside(&damaged)] {
        let error = SigningKey::from_base64(text).unwrap_err();
        assert_eq!(block_on(otp_grant_aws_lc::from_base64(text)).unwrap_err(), error, "{text}");
        let der = base64(text);
        assert_eq!(block_on(otp_grant_aws_lc::from_der(&der)).err(), SigningKey::from_der(&der).err(), "{text}");
    }
}

/// Logs in: both tokens have to verify with the published key.
fn tokens_verify(key: SigningKey) {
    let algorithm = key.algorithm();
    let public = PublicKeySet::new([key.public_key().clone()]).unwrap();
    let master = || MasterKey::from_base64("c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=").unwrap();
    let source = AuthSourceId::new("sms").unwrap();
    let client = Client::public(ClientId::new("app").unwrap()).with_sending().with_auth_source(source.clone());
    let phone = Address::Phone(AddressPolicy::default().phone_number("13800138000").unwrap());
    let directory = MemoryDirectory::new()
        .with_client(client.with_scopes(Scope::openid(), Scope::openid()).unwrap())
        .with_auth_source(AuthSource::new(source, Channel::Sms))
        .with_user(User::new(Subject::new("somebody").unwrap(), UserStatus::Active), [phone]);
    let issuer = Issuer::new("https://login.example.com").unwrap();
    let server = AuthorizationServer::builder(issuer, Keyring::new(&master(), &master()), key)
        .build(MemoryStore::new(), directory)
        .unwrap();

    let mut body = json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13800138000" });
    let send = body.to_string();
    let mut code = None;
    let deliver = async |delivery: Delivery| {
        code = Some(delivery.message().unwrap().code().expose_secret().to_owned());
        delivery.accepted()
    };
    let reply = block_on(server.handle(post("/otp/send", &send), deliver)).unwrap();
    body["grant_type"] = otp_grant::settings::SMS_GRANT_TYPE.into();
    body["otp"] = code.into();
    let sent: Value = serde_json::from_slice(reply.body()).unwrap();
    body["otp_token"] = sent["otp_token"].clone();
    let grant = body.to_string();
    let reply = block_on(server.handle(post("/oauth2/token", &grant), async |delivery| delivery.accepted())).unwrap();
    let tokens: Value = serde_json::from_slice(reply.body()).unwrap();
    for name in ["access_token", "id_token"] {
        jws::verify(tokens[name].as_str().unwrap(), &public).unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
    }
}

fn post<'a>(path: &'a str, body: &'a str) -> Request<'a> {
    Request::new("POST", path).header("Content-Type", "application/json").body(body)
}

fn inside(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().join("\n")
}

/// The bytes, or none if it is not base64.
fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text.replace('\n', "")).unwrap_or_default()
}

const FILES: [(&str, Algorithm); 5] = [
    (include_str!("../../../tests/keys/rsa2048_pkcs8.pem"), Algorithm::RS256),
    (include_str!("../../../tests/keys/rsa2048_pkcs1.pem"), Algorithm::RS256),
    (include_str!("../../../tests/keys/ed25519_pkcs8.pem"), Algorithm::EdDSA),
    (include_str!("../../../tests/keys/es256_pkcs8.pem"), Algorithm::ES256),
    (include_str!("../../../tests/keys/es256_sec1.pem"), Algorithm::ES256),
];
