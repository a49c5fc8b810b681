//! What an access token says, as a document.

use otp_grant::Scope;
use otp_grant::jwt::AccessTokenClaims;
use serde_json::json;

use crate::refusal::Refusal;

/// Writes the claims of a token that has the needed scope.
pub(crate) fn with_scope(claims: &AccessTokenClaims, needed: Option<&Scope>) -> Result<String, Refusal> {
    if let Some(needed) = needed {
        claims.require_scope(needed)?;
    }
    let mut document = json!({
        "subject": claims.subject.as_str(),
        "client": claims.client.as_str(),
        "scope": claims.scope.as_str(),
        "token_id": claims.token_id,
        "session": claims.session,
        "issued_at": claims.issued_at.as_unix_millis(),
        "expires_at": claims.expires_at.as_unix_millis(),
        "amr": claims.amr,
        "custom": claims.custom,
    });
    let only_some = [
        ("auth_time", claims.auth_time.map(|instant| instant.as_unix_millis().into())),
        ("key", claims.key.map(|key| String::from(key).into())),
    ];
    if let Some(members) = document.as_object_mut() {
        let there = only_some.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        members.extend(there);
    }
    Ok(document.to_string())
}
