//! Verifies DPoP proofs (RFC 9449 section 4.3).

use core::time::Duration;

use base64::Engine;
use ring::digest;
use serde_json::{Map, Value};

use crate::base64url::BASE64URL;
use crate::dpop::target::Target;
use crate::dpop::{DpopError, OLDEST_PROOF, ProofUse, name_of_proof};
use crate::id::KeyThumbprint;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::jwk::PublicKey;
use crate::jwt::numeric_date::instant;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::wire::request::PresentedProof;
use crate::wire::strict;

/// A proof that holds, but for its nonce and for whether it was used before.
#[derive(Debug)]
pub(crate) struct DpopProof {
    proof_use: ProofUse,
    /// Names the proof among all proofs of all keys.
    name: [u8; 32],
    nonce: Option<String>,
    /// The hash of the access token that the proof is for.
    token_hash: Option<String>,
}

impl DpopProof {
    /// Checks a proof for a request with this method and this URL.
    pub(crate) fn verify(jwt: &str, method: &str, target: &Target, now: Timestamp) -> Result<Self, DpopError> {
        if jwt.len() > LONGEST_PROOF {
            return Err(DpopError::Malformed);
        }
        let (signed, signature) = jwt.rsplit_once('.').ok_or(DpopError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(DpopError::Malformed)?;
        if payload.contains('.') {
            return Err(DpopError::Malformed);
        }
        let key = key_of(object(header)?)?;
        if !key.verifies(signed.as_bytes(), &decode(signature)?) {
            return Err(DpopError::BadSignature);
        }

        let mut claims = object(payload)?;
        let issued_at = claims.get("iat").and_then(instant).ok_or(DpopError::InvalidClaims)?;
        let mut required = |name| take_text(&mut claims, name)?.ok_or(DpopError::InvalidClaims);
        let (jti, htm, htu) = (required("jti")?, required("htm")?, required("htu")?);
        if jti.is_empty() || jti.len() > LONGEST_JTI {
            return Err(DpopError::InvalidClaims);
        }
        if htm != method {
            return Err(DpopError::WrongMethod);
        }
        if !target.is_named_by(&htu) {
            return Err(DpopError::WrongUrl);
        }
        // The window is also checked where the proof has a nonce. Used proofs are then forgotten after it at the
        // latest.
        let is_early = issued_at > now.after(CLOCK_TOLERANCE);
        if is_early || now > issued_at.after(OLDEST_PROOF) {
            return Err(DpopError::OutsideTheWindow);
        }
        let (nonce, token_hash) = (take_text(&mut claims, "nonce")?, take_text(&mut claims, "ath")?);
        let thumbprint = key.thumbprint_bytes();
        let name = name_of_proof(&thumbprint, &jti);
        Ok(Self { proof_use: ProofUse::named(thumbprint, &name, issued_at), name, nonce, token_hash })
    }

    /// Checks a proof that a route of the host presents.
    pub(crate) fn at_route(presented: &PresentedProof<'_>, now: Timestamp) -> Result<Self, DpopError> {
        let header = presented.header().ok_or(DpopError::Missing)?;
        let target = Target::new(presented.url()).ok_or(DpopError::WrongUrl)?;
        Self::verify(header.as_str(), presented.method(), &target, now)
    }

    /// Checks that the proof is for an access token, and that the token is bound to the key of the proof.
    pub(crate) fn is_for(&self, access_token: &str, bound_to: &KeyThumbprint) -> Result<(), DpopError> {
        let hash = BASE64URL.encode(digest::digest(&digest::SHA256, access_token.as_bytes()));
        if self.token_hash.as_deref() != Some(&*hash) {
            return Err(DpopError::WrongAccessToken);
        }
        if self.proof_use.key == *bound_to { Ok(()) } else { Err(DpopError::WrongKey) }
    }

    /// Returns the nonce that the proof contains.
    pub(crate) fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Returns the name of the proof among all proofs of all keys.
    pub(crate) fn name(&self) -> &[u8; 32] {
        &self.name
    }

    /// Returns the first instant at which the proof is refused for its age.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.proof_use.issued_at.after(OLDEST_PROOF).after(ONE_SECOND)
    }

    /// Returns whose key made the proof, and which proof it is.
    pub(crate) fn proof_use(&self) -> &ProofUse {
        &self.proof_use
    }
}

/// Returns the key of a header (RFC 9449 section 4.2). The header is not trusted. It only says by whose key the proof
/// was made.
fn key_of(mut header: Map<String, Value>) -> Result<PublicKey, DpopError> {
    if header.get("typ").and_then(Value::as_str) != Some(TYPE) {
        return Err(DpopError::WrongType);
    }
    if UNSUPPORTED.iter().any(|name| header.contains_key(*name)) {
        return Err(DpopError::Unsupported);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(DpopError::Malformed)?;
    let algorithm: Algorithm = algorithm.parse().map_err(|_| DpopError::Unsupported)?;
    let Some(Value::Object(mut jwk)) = header.remove("jwk") else { return Err(DpopError::InvalidKey) };
    // A name can have characters that this crate does not accept in its own key sets. The thumbprint names the key
    // here.
    jwk.remove("kid");
    let key = PublicKey::from_members(&jwk).map_err(|_| DpopError::InvalidKey)?;
    if jwk.contains_key("alg") && !key.algorithm().has_name(algorithm.as_str())
        || key.signature_len() > LONGEST_SIGNATURE
    {
        return Err(DpopError::InvalidKey);
    }
    // Where the key leaves it open, the header says whether an RSA key signs RS256 or PS256.
    key.with_algorithm(algorithm).map_err(|_| DpopError::InvalidKey)
}

fn object(part: &str) -> Result<Map<String, Value>, DpopError> {
    strict::object(&decode(part)?).map_err(|_| DpopError::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, DpopError> {
    BASE64URL.decode(part).map_err(|_| DpopError::Malformed)
}

fn take_text(claims: &mut Map<String, Value>, name: &str) -> Result<Option<String>, DpopError> {
    match claims.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(DpopError::InvalidClaims),
    }
}

/// `iat` can have a fraction of a second.
const ONE_SECOND: Duration = Duration::from_secs(1);
const TYPE: &str = "dpop+jwt";
/// `b64` changes what was signed. `zip` and `enc` change what the payload is.
const UNSUPPORTED: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// Bounds the work for a proof without a good signature.
const LONGEST_PROOF: usize = 4 * 1024;
const LONGEST_JTI: usize = 256;
/// An RSA key of a client has at most 4096 bits.
const LONGEST_SIGNATURE: usize = 512;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    /// RFC 9449 section 5.
    const TOKEN_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    /// RFC 9449 section 7.1.
    const RESOURCE_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const ACCESS_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    const URL: &str = "https://login.example.com/oauth2/token";
    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn target(url: &str) -> Target {
        Target::new(url).unwrap()
    }

    fn thumbprint() -> KeyThumbprint {
        KeyThumbprint::try_from(THUMBPRINT.to_owned()).unwrap()
    }

    #[test]
    fn proofs_of_the_rfc_hold() {
        let now = Timestamp::from_unix_secs(1_562_262_616);
        let proof = DpopProof::verify(TOKEN_REQUEST, "POST", &target("https://server.example.com/token"), now).unwrap();
        assert_eq!(proof.proof_use.key, thumbprint());
        assert_eq!(proof.is_for(ACCESS_TOKEN, &thumbprint()), Err(DpopError::WrongAccessToken));

        let target = target("https://resource.example.org/protectedresource");
        let proof = DpopProof::verify(RESOURCE_REQUEST, "GET", &target, now).unwrap();
        assert_eq!(proof.token_hash.as_deref(), Some("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"));
        assert_eq!(proof.is_for(ACCESS_TOKEN, &thumbprint()), Ok(()));
        let other = KeyThumbprint::from_bytes([0; 32]);
        assert_eq!(proof.is_for(ACCESS_TOKEN, &other), Err(DpopError::WrongKey));
    }

    #[test]
    fn the_alg_of_the_jwk_is_that_of_the_header_under_either_name() {
        let rsa_of_256_bytes = BASE64URL.encode([0xff; 256]);
        let jwk = |alg: &str| match alg {
            "EdDSA" | "Ed25519" => {
                format!(
                    r#"{{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"{alg}"}}"#
                )
            }
            _ => format!(r#"{{"kty":"RSA","n":"{rsa_of_256_bytes}","e":"AQAB","alg":"{alg}"}}"#),
        };
        let read = |header: &str, of_jwk: &str| {
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"{header}","jwk":{}}}"#, jwk(of_jwk));
            key_of(strict::object(header.as_bytes()).unwrap()).map(|key| key.algorithm())
        };
        let (old, new) = (Algorithm::EdDSA, Algorithm::Ed25519);
        for (header, of_jwk, expected) in [
            ("EdDSA", "EdDSA", Ok(old)),
            ("EdDSA", "Ed25519", Ok(old)),
            ("Ed25519", "EdDSA", Ok(new)),
            ("Ed25519", "Ed25519", Ok(new)),
            ("RS256", "RS256", Ok(Algorithm::RS256)),
            ("PS256", "PS256", Ok(Algorithm::PS256)),
            ("PS256", "RS256", Err(DpopError::InvalidKey)),
            ("RS256", "PS256", Err(DpopError::InvalidKey)),
            ("RS256", "EdDSA", Err(DpopError::InvalidKey)),
        ] {
            assert_eq!(read(header, of_jwk), expected, "{header} {of_jwk}");
        }
    }

    /// A key pair, and its public key as a JWK.
    fn pair() -> (EcdsaKeyPair, String) {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
        (pair, jwk)
    }

    fn signed(pair: &EcdsaKeyPair, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature))
    }

    fn claims() -> String {
        format!(r#"{{"jti":"1","htm":"POST","htu":"{URL}","iat":1800000000}}"#)
    }

    fn verified(jwt: &str) -> Result<(), DpopError> {
        DpopProof::verify(jwt, "POST", &target(URL), NOW).map(|_| ())
    }

    #[test]
    fn a_header_says_what_it_must() {
        let (pair, jwk) = pair();
        let header = |header: &str| verified(&signed(&pair, &header.replace("JWK", &jwk), &claims()));
        assert_eq!(header(r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK}"#), Ok(()));
        assert_eq!(header(r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"kid":"é"}"#), Ok(()));
        for (other, error) in [
            (r#"{"alg":"ES256","jwk":JWK}"#, DpopError::WrongType),
            (r#"{"typ":"JWT","alg":"ES256","jwk":JWK}"#, DpopError::WrongType),
            (r#"{"typ":"application/dpop+jwt","alg":"ES256","jwk":JWK}"#, DpopError::WrongType),
            (r#"{"typ":["dpop+jwt"],"alg":"ES256","jwk":JWK}"#, DpopError::WrongType),
            (r#"{"typ":"dpop+jwt","jwk":JWK}"#, DpopError::Malformed),
            (r#"{"typ":"dpop+jwt","alg":"none","jwk":JWK}"#, DpopError::Unsupported),
            (r#"{"typ":"dpop+jwt","alg":"HS256","jwk":JWK}"#, DpopError::Unsupported),
            (r#"{"typ":"dpop+jwt","alg":"ES384","jwk":JWK}"#, DpopError::Unsupported),
            (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"crit":["exp"]}"#, DpopError::Unsupported),
            (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"b64":false}"#, DpopError::Unsupported),
            (r#"{"typ":"dpop+jwt","alg":"RS256","jwk":JWK}"#, DpopError::InvalidKey),
            (r#"{"typ":"dpop+jwt","alg":"ES256"}"#, DpopError::InvalidKey),
            (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":[]}"#, DpopError::InvalidKey),
            (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}"#, DpopError::InvalidKey),
            (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK,"jwk":JWK}"#, DpopError::Malformed),
        ] {
            assert_eq!(header(other), Err(error), "{other}");
        }
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let with = jwk.replace(r#""kty""#, &format!(r#""{private}":"AAAA","kty""#));
            let jwt = signed(&pair, &format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{with}}}"#), &claims());
            assert_eq!(verified(&jwt), Err(DpopError::InvalidKey), "{private}");
        }
        let (_, other) = self::pair();
        let jwt = signed(&pair, &format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{other}}}"#), &claims());
        assert_eq!(verified(&jwt), Err(DpopError::BadSignature));
    }

    #[test]
    fn claims_are_of_this_request_and_of_now() {
        let (pair, jwk) = pair();
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
        let with = |claims: &str| verified(&signed(&pair, &header, &claims.replace("URL", URL)));
        for good in [
            r#"{"jti":"1","htm":"POST","htu":"URL","iat":1800000000}"#,
            r#"{"jti":"1","htm":"POST","htu":"URL?a=b#c","iat":1800000000.5,"exp":"x"}"#,
            r#"{"jti":"1","htm":"POST","htu":"URL","iat":1799999940}"#,
            r#"{"jti":"1","htm":"POST","htu":"URL","iat":1800000005,"nonce":"a","ath":"b"}"#,
        ] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        let named = |length| format!(r#"{{"jti":"{}","htm":"POST","htu":"URL","iat":1800000000}}"#, "a".repeat(length));
        assert_eq!(with(&named(256)), Ok(()));
        let long = named(257);
        for (bad, error) in [
            (r#"{"htm":"POST","htu":"URL","iat":1800000000}"#, DpopError::InvalidClaims),
            (r#"{"jti":"","htm":"POST","htu":"URL","iat":1800000000}"#, DpopError::InvalidClaims),
            (r#"{"jti":1,"htm":"POST","htu":"URL","iat":1800000000}"#, DpopError::InvalidClaims),
            (&long, DpopError::InvalidClaims),
            (r#"{"jti":"1","htu":"URL","iat":1800000000}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","iat":1800000000}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL"}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":"1800000000"}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":-1}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":1e300}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":1800000000,"nonce":1}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":1800000000,"ath":[]}"#, DpopError::InvalidClaims),
            (r#"{"jti":"1","htm":"post","htu":"URL","iat":1800000000}"#, DpopError::WrongMethod),
            (r#"{"jti":"1","htm":"GET","htu":"URL","iat":1800000000}"#, DpopError::WrongMethod),
            (r#"{"jti":"1","htm":"POST","htu":"URL/","iat":1800000000}"#, DpopError::WrongUrl),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":1799999939}"#, DpopError::OutsideTheWindow),
            (r#"{"jti":"1","htm":"POST","htu":"URL","iat":1800000006}"#, DpopError::OutsideTheWindow),
            (r#"{"jti":"1","jti":"2","htm":"POST","htu":"URL","iat":1800000000}"#, DpopError::Malformed),
            ("[]", DpopError::Malformed),
        ] {
            assert_eq!(with(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_proof_is_one_compact_jws_of_at_most_4_kib() {
        let (pair, jwk) = pair();
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
        let jwt = signed(&pair, &header, &claims());
        let (signed_part, signature) = jwt.rsplit_once('.').unwrap();
        assert_eq!(verified(&jwt), Ok(()));
        for broken in
            ["", "..", "a.b", signed_part, &format!("{jwt}="), &format!("{jwt}.{signature}"), &format!("{jwt},{jwt}")]
        {
            assert_eq!(verified(broken), Err(DpopError::Malformed), "{broken}");
        }
        assert_eq!(verified(&format!("{signed_part}.")), Err(DpopError::BadSignature));
        // The longest that is read, to the byte. Base64 has no text of some lengths, so the header also grows a little.
        let mut lengths = Vec::new();
        for (spaces, more) in (0..3).flat_map(|spaces| (2600..2800).map(move |more| (spaces, more))) {
            let claims = claims().replace('}', &format!(r#","x":"{}"}}"#, "a".repeat(more)));
            let jwt = signed(&pair, &format!("{header}{}", " ".repeat(spaces)), &claims);
            if (4095..=4097).contains(&jwt.len()) {
                let expected = if jwt.len() <= 4096 { Ok(()) } else { Err(DpopError::Malformed) };
                assert_eq!(verified(&jwt), expected, "{}", jwt.len());
                lengths.push(jwt.len());
            }
        }
        assert!([4095, 4096, 4097].iter().all(|length| lengths.contains(length)), "{lengths:?}");
    }
}
