//! The private key that signs tokens: how it is read, made or taken from a signer, and how it signs a JWT.

use base64::Engine;

use crate::base64url::BASE64URL;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::jwk::PublicKey;
use crate::jwt::key_error::KeyError;
use crate::jwt::key_file::{KeyFile, diagnosis};
use crate::jwt::ring_key::{KeyPair, append};
use crate::jwt::signer::{AnySigner, Signer, SignerError};
use crate::jwt::signing_error::SigningError;

/// A private key that signs tokens, or a [`Signer`] that has such a key. It is read once and used as long as the server
/// runs.
///
/// An RSA key signs with RS256, a P-256 key with ES256, and an Ed25519 key with EdDSA. [`SigningKey::with_algorithm`]
/// chooses PS256 or the name Ed25519 instead. The identifier of the key is its thumbprint (RFC 7638), unless
/// [`SigningKey::with_key_id`] gives it another.
///
/// ```
/// use otp_grant::SigningKey;
/// use otp_grant::jwt::{Algorithm, KeyError, PublicKeySet};
///
/// let key = SigningKey::generate(Algorithm::EdDSA)?.with_key_id("2026-01")?;
/// assert_eq!(key.algorithm(), Algorithm::EdDSA);
/// assert_eq!(key.key_id(), "2026-01");
/// let published = PublicKeySet::new([key.public_key().clone()])?;
///
/// assert_eq!(SigningKey::from_pem("").err(), Some(KeyError::NoPrivateKey));
/// assert_eq!(SigningKey::from_der(b"").err(), Some(KeyError::Malformed));
/// # Ok::<(), KeyError>(())
/// ```
pub struct SigningKey {
    source: Source,
    public: PublicKey,
    jwt_header: String,
    access_token_header: String,
}

impl SigningKey {
    /// Reads a PEM file, as `openssl genpkey` writes it: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or
    /// `EC PRIVATE KEY` (SEC 1).
    ///
    /// [`KeyFile::from_pem`] lists what else the file can contain, and which forms of its text are read. An RSA key
    /// needs a modulus of 2048, 3072 or 4096 bits. A P-256 key needs its public key beside it, which
    /// [`KeyError::PublicKeyMissing`] says how to add. `openssl pkcs8 -topk8 -nocrypt` decrypts an encrypted key.
    ///
    /// # Errors
    /// [`KeyError::NoPrivateKey`] (also when the key is encrypted), [`KeyError::SeveralPrivateKeys`], and the errors of
    /// [`SigningKey::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_file(&KeyFile::from_pem(pem)?)
    }

    /// Reads base64 that fits into an environment variable: of a whole key file, or of the text between its lines
    /// `-----BEGIN` and `-----END`, with or without line breaks.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not base64, and the errors of [`SigningKey::from_pem`].
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        Self::from_file(&KeyFile::from_base64(text)?)
    }

    /// Reads the DER inside a key file. The caller must wipe the bytes.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] when the key is neither RSA nor P-256 nor Ed25519, or is in another format,
    /// [`KeyError::PublicKeyMissing`], [`KeyError::RsaTooSmall`] and [`KeyError::RsaTooLarge`] outside of 2048 to 4096
    /// bits, [`KeyError::RsaOddSize`], and [`KeyError::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_file(&KeyFile::from_der(der)?)
    }

    /// Makes a random key for ES256, EdDSA or Ed25519.
    ///
    /// The key exists only in this process. After the process ends, its tokens can be verified only with a kept copy of
    /// the public key.
    ///
    /// # Errors
    /// [`KeyError::CannotGenerateRsa`] for RS256 and PS256, [`KeyError::NoRandomness`] when the operating system fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(KeyPair::generate(algorithm)?)?.with_algorithm(algorithm)
    }

    /// Makes a signing key from a signer and the public key that verifies its signatures.
    ///
    /// The algorithm is that of `public`. For PS256, its JWK has that `alg`, or
    /// [`PublicKey::with_algorithm`] gives it. The signer signs once here. Otherwise only the clients would notice that
    /// it has another key.
    ///
    /// # Errors
    /// [`SignerError`], also when `public` has a P-256 point off its curve.
    pub async fn of_signer<S: Signer + 'static>(signer: S, public: PublicKey) -> Result<Self, SignerError<S::Error>> {
        let message = b"otp-grant signs this to see whether it can";
        let signature = signer.sign(message).await.map_err(SignerError::Failed)?;
        if !public.verifies(message, &signature) {
            return Err(SignerError::WrongSignature);
        }
        Ok(Self::assemble(Source::Signer(Box::new(signer)), public))
    }

    /// Makes a signing key whose private half is wherever the host drives its exchanges. Each signature is then a
    /// question, [`Step::Sign`](crate::exchange::Step::Sign).
    ///
    /// Each signature is verified before anything is spent for it. An
    /// [`AuthorizationServer`](crate::AuthorizationServer) asks no questions and can't have such a key;
    /// [`of_signer`](Self::of_signer) is for it.
    pub fn external(public: PublicKey) -> Self {
        Self::assemble(Source::External, public)
    }

    /// Chooses the algorithm, where the kind of the key has more than one: PS256 in place of RS256, or the name Ed25519
    /// (RFC 9864) in place of EdDSA. The headers of tokens and the key set name this algorithm.
    ///
    /// A key that has signed with RS256 should not change to PS256, or back: its unexpired tokens would be refused.
    /// Rotate to another key instead, or publish the key under both algorithms with two identifiers. A change between
    /// the names EdDSA and Ed25519 can keep the key, if each verifier knows both names.
    ///
    /// ```
    /// use otp_grant::SigningKey;
    /// use otp_grant::jwt::{Algorithm, KeyError};
    ///
    /// let key = SigningKey::generate(Algorithm::EdDSA)?.with_algorithm(Algorithm::Ed25519)?;
    /// assert!(key.public_key().to_jwk().contains(r#""alg":"Ed25519""#));
    /// assert_eq!(key.with_algorithm(Algorithm::PS256).err(), Some(KeyError::AlgorithmMismatch));
    /// # Ok::<(), KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::AlgorithmMismatch`] when a key of this kind can't have the algorithm. A key of
    /// [`of_signer`](Self::of_signer) can't change from RS256 to PS256 or back, because its signer does not know of it.
    pub fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, KeyError> {
        // A signer is not told the algorithm. It would go on with the signatures of the other one.
        let is_renamed = algorithm.has_name(self.algorithm().as_str());
        let public = self.public.with_algorithm(algorithm)?;
        if matches!(self.source, Source::Signer(_)) && !is_renamed {
            return Err(KeyError::AlgorithmMismatch);
        }
        Ok(Self::assemble(self.source, public))
    }

    /// Gives the key another identifier than its thumbprint.
    ///
    /// # Errors
    /// [`KeyError::InvalidKeyId`] unless it is 1 to 255 printable ASCII characters without `"` and `\`.
    pub fn with_key_id(self, key_id: &str) -> Result<Self, KeyError> {
        Ok(Self::assemble(self.source, self.public.with_key_id(key_id)?))
    }

    /// Returns the algorithm that the key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Returns the identifier of the key, which is the `kid` of the tokens that it signs.
    pub fn key_id(&self) -> &str {
        self.public.key_id()
    }

    /// Returns the public key that verifies what this key signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Tells whether the private half of the key is outside the server.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self.source, Source::External)
    }

    /// Signs claims, which must be a JSON object. It allocates only the token, apart from what RSA arithmetic and a
    /// signer allocate. An external key signs with the given signer.
    pub(crate) async fn sign_jwt(
        &self,
        typ: JwtType,
        claims: &[u8],
        external: Option<&dyn AnySigner>,
    ) -> Result<String, SigningError> {
        let header = match typ {
            JwtType::Jwt => &self.jwt_header,
            JwtType::AccessToken => &self.access_token_header,
        };
        let characters = |bytes: usize| bytes.div_ceil(3) * 4;
        let length = header.len() + characters(claims.len()) + 2 + characters(self.public.signature_len());
        let mut token = String::with_capacity(length);
        token.push_str(header);
        token.push('.');
        BASE64URL.encode_string(claims, &mut token);
        let signer = match &self.source {
            Source::Pair(pair) => {
                pair.append_signature(self.algorithm(), &mut token)?;
                return Ok(token);
            }
            Source::Signer(signer) => &**signer,
            Source::External => external.ok_or(SigningError::NoSigner)?,
        };
        let signature = signer.sign(token.as_bytes()).await.map_err(SigningError::Signer)?;
        if signature.len() != self.public.signature_len() {
            return Err(SigningError::WrongLength);
        }
        if signer.key_can_change() && !self.public.verifies(token.as_bytes(), &signature) {
            return Err(SigningError::WrongKey);
        }
        append(&mut token, &signature);
        Ok(token)
    }

    fn from_file(file: &KeyFile) -> Result<Self, KeyError> {
        let pair = KeyPair::from_der(file.der());
        Self::new(pair.map_err(|error| if error == KeyError::Malformed { diagnosis(file.der()) } else { error })?)
    }

    fn new(pair: KeyPair) -> Result<Self, KeyError> {
        let public = pair.public()?;
        // Each part of a damaged file can be readable. Without this check, every login would fail.
        if !pair.signs_for(&public) {
            return Err(KeyError::Malformed);
        }
        Ok(Self::assemble(Source::Pair(Box::new(pair)), public))
    }

    fn assemble(source: Source, public: PublicKey) -> Self {
        let header = |typ: JwtType| {
            let (key_id, typ, algorithm) = (public.key_id(), typ.as_str(), public.algorithm());
            BASE64URL.encode(format!(r#"{{"kid":"{key_id}","typ":"{typ}","alg":"{algorithm}"}}"#))
        };
        let (jwt_header, access_token_header) = (header(JwtType::Jwt), header(JwtType::AccessToken));
        Self { source, public, jwt_header, access_token_header }
    }
}

impl core::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_id", &self.key_id())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// The kind of a token, which is the `typ` of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum JwtType {
    /// `JWT`, a token of any use.
    Jwt,
    /// `at+jwt`, an access token of RFC 9068.
    AccessToken,
}

impl JwtType {
    /// Returns the `typ` value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::AccessToken => "at+jwt",
        }
    }
}

/// What makes the signatures.
enum Source {
    Pair(Box<KeyPair>),
    Signer(Box<dyn AnySigner>),
    /// The host that answers the questions of an exchange.
    External,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use pollster::block_on;
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject;

    use ring::rand::SystemRandom;
    use ring::signature::{EcdsaKeyPair, Ed25519KeyPair};

    use super::*;
    use crate::jwt::jwk::PublicKeySet;
    use crate::jwt::jws::verify;

    const RSA_PKCS8: &str = include_str!("../../tests/keys/rsa2048_pkcs8.pem");
    const RSA_PKCS1: &str = include_str!("../../tests/keys/rsa2048_pkcs1.pem");
    const RSA_1024: &str = include_str!("../../tests/keys/rsa1024_pkcs8.pem");
    const P256: &str = include_str!("../../tests/keys/es256_pkcs8.pem");
    const ED25519: &str = include_str!("../../tests/keys/ed25519_pkcs8.pem");
    /// RFC 8410 section 10.3, and the public key of section 10.1 that belongs to it.
    const ED25519_V1: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn why_signing_failed_is_said_with_what_the_signer_says_behind_it() {
        use core::error::Error;

        for (error, said) in [
            (SigningError::Pair, "the token could not be signed"),
            (SigningError::WrongLength, "the signer gave a signature of the wrong length"),
        ] {
            assert_eq!((error.to_string().as_str(), error.source().is_some()), (said, false));
        }
        let error = SigningError::Signer("the device is busy".into());
        assert_eq!(error.to_string(), "the signer failed");
        assert_eq!(error.source().unwrap().to_string(), "the device is busy");
    }

    fn der(pem: &str) -> Vec<u8> {
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_der().to_vec()
    }

    /// An `RSAPrivateKey` of these numbers, of 128 to 65535 bytes in all.
    fn pkcs1(numbers: &[&[u8]]) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| match u8::try_from(content.len()) {
            Ok(short @ ..0x80) => [&[tag, short], content].concat(),
            _ => [&[tag, 0x82], u16::try_from(content.len()).unwrap().to_be_bytes().as_slice(), content].concat(),
        };
        element(0x30, &numbers.iter().flat_map(|number| element(0x02, number)).collect::<Vec<_>>())
    }

    fn error(pem: &str) -> KeyError {
        SigningKey::from_pem(pem).unwrap_err()
    }

    #[test]
    fn a_damaged_key_is_refused_before_a_login_needs_it() {
        // The changed number is d mod (q - 1). ring reads the file, but then can't sign.
        let (before, rest) = RSA_PKCS8.split_at(1380);
        let damaged = format!("{before}exp{}", &rest[3..]);
        assert!(SigningKey::from_pem(RSA_PKCS8).is_ok());
        assert_eq!(SigningKey::from_pem(&damaged).unwrap_err(), KeyError::Malformed);
    }

    #[test]
    fn what_a_key_signs_it_verifies() {
        let keys = [
            (Algorithm::RS256, SigningKey::from_pem(RSA_PKCS8)),
            (Algorithm::RS256, SigningKey::from_pem(RSA_PKCS1)),
            (Algorithm::RS256, SigningKey::from_der(&der(RSA_PKCS8))),
            (Algorithm::RS256, SigningKey::from_der(&der(RSA_PKCS1))),
            (Algorithm::ES256, SigningKey::from_pem(P256)),
            (Algorithm::ES256, SigningKey::from_der(&der(P256))),
            (Algorithm::ES256, SigningKey::generate(Algorithm::ES256)),
            (Algorithm::EdDSA, SigningKey::from_pem(ED25519)),
            (Algorithm::EdDSA, SigningKey::from_der(&der(ED25519))),
            (Algorithm::EdDSA, SigningKey::generate(Algorithm::EdDSA)),
            (Algorithm::PS256, SigningKey::from_pem(RSA_PKCS8).and_then(|key| key.with_algorithm(Algorithm::PS256))),
            (Algorithm::Ed25519, SigningKey::from_pem(ED25519).and_then(|key| key.with_algorithm(Algorithm::Ed25519))),
            (Algorithm::Ed25519, SigningKey::generate(Algorithm::Ed25519)),
        ];
        for (algorithm, key) in keys {
            let key = key.unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.key_id(), key.public_key().thumbprint());
            let public = PublicKeySet::new([key.public_key().clone()]).unwrap();
            let public = PublicKeySet::from_json(public.to_json().as_bytes()).unwrap();
            for typ in [JwtType::Jwt, JwtType::AccessToken] {
                for claims in ["{}", r#"{"a":1}"#, r#"{"sub":"a"}"#] {
                    let token = block_on(key.sign_jwt(typ, claims.as_bytes(), None)).unwrap();
                    let verified = verify(&token, &public).unwrap();
                    assert_eq!((verified.payload(), verified.typ()), (claims.as_bytes(), Some(typ.as_str())));
                }
            }
        }
    }

    #[test]
    fn the_header_is_that_of_the_contract() {
        let key = SigningKey::from_pem(RSA_PKCS8).unwrap().with_key_id("a b").unwrap();
        for (typ, header) in [
            (JwtType::Jwt, r#"{"kid":"a b","typ":"JWT","alg":"RS256"}"#),
            (JwtType::AccessToken, r#"{"kid":"a b","typ":"at+jwt","alg":"RS256"}"#),
        ] {
            let token = block_on(key.sign_jwt(typ, b"{}", None)).unwrap();
            let (encoded, _) = token.split_once('.').unwrap();
            assert_eq!(BASE64URL.decode(encoded).unwrap(), header.as_bytes());
        }
        assert_eq!(key.public_key().key_id(), "a b");
    }

    #[test]
    fn the_token_is_allocated_once() {
        for pem in [RSA_PKCS8, P256, ED25519] {
            let key = SigningKey::from_pem(pem).unwrap();
            for claims in 0..100 {
                let token = block_on(key.sign_jwt(JwtType::Jwt, &vec![b' '; claims], None)).unwrap();
                // If the token had grown, its capacity would have doubled.
                assert!(token.capacity() <= token.len() + 4, "{} for {}", token.capacity(), token.len());
            }
        }
    }

    #[test]
    fn both_versions_of_ed25519_files_are_read() {
        let key = SigningKey::from_pem(ED25519_V1).unwrap();
        let public = (0..64).step_by(2).map(|at| u8::from_str_radix(&ED25519_PUBLIC[at..at + 2], 16).unwrap());
        assert_eq!(*key.public_key(), PublicKey::from_ed25519(&public.collect::<Vec<_>>()).unwrap());

        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        assert!(SigningKey::from_der(document.as_ref()).is_ok());
        let mut foreign = document.as_ref().to_vec();
        *foreign.last_mut().unwrap() ^= 1;
        assert_eq!(SigningKey::from_der(&foreign).unwrap_err(), KeyError::Malformed);
    }

    #[test]
    fn a_file_has_one_private_key_in_it() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(SigningKey::from_pem(&format!("# comment\n{certificate}{P256}{certificate}")).is_ok());
        assert_eq!(error(certificate), KeyError::NoPrivateKey);
        assert_eq!(error(&P256.replace("PRIVATE", "ENCRYPTED PRIVATE")), KeyError::NoPrivateKey);
        assert_eq!(error(&format!("{P256}{ED25519}")), KeyError::SeveralPrivateKeys);
        assert_eq!(error(&format!("{P256}-----BEGIN PRIVATE KEY-----\n")), KeyError::Malformed);
    }

    #[test]
    fn keys_that_cannot_sign_are_refused() {
        assert_eq!(error(RSA_1024), KeyError::RsaTooSmall);
        assert_eq!(SigningKey::from_der(&der(RSA_1024)).unwrap_err(), KeyError::RsaTooSmall);
        let too_large = pkcs1(&[&[0], &[0x7f; 513], &[1, 0, 1], &[1], &[1], &[1], &[1], &[1], &[1]]);
        assert_eq!(SigningKey::from_der(&too_large).unwrap_err(), KeyError::RsaTooLarge);
        assert_eq!(error(&P256.replace("PRIVATE", "EC PRIVATE")), KeyError::Malformed);
        assert_eq!(error(&P256.replace("PRIVATE", "OPENSSH PRIVATE")), KeyError::Unsupported);
        let random = SystemRandom::new();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ring::signature::ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
        assert_eq!(SigningKey::from_der(p384.as_ref()).unwrap_err(), KeyError::Unsupported);
        for pem in [RSA_PKCS8, RSA_PKCS1, P256, ED25519] {
            let der = der(pem);
            assert_eq!(SigningKey::from_der(&der[..der.len() - 1]).unwrap_err(), KeyError::Malformed);
        }
        for algorithm in [Algorithm::RS256, Algorithm::PS256] {
            assert_eq!(SigningKey::generate(algorithm).unwrap_err(), KeyError::CannotGenerateRsa);
        }
        // `id-RSASSA-PSS` (RFC 4055 section 1.2) in place of `rsaEncryption`.
        let mut pss = der(RSA_PKCS8);
        let last = pss.windows(9).position(|oid| oid == b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01").unwrap() + 8;
        pss[last] = 10;
        assert_eq!(SigningKey::from_der(&pss).unwrap_err(), KeyError::Unsupported);
        for key_id in ["", "a\"", "a\\", "a\n", "é", &"a".repeat(256)] {
            let key = SigningKey::from_pem(ED25519).unwrap();
            assert_eq!(key.with_key_id(key_id).unwrap_err(), KeyError::InvalidKeyId);
        }
    }

    #[test]
    fn the_algorithm_of_a_key_can_be_chosen_within_its_kind() {
        let [rsa, p256, ed25519] = [RSA_PKCS8, P256, ED25519].map(|pem| move || SigningKey::from_pem(pem).unwrap());
        let pss = rsa().with_algorithm(Algorithm::PS256).unwrap();
        assert_eq!((pss.algorithm(), pss.key_id()), (Algorithm::PS256, rsa().key_id()));
        let named = rsa().with_key_id("k").unwrap().with_algorithm(Algorithm::PS256).unwrap();
        assert_eq!(named.key_id(), "k");
        assert_eq!(named.with_key_id("j").unwrap().algorithm(), Algorithm::PS256);
        assert_eq!(pss.with_algorithm(Algorithm::RS256).unwrap().public_key(), rsa().public_key());
        for (key, algorithms) in [
            (&rsa as &dyn Fn() -> SigningKey, [Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519].as_slice()),
            (&p256, &[Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA, Algorithm::Ed25519]),
            (&ed25519, &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256]),
        ] {
            for algorithm in algorithms {
                assert_eq!(key().with_algorithm(*algorithm).unwrap_err(), KeyError::AlgorithmMismatch);
            }
        }
    }

    #[test]
    fn the_public_key_of_a_signer_decides_its_algorithm() {
        struct Device(KeyPair, Algorithm);

        impl Signer for Device {
            type Error = SigningError;

            async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
                let mut signed = String::from_utf8(message.to_vec()).unwrap();
                self.0.append_signature(self.1, &mut signed)?;
                Ok(BASE64URL.decode(&signed[message.len() + 1..]).unwrap())
            }
        }

        let device = |pem, algorithm| Device(KeyPair::from_der(&der(pem)).unwrap(), algorithm);
        let public =
            |pem, algorithm| SigningKey::from_pem(pem).unwrap().public_key().clone().with_algorithm(algorithm).unwrap();
        let (rs256, ps256) = (Algorithm::RS256, Algorithm::PS256);
        for (signs, verifies) in [(rs256, ps256), (ps256, rs256)] {
            let refused = block_on(SigningKey::of_signer(device(RSA_PKCS8, signs), public(RSA_PKCS8, verifies)));
            assert!(matches!(refused, Err(SignerError::WrongSignature)));
            let key = || block_on(SigningKey::of_signer(device(RSA_PKCS8, signs), public(RSA_PKCS8, signs))).unwrap();
            let published = PublicKeySet::of(key().public_key().clone());
            let token = block_on(key().sign_jwt(JwtType::Jwt, b"{}", None)).unwrap();
            assert!(verify(&token, &published).is_ok());
            // The device would go on as before.
            assert_eq!(key().with_algorithm(verifies).unwrap_err(), KeyError::AlgorithmMismatch);
            assert!(key().with_algorithm(signs).is_ok());
        }
        let (older, newer) = (Algorithm::EdDSA, Algorithm::Ed25519);
        let key = block_on(SigningKey::of_signer(device(ED25519, older), public(ED25519, older))).unwrap();
        assert_eq!(key.with_algorithm(newer).unwrap().algorithm(), newer);
        let external = SigningKey::external(public(RSA_PKCS8, rs256)).with_algorithm(ps256).unwrap();
        assert_eq!(external.algorithm(), ps256);
    }

    #[test]
    fn nothing_of_the_key_is_printed() {
        let key = SigningKey::from_pem(ED25519).unwrap().with_key_id("k").unwrap();
        assert_eq!(format!("{key:?}"), r#"SigningKey { key_id: "k", algorithm: EdDSA, .. }"#);
    }
}
