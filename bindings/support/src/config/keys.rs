//! The keys: master keys, the signing key, and what is published beside it.

use std::fmt;

use otp_grant::jwt::{Algorithm, PublicKey, SigningKeys};
use otp_grant::{Keyring, MasterKey, SigningKey};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Config;
use crate::error::{At, ConfigError, Misplaced};
use crate::values::Secret;

/// The master keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    index: Option<Secret>,
    sealing: Option<Secret>,
    #[serde(default)]
    accepted: Vec<Secret>,
    /// New keys at each start.
    #[serde(default)]
    generate: bool,
}

/// The signing keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signing {
    active: ActiveKey,
    algorithm: Option<String>,
    key_id: Option<String>,
    #[serde(default)]
    published: Vec<PublishedKey>,
}

/// The key that signs.
#[derive(Debug)]
enum ActiveKey {
    /// A PEM file, or the base64 inside of one.
    Text(Secret),
    /// A new key at each start.
    Generate(String),
    /// A key that the host signs with.
    External(Map<String, Value>),
}

/// A key that is published beside the active key.
#[derive(Debug)]
enum PublishedKey {
    /// A private key, whose public half is published, or a JWK.
    Text(Secret),
    Jwk(Map<String, Value>),
}

/// The master keys.
pub(crate) fn keyring(config: &Config) -> Result<Keyring, ConfigError> {
    let Keys { index, sealing, accepted, generate } = &config.keys;
    let (index, sealing) = match (index, sealing, generate) {
        (Some(index), Some(sealing), false) => (master(index, "keys.index")?, master(sealing, "keys.sealing")?),
        (None, None, true) => (MasterKey::generate().at("keys.generate")?, MasterKey::generate().at("keys.generate")?),
        (_, _, true) => return Err(ConfigError::new("keys.generate", "keys.index or keys.sealing is also given")),
        (_, _, false) => return Err(ConfigError::new("keys", "index and sealing have to be given")),
    };
    accepted.iter().enumerate().try_fold(Keyring::new(&index, &sealing), |keyring, (number, text)| {
        Ok(keyring.accepting(&master(text, &format!("keys.accepted[{number}]"))?))
    })
}

fn master(text: &Secret, place: &str) -> Result<MasterKey, ConfigError> {
    MasterKey::from_base64(text.expose().trim()).at(place)
}

/// The signing keys.
pub(crate) fn signing_keys(config: &Config) -> Result<SigningKeys, ConfigError> {
    let Signing { active, algorithm, key_id, published } = &config.signing;
    let active = match active {
        ActiveKey::Text(text) => private_key(text).at("signing.active")?,
        ActiveKey::Generate(algorithm) => {
            let place = "signing.active.generate";
            let algorithm = algorithm.parse::<Algorithm>().at(place)?;
            SigningKey::generate(algorithm).at(place)?
        }
        ActiveKey::External(jwk) => SigningKey::external(public_key(jwk).at("signing.active.external")?),
    };
    let active = match algorithm {
        Some(algorithm) => {
            let place = "signing.algorithm";
            active.with_algorithm(algorithm.parse().at(place)?).at(place)?
        }
        None => active,
    };
    let active = match key_id {
        Some(key_id) => active.with_key_id(key_id).at("signing.key_id")?,
        None => active,
    };
    published.iter().enumerate().try_fold(SigningKeys::new(active), |keys, (index, key)| {
        let place = format!("signing.published[{index}]");
        let key = match key {
            PublishedKey::Text(text) if text.expose().trim_start().starts_with('{') => {
                PublicKey::from_jwk(text.expose().as_bytes()).at(&place)?
            }
            PublishedKey::Text(text) => private_key(text).at(&place)?.public_key().clone(),
            PublishedKey::Jwk(jwk) => public_key(jwk).at(&place)?,
        };
        keys.publishing(key).at(place)
    })
}

fn private_key(text: &Secret) -> Result<SigningKey, otp_grant::jwt::KeyError> {
    if text.expose().contains("-----BEGIN") {
        SigningKey::from_pem(text.expose())
    } else {
        SigningKey::from_base64(text.expose())
    }
}

fn public_key(jwk: &Map<String, Value>) -> Result<PublicKey, otp_grant::jwt::KeyError> {
    let json = serde_json::to_vec(jwk).unwrap_or_default();
    PublicKey::from_jwk(&json)
}

impl<'de> Deserialize<'de> for ActiveKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActiveKeyVisitor)
    }
}

struct ActiveKeyVisitor;

impl<'de> Visitor<'de> for ActiveKeyVisitor {
    type Value = ActiveKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a PEM file, {\"generate\": ALGORITHM} or {\"external\": PUBLIC JWK}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ActiveKey, E> {
        Ok(ActiveKey::Text(Secret::new(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<ActiveKey, E> {
        Ok(ActiveKey::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActiveKey, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Origin {
            generate: Option<String>,
            external: Option<Map<String, Value>>,
        }
        match Origin::deserialize(MapAccessDeserializer::new(map))? {
            Origin { generate: Some(algorithm), external: None } => Ok(ActiveKey::Generate(algorithm)),
            Origin { generate: None, external: Some(jwk) } => Ok(ActiveKey::External(jwk)),
            _ => Err(A::Error::custom("one of generate and external is expected")),
        }
    }
}

impl<'de> Deserialize<'de> for PublishedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PublishedKeyVisitor)
    }
}

struct PublishedKeyVisitor;

impl<'de> Visitor<'de> for PublishedKeyVisitor {
    type Value = PublishedKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a PEM file, or a public JWK")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PublishedKey, E> {
        Ok(PublishedKey::Text(Secret::new(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<PublishedKey, E> {
        Ok(PublishedKey::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PublishedKey, A::Error> {
        Map::deserialize(MapAccessDeserializer::new(map)).map(PublishedKey::Jwk)
    }
}
