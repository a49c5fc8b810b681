//! The assertions by which clients authenticate (`private_key_jwt`): JWTs that a client signs (RFC 7523, RFC 7521).

use core::time::Duration;

use base64::Engine;
use serde_json::{Map, Value};

use crate::base64url::BASE64URL;
use crate::directory::Client;
use crate::directory::assertion::{AssertionKeys, NotAuthenticated, PresentedAssertion, VerifiedAssertion};
use crate::id::ClientId;
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::jws::{self, JwsError};
use crate::jwt::key_error::KeyError;
use crate::jwt::numeric_date::instant;
use crate::time::CLOCK_TOLERANCE;
use crate::wire::strict;

impl Client {
    /// Makes a client that signs assertions with its private key (`private_key_jwt`). The client has no secret. It may
    /// send codes.
    ///
    /// `keys` are the public keys of the client. A client that replaces its key has both keys here for a time. Where
    /// the client publishes its keys at a `jwks_uri`, the host fetches them. Everything else is as for a
    /// [confidential](Client::confidential) client.
    ///
    /// The client can authenticate only where [`Settings::client_assertions`](crate::Settings::client_assertions) is
    /// switched on.
    ///
    /// ```
    /// use otp_grant::{Client, ClientId};
    /// use otp_grant::jwt::PublicKeySet;
    ///
    /// let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let client = Client::private_key_jwt(ClientId::new("backend")?, PublicKeySet::from_json(keys)?)?;
    /// assert!(client.is_confidential());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::NoPublicKey`] when the set is empty, and [`KeyError::RsaTooLarge`] when an RSA key has more than
    /// 4096 bits.
    ///
    /// RFC 7523 section 2.2.
    pub fn private_key_jwt(id: ClientId, keys: PublicKeySet) -> Result<Self, KeyError> {
        if keys.iter().next().is_none() {
            return Err(KeyError::NoPublicKey);
        }
        // A caller decides how often a key of a client is used. A larger key makes each time cost more.
        if keys.iter().any(|key| key.signature_len() > LONGEST_SIGNATURE) {
            return Err(KeyError::RsaTooLarge);
        }
        Ok(Self::with_keys(id, Box::new(keys)))
    }
}

impl AssertionKeys for PublicKeySet {
    fn verify(&self, assertion: &PresentedAssertion<'_>) -> Result<VerifiedAssertion, NotAuthenticated> {
        // The client is not told which check failed.
        verify(assertion, self).map_err(|_| NotAuthenticated)
    }
}

/// Returns the client that an assertion claims to be of (`sub`), so that its keys can be found. Nothing is verified.
pub(crate) fn claimed_client(jwt: &str) -> Option<ClientId> {
    let mut parts = jwt.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let claims = strict::object(&BASE64URL.decode(payload).ok()?).ok()?;
    ClientId::new(claims.get("sub")?.as_str()?).ok()
}

/// Verifies the signature and the claims of an assertion (RFC 7523 section 3).
fn verify(assertion: &PresentedAssertion<'_>, keys: &PublicKeySet) -> Result<VerifiedAssertion, AssertionError> {
    let jws = jws::verify(assertion.jwt, keys).map_err(AssertionError::Jws)?;
    // No such key is ever used. An assertion that brings one is an attack, or of a client that expects another server.
    if jws.brings_key() {
        return Err(AssertionError::KeyInHeader);
    }
    // An access token or a DPoP proof is not accepted as an assertion (RFC 8725 section 3.11).
    if !jws.typ().is_none_or(is_type_of_assertions) {
        return Err(AssertionError::Type);
    }
    let claims = strict::object(jws.payload()).map_err(|_| AssertionError::Claims)?;
    verify_claims(&claims, assertion)
}

fn verify_claims(
    claims: &Map<String, Value>,
    assertion: &PresentedAssertion<'_>,
) -> Result<VerifiedAssertion, AssertionError> {
    let PresentedAssertion { issuer, client, now, .. } = *assertion;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client.as_str()) || text("sub") != Some(client.as_str()) {
        return Err(AssertionError::OtherClient);
    }
    // An assertion for the URL of an endpoint, or for several servers, is refused. Another server that a client trusts
    // could otherwise present here what the client has sent to it.
    let audience = match claims.get("aud") {
        Some(Value::Array(only)) if only.len() == 1 => only.first().and_then(Value::as_str),
        Some(Value::String(audience)) => Some(audience.as_str()),
        _ => None,
    };
    if audience != Some(issuer.as_str()) {
        return Err(AssertionError::Audience);
    }

    let expires_at = claims.get("exp").and_then(instant).ok_or(AssertionError::Claims)?;
    let until = expires_at.after(CLOCK_TOLERANCE);
    if now.has_reached(until) {
        return Err(AssertionError::Expired);
    }
    if !now.after(LONGEST_VALIDITY).after(CLOCK_TOLERANCE).has_reached(expires_at) {
        return Err(AssertionError::LivesTooLong);
    }
    if let Some(not_before) = claims.get("nbf") {
        let not_before = instant(not_before).ok_or(AssertionError::Claims)?;
        if !now.after(CLOCK_TOLERANCE).has_reached(not_before) {
            return Err(AssertionError::NotYetValid);
        }
    }
    if claims.get("iat").is_some_and(|issued_at| !issued_at.is_number()) {
        return Err(AssertionError::Claims);
    }
    let token_id = text("jti").filter(|id| (1..=LONGEST_TOKEN_ID).contains(&id.len()));
    let token_id = token_id.ok_or(AssertionError::TokenId)?.to_owned();
    Ok(VerifiedAssertion { token_id, until })
}

/// Tells whether a `typ` is one of those that an assertion can have. It is the name of a media type: it has any case,
/// and a name without a slash stands for one below `application/` (RFC 7515 section 4.1.9).
fn is_type_of_assertions(typ: &str) -> bool {
    let (tree, name) = typ.split_once('/').unwrap_or(("application", typ));
    tree.eq_ignore_ascii_case("application") && TYPES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Why an assertion is refused. Clients are told one error for all causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssertionError {
    Jws(JwsError),
    KeyInHeader,
    Type,
    /// The claims are no JSON object, or a time is missing or no number.
    Claims,
    OtherClient,
    Audience,
    Expired,
    LivesTooLong,
    NotYetValid,
    TokenId,
}

const TYPES: [&str; 2] = ["client-authentication+jwt", "JWT"];
const LONGEST_VALIDITY: Duration = Duration::from_secs(300);
const LONGEST_TOKEN_ID: usize = 256;
/// The signature of an RSA key of 4096 bits.
const LONGEST_SIGNATURE: usize = 512;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use pollster::block_on;
    use serde_json::json;

    use super::*;
    use crate::id::Issuer;
    use crate::jwt::algorithm::Algorithm;
    use crate::jwt::signing_key::{JwtType, SigningKey};
    use crate::time::Timestamp;

    const NOW: u64 = 1_800_000_000;

    fn issuer() -> Issuer {
        Issuer::new("https://login.example.com").unwrap()
    }

    fn good() -> Value {
        json!({ "iss": "client", "sub": "client", "aud": issuer().as_str(), "exp": NOW + 60, "jti": "1" })
    }

    /// Signs claims of which one differs, and verifies them.
    fn verified(typ: JwtType, name: &str, value: Value) -> Result<VerifiedAssertion, AssertionError> {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let mut claims = good();
        if let Some(members) = claims.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        let jwt = block_on(key.sign_jwt(typ, claims.to_string().as_bytes(), None)).unwrap();
        let (client, now) = (ClientId::new("client").unwrap(), Timestamp::from_unix_secs(NOW));
        let presented = PresentedAssertion { jwt: &jwt, issuer: &issuer(), client: &client, now };
        verify(&presented, &PublicKeySet::of(key.public_key().clone()))
    }

    /// The client is told one error for all of them, and so only this test shows that each is found by its own check.
    #[test]
    fn each_fault_is_found_by_its_own_check() {
        for (name, value, error) in [
            ("iss", json!("other"), AssertionError::OtherClient),
            ("sub", json!("other"), AssertionError::OtherClient),
            ("aud", json!("https://login.example.com/oauth2/token"), AssertionError::Audience),
            ("exp", json!("1"), AssertionError::Claims),
            ("exp", json!(NOW - 5), AssertionError::Expired),
            ("exp", json!(NOW + 306), AssertionError::LivesTooLong),
            ("nbf", json!([]), AssertionError::Claims),
            ("nbf", json!(NOW + 6), AssertionError::NotYetValid),
            ("iat", json!("1"), AssertionError::Claims),
            ("jti", json!(""), AssertionError::TokenId),
        ] {
            assert_eq!(verified(JwtType::Jwt, name, value.clone()), Err(error), "{name} {value}");
        }
        assert_eq!(verified(JwtType::AccessToken, "x", Value::Null), Err(AssertionError::Type));
        let until = Timestamp::from_unix_secs(NOW + 65);
        let good = VerifiedAssertion { token_id: "1".to_owned(), until };
        assert_eq!(verified(JwtType::Jwt, "x", Value::Null), Ok(good));
    }

    #[test]
    fn the_client_is_found_in_an_assertion_that_is_not_verified() {
        let jwt = |payload: &str| format!("e30.{}.AA", BASE64URL.encode(payload));
        assert_eq!(claimed_client(&jwt(r#"{"sub":"a"}"#)), Some(ClientId::new("a").unwrap()));
        for payload in ["", "{}", r#"{"sub":1}"#, r#"{"sub":""}"#, r#"{"sub":"a","sub":"a"}"#, r#"["sub"]"#] {
            assert_eq!(claimed_client(&jwt(payload)), None, "{payload}");
        }
        for jwt in ["", "e30", "e30.e30", "e30.=.AA", "a.b.c.d"] {
            assert_eq!(claimed_client(jwt), None, "{jwt}");
        }
    }
}
