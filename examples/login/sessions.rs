//! What a client can do with the tokens of a login, and how its session goes on and ends.

use std::error::Error;

use serde_json::{Value, json};

use crate::demo::{Demo, grant_error, member, title};

/// An access token opens userinfo. It also opens APIs that introspect it.
pub(crate) fn access(demo: &Demo, tokens: &Value) -> Result<(), Box<dyn Error>> {
    title("What the access token is good for");
    let access_token = member(tokens, "access_token")?;
    demo.userinfo(access_token, 200, &json!({"sub": "MOCK_USER_ID", "email": "MOCK_USERNAME@example.com"}))?;
    let facts = json!({"sub": "MOCK_USER_ID", "client_id": "TENANT_CLIENT_ID", "scope": "openid profile email"});
    demo.introspect_active(access_token, &facts)?;
    // An ID token says who logged in; it opens nothing.
    let id_token = member(tokens, "id_token")?;
    demo.userinfo(id_token, 401, &json!({"error": "invalid_token"}))?;
    demo.introspect_inactive(id_token)
}

/// A client uses a refresh token once, and gets the next one. A client that lost the answer can ask again.
pub(crate) fn refresh(demo: &Demo, tokens: &Value) -> Result<Value, Box<dyn Error>> {
    title("A refresh, and the same one again");
    let refresh_token = member(tokens, "refresh_token")?;
    demo.refresh(refresh_token, Some("openid phone"), 400, &json!({"error": "invalid_scope"}))?;
    let refreshed = demo.refresh(refresh_token, None, 200, &json!({"scope": "openid profile email"}))?;
    demo.verify(&refreshed)?;
    let successor = json!({"refresh_token": member(&refreshed, "refresh_token")?, "scope": "openid"});
    demo.refresh(refresh_token, Some("openid"), 200, &successor)?;
    Ok(refreshed)
}

/// Once the successor of a refresh token has been used, only a thief still has a use for the token. The server can't
/// tell whether the thief or the user was faster, so it ends the session for both.
pub(crate) fn replay(demo: &Demo, tokens: &Value, refreshed: &Value) -> Result<(), Box<dyn Error>> {
    title("A stolen refresh token is caught");
    let newest = demo.refresh(member(refreshed, "refresh_token")?, None, 200, &json!({"token_type": "Bearer"}))?;
    demo.introspect_active(member(&newest, "access_token")?, &json!({}))?;

    let refused = grant_error("Unknown or expired refresh_token");
    demo.refresh(member(tokens, "refresh_token")?, None, 400, &refused)?;
    demo.refresh(member(&newest, "refresh_token")?, None, 400, &refused)?;
    demo.introspect_inactive(member(&newest, "access_token")?)?;
    demo.userinfo(member(&newest, "access_token")?, 401, &json!({"error": "invalid_token"}))
}

/// The revocation of an access token ends that token. The revocation of a refresh token ends its session.
pub(crate) fn sign_out(demo: &Demo, tokens: &Value) -> Result<(), Box<dyn Error>> {
    title("The session on the laptop goes on, until it signs out");
    let access_token = member(tokens, "access_token")?;
    demo.introspect_active(access_token, &json!({}))?;
    demo.revoke(access_token)?;
    demo.introspect_inactive(access_token)?;

    let refreshed = demo.refresh(member(tokens, "refresh_token")?, None, 200, &json!({"token_type": "Bearer"}))?;
    let (access_token, refresh_token) = (member(&refreshed, "access_token")?, member(&refreshed, "refresh_token")?);
    demo.introspect_active(access_token, &json!({}))?;
    demo.revoke(refresh_token)?;
    demo.introspect_inactive(access_token)?;
    demo.userinfo(access_token, 401, &json!({"error": "invalid_token"}))?;
    demo.refresh(refresh_token, None, 400, &grant_error("Unknown or expired refresh_token"))?;
    // Signing out again is no error.
    demo.revoke(refresh_token)
}

/// Clients find out the rest from the discovery documents.
pub(crate) fn discovery(demo: &Demo) -> Result<(), Box<dyn Error>> {
    title("What clients can find out about the server");
    demo.discover()
}
