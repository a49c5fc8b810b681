//! A signer of the host's own. Its tokens are like others, and its failure loses nothing.

use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use ed25519_dalek::{Signer as _, SigningKey as DalekKey};
use futures::FutureExt;
use otp_grant::jwt::{Audience, KeyError, PublicKey, Signer, SignerError, SigningKeys};
use otp_grant::{Settings, SigningKey};
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::json;

/// What the signer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Signs,
    Fails,
    /// Gives a signature of the wrong length.
    Gives(usize),
    Stalls,
}

#[derive(Clone)]
struct Elsewhere {
    key: DalekKey,
    mood: Arc<Mutex<Mood>>,
}

impl Elsewhere {
    fn new(seed: u8) -> Self {
        Self { key: DalekKey::from_bytes(&[seed; 32]), mood: Arc::new(Mutex::new(Mood::Signs)) }
    }

    fn public(&self) -> PublicKey {
        let x = base64(self.key.verifying_key().as_bytes());
        PublicKey::from_jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string().as_bytes()).unwrap()
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

impl Signer for Elsewhere {
    type Error = Broken;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Signs => Ok(self.key.sign(message).to_vec()),
            Mood::Fails => Err(Broken),
            Mood::Gives(bytes) => Ok(vec![0; bytes]),
            Mood::Stalls => pending().await,
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn host() -> (Host, Elsewhere) {
    let signer = Elsewhere::new(1);
    let key = block_on(SigningKey::of_signer(signer.clone(), signer.public())).unwrap();
    (Host::with_key(Settings::default(), key), signer)
}

#[test]
fn its_tokens_are_verified_like_others() {
    block_on(async {
        let (host, signer) = host();
        let login = host.log_in(json!({})).await;
        let access_token = text(&login, "access_token");
        host.server.verify_access_token(access_token, Audience::EveryClient).unwrap();
        assert!(host.is_active(access_token).await);
        assert_eq!(host.userinfo(access_token).await.status(), 200);
        let (status, refreshed) = host.refresh(text(&login, "refresh_token")).await;
        assert_eq!(status, 200, "{refreshed}");
        let header = access_token.split('.').next().unwrap();
        let expected = format!(r#"{{"kid":"{}","typ":"JWT","alg":"EdDSA"}}"#, signer.public().thumbprint());
        assert_eq!(header, base64(expected.as_bytes()));
        assert!(host.server.key_set().to_json().contains(&signer.public().thumbprint()));
    });
}

#[test]
fn a_signer_that_fails_costs_neither_the_code_nor_the_session() {
    block_on(async {
        for mood in [Mood::Fails, Mood::Gives(0), Mood::Gives(63), Mood::Gives(65)] {
            let (host, signer) = host();
            let sent = host.send(&sms_send(PHONE)).await;
            signer.becomes(mood);
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 503, "{mood:?}");
            assert_eq!(host.counters.faults.load(SeqCst), 1);
            signer.becomes(Mood::Signs);
            let (status, login) = host.token(&sms_grant(PHONE, &sent)).await;
            assert_eq!(status, 200, "{login}");

            let refresh_token = text(&login, "refresh_token");
            signer.becomes(mood);
            assert_eq!(host.refresh(refresh_token).await.0, 503, "{mood:?}");
            // This is long after the retry window: the token is still the current one.
            host.advance(secs(60));
            signer.becomes(Mood::Signs);
            assert_eq!(host.refresh(refresh_token).await.0, 200, "{mood:?}");
        }
    });
}

/// The guess is given back each time, and so nothing else ends the repetitions.
#[test]
fn while_a_signer_fails_no_session_is_stored() {
    block_on(async {
        let (host, signer) = host();
        let sent = host.send(&sms_send(PHONE)).await;
        let before = host.store.inner.records().len();
        signer.becomes(Mood::Fails);
        for _ in 0..20 {
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 503);
        }
        assert_eq!(host.store.inner.records().len(), before);
        signer.becomes(Mood::Signs);
        assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
    });
}

#[test]
fn a_client_that_hangs_up_while_it_signs_can_come_back() {
    let (host, signer) = host();
    let sent = block_on(host.send(&sms_send(PHONE)));
    signer.becomes(Mood::Stalls);
    match Face::of_this_run() {
        Face::AsyncPorts => assert!(host.token(&sms_grant(PHONE, &sent)).now_or_never().is_none()),
        // An exchange does not wait for a signer that is not asked: it would wait for ever.
        Face::Exchange => assert_eq!(block_on(host.token(&sms_grant(PHONE, &sent))).0, 503),
    }
    signer.becomes(Mood::Signs);
    assert_eq!(block_on(host.token(&sms_grant(PHONE, &sent))).0, 200);
}

#[test]
fn a_signer_with_another_key_is_refused() {
    let (signer, other) = (Elsewhere::new(1), Elsewhere::new(2));
    let refused = |signer: &Elsewhere, public| block_on(SigningKey::of_signer(signer.clone(), public)).unwrap_err();
    assert_eq!(refused(&signer, other.public()), SignerError::WrongSignature);
    for (mood, error) in [
        (Mood::Gives(64), SignerError::WrongSignature),
        (Mood::Gives(0), SignerError::WrongSignature),
        (Mood::Fails, SignerError::Failed(Broken)),
    ] {
        signer.becomes(mood);
        assert_eq!(refused(&signer, signer.public()), error);
    }
}

#[test]
fn it_takes_part_in_a_change_of_keys() {
    block_on(async {
        let (host, signer) = host();
        let login = host.log_in(json!({})).await;
        let next = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
        let keys = SigningKeys::new(next).publishing(signer.public()).unwrap();
        let switched = host.beside(Settings::default(), keys, keyring());
        assert!(switched.is_active(text(&login, "access_token")).await);
        assert_eq!(switched.refresh(text(&login, "refresh_token")).await.0, 200);
    });
}

#[test]
fn its_key_has_the_name_that_the_host_gives_it() {
    let signer = Elsewhere::new(1);
    let key = || block_on(SigningKey::of_signer(signer.clone(), signer.public())).unwrap();
    let id = "8f1c0f5e-2c3b-4d9e-9a57-0d3c1f3a5b11";
    let host = Host::with_key(Settings::default(), key().with_key_id(id).unwrap());
    let login = block_on(host.log_in(json!({})));
    assert_eq!(host.server.key_set().find(id).unwrap().thumbprint(), signer.public().thumbprint());
    for name in ["access_token", "id_token"] {
        let header = text(&login, name).split('.').next().unwrap();
        assert_eq!(header, base64(format!(r#"{{"kid":"{id}","typ":"JWT","alg":"EdDSA"}}"#).as_bytes()));
    }
    assert!(host.server.verify_access_token(text(&login, "access_token"), Audience::EveryClient).is_ok());
    // The builder refuses two keys of one name, and a name that no header can carry.
    let other = Elsewhere::new(2).public();
    let other = block_on(SigningKey::of_signer(Elsewhere::new(2), other)).unwrap().with_key_id(id).unwrap();
    let keys = SigningKeys::new(key().with_key_id(id).unwrap());
    assert_eq!(keys.publishing(other.public_key().clone()).err(), Some(KeyError::DuplicateKeyId));
    assert_eq!(key().with_key_id("\"").err(), Some(KeyError::InvalidKeyId));
}
