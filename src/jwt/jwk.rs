//! Public keys and key sets as JSON (RFC 7517), and their thumbprints (RFC 7638). A key that this crate must not verify
//! with is refused here.

use base64::Engine;
use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::{Map, Value};

use crate::base64url::BASE64URL;
use crate::id::KeyThumbprint;
use crate::jwt::algorithm::{Algorithm, KeyKind};
use crate::jwt::key_error::KeyError;
use crate::wire::strict;

/// A public key that verifies signatures, with the identifier by which tokens name it.
///
/// The kind of the key and its `alg` decide the [algorithm](Algorithm). Without `alg`, an RSA key verifies RS256. With
/// `alg` `PS256`, it verifies PS256 and nothing else.
///
/// ```
/// use otp_grant::jwt::{Algorithm, PublicKey};
///
/// let jwk = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let key = PublicKey::from_jwk(jwk)?;
/// assert_eq!(key.algorithm(), Algorithm::EdDSA);
/// assert_eq!(key.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), otp_grant::jwt::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key_id: String,
    /// One that a key of this kind can have.
    algorithm: Algorithm,
    material: Material,
}

impl PublicKey {
    /// Reads a public JWK.
    ///
    /// Unknown members are ignored. Without a `kid`, the thumbprint is the identifier. Without an `alg`, an RSA key
    /// verifies RS256 and an Ed25519 key has the name EdDSA. A P-256 point off its curve is accepted here, but verifies
    /// nothing. An Ed25519 point of small order is refused, because it verifies what anyone can make.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] when this crate does not verify with the kind, curve, `alg`, `use` or `key_ops` of the
    /// key, [`KeyError::PrivateMembers`] when it contains the private key, [`KeyError::RsaTooSmall`],
    /// [`KeyError::RsaTooLarge`], [`KeyError::InvalidKeyId`], and [`KeyError::Malformed`] for everything else,
    /// including duplicate members and inexact base64url.
    pub fn from_jwk(json: &[u8]) -> Result<Self, KeyError> {
        Self::from_members(&strict::object(json).map_err(|_| KeyError::Malformed)?)
    }

    /// Gives the key another algorithm of its kind, in place of the one that it was read with. Its thumbprint and its
    /// identifier stay the same.
    ///
    /// ```
    /// use otp_grant::jwt::{Algorithm, KeyError, PublicKey};
    ///
    /// let jwk = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let key = PublicKey::from_jwk(jwk)?;
    /// assert_eq!(key.clone().with_algorithm(Algorithm::Ed25519)?.key_id(), key.key_id());
    /// assert_eq!(key.with_algorithm(Algorithm::PS256), Err(KeyError::AlgorithmMismatch));
    /// # Ok::<(), KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::AlgorithmMismatch`] when a key of this kind can't have the algorithm.
    pub fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, KeyError> {
        if self.algorithm.key_kind() != algorithm.key_kind() {
            return Err(KeyError::AlgorithmMismatch);
        }
        Ok(Self { algorithm, ..self })
    }

    /// Returns the algorithm that the key verifies with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the identifier of the key, which tokens name as `kid`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the SHA-256 thumbprint of the key in base64url (RFC 7638, RFC 8037 section 2). The algorithm is no part
    /// of it.
    pub fn thumbprint(&self) -> String {
        encode(self.thumbprint_bytes().as_bytes())
    }

    /// Writes the key as a JWK with `kty`, `kid`, `use`, `alg` and its public parts.
    pub fn to_jwk(&self) -> String {
        let (key_id, algorithm, required) = (&self.key_id, self.algorithm, self.material.required_members());
        // Nothing here needs an escape. `with_key_id` checks the identifier, and the rest is base64url.
        format!(r#"{{"kid":"{key_id}","use":"sig","alg":"{algorithm}",{required}}}"#)
    }

    pub(crate) fn thumbprint_bytes(&self) -> KeyThumbprint {
        let hashed = format!("{{{}}}", self.material.required_members());
        let mut bytes = [0; KeyThumbprint::LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, hashed.as_bytes()).as_ref());
        KeyThumbprint::from_bytes(bytes)
    }

    pub(crate) fn from_rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, KeyError> {
        Ok(Self::new(Material::rsa(n, e)?))
    }

    /// Takes an uncompressed point: the octet 4, and then both coordinates.
    pub(crate) fn from_p256(point: &[u8]) -> Result<Self, KeyError> {
        let coordinates = point.strip_prefix(&[UNCOMPRESSED]).ok_or(KeyError::Malformed)?;
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Malformed)?;
        Ok(Self::new(Material::P256 { x: exactly(x)?, y: exactly(y)? }))
    }

    pub(crate) fn from_ed25519(key: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::new(Material::ed25519(exactly(key)?)?))
    }

    pub(crate) fn with_key_id(self, key_id: &str) -> Result<Self, KeyError> {
        // No identifier needs `"` or `\`, which would break the JSON of headers and key sets.
        let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if (1..=255).contains(&key_id.len()) && key_id.bytes().all(harmless) {
            Ok(Self { key_id: key_id.to_owned(), ..self })
        } else {
            Err(KeyError::InvalidKeyId)
        }
    }

    /// Tells whether this key has made the signature over this message, with its own algorithm.
    #[must_use]
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => {
                // One modulus can have both algorithms. A signature of the other algorithm is not one of this key.
                let scheme = match self.algorithm {
                    Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
            }
            Material::P256 { x, y } => {
                let point = [[UNCOMPRESSED].as_slice(), x, y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        }
        .is_ok()
    }

    /// Returns the length of each signature in bytes.
    pub(crate) fn signature_len(&self) -> usize {
        match &self.material {
            Material::Rsa { n, .. } => n.len(),
            Material::P256 { .. } | Material::Ed25519(_) => 64,
        }
    }

    fn new(material: Material) -> Self {
        let unnamed = Self { key_id: String::new(), algorithm: material.kind().default_algorithm(), material };
        Self { key_id: unnamed.thumbprint(), ..unnamed }
    }

    pub(crate) fn from_members(members: &Map<String, Value>) -> Result<Self, KeyError> {
        let kty = text(members, "kty")?.ok_or(KeyError::Malformed)?;
        if !["RSA", "EC", "OKP"].contains(&kty) {
            return Err(KeyError::Unsupported);
        }
        // A private key in the place of a public key has leaked. Silently dropping its secret half would hide the leak.
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return Err(KeyError::PrivateMembers);
        }
        let kind = match (kty, text(members, "crv")?) {
            ("RSA", _) => KeyKind::Rsa,
            ("EC", Some("P-256")) => KeyKind::P256,
            ("OKP", Some("Ed25519")) => KeyKind::Ed25519,
            (_, Some(_)) => return Err(KeyError::Unsupported),
            (_, None) => return Err(KeyError::Malformed),
        };
        let algorithm = check_purpose(members, kind)?;

        let material = match kind {
            KeyKind::Rsa => Material::rsa(bytes(members, "n")?, bytes(members, "e")?)?,
            KeyKind::P256 => Material::P256 { x: exactly(&bytes(members, "x")?)?, y: exactly(&bytes(members, "y")?)? },
            KeyKind::Ed25519 => Material::ed25519(exactly(&bytes(members, "x")?)?)?,
        };
        let key = Self { algorithm, ..Self::new(material) };
        match text(members, "kid")? {
            Some(key_id) => key.with_key_id(key_id),
            None => Ok(key),
        }
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PublicKey")
            .field("key_id", &self.key_id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A set of public keys, each with its own identifier.
///
/// ```
/// use otp_grant::SigningKey;
/// use otp_grant::jwt::{Algorithm, PublicKeySet};
///
/// let active = SigningKey::generate(Algorithm::ES256)?;
/// let previous = SigningKey::generate(Algorithm::ES256)?;
/// let keys = PublicKeySet::new([active.public_key().clone(), previous.public_key().clone()])?;
/// assert_eq!(PublicKeySet::from_json(keys.to_json().as_bytes())?, keys);
/// assert_eq!(keys.find(active.key_id()), Some(active.public_key()));
/// assert_eq!(keys.iter().count(), 2);
/// # Ok::<(), otp_grant::jwt::KeyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeySet {
    keys: Vec<PublicKey>,
}

impl PublicKeySet {
    /// Collects keys into a set.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] when two keys have the same identifier.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::default();
        keys.into_iter().try_for_each(|key| set.add(key))?;
        Ok(set)
    }

    /// Makes a set of one key.
    pub(crate) fn of(key: PublicKey) -> Self {
        Self { keys: vec![key] }
    }

    pub(crate) fn add(&mut self, key: PublicKey) -> Result<(), KeyError> {
        // If two keys had one name, their order would decide which of them verifies a token.
        if self.find(key.key_id()).is_some() {
            return Err(KeyError::DuplicateKeyId);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Reads a key set. It skips keys with a kind, curve, `alg`, `use` or `key_ops` that this crate does not verify
    /// with.
    ///
    /// # Errors
    /// The errors of [`PublicKey::from_jwk`] for every other key, [`KeyError::DuplicateKeyId`], and
    /// [`KeyError::Malformed`] unless the JSON is an object with an array of objects called `keys`.
    ///
    /// RFC 7517 section 5.
    pub fn from_json(json: &[u8]) -> Result<Self, KeyError> {
        let set = strict::object(json).map_err(|_| KeyError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(KeyError::Malformed)?;
        let read = |key: &Value| PublicKey::from_members(key.as_object().ok_or(KeyError::Malformed)?);
        let supported = keys.iter().map(read).filter(|key| *key != Err(KeyError::Unsupported));
        Self::new(supported.collect::<Result<Vec<_>, _>>()?)
    }

    /// Writes the key set (RFC 7517 section 5) as the body of a JWKS endpoint.
    pub fn to_json(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(PublicKey::to_jwk).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    /// Returns the key with this identifier.
    pub fn find(&self, key_id: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.key_id == key_id)
    }

    /// Returns the keys in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    /// Returns the key of a set that has exactly one.
    pub(crate) fn only(&self) -> Option<&PublicKey> {
        self.keys.first().filter(|_| self.keys.len() == 1)
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519([u8; 32]),
}

impl Material {
    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, KeyError> {
        // RFC 7518 section 6.3.1: as few octets as possible. Otherwise one key would have several thumbprints.
        let odd = |number: &[u8]| matches!(number, [1..=255, ..]) && number.last().is_some_and(|last| last % 2 == 1);
        if !odd(&n) || !odd(&e) {
            return Err(KeyError::Malformed);
        }
        if n.len() < 256 || (n.len() == 256 && n.first().is_some_and(|first| *first < 0x80)) {
            return Err(KeyError::RsaTooSmall);
        }
        if n.len() > 1024 || e.len() > 5 {
            return Err(KeyError::RsaTooLarge);
        }
        // FIPS 186-5 requires at least 65537. With a large exponent, a key set could make every verification slow.
        match e.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)) {
            ..65_537 => Err(KeyError::RsaTooSmall),
            0x2_0000_0000.. => Err(KeyError::RsaTooLarge),
            _ => Ok(Self::Rsa { n, e }),
        }
    }

    /// Takes a point. A point of small order is no key: anyone can make signatures that it verifies.
    fn ed25519(key: [u8; 32]) -> Result<Self, KeyError> {
        // The sign of x stands in the last bit. Points that differ in it alone have the same order.
        let mut y = key;
        if let Some(last) = y.last_mut() {
            *last &= 0x7f;
        }
        let has_small_order = match y {
            // 0 and 1, which `ring` also accepts as the prime and its successor, and -1.
            [0 | 1, rest @ ..] if rest == [0; 31] => true,
            [0xec..=0xee, rest @ .., 0x7f] if rest == [0xff; 30] => true,
            y => ORDER_EIGHT.contains(&y),
        };
        if has_small_order { Err(KeyError::Malformed) } else { Ok(Self::Ed25519(key)) }
    }

    fn kind(&self) -> KeyKind {
        match self {
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::P256 { .. } => KeyKind::P256,
            Self::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Returns the members that thumbprints are made of, in lexicographic order and without white space (RFC 7638
    /// section 3.2).
    fn required_members(&self) -> String {
        match self {
            Self::Rsa { n, e } => format!(r#""e":"{}","kty":"RSA","n":"{}""#, encode(e), encode(n)),
            Self::P256 { x, y } => format!(r#""crv":"P-256","kty":"EC","x":"{}","y":"{}""#, encode(x), encode(y)),
            Self::Ed25519(x) => format!(r#""crv":"Ed25519","kty":"OKP","x":"{}""#, encode(x)),
        }
    }
}

/// Returns the algorithm of a key of this kind. Refuses a key whose owner set it aside for another purpose than
/// verifying with it.
fn check_purpose(members: &Map<String, Value>, kind: KeyKind) -> Result<Algorithm, KeyError> {
    let named: Option<Algorithm> = text(members, "alg")?.map(str::parse).transpose()?;
    let algorithm = named.unwrap_or(kind.default_algorithm());
    if algorithm.key_kind() != kind {
        return Err(KeyError::Malformed);
    }
    if text(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::Unsupported);
    }
    match members.get("key_ops") {
        None => Ok(algorithm),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(algorithm),
        Some(Value::Array(_)) => Err(KeyError::Unsupported),
        Some(_) => Err(KeyError::Malformed),
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, KeyError> {
    members.get(name).map(|value| value.as_str().ok_or(KeyError::Malformed)).transpose()
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    let encoded = text(members, name)?.ok_or(KeyError::Malformed)?;
    BASE64URL.decode(encoded).map_err(|_| KeyError::Malformed)
}

fn exactly(bytes: &[u8]) -> Result<[u8; 32], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Malformed)
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

/// The y of the points of order 8.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];
/// SEC 1 section 2.3.3.
const UNCOMPRESSED: u8 = 4;
/// RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK\
        RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgn\
        Yb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF\
        44-csFCur-kEgU8awapJzKnqDKgw";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn rsa(n: &[u8], e: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_jwk(format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, encode(n)).as_bytes())
    }

    fn okp(more: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_jwk(format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#).as_bytes())
    }

    /// With the neutral point as its key, a signature of the neutral point and 0 verifies for every message.
    #[test]
    fn a_point_of_small_order_is_no_key() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let key = PublicKey { material: Material::Ed25519(neutral), ..okp("").unwrap() };
        assert!(key.verifies(b"any message", &[neutral, [0; 32]].concat()));

        let ended = |first, rest, last| {
            let mut y = [rest; 32];
            (y[0], y[31]) = (first, last);
            y
        };
        let of_order_four_at_most = [0, 1].map(|first| ended(first, 0, 0)).into_iter();
        let of_order_four_at_most =
            of_order_four_at_most.chain([0xec, 0xed, 0xee].map(|first| ended(first, 0xff, 0x7f)));
        for y in of_order_four_at_most.chain(ORDER_EIGHT) {
            for sign in [0, 0x80] {
                let mut point = y;
                point[31] |= sign;
                assert_eq!(PublicKey::from_ed25519(&point), Err(KeyError::Malformed), "{point:x?}");
                let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, encode(&point));
                assert_eq!(PublicKey::from_jwk(jwk.as_bytes()), Err(KeyError::Malformed), "{point:x?}");
            }
        }
        let alike = [ended(0, 7, 0), ended(1, 7, 0), ended(0xec, 7, 0x7f), ended(0xee, 7, 0x7f)];
        for y in alike.into_iter().chain([ended(2, 0, 0), ended(0xef, 0xff, 0x7f), ended(0xec, 0xff, 0x7e)]) {
            assert!(PublicKey::from_ed25519(&y).is_ok());
        }
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let rsa = format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
        let rsa = PublicKey::from_jwk(rsa.as_bytes()).unwrap();
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!((rsa.key_id(), rsa.algorithm()), ("2011-04-29", Algorithm::RS256));

        // RFC 8037 appendix A.3.
        assert_eq!(okp("").unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn the_algorithm_of_a_key_is_no_part_of_its_thumbprint() {
        let jwk =
            |alg: &str| PublicKey::from_jwk(format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"{alg}}}"#).as_bytes());
        let unnamed = jwk("").unwrap();
        assert_eq!(unnamed.algorithm(), Algorithm::RS256);
        assert_eq!(jwk(r#","alg":"RS256""#), Ok(unnamed.clone()));
        let pss = jwk(r#","alg":"PS256""#).unwrap();
        assert_eq!(pss.algorithm(), Algorithm::PS256);
        assert_eq!((pss.thumbprint(), pss.key_id()), (unnamed.thumbprint(), unnamed.key_id()));
        assert_ne!(pss, unnamed);
        assert_eq!(unnamed.with_algorithm(Algorithm::PS256), Ok(pss.clone()));
        assert!(pss.to_jwk().contains(r#""alg":"PS256""#));
        assert_eq!(PublicKey::from_jwk(pss.to_jwk().as_bytes()), Ok(pss));
        for (alg, error) in [
            (r#","alg":"PS384""#, KeyError::Unsupported),
            (r#","alg":"RSA-OAEP""#, KeyError::Unsupported),
            (r#","alg":"ps256""#, KeyError::Unsupported),
            (r#","alg":"ES256""#, KeyError::Malformed),
            (r#","alg":"Ed25519""#, KeyError::Malformed),
            (r#","alg":["PS256"]"#, KeyError::Malformed),
            (r#","alg":"RS256","alg":"PS256""#, KeyError::Malformed),
        ] {
            assert_eq!(jwk(alg), Err(error), "{alg}");
        }

        let (older, newer) = (okp(r#","alg":"EdDSA""#).unwrap(), okp(r#","alg":"Ed25519""#).unwrap());
        assert_eq!((older.algorithm(), newer.algorithm()), (Algorithm::EdDSA, Algorithm::Ed25519));
        assert_eq!((older.thumbprint(), okp("").unwrap()), (newer.thumbprint(), older));
        assert_eq!(PublicKey::from_jwk(newer.to_jwk().as_bytes()), Ok(newer));
    }

    #[test]
    fn a_key_has_only_the_algorithms_of_its_kind() {
        use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
        let all = [RS256, PS256, ES256, EdDSA, Ed25519];
        let ec = br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let rsa = rsa(&BASE64URL.decode(RSA_N).unwrap(), "AQAB");
        let kinds =
            [(rsa, [RS256, PS256].as_slice()), (PublicKey::from_jwk(ec), &[ES256]), (okp(""), &[EdDSA, Ed25519])];
        for (key, allowed) in kinds {
            let key = key.unwrap();
            assert_eq!(Some(&key.algorithm()), allowed.first());
            for algorithm in all {
                let changed = key.clone().with_algorithm(algorithm).map(|key| key.algorithm());
                let expected =
                    if allowed.contains(&algorithm) { Ok(algorithm) } else { Err(KeyError::AlgorithmMismatch) };
                assert_eq!(changed, expected, "{key:?}");
            }
        }
        for algorithm in all {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            let verified = all.into_iter().filter(|other| algorithm.has_name(other.as_str())).collect::<Vec<_>>();
            let both = [EdDSA, Ed25519];
            assert_eq!(verified, if both.contains(&algorithm) { both.to_vec() } else { vec![algorithm] });
            for alg in ["none", "", "HS256", "PS384", "Ed448", "ED25519", "eddsa"] {
                assert!(!algorithm.has_name(alg), "{alg}");
            }
        }
    }

    #[test]
    fn a_written_key_reads_back() {
        let ec = br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"1","use":"sig","key_ops":["verify"],"future":[{}]}"#;
        let modulus = BASE64URL.decode(RSA_N).unwrap();
        for key in [PublicKey::from_jwk(ec), rsa(&modulus, "AQAB"), okp("")] {
            let key = key.unwrap();
            assert_eq!(PublicKey::from_jwk(key.to_jwk().as_bytes()), Ok(key));
        }
        let written = okp(r#","kid":"a""#).unwrap().to_jwk();
        assert_eq!(
            written,
            format!(r#"{{"kid":"a","use":"sig","alg":"EdDSA","crv":"Ed25519","kty":"OKP","x":"{X}"}}"#)
        );
    }

    #[test]
    fn a_key_for_something_else_is_refused() {
        use KeyError::{InvalidKeyId, Malformed, PrivateMembers, Unsupported};
        for (more, error) in [
            (r#","kid":"a","kid":"a""#, Malformed),
            (r#","x":"AA""#, Malformed),
            (r#","kid":1"#, Malformed),
            (r#","kid":"""#, InvalidKeyId),
            (r#","kid":"a\"b""#, InvalidKeyId),
            (r#","kid":"ключ""#, InvalidKeyId),
            (r#","alg":"ES256""#, Malformed),
            (r#","alg":"PS256""#, Malformed),
            (r#","alg":"ed25519""#, Unsupported),
            (r#","alg":"Ed448""#, Unsupported),
            (r#","alg":"none""#, Unsupported),
            (r#","use":"enc""#, Unsupported),
            (r#","use":null"#, Malformed),
            (r#","key_ops":["sign"]"#, Unsupported),
            (r#","key_ops":"verify""#, Malformed),
            (r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#, PrivateMembers),
        ] {
            assert_eq!(okp(more), Err(error), "{more}");
        }
        for (jwk, error) in [
            (r#"[]"#.to_owned(), Malformed),
            (r#"{"crv":"Ed25519"}"#.to_owned(), Malformed),
            (r#"{"kty":"oct","k":"AA"}"#.to_owned(), Unsupported),
            (format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}"}}"#), Unsupported),
            (format!(r#"{{"kty":"EC","crv":"Ed25519","x":"{X}"}}"#), Unsupported),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}"}}"#), Malformed),
            (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}="}}"#), Malformed),
            // The same bytes, were the two bits after them not looked at.
            (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}p"}}"#, &X[..42]), Malformed),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.to_owned(), Malformed),
        ] {
            assert_eq!(PublicKey::from_jwk(jwk.as_bytes()), Err(error), "{jwk}");
        }
    }

    #[test]
    fn rsa_keys_have_a_sane_size() {
        let modulus = |length: usize, first: u8| {
            let mut modulus = vec![0xff; length];
            modulus[0] = first;
            modulus
        };
        let accepted = modulus(256, 0x80);
        assert!(rsa(&accepted, "AQAB").is_ok());
        assert!(rsa(&modulus(1024, 0xff), "AQAB").is_ok());
        assert!(rsa(&accepted, "AQAAAAE").is_ok());
        assert_eq!(rsa(&modulus(256, 0x7f), "AQAB"), Err(KeyError::RsaTooSmall));
        assert_eq!(rsa(&modulus(128, 0xff), "AQAB"), Err(KeyError::RsaTooSmall));
        assert_eq!(rsa(&modulus(1025, 0x01), "AQAB"), Err(KeyError::RsaTooLarge));
        assert_eq!(rsa(&modulus(257, 0), "AQAB"), Err(KeyError::Malformed));
        for (e, error) in [
            ("", KeyError::Malformed),
            ("AAEAAQ", KeyError::Malformed),
            ("AQAA", KeyError::Malformed),
            ("AQ", KeyError::RsaTooSmall),
            ("Aw", KeyError::RsaTooSmall),
            ("AgAAAAE", KeyError::RsaTooLarge),
            ("AQAAAAAB", KeyError::RsaTooLarge),
            // Its last eight bytes are 65537.
            ("AQAAAAAAAAEAAQ", KeyError::RsaTooLarge),
        ] {
            assert_eq!(rsa(&accepted, e), Err(error), "{e}");
        }
    }

    #[test]
    fn a_set_skips_what_it_cannot_use_and_refuses_what_is_broken() {
        let usable = okp("").unwrap().to_jwk();
        let set = |keys: &str| PublicKeySet::from_json(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        let mixed = set(&format!(r#"{{"kty":"oct","k":"AA"}},{{"kty":"EC","crv":"P-384"}},{{"kty":"new"}},{usable}"#));
        assert_eq!(mixed, PublicKeySet::new([okp("").unwrap()]));
        assert_eq!(mixed.unwrap().to_json(), format!(r#"{{"keys":[{usable}]}}"#));
        assert_eq!(set("").unwrap(), PublicKeySet::default());

        assert_eq!(set(&format!("{usable},{usable}")), Err(KeyError::DuplicateKeyId));
        assert_eq!(set(r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#), Err(KeyError::Malformed));
        assert_eq!(set("1"), Err(KeyError::Malformed));
        assert_eq!(set(r#"{"kty":"new","a":{"b":1,"b":1}}"#), Err(KeyError::Malformed));
        assert_eq!(PublicKeySet::from_json(b"{}"), Err(KeyError::Malformed));
    }
}
