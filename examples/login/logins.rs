//! Sends codes, and exchanges them for tokens.

use std::error::Error;

use otp_grant::settings::{EMAIL_GRANT_TYPE, SMS_GRANT_TYPE};
use serde_json::{Value, json};

use crate::demo::{Demo, Sent, grant_error, title};

pub(crate) fn over_sms(demo: &Demo) -> Result<Value, Box<dyn Error>> {
    title("A login over SMS");
    let sms = sms();
    let sent = demo.send(&sms)?;
    let scope = json!({"scope": "openid profile email"});
    let tokens = demo.token(&but(&redeem(SMS_GRANT_TYPE, &sms, &sent), scope.clone()), 200, &scope)?;
    demo.verify(&tokens)?;
    Ok(tokens)
}

pub(crate) fn refused_sends(demo: &Demo) -> Result<(), Box<dyn Error>> {
    title("A send that is refused");
    let sms = sms();
    demo.refused_send(&but(&sms, json!({"phone_number": "call me"})), &json!({"error": "malformed_phone_number"}))?;
    demo.refused_send(&sms, &json!({"error": "sms_rate_limit_exceeded"}))?;
    demo.refused_send(&but(&sms, json!({"client_secret": "WRONG"})), &json!({"error": "invalid_client"}))?;
    let silent = but(&sms, json!({"client_id": "SILENT_SPA_CLIENT_ID", "client_secret": null}));
    demo.refused_send(&silent, &json!({"error": "unauthorized_client"}))?;
    let other = json!({"client_id": "OTHER_CLIENT_ID", "client_secret": "OTHER_CLIENT_SECRET"});
    demo.refused_send(&but(&sms, other), &json!({"error": "invalid_auth_source"}))
}

pub(crate) fn over_email(demo: &Demo) -> Result<Value, Box<dyn Error>> {
    title("A login over e-mail, after everything that can be wrong with it");
    let email = json!({
        "client_id": "TENANT_CLIENT_ID",
        "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID",
        "email": "MOCK_USERNAME@example.com",
    });
    let sent = demo.send(&email)?;
    let right = redeem(EMAIL_GRANT_TYPE, &email, &sent);
    demo.token(&but(&right, json!({"grant_type": "password"})), 400, &json!({"error": "unsupported_grant_type"}))?;
    let altered = json!({"otp_token": other_last(&sent.otp_token)});
    demo.token(&but(&right, altered), 400, &grant_error("Unknown or expired otp_token"))?;
    let mismatched = json!({
        "error": "invalid_request",
        "error_description": "Mismatched OTP token and OTP sending parameters",
    });
    demo.token(&but(&right, json!({"email": "somebody.else@example.com"})), 400, &mismatched)?;
    demo.token(&but(&right, json!({"scope": "openid admin"})), 400, &json!({"error": "invalid_scope"}))?;
    let remaining = but(&grant_error("Unknown or expired OTP"), json!({"attempts_remaining": 4}));
    demo.token(&but(&right, json!({"otp": other_last(&sent.code)})), 400, &remaining)?;
    let tokens = demo.token(&right, 200, &json!({"scope": "openid"}))?;
    demo.verify(&tokens)?;
    demo.token(&right, 400, &grant_error("Unknown or expired otp_token"))?;
    Ok(tokens)
}

pub(crate) fn somebody_new(demo: &Demo) -> Result<(), Box<dyn Error>> {
    title("A user who is not there yet, and then is");
    let nobody = but(&sms(), json!({"phone_number": "+12025550123"}));
    let sent = demo.send(&nobody)?;
    let right = redeem(SMS_GRANT_TYPE, &nobody, &sent);
    demo.token(&right, 400, &grant_error("User not found"))?;
    demo.token(&but(&right, json!({"auto_signup": true})), 200, &json!({"scope": "openid"})).map(drop)
}

pub(crate) fn somebody_locked(demo: &Demo) -> Result<(), Box<dyn Error>> {
    title("A user who is locked");
    let locked = but(&sms(), json!({"phone_number": "13600000000"}));
    let sent = demo.send(&locked)?;
    demo.token(&redeem(SMS_GRANT_TYPE, &locked, &sent), 400, &grant_error("Abnormal user status")).map(drop)
}

/// The send of a code to the sample user's phone.
fn sms() -> Value {
    json!({
        "client_id": "TENANT_CLIENT_ID",
        "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID",
        "phone_number": "13612345678",
    })
}

/// The token request for a code, with the same client, source and address as the send.
fn redeem(grant_type: &str, send: &Value, sent: &Sent) -> Value {
    but(send, json!({"grant_type": grant_type, "otp_token": sent.otp_token, "otp": sent.code}))
}

/// The same members with some replaced. `null` removes a member.
fn but(body: &Value, changes: Value) -> Value {
    let mut members = body.as_object().cloned().unwrap_or_default();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    Value::Object(members)
}

/// The same text with another last character.
fn other_last(text: &str) -> String {
    let mut other = text.to_owned();
    let last = other.pop();
    other.push(if last == Some('1') { '2' } else { '1' });
    other
}
