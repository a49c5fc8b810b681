//! The document of a client.

use std::num::NonZeroU32;

use otp_grant::directory::ClientAuthMethod;
use otp_grant::dpop::DpopPolicy;
use otp_grant::grant::Grant;
use otp_grant::guard::MessageBudget;
use otp_grant::jwt::{PublicKey, PublicKeySet};
use otp_grant::session::RefreshPolicy;
use otp_grant::{AuthSourceId, Client, ClientId, ClientSecret, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::identified;
use crate::error::{At, DocumentError, Misplaced, read_json};
use crate::values::{Secret, Span};

/// Reads a client. `asked` is the identifier that was asked for, which the document does not have to repeat.
pub(crate) fn client(document: &str, asked: Option<&ClientId>) -> Result<Client, DocumentError> {
    let document: ClientDocument = read_json(document)?;
    let id = identified(document.id.as_deref(), asked, ClientId::new, ClientId::as_str)?;
    let mut client = document.with_credentials(id)?;
    if let Some(method) = &document.auth_method {
        let method: ClientAuthMethod = method.parse().at("auth_method")?;
        client = client.with_auth_method(method).at("auth_method")?;
    }
    client = client.with_dpop(document.dpop.0);
    if document.code_challenge_required {
        client = client.with_required_code_challenge();
    }
    for (index, source) in document.auth_sources.iter().enumerate() {
        client = client.with_auth_source(AuthSourceId::new(source).at(format!("auth_sources[{index}]"))?);
    }
    if let Some(grants) = &document.grants {
        client = client.with_grants(grants.iter().map(|grant| (*grant).into()));
    }
    client = client.with_refresh_policy(document.refresh_policy()?).at("refresh")?;
    if document.may_sign_up == Some(false) {
        client = client.without_sign_up();
    }
    if let Some(MessagesDocument { per_hour, per_day }) = document.message_budget {
        client = client.with_message_budget(MessageBudget::new(per_hour, per_day));
    }
    if document.introspects_every_token {
        client = client.with_introspection_of_every_token();
    }
    let scope = |text: &Option<String>, name| text.as_deref().map_or(Ok(Scope::openid()), Scope::parse).at(name);
    let (allowed, default) = (scope(&document.scopes, "scopes")?, scope(&document.default_scopes, "default_scopes")?);
    client.with_scopes(allowed, default).at("default_scopes")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientDocument {
    id: Option<String>,
    secret: Option<Secret>,
    secret_sha256: Option<String>,
    #[serde(default)]
    public: bool,
    keys: Option<Vec<Map<String, Value>>>,
    auth_method: Option<String>,
    #[serde(default)]
    dpop: DpopName,
    #[serde(default)]
    code_challenge_required: bool,
    #[serde(default)]
    may_send: bool,
    may_sign_up: Option<bool>,
    #[serde(default)]
    auth_sources: Vec<String>,
    scopes: Option<String>,
    default_scopes: Option<String>,
    grants: Option<Vec<GrantName>>,
    refresh: Option<RefreshName>,
    retry_window: Option<Span>,
    #[serde(default)]
    introspects_every_token: bool,
    message_budget: Option<MessagesDocument>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesDocument {
    per_hour: NonZeroU32,
    per_day: NonZeroU32,
}

impl ClientDocument {
    /// A client that has this identifier, and is known by a secret, by keys or by nothing.
    fn with_credentials(&self, id: ClientId) -> Result<Client, DocumentError> {
        match (&self.secret, &self.secret_sha256, &self.keys, self.public) {
            (Some(secret), None, None, false) if secret.expose().is_empty() => {
                Err(DocumentError::new("secret", "a secret can't be empty"))
            }
            (Some(secret), None, None, false) => Ok(Client::confidential(id, ClientSecret::digest(secret.expose()))),
            (None, Some(hex), None, false) => {
                let digest = from_hex(hex)
                    .ok_or_else(|| DocumentError::new("secret_sha256", "64 hexadecimal digits are expected"))?;
                Ok(Client::confidential(id, ClientSecret::from_sha256(digest)))
            }
            (None, None, Some(keys), false) => Client::private_key_jwt(id, public_keys(keys)?).at("keys"),
            (None, None, None, true) if self.may_send => Ok(Client::public(id).with_sending()),
            (None, None, None, true) => Ok(Client::public(id)),
            _ => {
                let reason = "a client has either secret, or secret_sha256, or keys, or public = true";
                Err(DocumentError::new("", reason))
            }
        }
    }

    fn refresh_policy(&self) -> Result<RefreshPolicy, DocumentError> {
        match (self.refresh.unwrap_or(RefreshName::Rotate), self.retry_window) {
            (RefreshName::Rotate, None) => Ok(RefreshPolicy::default()),
            (RefreshName::Rotate, Some(Span(retry_window))) => Ok(RefreshPolicy::Rotate { retry_window }),
            (RefreshName::Stable, None) => Ok(RefreshPolicy::Stable),
            (RefreshName::Stable, Some(_)) => {
                Err(DocumentError::new("retry_window", "a stable refresh token has none"))
            }
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GrantName {
    Sms,
    Email,
    RefreshToken,
}

impl From<GrantName> for Grant {
    fn from(name: GrantName) -> Self {
        match name {
            GrantName::Sms => Self::OtpSms,
            GrantName::Email => Self::OtpEmail,
            GrantName::RefreshToken => Self::RefreshToken,
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
struct DpopName(DpopPolicy);

impl TryFrom<String> for DpopName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Ok(Self(match &*name {
            "off" => DpopPolicy::Off,
            "accepted" => DpopPolicy::Accepted,
            "required" => DpopPolicy::Required,
            "required_with_nonce" => DpopPolicy::RequiredWithNonce,
            _ => return Err("unknown name, expected off, accepted, required or required_with_nonce"),
        }))
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefreshName {
    Rotate,
    Stable,
}

/// The keys of a client. A key that can't be used is an error: its signatures would be refused without a reason.
fn public_keys(jwks: &[Map<String, Value>]) -> Result<PublicKeySet, DocumentError> {
    let read = |(index, jwk): (usize, &Map<String, Value>)| {
        let place = format!("keys[{index}]");
        PublicKey::from_jwk(&serde_json::to_vec(jwk).unwrap_or_default()).at(place)
    };
    let keys = jwks.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    PublicKeySet::new(keys).at("keys")
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}
