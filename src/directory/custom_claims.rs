//! Claims that the host adds to access tokens.

use core::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::directory::user::is_standard_claim;

/// Claims that the host adds to access tokens.
///
/// All claims together have at most 1024 bytes of JSON, since a token is sent in a header. A claim can't have the name
/// of a claim that already has a meaning:
///
/// - the claims of every token (RFC 7519 section 4.1, RFC 9068 section 2.2)
/// - the claims of ID tokens and of the login (OpenID Connect Core section 2, RFC 7800, RFC 8693)
/// - the standard claims of a user, which depend on the scope (OpenID Connect Core section 5.1)
///
/// The host may set `roles`, `groups` and `entitlements` (RFC 9068 section 2.2.3.1).
///
/// ```
/// use otp_grant::directory::{CustomClaims, InvalidClaim};
///
/// let claims = CustomClaims::new().with("tenant", "acme")?.with("plan", 3)?;
/// assert_eq!(claims.get("tenant").and_then(|value| value.as_str()), Some("acme"));
/// assert_eq!(claims.with("sub", "somebody else"), Err(InvalidClaim::Reserved));
/// # Ok::<(), InvalidClaim>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CustomClaims(Map<String, Value>);

impl CustomClaims {
    /// Makes an empty set of claims. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a claim, or replaces the claim of this name.
    ///
    /// # Errors
    /// [`InvalidClaim`]. The error does not repeat the claim.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<Self, InvalidClaim> {
        if is_reserved(name) {
            return Err(InvalidClaim::Reserved);
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(InvalidClaim::Name);
        }
        let value = value.into();
        if !nests_within(&value, DEEPEST) {
            return Err(InvalidClaim::TooLarge);
        }
        self.0.insert(name.to_owned(), value);
        if self.is_within(LONGEST) { Ok(self) } else { Err(InvalidClaim::TooLarge) }
    }

    /// Returns the value of a claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the claims with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Tells whether there are no claims.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the claims of a token that the host added. The issuer has already checked them.
    pub(crate) fn of_token(mut claims: Map<String, Value>) -> Self {
        claims.retain(|name, _| !is_reserved(name));
        Self(claims)
    }

    fn is_within(&self, limit: usize) -> bool {
        serde_json::to_string(&self.0).is_ok_and(|json| json.len() <= limit)
    }
}

/// Shows the names but not the values. The values can be personal.
impl fmt::Debug for CustomClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why the host can't add a claim. The error does not repeat the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidClaim {
    /// A claim of this name already has a meaning.
    Reserved,
    /// The name is empty, or has a control character.
    Name,
    /// With this claim, the claims have more than 1024 bytes of JSON, or this claim is nested more than 8 levels deep.
    TooLarge,
}

impl fmt::Display for InvalidClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "a claim of this name has a meaning already",
            Self::Name => "not the name of a claim",
            Self::TooLarge => "the claims are too large",
        })
    }
}

impl core::error::Error for InvalidClaim {}

/// Tells whether a value is nested within so many levels. A reader of the token must be able to parse it.
fn nests_within(value: &Value, levels: usize) -> bool {
    let Some(inner) = levels.checked_sub(1) else { return false };
    match value {
        Value::Array(elements) => elements.iter().all(|element| nests_within(element, inner)),
        Value::Object(members) => members.values().all(|member| nests_within(member, inner)),
        _ => true,
    }
}

/// Tells whether a claim has a meaning that the host must not change. A language tag can follow the name of a standard
/// claim.
fn is_reserved(name: &str) -> bool {
    let claim = name.split('#').next().unwrap_or_default();
    RESERVED.contains(&claim) || is_standard_claim(claim)
}

const RESERVED: [&str; 28] = [
    // RFC 7519 section 4.1.
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    // RFC 9068 section 2.2, RFC 8693 section 4.
    "client_id",
    "scope",
    "auth_time",
    "acr",
    "amr",
    "act",
    "may_act",
    // RFC 7800 section 3.1, RFC 9396 section 9.1.
    "cnf",
    "authorization_details",
    // OpenID Connect Core sections 2 and 5.6.2, and the session.
    "azp",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "sub_jwk",
    "sub_id",
    "events",
    "txn",
    "_claim_names",
    "_claim_sources",
];

const LONGEST: usize = 1024;
const DEEPEST: usize = 8;
