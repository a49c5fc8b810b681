//! Clients, auth sources, users and claims as JSON documents. The members have the names of the reference host's file.

mod client;

use std::fmt;
use std::sync::Arc;

use otp_grant::directory::{CustomClaims, UserClaims};
use otp_grant::otp::CodePolicy;
use otp_grant::time::Timestamp;
use otp_grant::{AuthSource, AuthSourceId, Client, Scope, Subject, User, UserStatus};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::client::client;
use crate::error::{At, DocumentError, Misplaced, read_json};
use crate::values::{ChannelName, Code};

/// A client that was read from its document once, to be handed out again and again. A clone is cheap.
///
/// | member | meaning | default |
/// |---|---|---|
/// | `id` | the identifier | none |
/// | `public`, `secret`, `secret_sha256` or `keys` | `true`; a secret; the SHA-256 of a secret in hexadecimal; public keys as JWK | one is required |
/// | `auth_method` | the only method of authentication: `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none` | with a secret, the two methods of secrets; otherwise the one that there is |
/// | `dpop` | what the client proves: `off`, `accepted`, `required` or `required_with_nonce` | `off` |
/// | `code_challenge_required` | whether each request for a code needs a code challenge | `false` |
/// | `may_send` | whether a public client may send codes | `false` |
/// | `may_sign_up` | whether the client signs up unknown users | `true` |
/// | `auth_sources` | the auth sources that it may use | none |
/// | `scopes` | the scopes that it may request | `openid` |
/// | `default_scopes` | the scopes that it gets when it requests none | `openid` |
/// | `grants` | out of `sms`, `email`, `refresh_token` | all |
/// | `refresh` | `rotate` or `stable` | `rotate` |
/// | `retry_window` | how long a rotated refresh token is repeated | `10s` |
/// | `introspects_every_token` | whether it may introspect the tokens of other clients | `false` |
/// | `message_budget` | how many messages it can send while the send guard is on: `per_hour`, `per_day` | no limit |
#[derive(Clone, Debug)]
pub struct ParsedClient(pub(crate) Arc<Client>);

impl ParsedClient {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] names the member that is wrong.
    pub fn from_json(document: &str) -> Result<Self, DocumentError> {
        client(document, None).map(|client| Self(Arc::new(client)))
    }

    /// Returns the identifier of the client.
    pub fn id(&self) -> &str {
        self.0.id().as_str()
    }

    /// Tells whether the client has a secret or keys.
    pub fn is_confidential(&self) -> bool {
        self.0.is_confidential()
    }
}

/// An auth source that was read from its document once, to be handed out again and again. A clone is cheap.
///
/// The members are `id`, `channel` (`sms` or `email`) and `code`, with `length`, `validity`, `token_validity` and
/// `alphabet`.
#[derive(Clone, Debug)]
pub struct ParsedAuthSource(pub(crate) Arc<AuthSource>);

impl ParsedAuthSource {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] names the member that is wrong.
    pub fn from_json(document: &str) -> Result<Self, DocumentError> {
        auth_source(document, None).map(|source| Self(Arc::new(source)))
    }

    /// Returns the identifier of the auth source.
    pub fn id(&self) -> &str {
        self.0.id().as_str()
    }
}

/// A user, without a document.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a binding fills it in, and has to learn of another member")]
pub struct UserAnswer<'a> {
    /// The name of the user towards clients.
    pub subject: &'a str,
    /// `active`, `locked`, `frozen` or `inactive`.
    pub status: &'a str,
    /// Sessions that began earlier are over: milliseconds since 1970.
    pub tokens_valid_after_ms: Option<u64>,
    /// Whether the user exists for tests. Such a user logs in only by a test identity.
    pub is_test: bool,
}

/// Hides the subject, which is personal data.
impl fmt::Debug for UserAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl UserAnswer<'_> {
    pub(crate) fn user(&self) -> Result<User, DocumentError> {
        let status = status(self.status)
            .ok_or_else(|| DocumentError::new("status", "active, locked, frozen or inactive is expected"))?;
        let mut user = User::new(Subject::new(self.subject).at("subject")?, status);
        user.tokens_valid_after = self.tokens_valid_after_ms.map(Timestamp::from_unix_millis);
        user.is_test = self.is_test;
        Ok(user)
    }
}

/// Tells whether a document says that there is nothing.
pub(crate) fn is_null(document: &str) -> bool {
    document.trim_ascii() == "null"
}

/// Reads an auth source, as [`client`] reads a client.
pub(crate) fn auth_source(document: &str, asked: Option<&AuthSourceId>) -> Result<AuthSource, DocumentError> {
    let document: AuthSourceDocument = read_json(document)?;
    let id = identified(document.id.as_deref(), asked, AuthSourceId::new, AuthSourceId::as_str)?;
    let code = document.code.policy(&CodePolicy::for_login(), "code")?;
    Ok(AuthSource::new(id, document.channel.into()).with_code(code))
}

/// Reads a user.
pub(crate) fn user(document: &str) -> Result<User, DocumentError> {
    let document: UserDocument = read_json(document)?;
    let mut user = User::new(Subject::new(&document.subject).at("subject")?, document.status.into());
    user.tokens_valid_after = document.tokens_valid_after.map(Timestamp::from_unix_millis);
    user.is_test = document.is_test;
    Ok(user)
}

/// Reads the claims of a user.
pub(crate) fn user_claims(document: &str) -> Result<UserClaims, DocumentError> {
    let members: Map<String, Value> = read_json(document)?;
    Ok(members.into_iter().fold(UserClaims::new(), |claims, (name, value)| claims.with(&name, value)))
}

/// Reads the claims that an access token gets.
pub(crate) fn custom_claims(document: &str) -> Result<CustomClaims, DocumentError> {
    let members: Map<String, Value> = read_json(document)?;
    members.into_iter().try_fold(CustomClaims::new(), |claims, (name, value)| claims.with(&name, value).at(name))
}

/// Reads the scope that a user is granted.
pub(crate) fn granted_scope(document: &str) -> Result<Scope, DocumentError> {
    let ScopeDocument { scope } = read_json(document)?;
    Scope::parse(&scope).at("scope")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthSourceDocument {
    id: Option<String>,
    channel: ChannelName,
    #[serde(default)]
    code: Code,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserDocument {
    subject: String,
    #[serde(default)]
    status: StatusName,
    tokens_valid_after: Option<u64>,
    #[serde(default)]
    is_test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeDocument {
    scope: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusName {
    #[default]
    Active,
    Locked,
    Frozen,
    Inactive,
}

impl From<StatusName> for UserStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Active => Self::Active,
            StatusName::Locked => Self::Locked,
            StatusName::Frozen => Self::Frozen,
            StatusName::Inactive => Self::Inactive,
        }
    }
}

fn status(name: &str) -> Option<UserStatus> {
    Some(match name {
        "active" => UserStatus::Active,
        "locked" => UserStatus::Locked,
        "frozen" => UserStatus::Frozen,
        "inactive" => UserStatus::Inactive,
        _ => return None,
    })
}

/// The name of a status, for the question that shows a user.
pub(crate) fn status_name(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Locked => "locked",
        UserStatus::Frozen => "frozen",
        // A later status is none that may log in.
        _ => "inactive",
    }
}

/// The identifier of a document. It is the one that was asked for, if one was.
fn identified<I: Clone + PartialEq, R: fmt::Display>(
    given: Option<&str>,
    asked: Option<&I>,
    parse: impl Fn(&str) -> Result<I, R>,
    text: impl Fn(&I) -> &str,
) -> Result<I, DocumentError> {
    match (given, asked) {
        (Some(given), Some(asked)) if given != text(asked) => {
            Err(DocumentError::new("id", "another identifier was asked for"))
        }
        (_, Some(asked)) => Ok(asked.clone()),
        (Some(given), None) => parse(given).at("id"),
        (None, None) => Err(DocumentError::new("id", "missing")),
    }
}
